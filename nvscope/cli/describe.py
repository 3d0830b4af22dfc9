"""A sequence's parameters for people: name, default in everyday units, what it means."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from nvscope.cli.selection import resolve_parameters
from nvscope.config.stored import field_unit, value_text
from nvscope.plans import Sequence


def print_parameters(sequence: Sequence) -> None:
    """Print what ``--set`` accepts, with the values a run would use now."""
    resolved = resolve_parameters(sequence, [])
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("parameter", "value", "meaning"):
        table.add_column(column)
    for name, field in sequence.parameters.model_fields.items():
        table.add_row(name, value_text(getattr(resolved, name), field_unit(field)), field.description or "")
    console = Console()
    console.print(f"{sequence.name}: {sequence.summary}")
    console.print(f'Change any of them with --set, for example: nvscope run {sequence.name} --set NAME="VALUE"\n')
    console.print(table)
