"""``nvscope report | validate | fit | export``: what can be done with a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nvscope.errors import ConfigError

RunArgument = Annotated[Path, typer.Argument(help="The run directory.", metavar="RUN_DIR")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""

    @app.command()
    def report(run: RunArgument) -> None:
        """Write figures and report.html again."""
        from nvscope.analysis.report import make_report

        print(make_report(run))

    @app.command()
    def validate(run: RunArgument) -> None:
        """Compare a simulated run with its truth: bias, scatter and pulls beside what the photon budget allows."""
        from rich.console import Console
        from rich.table import Table

        from nvscope.analysis.compare import table
        from nvscope.analysis.validate import validate_run

        header, *rows = table(validate_run(run).rows)
        shown = Table(*header, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            shown.add_row(*row)
        Console(width=max(120, Console().width)).print(shown)

    @app.command()
    def fit(
        run: RunArgument,
        name: Annotated[str, typer.Option(help="Name of the refit.")] = "refit",
        model: Annotated[str, typer.Option(help="Line shape: lorentzian, gaussian, n14, n15.")] = "lorentzian",
        lines: Annotated[str, typer.Option(help="1, 2, auto (one or two), or 4, 6, 8 for several groups.")] = "2",
        baseline: Annotated[str, typer.Option(help="constant, linear, quadratic or auto.")] = "auto",
        point: Annotated[list[int] | None, typer.Option(help="A point; repeatable. All if not given.")] = None,
    ) -> None:
        """Fit stored points again, larger than memory if need be; the maps of the run stay."""
        from nvscope.analysis.refit import refit_run

        refit_run(
            run,
            name,
            model=model,
            lines=int(lines) if lines.isdecimal() else lines,
            baseline=baseline,
            points=point,
            progress=lambda number, share: print(f"point {number}: {share:.0%} of pixels fitted"),
        )

    @app.command()
    def export(
        run: RunArgument,
        to: Annotated[Path, typer.Argument(help="File to write: .nxs or .h5 for NeXus/HDF5, .mat for MATLAB.")],
        overwrite: Annotated[bool, typer.Option(help="Replace the file if it is there.")] = False,
    ) -> None:
        """Write a run as NeXus/HDF5 or MATLAB."""
        from nvscope.store.export import to_matlab, to_nexus
        from nvscope.store.reader import RunReader

        writers = {".nxs": to_nexus, ".h5": to_nexus, ".hdf5": to_nexus, ".mat": to_matlab}
        if to.suffix.lower() not in writers:
            raise ConfigError(f"{to}: unknown kind of file; end it in {', '.join(writers)}")
        writers[to.suffix.lower()](RunReader(run), to, overwrite=overwrite)
        print(to)
