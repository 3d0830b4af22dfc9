"""The `nvscope` command: one file per verb."""

from __future__ import annotations

import sys

import typer

from nvscope.cli import control, data, devices, live, plan, run, sim, version, watch
from nvscope.errors import ConfigError, LimitError, NvscopeError

DONE, FAILED, USAGE, ABORTED = 0, 1, 2, 3
"""Exit codes: done, failed, wrong usage (nothing moved), aborted by the operator."""

app = typer.Typer(
    name="nvscope",
    help="Wide-field NV microscopy in diamond anvil cells: run protocols, watch the maps, trust the data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
run.register(app)
live.register(app)
plan.register(app)
sim.register(app)
devices.register(app)
control.register(app)
watch.register(app)
data.register(app)
version.register(app)


def main() -> None:
    """Run the command line; every foreseeable error is one readable message and an exit code."""
    try:
        app()
    except (ConfigError, LimitError) as error:
        print(f"nvscope: {error}", file=sys.stderr)
        sys.exit(USAGE)
    except NvscopeError as error:
        print(f"nvscope: {error}", file=sys.stderr)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(ABORTED)
