"""``nvscope status | pause | resume | abort | skip | note``: control a run from another terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nvscope.errors import NvscopeError

if TYPE_CHECKING:
    from nvscope.stream.control import Reply, Verb

RunOption = Annotated[
    str | None, typer.Option("--run", help="Which run (part of its name); needed only if several are running.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""

    @app.command()
    def status(run: RunOption = None) -> None:
        """Print what the running run is doing."""
        from nvscope.cli.display import line
        from nvscope.stream.messages import RunStatus

        reply = _ask("status", run)
        if reply.status:
            import msgspec

            print(line(msgspec.convert(reply.status, RunStatus)))
        print(reply.text)

    @app.command()
    def pause(run: RunOption = None) -> None:
        """Pause the run at once; ramps stop where they are, nothing is moved."""
        print(_ask("pause", run).text)

    @app.command()
    def resume(run: RunOption = None) -> None:
        """Resume a paused run from its last checkpoint."""
        print(_ask("resume", run).text)

    @app.command()
    def abort(
        reason: Annotated[str, typer.Argument(help="Why; written to the journal.")] = "", run: RunOption = None
    ) -> None:
        """Make the rig safe and end the run; what was measured is kept."""
        print(_ask("abort", run, reason).text)

    @app.command()
    def skip(run: RunOption = None) -> None:
        """Stop averaging the present point and go on with the next."""
        print(_ask("skip", run).text)

    @app.command()
    def note(
        text: Annotated[str, typer.Argument(help="What to write into the journal.")], run: RunOption = None
    ) -> None:
        """Write a note into the running run's journal."""
        print(_ask("note", run, text).text)


def _ask(verb: Verb, run: str | None, text: str = "") -> Reply:
    from nvscope.stream.control import Control, ask, running

    found = [info for info in running() if run is None or run in info.run]
    if not found:
        raise NvscopeError("no run is running" if run is None else f"no running run matches {run!r}")
    if len(found) > 1:
        names = ", ".join(info.run for info in found)
        raise NvscopeError(f"several runs are running ({names}); choose one with --run")
    reply = ask(found[0].control, Control(verb, text), timeout=15.0)
    if not reply.ok:
        raise NvscopeError(reply.text)
    return reply
