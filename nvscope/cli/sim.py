"""``nvscope sim``: serve the simulated lab alone."""

from __future__ import annotations

import contextlib
import os
import threading
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from nvscope.cli.selection import (
    FaultOption,
    LoadingOption,
    PressureOption,
    RigOption,
    SampleOption,
    parse_pixels,
    select,
)
from nvscope.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def sim(
        addresses: Annotated[Path, typer.Option(help="JSON file to write, with every instrument's address.")],
        rig: RigOption = "simulated",
        sample: SampleOption = "s1",
        loading: LoadingOption = None,
        pressure: PressureOption = None,
        fault: FaultOption = None,
        factor: Annotated[float, typer.Option(help="Rig seconds per wall second while no run drives time.")] = 1.0,
        truth: Annotated[
            Path | None, typer.Option(help="Write what the sample really does to this Zarr folder.")
        ] = None,
        pixels: Annotated[
            str | None, typer.Option(help='Camera image as "HEIGHTxWIDTH", in place of the rig\'s.')
        ] = None,
        until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
    ) -> None:
        """Serve the simulated lab until interrupted; every instrument on its own wire, on this machine only."""
        selection = select(rig, sample, loading, pressure, fault or [])
        name = selection.rig.simulator.program if selection.rig.simulator else "lab"
        found = [entry for entry in entry_points(group="nvscope.simulators") if entry.name == name]
        if not found:
            raise ConfigError(f"{selection.source}: simulator.program: no simulator called {name!r} is installed")
        serve = found[0].load()
        gone = watch_stdin() if until_stdin_closes else threading.Event()
        with contextlib.suppress(KeyboardInterrupt):  # the ordinary way to end it
            serve(
                selection.rig,
                selection.sample,
                selection.loading,
                source=selection.source,
                addresses=addresses,
                until=gone.is_set,
                factor=factor,
                truth=truth,
                image_shape=parse_pixels(pixels),
            )


def watch_stdin() -> threading.Event:
    """Set an event when standard input closes: the process that started us has gone."""
    gone = threading.Event()

    def watch() -> None:
        # not through sys.stdin, whose lock a reader would still hold when the interpreter takes it away at the end
        try:
            while os.read(0, 4096):
                pass
        finally:
            gone.set()

    threading.Thread(target=watch, daemon=True).start()
    return gone
