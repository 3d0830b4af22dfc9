"""What input tasks share: a bounded buffer of samples, and reads that wait without holding up the lab."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from nvscope_simulators.nidaqmx_card.errors import Code

if TYPE_CHECKING:
    from nvscope_simulators.nidaqmx_card.tasks import Task

Sample = TypeVar("Sample")
MAX_BUFFER = 2**20
READ_ALL = -1


class Acquisition(Generic[Sample]):
    """A buffer of samples.

    Attributes
    ----------
    position, total : int
        Samples read and samples acquired since the start.
    space : int
        Unused by inputs.
    began : float
        Host time (s since 1970) of the start.
    """

    space = 0

    def __init__(self, task: Task) -> None:
        self.task = task
        self._samples: deque[Sample] = deque()
        self._arrived = asyncio.Event()
        self._overflowed = False
        self.position = 0
        self.total = 0
        self.began = 0.0

    @property
    def endless(self) -> bool:
        """Whether it acquires until stopped."""
        return self.task.continuous

    def resources(self) -> list[str]:
        """Name what has to be reserved; nothing for shared inputs."""
        return []

    def commit(self) -> None:
        """Nothing to program."""

    def release(self) -> None:
        """Nothing to undo."""

    def ready(self) -> None:
        """Nothing more is needed to start."""

    def clear(self) -> None:
        """Start afresh."""
        self._samples.clear()
        self._overflowed = False
        self.position = self.total = 0
        self.began = time.time()

    @property
    def _capacity(self) -> int:
        size = int(self.task.properties("buffer")["INPUT_BUF_SIZE"])
        wanted = self.task.samples if not self.task.continuous else max(10_000, self.task.samples)
        return min(MAX_BUFFER, size or wanted)

    def push(self, samples: list[Sample]) -> None:
        """Take samples; a full buffer overflows, as on the card."""
        room = self._capacity - len(self._samples)
        if len(samples) > room:
            self._overflowed = True
            samples = samples[:room]
        self._samples.extend(samples)
        before, self.total = self.total, self.total + len(samples)
        self.task.sampled(before, self.total)
        self.wake()

    def wake(self) -> None:
        """Let waiting reads look again."""
        self._arrived.set()

    def over(self) -> None:
        """The last sample of a finite acquisition is there."""
        self.wake()
        self.task.finish()

    @property
    def default_count(self) -> int:
        """How many samples "all available" means now."""
        if not self.task.continuous and not self.task.properties("read")["READ_ALL_AVAIL_SAMP"]:
            return self.task.samples
        return self.total - self.position

    async def arrival(self, timeout: float) -> None:
        """Wait for something to arrive; the time counts anew for each arrival."""
        if not self.task.running:
            raise self.task.error(Code.CANNOT_PERFORM_OP_WHEN_TASK_NOT_RUNNING)
        if math.isnan(timeout):
            raise self.task.error(Code.INVALID_TIMEOUT_VAL, Requested_Value=timeout)
        self._arrived.clear()
        try:
            await asyncio.wait_for(self._arrived.wait(), None if timeout < 0 else min(timeout, 1e8))
        except TimeoutError:
            raise self.task.error(Code.SAMPLES_NOT_YET_AVAILABLE) from None

    async def take(self, count: int, timeout: float) -> list[Sample]:
        """Return `count` samples, waiting up to `timeout` wall seconds (negative: for ever) for them.

        Raises
        ------
        DAQmxError
            -200284 if they did not come in time, -200278 if they never will, -200222 if the buffer overflowed.
        """
        if math.isnan(timeout):
            raise self.task.error(Code.INVALID_TIMEOUT_VAL, Requested_Value=timeout)
        if count == READ_ALL:
            count = self.default_count
        if count < 0 or count > MAX_BUFFER:
            raise self.task.error(Code.INVALID_NUMBER_SAMPLES_TO_READ, Requested_Value=count)
        deadline = None if timeout < 0 else time.monotonic() + min(timeout, 1e8)
        while len(self._samples) < count:
            if self._overflowed:
                raise self.task.error(Code.ACQ_STOPPED_TO_PREVENT_INPUT_BUFFER_OVERWRITE)
            if self.task.done and not self.task.continuous:
                raise self.task.error(Code.SAMPLES_WILL_NEVER_BE_AVAILABLE)
            if not self.task.running:
                raise self.task.error(Code.CANNOT_PERFORM_OP_WHEN_TASK_NOT_RUNNING)
            self._arrived.clear()
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise self.task.error(Code.SAMPLES_NOT_YET_AVAILABLE)
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                raise self.task.error(Code.SAMPLES_NOT_YET_AVAILABLE) from None
        taken = [self._samples.popleft() for _ in range(count)]
        self.position += count
        return taken
