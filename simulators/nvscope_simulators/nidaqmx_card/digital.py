"""Digital lines: written and read on demand, or generated and acquired on a sample clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nvscope_simulators.nidaqmx_card.acquisition import Acquisition
from nvscope_simulators.nidaqmx_card.clock import SampleClock
from nvscope_simulators.nidaqmx_card.errors import Code

if TYPE_CHECKING:
    from nvscope_simulators.nidaqmx_card.tasks import Task

MAX_BUFFER = 2**24
"""Largest generation buffer (samples times lines)."""

MAX_ON_DEMAND = 2**16
"""Most samples written on demand in one call, so that no call holds up the lab."""

Bits = NDArray[np.bool_]


def _nodes(task: Task) -> list[str]:
    model = task.card.model
    return [model.pin_of_line(line) for channel in task.channels for line in channel.lines]


def _inverted(task: Task, name: str) -> Bits:
    flags = [bool(channel.properties[name]) for channel in task.channels for _ in channel.lines]
    return np.array(flags, dtype=bool)


class DigitalOutput:
    """The lines of one output task. Lines keep their levels when the task ends, as the card's do.

    Attributes
    ----------
    position, total : int
        Samples written and samples generated, per channel.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._buffer: Bits = np.zeros((0, 0), dtype=bool)
        self._nodes: list[str] = []
        self._clock = SampleClock(task, self._tick, self._over)
        self.position = 0
        self.total = 0

    @property
    def space(self) -> int:
        """Room in the output buffer (samples per channel)."""
        size = int(self._task.properties("buffer")["OUTPUT_BUF_SIZE"]) or len(self._buffer)
        return max(0, size - len(self._buffer))

    @property
    def endless(self) -> bool:
        """Continuous or retriggerable generation."""
        return self._task.continuous or bool(self._task.properties("trigger")["START_TRIG_RETRIGGERABLE"])

    @property
    def timed(self) -> bool:
        """Whether a clock times the samples."""
        return not self._task.on_demand

    def resources(self) -> list[str]:
        """The pins, and the clock of the subsystem."""
        clock = [] if self._task.on_demand else [f"{self._task.card.model.device}/do timing"]
        return [*(f"out {node}" for node in _nodes(self._task)), *clock]

    def verify(self) -> None:
        """Check the clock; on the X series only port 0 can be clocked."""
        nodes = _nodes(self._task)
        if len(set(nodes)) != len(nodes):
            raise self._task.error(Code.DUPLICATE_PHYSICAL_CHANS_NOT_SUPPORTED)
        if not self._task.on_demand:
            self._clock.verify()
            if any("/port0/" not in line for channel in self._task.channels for line in channel.lines):
                raise self._task.error(Code.BUFFERED_OPERATIONS_NOT_SUPPORTED_ON_SELECTED_LINES)

    def commit(self) -> None:
        """Remember the pins."""
        self._nodes = _nodes(self._task)

    def release(self) -> None:
        """Leave the lines as they are."""

    def ready(self) -> None:
        """Refuse to start a clocked generation with nothing to generate."""
        if not self._task.on_demand and (not len(self._buffer) or self._buffer.shape[1] != len(self._nodes)):
            raise self._task.error(Code.OUTPUT_BUFFER_EMPTY)

    def begin(self) -> None:
        """Start generating, if clocked."""
        self.total = 0
        if not self._task.on_demand:
            self._clock.start(None if self._task.continuous else self._task.samples)

    def stop(self) -> None:
        """Stop generating; the lines stay."""
        self._clock.stop()

    def _tick(self, count: int) -> None:
        for _ in range(count):
            self._put(self._buffer[self.total % len(self._buffer)])
            self.total += 1

    def _put(self, levels: Bits) -> None:
        wiring = self._task.card.wiring
        for node, level in zip(self._nodes, levels ^ _inverted(self._task, "DO_INVERT_LINES"), strict=True):
            wiring.set(node, bool(level))

    def _over(self) -> None:
        self._task.finish()

    def write(self, samples: Bits, auto_start: bool) -> int:
        """Write samples.

        Parameters
        ----------
        samples : ndarray of bool
            Shape (samples, lines of the task).
        auto_start : bool

        Returns
        -------
        int
            Samples written per channel.
        """
        task = self._task
        if task.on_demand:
            if not task.running and not auto_start:
                raise task.error(Code.CANNOT_WRITE_WHEN_AUTO_START_FALSE_AND_TASK_NOT_RUNNING)
            if len(samples) > MAX_ON_DEMAND:
                raise task.error(Code.PAL_MEMORY_FULL, Requested_Value=len(samples))
            started = not task.running
            if started:
                task.start()
            for sample in samples:
                self._put(sample)
            self.position += len(samples)
            self.total += len(samples)
            if started:
                task.stop()
            return len(samples)
        if samples.size > MAX_BUFFER:
            raise task.error(Code.PAL_MEMORY_FULL)
        if task.running:
            # regeneration goes on with what is written last
            keep = len(self._buffer)
            self._buffer = np.concatenate((self._buffer, samples))[-keep:]
        else:
            self._buffer = samples.copy()
        self.position += len(samples)
        if auto_start and not task.running:
            task.start()
        return len(samples)

    def read(self) -> Bits:
        """Return the levels on the lines now, shape (lines,)."""
        levels = np.array([self._task.card.wiring.level(node) for node in _nodes(self._task)], dtype=bool)
        return levels ^ _inverted(self._task, "DO_INVERT_LINES")


class DigitalInput(Acquisition[Bits]):
    """The lines of one input task."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._clock = SampleClock(task, self._tick, self.over)

    @property
    def timed(self) -> bool:
        """Whether a clock times the samples."""
        return not self.task.on_demand

    def resources(self) -> list[str]:
        """Reading is shared; the clock is not."""
        return [] if self.task.on_demand else [f"{self.task.card.model.device}/di timing"]

    def verify(self) -> None:
        """Check the clock."""
        if not self.task.on_demand:
            self._clock.verify()
            if any("/port0/" not in line for channel in self.task.channels for line in channel.lines):
                raise self.task.error(Code.BUFFERED_OPERATIONS_NOT_SUPPORTED_ON_SELECTED_LINES)

    def begin(self) -> None:
        """Start acquiring, if clocked."""
        self.clear()
        if not self.task.on_demand:
            self._clock.start(None if self.task.continuous else self.task.samples)

    def stop(self) -> None:
        """Stop acquiring."""
        self._clock.stop()
        self.wake()

    def _tick(self, count: int) -> None:
        self.push([self.now()] * count)

    def now(self) -> Bits:
        """Return the levels on the lines now, shape (lines,)."""
        levels = np.array([self.task.card.wiring.level(node) for node in _nodes(self.task)], dtype=bool)
        return levels ^ _inverted(self.task, "DI_INVERT_LINES")
