"""``nvscope devices``: connect, identify and read every instrument, changing nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nvscope.cli.selection import RigOption
from nvscope.config import Rig, find_config, load_toml, validate

_PATIENCE = 15.0


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def devices(
        rig: RigOption = "simulated",
        lab: Annotated[
            Path | None, typer.Option(help="Address file of a simulated lab that is served already (nvscope sim).")
        ] = None,
    ) -> None:
        """Connect to every instrument of a rig, identify it and print what it reads; changes nothing."""
        path = find_config("rigs", rig)
        found = validate(Rig, load_toml(path), str(path))
        raise typer.Exit(_report(found, str(path), lab, rig))


def _report(rig: Rig, source: str, lab: Path | None, name: str) -> int:
    import tempfile

    from nvscope.clock import WallClock
    from nvscope.engine.connect import close_all, connect_all
    from nvscope.engine.processes import LabProcess, read_addresses

    started: LabProcess | None = None
    with tempfile.TemporaryDirectory() as folder:
        if lab is not None:
            addresses = read_addresses(lab)
        elif rig.simulator is not None:
            started = LabProcess(["--rig", name], Path(folder) / "addresses.json")
            addresses = started.wait_addresses(60.0)
        else:
            addresses = {}
        try:
            instruments = connect_all(rig, {k: v["address"] for k, v in addresses.items()}, WallClock(), source)
            try:
                return _print(instruments)
            finally:
                close_all(instruments)
        finally:
            if started is not None:
                started.stop()


def _print(instruments: Any) -> int:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("role", "who", "address", "reads"):
        table.add_column(column)
    failures = 0
    for name, item in instruments.items():
        try:
            identity = item.worker.submit(item.role.identify).result(_PATIENCE)
            readings = item.worker.submit(item.role.readings).result(_PATIENCE)
            who = f"{identity.manufacturer} {identity.model} {identity.serial}"
            text = "\n".join(f"{key} = {_show(value)}" for key, value in readings.items())
        except Exception as error:
            failures += 1
            who, text = "-", f"{type(error).__name__}: {error}"
        table.add_row(name, who, item.address, text)
    Console().print(table)
    return 1 if failures else 0


def _show(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
