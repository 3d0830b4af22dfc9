"""A sequence's parameters for people: name, default in everyday units, what it means."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from nvscope.cli.selection import resolve_parameters
from nvscope.plans import Sequence
from nvscope.units import Unit, format_quantity


def print_parameters(sequence: Sequence) -> None:
    """Print what ``--set`` accepts, with the values a run would use now."""
    resolved = resolve_parameters(sequence, [])
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("parameter", "value", "meaning"):
        table.add_column(column)
    for name, field in sequence.parameters.model_fields.items():
        unit = next((item for item in _metadata(field) if isinstance(item, Unit)), None)
        table.add_row(name, show(getattr(resolved, name), unit), field.description or "")
    console = Console()
    console.print(f"{sequence.name}: {sequence.summary}")
    console.print(f'Change any of them with --set, for example: nvscope run {sequence.name} --set NAME="VALUE"\n')
    console.print(table)


def _metadata(field: Any) -> list[Any]:
    """Metadata of a field and of whatever its annotation wraps (optional, tuple)."""
    found = list(field.metadata)
    pending = [field.annotation]
    while pending:
        annotation = pending.pop()
        found += getattr(annotation, "__metadata__", ())
        pending += getattr(annotation, "__args__", ())
    return found


def show(value: Any, unit: Unit | None) -> str:
    """Write a parameter in everyday units."""
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return ", ".join(show(item, unit) for item in value)
    if unit is not None and isinstance(value, float):
        return format_quantity(value, unit)
    return str(value)
