"""``nvscope plan``: what a sequence would do, without touching anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from nvscope.cli.selection import (
    CalibrationOption,
    LoadingOption,
    PressureOption,
    RigOption,
    SampleOption,
    SetOption,
    parse_pixels,
    resolve_parameters,
    select,
)
from nvscope.config.calibration import read_calibration
from nvscope.errors import ConfigError
from nvscope.units import parse_quantity

if TYPE_CHECKING:
    from nvscope.devices.base import Assumed
    from nvscope.plans import PlanSummary


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def plan(
        sequence: Annotated[str, typer.Argument(help="Name of a sequence, or path of a Python file that defines one.")],
        rig: RigOption = "simulated",
        sample: SampleOption = "s1",
        loading: LoadingOption = None,
        pressure: PressureOption = None,
        settings: SetOption = None,
        calibration: CalibrationOption = None,
        temperature: Annotated[
            str | None, typer.Option(help='Where the sample is, e.g. "20 K"; if not given, where the sequence begins.')
        ] = None,
        field: Annotated[
            str | None, typer.Option(help='Field that is on, e.g. "97 G"; if not given, where the sequence begins.')
        ] = None,
        pixels: Annotated[
            str | None,
            typer.Option(help='Image of the camera, "HEIGHTxWIDTH", for the disk needed; 64x64 if not given.'),
        ] = None,
    ) -> None:
        """Print the steps of a sequence with times, limits checked; no hardware is touched."""
        from nvscope.devices.base import USUAL_SHAPE
        from nvscope.engine.planning import planning_rig
        from nvscope.plans import dry_run, find_sequence

        found = find_sequence(sequence)
        calibrations = tuple(read_calibration(path) for path in calibration or [])
        selection = select(rig, sample, loading, pressure, calibrations=calibrations)
        parameters = resolve_parameters(found, settings or [], calibrations)
        shape = parse_pixels(pixels)
        devices = planning_rig(selection.rig, selection.sample, selection.loading, shape)
        start = begin(found.begins(parameters), temperature, field)
        console = Console()
        _print(dry_run(found.plan(devices, parameters), start), f"{found.name}: {found.summary}", console)
        height, width = shape or USUAL_SHAPE
        console.print(
            f"Assumed: {height}x{width} pixels (--pixels), and the rig at {start.temperature:g} K in "
            f"{start.field * 1e4:g} G (--temperature, --field). A run plans again from where the rig is.",
            highlight=False,
        )


def begin(usual: Assumed, temperature: str | None, field: str | None) -> Assumed:
    """Return where a plan begins: as `usual`, but for what is given; what stands somewhere else is regulated there."""
    if temperature is not None:
        usual = replace(usual, temperature=_read("--temperature", temperature, "kelvin"), regulated=True)
    if field is not None:
        usual = replace(usual, field=_read("--field", field, "tesla"))
    return usual


def _read(option: str, text: str, unit: str) -> float:
    try:
        return parse_quantity(text, unit)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None


def _print(summary: PlanSummary, title: str, console: Console) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("start", "right"),
        ("takes", "right"),
        ("step", "left"),
        ("T (K)", "right"),
        ("H (G)", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for step in summary.steps:
        table.add_row(
            clock_text(step.start),
            f"{'≤ ' if step.spare > 0 else ''}{clock_text(step.duration)}",
            step.text,
            f"{step.temperature:.4g}",
            f"{step.field * 1e4:.4g}",
        )
    console.print(table)
    end = datetime.now() + timedelta(seconds=summary.duration)
    most = "at most " if summary.spare > 0 or summary.conditional else ""
    console.print(
        f"{len(summary.steps)} steps, {summary.points} points, {summary.frames} frames, "
        f"{summary.bytes / 1e6:.0f} MB before compression; takes {most}{clock_text(summary.duration)}, "
        f"would end {end:%Y-%m-%d %H:%M}. All within the rig's limits."
    )
    if summary.spare > 0:
        least = clock_text(summary.duration - summary.spare)
        console.print(
            f"≤: averaging ends once δB reaches its target, which nobody knows before; with one sweep each, {least}."
        )
    if summary.conditional:
        console.print("Steps are left out once a measurement says that they tell nothing new.")


def clock_text(seconds: float) -> str:
    """Write a duration as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
