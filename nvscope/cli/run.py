"""``nvscope run``: execute a sequence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nvscope.cli.remote import ListenKeyOption, ListenOption, listening
from nvscope.cli.selection import (
    CalibrationOption,
    FaultOption,
    LoadingOption,
    PressureOption,
    RigOption,
    SampleOption,
    SetOption,
    check_faults,
    parse_pixels,
    resolve_parameters,
    select,
)
from nvscope.config.calibration import read_calibration


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command(add_help_option=False)
    def run(
        sequence: Annotated[
            str | None, typer.Argument(help="Name of a sequence, or path of a Python file that defines one.")
        ] = None,
        rig: RigOption = "simulated",
        sample: SampleOption = "s1",
        loading: LoadingOption = None,
        pressure: PressureOption = None,
        settings: SetOption = None,
        calibration: CalibrationOption = None,
        reference: Annotated[
            Path | None, typer.Option(help="Run whose maps above Tc normalise s where this one takes none.")
        ] = None,
        fault: FaultOption = None,
        runs: Annotated[Path, typer.Option(help="Folder that holds the run directories.")] = Path("runs"),
        note: Annotated[str, typer.Option(help="A note kept with the run.")] = "",
        operator: Annotated[str, typer.Option(help="Who runs it; the login name if not given.")] = "",
        lab: Annotated[
            Path | None, typer.Option(help="Address file of a simulated lab that is served already (nvscope sim).")
        ] = None,
        pixels: Annotated[str | None, typer.Option(help='Camera image of the simulated lab, "HEIGHTxWIDTH".')] = None,
        watch: Annotated[
            bool, typer.Option("--watch", help="Open the window on this run, as its own process.")
        ] = False,
        listen: ListenOption = None,
        key: ListenKeyOption = None,
        show_help: Annotated[
            bool, typer.Option("--help", help="Show this message, or a sequence's parameters.")
        ] = False,
        context: typer.Context = None,  # type: ignore[assignment]
    ) -> None:
        """Run a sequence: acquire, fit live, record, certify and report."""
        from nvscope.plans import find_sequence

        if show_help and sequence is not None:
            from nvscope.cli.describe import print_parameters

            print_parameters(find_sequence(sequence))
            raise typer.Exit(0)
        if show_help or sequence is None:
            print(context.get_help())
            raise typer.Exit(0 if show_help else 2)

        if watch:
            from nvscope.cli.watch_launch import require_window

            require_window()
        from nvscope.cli.execute import execute
        from nvscope.engine.request import RunRequest

        found = find_sequence(sequence)
        calibrations = tuple(read_calibration(path) for path in calibration or [])
        selection = select(rig, sample, loading, pressure, fault or [], calibrations)
        check_faults(selection, fault or [], lab)
        if reference is not None:
            from nvscope.engine.past import read_reference

            read_reference(reference, selection.sample, selection.loading)
        shape = parse_pixels(pixels)
        arguments: list[str] = ["--rig", rig, "--sample", sample]
        for option, value in (("--loading", loading), ("--pressure", pressure), ("--pixels", pixels)):
            if value is not None:
                arguments += [option, value]
        for text in fault or []:
            arguments += ["--fault", text]
        request = RunRequest(
            sequence=found,
            parameters=resolve_parameters(found, settings or [], calibrations),
            rig=selection.rig,
            sample=selection.sample,
            loading=selection.loading,
            source=selection.source,
            runs=runs,
            note=note,
            operator=operator,
            lab_addresses=lab,
            lab_arguments=tuple(arguments),
            image_shape=shape,
            calibrations=calibrations,
            reference=reference,
            listen=listening(listen, key),
        )
        if watch:
            from nvscope.cli.watch_launch import open_window

            _window = open_window()  # held: Python complains about a process that nobody holds
        raise typer.Exit(execute(request))
