"""``nvscope live``: instruments by hand, camera running, without a run."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nvscope.cli.remote import ListenKeyOption, ListenOption, listening
from nvscope.cli.selection import (
    FaultOption,
    LoadingOption,
    PressureOption,
    RigOption,
    SampleOption,
    parse_pixels,
    select,
)
from nvscope.errors import NvscopeError

if TYPE_CHECKING:
    import subprocess

    from nvscope.engine.live import LiveSession

_WAIT = 0.1


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def live(
        rig: RigOption = "simulated",
        sample: SampleOption = "s1",
        loading: LoadingOption = None,
        pressure: PressureOption = None,
        fault: FaultOption = None,
        lab: Annotated[
            Path | None, typer.Option(help="Address file of a simulated lab that is served already (nvscope sim).")
        ] = None,
        pixels: Annotated[str | None, typer.Option(help='Camera image of the simulated lab, "HEIGHTxWIDTH".')] = None,
        listen: ListenOption = None,
        key: ListenKeyOption = None,
        window: Annotated[bool, typer.Option(help="Open the window; closing it ends the session.")] = True,
        until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
    ) -> None:
        """Hold the instruments: camera, laser, microwaves, temperature, field by hand, within the rig's limits."""
        from nvscope.engine.live import LiveRequest, LiveSession

        if window:
            from nvscope.cli.watch_launch import require_window

            require_window()
        chosen = select(rig, sample, loading, pressure, fault or [])
        parse_pixels(pixels)
        arguments = ["--rig", rig, "--sample", sample]
        for option, value in (("--loading", loading), ("--pressure", pressure), ("--pixels", pixels)):
            arguments += [option, value] if value is not None else []
        for text in fault or []:
            arguments += ["--fault", text]
        session = LiveSession(
            LiveRequest(
                chosen.rig,
                chosen.sample,
                chosen.loading,
                chosen.source,
                lab,
                tuple(arguments),
                listening(listen, key),
            )
        )
        _hold(session, window=window, until_stdin_closes=until_stdin_closes)


def _hold(session: LiveSession, *, window: bool, until_stdin_closes: bool) -> None:
    """Hold the instruments until Ctrl-C, the window, standard input or a request ends it."""
    from nvscope.cli.sim import watch_stdin
    from nvscope.cli.watch_launch import open_window

    signal.signal(signal.SIGINT, signal.default_int_handler)
    outcome: list[dict[str, str] | BaseException] = []
    over = threading.Event()

    def work() -> None:
        try:
            outcome.append(session.execute())
        except BaseException as error:  # re-raised below
            outcome.append(error)
        finally:
            over.set()

    threading.Thread(target=work, name="nvscope-live", daemon=True).start()
    gone = watch_stdin() if until_stdin_closes else threading.Event()
    shown: subprocess.Popen[bytes] | None = None
    told = False
    while not over.is_set():
        try:
            over.wait(_WAIT)
            if session.ready.is_set() and not told:
                told = True
                print(f"{session.name}: change things in the window or with `nvscope set`; Ctrl-C ends it", flush=True)
                shown = open_window() if window else None
            if gone.is_set() or (shown is not None and shown.poll() is not None):
                session.stop()
        except KeyboardInterrupt:
            print("making the rig safe", flush=True)
            session.stop()
    result = outcome[0]
    if isinstance(result, BaseException):
        raise result
    if failed := {name: text for name, text in result.items() if text != "ok"}:
        raise NvscopeError("not made safe: " + "; ".join(f"{name}: {text}" for name, text in failed.items()))
    print("the rig is safe", flush=True)
