"""Analog outputs and inputs in volts: on demand, or on a sample clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from nidaqmx.constants import EveryNSamplesEventType
from numpy.typing import NDArray

from nvscope_simulators.nidaqmx_card.acquisition import Acquisition
from nvscope_simulators.nidaqmx_card.clock import SampleClock
from nvscope_simulators.nidaqmx_card.errors import Code

if TYPE_CHECKING:
    from nvscope_simulators.nidaqmx_card.tasks import Task

Volts = NDArray[np.float64]

BITS = 16
OVERRANGE = 1.05
"""Converters reach 5 % beyond their nominal range."""
MAX_BUFFER = 2**22
MAX_ON_DEMAND = 2**16
INPUT_RATE, OUTPUT_RATE = 2e6, 2.857142857142857e6
"""Fastest sample clocks (Hz); the input's is shared by the channels of a task."""
NOISE = 3e-5
"""Noise of an input in fractions of its range, one standard deviation: about one step of the converter."""


def step(high: float, low: float) -> float:
    """Return the voltage of one step of a 16-bit converter over a nominal range."""
    return (high - low) * OVERRANGE / 2**BITS


def digitise(volts: Volts, high: Volts, low: Volts) -> Volts:
    """Round to the converter's steps and clip to its range; the last axis is the channel."""
    size = (high - low) * OVERRANGE / 2**BITS
    middle = (high + low) / 2
    codes = np.clip(np.round((volts - middle) / size), -(2 ** (BITS - 1)), 2 ** (BITS - 1) - 1)
    return np.asarray(codes * size + middle)


class AnalogOutput:
    """The outputs of one task; voltages stay when it ends, as the card's do.

    Attributes
    ----------
    position, total : int
        Samples written and generated, per channel.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._buffer: Volts = np.zeros((0, 0))
        self._clock = SampleClock(task, self._tick, self._task.finish)
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
        """The outputs, and the clock they share."""
        clock = [] if self._task.on_demand else [f"{self._task.card.model.device}/ao timing"]
        return [*(channel.physical[0] for channel in self._task.channels), *clock]

    def verify(self) -> None:
        """Check clock and rate."""
        if not self._task.on_demand:
            self._clock.verify()
            check_rate(self._task, OUTPUT_RATE)

    def commit(self) -> None:
        """Nothing to program."""

    def release(self) -> None:
        """Leave the voltages as they are."""

    def ready(self) -> None:
        """Refuse to start a clocked generation with nothing to generate."""
        if not self._task.on_demand and (not len(self._buffer) or self._buffer.shape[1] != len(self._task.channels)):
            raise self._task.error(Code.OUTPUT_BUFFER_EMPTY)

    def begin(self) -> None:
        """Start generating, if clocked."""
        self.total = 0
        if not self._task.on_demand:
            self._clock.start(None if self._task.continuous else self._task.samples)

    def stop(self) -> None:
        """Stop generating; the voltages stay."""
        self._clock.stop()

    def _tick(self, count: int) -> None:
        before, self.total = self.total, self.total + count
        self._put(self._buffer[(self.total - 1) % len(self._buffer)])
        self._task.sampled(before, self.total, EveryNSamplesEventType.TRANSFERRED_FROM_BUFFER.value)

    def _put(self, volts: Volts) -> None:
        high, low = np.full(len(volts), 10.0), np.full(len(volts), -10.0)
        for channel, value in zip(self._task.channels, digitise(volts, high, low), strict=True):
            self._task.card.volts[channel.physical[0]] = float(value)

    def write(self, samples: Volts, auto_start: bool) -> int:
        """Write samples, shape (samples, channels); returns how many per channel."""
        task = self._task
        low = np.array([float(channel.properties["AO_MIN"]) for channel in task.channels])
        high = np.array([float(channel.properties["AO_MAX"]) for channel in task.channels])
        if not np.isfinite(samples).all() or (samples < low - 1e-9).any() or (samples > high + 1e-9).any():
            raise task.error(Code.INVALID_AO_DATA_WRITE, Supported_Values=f"{low.min():g} to {high.max():g} V")
        if samples.size > (MAX_ON_DEMAND if task.on_demand else MAX_BUFFER):
            raise task.error(Code.PAL_MEMORY_FULL, Requested_Value=samples.size)
        if task.on_demand:
            self._write_now(samples, auto_start)
        elif task.running:
            keep = len(self._buffer)
            self._buffer = np.concatenate((self._buffer, samples))[-keep:]
        else:
            self._buffer = samples.copy()
        self.position += len(samples)
        if auto_start and not task.on_demand and not task.running:
            task.start()
        return len(samples)

    def _write_now(self, samples: Volts, auto_start: bool) -> None:
        task = self._task
        if not task.running and not auto_start:
            raise task.error(Code.CANNOT_WRITE_WHEN_AUTO_START_FALSE_AND_TASK_NOT_RUNNING)
        started = not task.running
        if started:
            task.start()
        self._put(samples[-1])
        self.total += len(samples)
        if started:
            task.stop()


class AnalogInput(Acquisition[Volts]):
    """The inputs of one task. An input sees the output wired to it, or nothing, and its own noise."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._clock = SampleClock(task, self._tick, self.over)

    @property
    def timed(self) -> bool:
        """Whether a clock times the samples."""
        return not self.task.on_demand

    def resources(self) -> list[str]:
        """The one converter."""
        return [f"{self.task.card.model.device}/ai timing"]

    def verify(self) -> None:
        """Check clock and rate; the channels of a task share one converter."""
        if not self.task.on_demand:
            self._clock.verify()
            if not self.task.continuous and self.task.samples < 2:
                raise self.task.error(Code.INVALID_ATTRIBUTE_VALUE, Requested_Value=self.task.samples)
            channels = len(self.task.channels)
            check_rate(self.task, INPUT_RATE if channels == 1 else INPUT_RATE / 2 / channels)

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
        self.push(list(self.now(count)))

    def now(self, count: int = 1) -> Volts:
        """Return `count` readings taken now (V), shape (count, channels)."""
        card = self.task.card
        high = np.array([float(channel.properties["AI_RNG_HIGH"]) for channel in self.task.channels])
        low = np.array([float(channel.properties["AI_RNG_LOW"]) for channel in self.task.channels])
        truth = np.array([card.input_volts(channel.physical[0]) for channel in self.task.channels])
        noise = card.world.rng.standard_normal((count, len(truth))) * (NOISE * (high - low) / 2)
        return digitise(truth + noise, high, low)


def check_rate(task: Task, fastest: float) -> None:
    """Refuse a sample clock faster than the converter."""
    rate = float(task.properties("timing")["SAMP_CLK_RATE"])
    if rate > fastest:
        raise task.error(
            Code.INVALID_ATTRIBUTE_VALUE, Property="SampClk.Rate", Requested_Value=rate, Maximum_Value=fastest
        )
