"""The recorder process: receives everything lossless, is the single writer of the run directory.

How it meets the others::

    run   PUSH (bound)  ──frames, documents, history …──→  PULL  recorder
    run   PULL (bound)  ←──Ready, Committed, Rejected, Fault, Heartbeat, Finished──  PUSH  recorder
    fitter  PUSH        ──Maps, then Finished──→  PULL (bound)  recorder

The recorder's first message is ``Ready("recorder", endpoint)`` with the endpoint for the fitter. It sends a `Heartbeat`
every second. It ends on `Finish`, once the fitter has sent `Finished` (or was silent for a while), everything is on
disk and ``Finished("recorder")`` is sent; or when the run has vanished, and then says so in the journal. A run that
lives sends something every second, a `Heartbeat` if there is nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvscope.errors import NvscopeError
from nvscope.store.disk import DiskThread
from nvscope.store.disturbance import Disturbance
from nvscope.store.layout import RECORDER_LOG
from nvscope.store.recording import Recording
from nvscope.store.writer import RunWriter
from nvscope.stream.messages import Fault, Finish, Finished, Heartbeat, Maps, Message, Ready
from nvscope.stream.sockets import Receiver, Sender, wait_any

NAME = "recorder"

_MOST_UNSENT = 10_000
"""Reports kept for a run that does not read; beyond these the oldest are given up."""

_VANISHED = "run process vanished"


@dataclass(frozen=True)
class Patience:
    """How long a recorder waits, in wall seconds.

    Attributes
    ----------
    connection
        For the run to appear at the start, and to come back when its connection is lost.
    silence
        For a message from a run that is connected.
    fitter
        For the fitter's last maps once the run has ended.
    disk
        For everything received to be on disk once the run has ended.
    """

    connection: float = 5.0
    silence: float = 600.0
    fitter: float = 10.0
    disk: float = 120.0


def run_recorder(
    run_dir: str,
    data: str,
    reports: str,
    patience: Patience | None = None,
    frame_bytes: int = 1 << 20,
    faults: Sequence[dict[str, Any]] = (),
    seed: int = 0,
) -> int:
    """Record one run; returns when it is over.

    Parameters
    ----------
    run_dir
        The run's directory, made by `nvscope.store.layout.reserve_run`.
    data, reports
        Endpoints of the run's PUSH and PULL.
    patience
        How long to wait for what.
    frame_bytes
        Size of a frame, for the bounds of the queues.
    faults, seed
        Trouble on purpose with disk and clock, see `Disturbance`.

    Returns
    -------
    int
        0 if the run ended with `Finish` and everything is on disk, 1 otherwise.
    """
    with (
        Receiver.connect(data, "the run", frame_bytes=frame_bytes) as source,
        Sender.connect(reports, "the run", frame_bytes=1 << 10, budget=1 << 20) as sink,
        # maps come some twenty at a time, as floats
        Receiver.bind("the fitter", frame_bytes=40 * frame_bytes) as maps,
    ):
        disturbance = Disturbance(faults, seed)
        try:
            writer = RunWriter(Path(run_dir), disturbance.wall_time)
        except (NvscopeError, OSError) as error:
            sink.send(Fault(NAME, str(error)))
            return 1
        process = _Process(writer, source, maps, sink, patience or Patience(), disturbance)
        with contextlib.suppress(ValueError):  # in the main thread only, which a process's entry is
            signal.signal(signal.SIGTERM, lambda *_: process.end("the recorder was told to end"))
        return process.run()


class _Process:
    """The loop of the recorder process."""

    def __init__(
        self,
        writer: RunWriter,
        source: Receiver,
        maps: Receiver,
        sink: Sender,
        patience: Patience,
        disturbance: Disturbance,
    ) -> None:
        self._writer = writer
        self._source = source
        self._maps = maps
        self._sink = sink
        self._patience = patience
        self._disk = DiskThread(NAME)
        self._recording = Recording(writer, self._disk, disturbance)
        self._unsent: deque[Message] = deque([Ready(NAME, maps.endpoint)], maxlen=_MOST_UNSENT)
        self._beat = -float("inf")
        self._finish: Finish | None = None
        self._fitter_known = False
        self._fitter_done = False
        self._heard = self._connected = time.monotonic()

    def end(self, reason: str) -> None:
        """Finish as if the run had vanished."""
        self._finish = self._finish or Finish("aborted", f"{_VANISHED}: {reason}")

    def run(self) -> int:
        """Record until the run ends, one way or another."""
        while self._finish is None:
            self._turn([self._source] if self._recording.crowded else [self._source, self._maps])
            self._finish = self._finish or self._vanished()
        deadline = time.monotonic() + self._patience.fitter
        while not self._fitter_done and time.monotonic() < deadline:
            heard = self._turn([self._maps])
            if not heard and not self._disk.busy and not self._maps.peers():
                break
        self._note_oddities()
        self._recording.finish(self._finish)
        deadline = time.monotonic() + self._patience.disk
        while not self._disk.idle and time.monotonic() < deadline:
            self._report()
            time.sleep(0.005)
        done = self._disk.stop(1.0)
        if done:
            self._writer.close()
        self._unsent.extend(self._disk.replies())
        self._unsent.append(Finished(NAME, self._counts()))
        self._say_goodbye()
        in_order = done and self._disk.faults == 0 and not self._finish.reason.startswith(_VANISHED)
        return 0 if in_order else 1

    def _turn(self, receivers: list[Receiver]) -> bool:
        """Receive for a moment, as far as the disk keeps up, and report; return whether anything came."""
        self._report()
        if self._disk.busy:
            time.sleep(0.002)
            return False
        heard = False
        for receiver in wait_any(receivers, 0.05):
            for _ in range(64):
                received = receiver.receive(0.0)
                if received is None:
                    break
                heard = True
                if receiver is self._source:
                    self._heard = time.monotonic()
                    if isinstance(received.message, Finish):
                        self._finish = received.message
                        return heard
                else:
                    self._fitter_known = True
                    if isinstance(received.message, Finished):
                        self._fitter_done = True
                    elif not isinstance(received.message, Maps):
                        continue
                self._recording.handle(received)
                if self._disk.busy or self._recording.crowded:
                    return heard
        return heard

    def _report(self) -> None:
        now = time.monotonic()
        self._unsent.extend(self._disk.replies())
        while self._unsent and self._sink.try_send(self._unsent[0]):
            self._unsent.popleft()
        if now - self._beat >= 1.0 and not self._unsent:
            self._beat = now
            self._sink.try_send(Heartbeat(NAME, self._counts()))

    def _counts(self) -> dict[str, int]:
        malformed = self._source.malformed + self._maps.malformed
        return {**self._recording.counts, "malformed": malformed, "faults": self._disk.faults}

    def _vanished(self) -> Finish | None:
        """Return how the run ended if it is gone without a word."""
        now = time.monotonic()
        if self._source.peers():
            self._connected = now
        if now - max(self._connected, self._heard) > self._patience.connection:
            return Finish("aborted", f"{_VANISHED}: its connection was lost")
        if now - self._heard > self._patience.silence:
            return Finish("aborted", f"{_VANISHED}: it said nothing for {self._patience.silence:g} s")
        return None

    def _note_oddities(self) -> None:
        for receiver, peer in ((self._source, "run"), (self._maps, "fitter")):
            if receiver.malformed:
                data = {"from": peer, "count": receiver.malformed, "last": receiver.complaint}
                self._recording.note("malformed-messages", data)
        if self._fitter_known and not self._fitter_done:
            self._recording.note("fitter-lost", {"reason": "it did not say Finished; its last maps may be missing"})

    def _say_goodbye(self) -> None:
        deadline = time.monotonic() + self._patience.connection
        while self._unsent and time.monotonic() < deadline:
            if self._sink.try_send(self._unsent[0]):
                self._unsent.popleft()
            elif not self._sink.peers():
                return
            else:
                time.sleep(0.005)


def start_recorder(
    run_dir: Path, data: str, reports: str, patience: Patience | None = None, frame_bytes: int = 1 << 20
) -> subprocess.Popen[bytes]:
    """Start a recorder in a process of its own and return at once; `Ready` tells when it is up.

    The terminal's Ctrl-C does not reach it: it ends when the run says `Finish` or is gone. What it has to say besides
    messages goes to ``recorder.log``. Arguments as for `run_recorder`.
    """
    limits = patience or Patience()
    command = [sys.executable, "-m", "nvscope.store.recorder", str(run_dir), data, reports]
    command += [f"--{name}={value}" for name, value in vars(limits).items()]
    command += [f"--frame-bytes={frame_bytes}"]
    with (run_dir / RECORDER_LOG).open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # a group of its own for the terminal's Ctrl-C, in the same session: Linux weighs threads within one only
            process_group=0 if os.name == "posix" else None,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def main() -> int:
    """Record a run as told on the command line; see `start_recorder`."""
    parser = argparse.ArgumentParser(description="Record one run; started by the run itself.")
    parser.add_argument("run_dir")
    parser.add_argument("data", help="endpoint of the run's frames and documents")
    parser.add_argument("reports", help="endpoint for what the recorder has to report")
    for name, default in vars(Patience()).items():
        parser.add_argument(f"--{name}", type=float, default=default, help="wall seconds")
    parser.add_argument("--frame-bytes", type=int, default=1 << 20, help="size of a frame")
    given = parser.parse_args()
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    patience = Patience(given.connection, given.silence, given.fitter, given.disk)
    return run_recorder(given.run_dir, given.data, given.reports, patience, given.frame_bytes)


if __name__ == "__main__":
    sys.exit(main())
