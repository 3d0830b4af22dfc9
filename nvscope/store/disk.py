"""One thread that does all writing, in order, so that receiving never waits for a disk."""

from __future__ import annotations

import errno
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable

from nvscope.errors import DataError
from nvscope.stream.messages import Fault, Message
from nvscope.stream.priority import step_back

Task = Callable[[], Iterable[Message]]
"""Writes something and returns what to tell the run about it."""

MOST_TASKS = 512
"""Tasks waiting before the thread counts as busy."""

MOST_BLOCKS = 2
"""Blocks waiting or being written before the thread counts as busy: each holds its sums in memory."""

_FAULT_INTERVAL = 1.0
"""Wall seconds before the same fault is told again."""


def explain(error: Exception) -> str:
    """Say what an error while writing means for the run."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error}: free some space; what is committed is safe"
    return str(error)


class DiskThread:
    """Runs tasks one after another and collects their replies; for use from one other thread.

    A task that fails is told to the run as a `Fault`; the next is tried all the same, for a disk may be freed.
    """

    def __init__(self, sender: str) -> None:
        self._sender = sender
        self._tasks: queue.Queue[tuple[Task, bool] | None] = queue.Queue()
        self._replies: queue.Queue[Message] = queue.Queue()
        self._open_blocks = 0
        self._count = threading.Lock()
        self._told: dict[str, float] = {}
        self.faults = 0
        self._thread = threading.Thread(target=self._work, name="disk", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether no more should be submitted until something is done."""
        with self._count:
            return self._open_blocks >= MOST_BLOCKS or self._tasks.qsize() >= MOST_TASKS

    @property
    def idle(self) -> bool:
        """Whether everything submitted is done."""
        return self._tasks.unfinished_tasks == 0

    def submit(self, task: Task, *, block: bool = False) -> None:
        """Queue a task and return; `block` marks one that holds a block's sums."""
        with self._count:
            self._open_blocks += block
        self._tasks.put((task, block))

    def replies(self) -> list[Message]:
        """Return what finished tasks have to tell the run."""
        told = []
        while not self._replies.empty():
            told.append(self._replies.get_nowait())
        return told

    def stop(self, timeout: float) -> bool:
        """Let the thread end after what is queued; return whether it did within `timeout` wall seconds."""
        self._tasks.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        step_back()  # a block on disk a moment later is no worse; maps are waited for
        while True:
            item = self._tasks.get()
            if item is None:
                return
            task, block = item
            try:
                for reply in task():
                    self._replies.put(reply)
            except (OSError, DataError) as error:
                self._fault(explain(error))
            except Exception as error:
                # a flaw of ours must not take the recorder along: the next block may well be written
                traceback.print_exc(file=sys.stderr)
                self._fault(f"{type(error).__name__}: {error}")
            finally:
                del item, task
                with self._count:
                    self._open_blocks -= block
                self._tasks.task_done()

    def _fault(self, reason: str) -> None:
        self.faults += 1
        now = time.monotonic()
        if now - self._told.get(reason, -float("inf")) >= _FAULT_INTERVAL:
            self._told = {reason: now}
            self._replies.put(Fault(self._sender, reason))
