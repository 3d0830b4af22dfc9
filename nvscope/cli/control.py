"""``nvscope status | pause | resume | abort | skip | note | set | keys``: control a run from another terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nvscope.cli.remote import AtOption, KeyOption, elsewhere
from nvscope.errors import ConfigError, NvscopeError

if TYPE_CHECKING:
    from nvscope.stream.control import Control, Reply

RunOption = Annotated[
    str | None, typer.Option("--run", help="Which run (part of its name); needed only if several are running.")
]
PATIENCE = 15.0


def register(app: typer.Typer) -> None:
    """Add the verbs."""

    @app.command()
    def status(run: RunOption = None, at: AtOption = None, key: KeyOption = None) -> None:
        """Print what the running run is doing."""
        from nvscope.cli.display import line
        from nvscope.stream.messages import RunStatus

        reply = _say("status", "", run, at, key)
        if reply.status:
            import msgspec

            print(line(msgspec.convert(reply.status, RunStatus)))
        print(reply.text)

    @app.command()
    def pause(run: RunOption = None, at: AtOption = None, key: KeyOption = None) -> None:
        """Pause the run at once; ramps stop where they are, nothing is moved."""
        print(_say("pause", "", run, at, key).text)

    @app.command()
    def resume(run: RunOption = None, at: AtOption = None, key: KeyOption = None) -> None:
        """Resume a paused run from its last checkpoint."""
        print(_say("resume", "", run, at, key).text)

    @app.command()
    def abort(
        reason: Annotated[str, typer.Argument(help="Why; written to the journal.")] = "",
        run: RunOption = None,
        at: AtOption = None,
        key: KeyOption = None,
    ) -> None:
        """Make the rig safe and end the run; what was measured is kept."""
        print(_say("abort", reason, run, at, key).text)

    @app.command()
    def skip(run: RunOption = None, at: AtOption = None, key: KeyOption = None) -> None:
        """Stop averaging the present point and go on with the next."""
        print(_say("skip", "", run, at, key).text)

    @app.command()
    def note(
        text: Annotated[str, typer.Argument(help="What to write into the journal.")],
        run: RunOption = None,
        at: AtOption = None,
        key: KeyOption = None,
    ) -> None:
        """Write a note into the running run's journal."""
        print(_say("note", text, run, at, key).text)

    @app.command("set")
    def set_parameters(
        settings: Annotated[
            list[str] | None, typer.Argument(help='NAME=VALUE, e.g. frames=4 until="0.2 G"; none lists them.')
        ] = None,
        run: RunOption = None,
        at: AtOption = None,
        key: KeyOption = None,
    ) -> None:
        """Change how the points to come are taken; of `nvscope live`, what the instruments do now."""
        from nvscope.stream.control import Control

        wanted = dict(_pair(text) for text in settings or [])
        reply = _ask(Control("set", settings=wanted) if wanted else Control("parameters"), run, at, key)
        print(reply.text)
        for parameter in () if wanted else reply.parameters:
            print(f"  {parameter.name:20} {parameter.value:>14}  {parameter.meaning}")

    @app.command()
    def keys(file: Annotated[Path, typer.Argument(help="Key file to write, for example lab.toml.")]) -> None:
        """Make keys to control and watch a run from another computer (nvscope run --listen)."""
        from nvscope.stream.keys import make_keys

        shared = make_keys(file)
        print(f"{file}: for the computer that runs; keep it there\n{shared}: for those that may control and watch it")


def _say(verb: str, text: str, run: str | None, at: str | None, key: Path | None) -> Reply:
    from nvscope.stream.control import Control

    return _ask(Control(verb, text), run, at, key)  # type: ignore[arg-type]


def _ask(request: Control, run: str | None, at: str | None, key: Path | None) -> Reply:
    from nvscope.stream.control import ask, running

    curve = None
    if at is not None:
        endpoint, curve = elsewhere(at, key)
    else:
        found = [info for info in running() if run is None or run in info.run]
        if not found:
            raise NvscopeError("no run is running" if run is None else f"no running run matches {run!r}")
        if len(found) > 1:
            names = ", ".join(info.run for info in found)
            raise NvscopeError(f"several runs are running ({names}); choose one with --run")
        endpoint = found[0].control
    reply = ask(endpoint, request, timeout=PATIENCE, curve=curve)
    if not reply.ok:
        raise NvscopeError(reply.text)
    return reply


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"{text}: write it as NAME=VALUE, for example frames=4")
    return name.strip(), value.strip()
