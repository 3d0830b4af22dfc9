"""The process that makes a rig safe when the run can no longer do so itself.

SIGKILL runs no handler, and a hung interpreter answers nobody. The guardian hears the run's heartbeat; when the run has
gone without saying goodbye, or has been silent for too long, it ends what is left of it, takes the connections over and
asserts the safe state. It writes what it did to ``guardian.log`` in the run directory.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from nvscope.clock import WallClock
from nvscope.config import Rig, load_toml, validate
from nvscope.engine.connect import Connected, close_all, connect_all
from nvscope.errors import NvscopeError
from nvscope.stream.messages import Finish
from nvscope.stream.sockets import Receiver

SILENCE = 30.0
"""Wall seconds without a heartbeat after which a run that is still there counts as hung."""

_POLL = 0.5
_TAKE_OVER = 60.0
_CALL = 15.0


def run_guardian(rig_file: str, addresses_json: str, heartbeats: str, log: str) -> None:
    """Watch one run; returns when it has ended well or everything has been made safe.

    Parameters
    ----------
    rig_file : str
        The rig's TOML file.
    addresses_json : str
        Addresses of the simulated lab by instrument name, as JSON; empty object for a real rig.
    heartbeats : str
        Where the run sends its heartbeat.
    log : str
        File to write what was done to.
    """
    parent = multiprocessing.parent_process()
    heard = time.monotonic()
    with Receiver.connect(heartbeats, "the run") as receiver:
        while True:
            received = receiver.receive(_POLL)
            if received is not None:
                heard = time.monotonic()
                if isinstance(received.message, Finish):
                    return
                continue
            gone = parent is None or not parent.is_alive()
            if gone or time.monotonic() - heard > SILENCE:
                break
    note = _Log(Path(log))
    note("the run process has gone" if gone else f"the run has been silent for {SILENCE:g} s; ending it")
    if not gone and parent is not None and parent.pid is not None:
        with contextlib.suppress(OSError):
            os.kill(parent.pid, 9)
    _take_over(validate(Rig, load_toml(Path(rig_file)), rig_file), rig_file, json.loads(addresses_json), note)


def _take_over(rig: Rig, source: str, addresses: Mapping[str, str], note: _Log) -> None:
    """Connect, as soon as the instruments let go of the dead run, and make safe whatever answers."""
    waiting = dict(rig.instruments)
    deadline = time.monotonic() + _TAKE_OVER
    while waiting and time.monotonic() < deadline:
        for name in list(waiting):
            one = rig.model_copy(update={"instruments": {name: waiting[name]}})
            try:
                connected = connect_all(one, addresses, WallClock(), source)
            except NvscopeError as error:
                note(f"{name}: {error}")
                continue
            note(f"{name}: {_make_safe(connected[name])}")
            close_all(connected)
            del waiting[name]
        if waiting:
            time.sleep(1.0)
    if waiting:
        note(f"could not reach {', '.join(waiting)}; look at them now")


def _make_safe(item: Connected) -> str:
    try:
        item.worker.submit(item.role.make_safe).result(_CALL)
    except Exception as error:
        return f"could not be made safe: {type(error).__name__}: {error}"
    return "safe"


class _Log:
    """Appends dated lines to a file and flushes them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, text: str) -> None:
        stamp = datetime.now().astimezone().isoformat(timespec="seconds")
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{stamp} {text}\n")
