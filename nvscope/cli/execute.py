"""Running a session under the operator's eyes: live display, Ctrl-C, report, exit code."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nvscope.cli.display import Display
from nvscope.config.calibration import FILE as CALIBRATION
from nvscope.engine.request import RunRequest, RunResult
from nvscope.engine.session import Session

DONE, FAILED, ABORTED = 0, 1, 3

_WAIT = 0.1
_WARNINGS = 8
"""How many warnings are printed when a run is over."""
_SAFE_PATIENCE = 25.0
"""Wall seconds a hard stop waits for the safe state; the session itself waits a little less for the instruments."""


def execute(request: RunRequest) -> int:
    """Run, show, report; returns the exit code.

    The session runs in a thread of its own so that Ctrl-C reaches the main thread at once: the first makes the rig
    safe and ends the run in order, the second ends the program without waiting for anything but the safe state.
    """
    # what goes wrong reaches the operator as one sentence and the journal in full; not as tracebacks in between
    logging.getLogger("bluesky").setLevel(logging.CRITICAL + 1)
    # a shell that starts a program in the background has it ignore Ctrl-C; making the rig safe must not depend on that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    console = Console()
    display = Display(console)
    session = Session(request, display.update)
    threading.Thread(target=_warm_up, name="nvscope-imports", daemon=True).start()
    outcome: list[RunResult | BaseException] = []
    over = threading.Event()
    thread = threading.Thread(target=_collect, args=(session, outcome, over), name="nvscope-session", daemon=True)
    interrupts = 0
    with display:
        thread.start()
        while not over.is_set():
            try:
                over.wait(_WAIT)  # not join: a Ctrl-C inside it makes Python believe the thread has ended
            except KeyboardInterrupt:
                interrupts += 1
                if interrupts > 1:
                    _leave(session, display)
                display.say("Ctrl-C: making the rig safe and closing the run (again to stop waiting)")
                threading.Thread(target=session.abort, args=("operator pressed Ctrl-C",), daemon=True).start()
    result = outcome[0]
    if isinstance(result, BaseException):
        raise result
    return _conclude(result, console)


def _leave(session: Session, display: Display) -> NoReturn:
    """End the program now, but not before the safe state that the first Ctrl-C asked for has been reached."""
    display.say("second Ctrl-C: waiting for nothing but the safe state")
    deadline = time.monotonic() + _SAFE_PATIENCE
    safe = False
    while not safe and time.monotonic() < deadline:
        with suppress(KeyboardInterrupt):  # a third changes nothing
            safe = session.made_safe.wait(deadline - time.monotonic())
    display.say("the rig is safe" if safe else "the instruments did not answer; look at them now")
    display.close()
    os._exit(ABORTED)


def _collect(session: Session, outcome: list[RunResult | BaseException], over: threading.Event) -> None:
    try:
        outcome.append(session.execute())
    except BaseException as error:  # re-raised by the main thread
        outcome.append(error)
    finally:
        over.set()


def _warm_up() -> None:
    """Import what the report needs while the run is waiting for instruments anyway."""
    import_module("nvscope.analysis.report")


def _conclude(result: RunResult, console: Console) -> int:
    report = _report(result, console)
    calibration = result.directory / CALIBRATION
    colour = {"done": "green", "aborted": "yellow", "failed": "red"}[result.outcome]
    reason = f": {result.reason}" if result.reason else ""
    console.print(f"[{colour}]{result.outcome}[/]", end="")
    console.print(reason, markup=False, highlight=False)
    console.print(f"data    {result.directory}", markup=False, highlight=False, soft_wrap=True)
    if report is not None:
        console.print(f"report  {report}", markup=False, highlight=False, soft_wrap=True)
    if calibration.is_file():
        console.print(f"use it  --calibration {result.directory}", markup=False, highlight=False, soft_wrap=True)
    return {"done": DONE, "failed": FAILED, "aborted": ABORTED}[result.outcome]


def _warn(warnings: list[str], console: Console) -> None:
    """Print warnings, each once and not too many; the report has all."""
    different = list(dict.fromkeys(warnings))
    for text in different[:_WARNINGS]:
        console.print(f"warning {text}", markup=False, highlight=False, soft_wrap=True)
    if len(different) > _WARNINGS:
        console.print(f"warning {len(different) - _WARNINGS} more are in the report", highlight=False)


def _report(result: RunResult, console: Console) -> Path | None:
    """Write the report, print what was calibrated and what went wrong on the way.

    A report that fails must not turn a good run into a bad one.
    """
    from nvscope.analysis.calibrations import calibrations
    from nvscope.analysis.load import load_run
    from nvscope.analysis.report import write_report

    try:
        run = load_run(result.directory)
        found = calibrations(run)
        for one in found:
            table = Table(title=one.title, title_justify="left", box=None, pad_edge=False, show_header=False)
            for row in one.rows:
                table.add_row(*map(escape, row))
            console.print(table)
        _warn([text for _, text in run.warnings if text != result.reason], console)
        return write_report(run, found)
    except Exception as error:
        console.print(f"the report could not be written: {type(error).__name__}: {error}", markup=False)
        return None
