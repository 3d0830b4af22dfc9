"""Counter output: single pulses, finite and continuous pulse trains, buffered or changed on the fly."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from nidaqmx.constants import Edge, Level, Polarity, SampleTimingType, Signal, UsageTypeCO

from nvscope_simulators.nidaqmx_card.errors import Code
from nvscope_simulators.nidaqmx_card.model import COUNTER_OUTPUT_PIN, MAX_TIMEBASE, TIMEBASES
from nvscope_simulators.nidaqmx_card.names import expand
from nvscope_simulators.nidaqmx_card.pulses import Pulse, PulseTrain
from nvscope_simulators.nidaqmx_card.triggers import watch_pause

if TYPE_CHECKING:
    from nvscope_simulators.nidaqmx_card.card import Card
    from nvscope_simulators.nidaqmx_card.channels import Channel
    from nvscope_simulators.nidaqmx_card.tasks import Task

MAX_BUFFER = 2**17
MAX_COUNT = 2**32
MIN_TICKS = 2


def default_terminal(card: Card, counter: str) -> str:
    """Return the pin a counter's output goes to unless told otherwise."""
    return f"/{card.model.device}/{COUNTER_OUTPUT_PIN[int(counter.rpartition('ctr')[2])]}"


def pulse_from(usage: int, first: float, second: float, rate: float, automatic: bool) -> Pulse:
    """Lay a pulse out in 10 ns ticks.

    Parameters
    ----------
    usage : int
        What `first` and `second` are: frequency (Hz) and duty cycle, high and low time (s), or high and low ticks.
    rate : float
        The counter's timebase (Hz).
    automatic : bool
        Whether the card may take a slower timebase for a slow pulse.

    Raises
    ------
    ValueError
        If no timebase makes this pulse: each part needs 2 to 2³² ticks.
    """
    if not (math.isfinite(first) and math.isfinite(second)):
        raise ValueError("not finite")
    if usage == UsageTypeCO.PULSE_FREQUENCY.value:
        if first <= 0 or not 0 < second < 1:
            raise ValueError("frequency must be positive, duty cycle between 0 and 1")
        high_time, low_time = second / first, (1 - second) / first
    elif usage == UsageTypeCO.PULSE_TIME.value:
        high_time, low_time = first, second
    else:
        high_time, low_time = first / rate, second / rate
    rates = (rate, *(r for r in (2e7, 1e5) if automatic and r < rate))
    for timebase in rates:
        period = round((high_time + low_time) * timebase)
        high = round(high_time * timebase)
        low = period - high
        if MIN_TICKS <= high <= MAX_COUNT and MIN_TICKS <= low <= MAX_COUNT:
            scale = MAX_TIMEBASE / timebase
            return Pulse(round(high * scale), round((high + low) * scale) - round(high * scale))
    raise ValueError(f"no timebase up to {rate:g} Hz divides into {high_time:g} s high and {low_time:g} s low")


class CounterOutput:
    """The counters of one task.

    Attributes
    ----------
    position, total, space : int
        Samples written, pulses made, room in the buffer.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._trains: dict[str, PulseTrain] = {}
        self._buffer: list[Pulse] = []
        self._pending: deque[Pulse] = deque()
        self._routes: list[tuple[str, str]] = []
        self._endings: list[Callable[[], None]] = []
        self._clock_index = 0
        self.position = 0

    # ------------------------------------------------------------------ what it is asked for

    @property
    def total(self) -> int:
        """Pulses made since the start."""
        return max((train.made for train in self._trains.values()), default=0)

    @property
    def space(self) -> int:
        """Room in the output buffer (samples)."""
        size = int(self._task.properties("buffer")["OUTPUT_BUF_SIZE"]) or len(self._buffer)
        return max(0, size - len(self._buffer))

    @property
    def endless(self) -> bool:
        """Continuous or retriggerable."""
        return self._count is None or bool(self._task.properties("trigger")["START_TRIG_RETRIGGERABLE"])

    @property
    def timed(self) -> bool:
        """Always: pulses take time."""
        return True

    @property
    def _count(self) -> int | None:
        if self._task.timing_type == SampleTimingType.ON_DEMAND.value:
            return 1
        return None if self._task.continuous else self._task.samples

    def pulse(self, channel: Channel) -> Pulse:
        """Return the pulse a channel's properties describe."""
        names = {
            UsageTypeCO.PULSE_FREQUENCY.value: ("CO_PULSE_FREQ", "CO_PULSE_DUTY_CYC"),
            UsageTypeCO.PULSE_TIME.value: ("CO_PULSE_HIGH_TIME", "CO_PULSE_LOW_TIME"),
            UsageTypeCO.PULSE_TICKS.value: ("CO_PULSE_HIGH_TICKS", "CO_PULSE_LOW_TICKS"),
        }[channel.usage]
        return self.convert(channel, *(float(channel.properties[name]) for name in names))

    def convert(self, channel: Channel, first: float, second: float) -> Pulse:
        """Lay out a pulse given in the channel's own units; refuses what the timebases cannot make."""
        rate, automatic = self._timebase(channel)
        try:
            return pulse_from(channel.usage, first, second, rate, automatic)
        except ValueError as error:
            code = (
                Code.SUITABLE_TIMEBASE_NOT_FOUND_FREQUENCY_COMBO
                if channel.usage == UsageTypeCO.PULSE_FREQUENCY.value
                else Code.SUITABLE_TIMEBASE_NOT_FOUND_TIME_COMBO
            )
            raise self._task.error(code, Channel_Name=channel.name, Reason=error) from None

    def _timebase(self, channel: Channel) -> tuple[float, bool]:
        source = str(channel.properties["CO_CTR_TIMEBASE_SRC"])
        automatic = not channel.properties.was_set("CO_CTR_TIMEBASE_SRC")
        if automatic and channel.usage != UsageTypeCO.PULSE_TICKS.value:
            return MAX_TIMEBASE, True
        terminal = self._task.card.model.timebase(source)
        rate = TIMEBASES.get(terminal.rpartition("/")[2])
        if rate is None:
            raise self._task.error(
                Code.FUNCTION_NOT_SUPPORTED_FOR_DEVICE,
                Channel_Name=channel.name,
                Missing=f"pulses counted in ticks of {terminal}; use an internal timebase",
            )
        return rate, False

    def _delay(self, channel: Channel) -> int:
        if channel.usage == UsageTypeCO.PULSE_TICKS.value:
            ticks = float(channel.properties["CO_PULSE_TICKS_INITIAL_DELAY"])
            return round(ticks * MAX_TIMEBASE / self._timebase(channel)[0])
        name = "FREQ" if channel.usage == UsageTypeCO.PULSE_FREQUENCY.value else "TIME"
        return round(float(channel.properties[f"CO_PULSE_{name}_INITIAL_DELAY"]) * MAX_TIMEBASE)

    def _terminals(self, channel: Channel) -> list[tuple[str, bool]]:
        card = self._task.card
        export = self._task.properties("export")
        inverted = export["CTR_OUT_EVENT_PULSE_POLARITY"] == Polarity.ACTIVE_LOW.value
        names = [(name, False) for name in expand(str(channel.properties["CO_PULSE_TERM"]))]
        names += [(name, inverted) for name in expand(str(export["CTR_OUT_EVENT_OUTPUT_TERM"]))]
        found: dict[str, bool] = {}
        for name, invert in names:
            found.setdefault(card.check_destination(name), invert)
        return list(found.items())

    # ------------------------------------------------------------------ states

    def resources(self) -> list[str]:
        """The counters and the terminals their outputs are routed to."""
        names = []
        for channel in self._task.channels:
            names += [channel.physical[0], *(terminal for terminal, _ in self._terminals(channel))]
        return names

    def verify(self) -> None:
        """Check pulses, terminals and timing."""
        for channel in self._task.channels:
            self.pulse(channel)
            self._delay(channel)
            self._terminals(channel)
        timing = self._task.properties("timing")
        if self._task.timing_type == SampleTimingType.SAMPLE_CLOCK.value:
            if not timing["SAMP_CLK_SRC"]:
                raise self._task.error(Code.INVALID_TIMING_SRC_DUE_TO_SAMP_TIMING_TYPE)
            self._task.card.model.source(timing["SAMP_CLK_SRC"])
        if self._count is not None and self._count >= MAX_COUNT:
            raise self._task.error(Code.FINITE_PULSE_TRAIN_NOT_POSSIBLE, Requested_Value=self._count)

    def commit(self) -> None:
        """Put the outputs on their idle levels and route them."""
        card = self._task.card
        for channel in self._task.channels:
            node = card.counter_signal(channel.physical[0], "InternalOutput")
            train = PulseTrain(card.timeline, self._driver(channel, node), card.settings.bandwidth)
            train.idle_high = channel.properties["CO_PULSE_IDLE_STATE"] == Level.HIGH.value
            self._trains[channel.name] = train
            card.wiring.set(node, train.idle_high)
            channel.output_state = Level.HIGH.value if train.idle_high else Level.LOW.value
            for terminal, inverted in self._terminals(channel):
                if not card.wiring.driven(terminal):
                    card.wiring.connect(node, terminal, inverted)
                    self._routes.append((node, terminal))

    def _driver(self, channel: Channel, node: str) -> Callable[[bool, int], None]:
        wiring = self._task.card.wiring

        idle = channel.properties["CO_PULSE_IDLE_STATE"] == Level.HIGH.value

        def drive(level: bool, edges: int) -> None:
            channel.output_state = Level.HIGH.value if level else Level.LOW.value
            wiring.set(node, level, edges)
            if level == idle:
                channel.count += edges
                self._task.signal(Signal.COUNTER_OUTPUT_EVENT.value)

        return drive

    def release(self) -> None:
        """Take the routes back; the terminals are no longer driven."""
        card = self._task.card
        for source, terminal in self._routes:
            card.wiring.disconnect(source, terminal)
        self._routes.clear()
        for channel in self._task.channels:
            card.wiring.set(card.counter_signal(channel.physical[0], "InternalOutput"), False)
        self._trains.clear()

    def ready(self) -> None:
        """Nothing more is needed to start."""

    def begin(self) -> None:
        """Begin all counters of the task together."""
        for channel in self._task.channels:
            channel.pulse_done, channel.count = False, 0
            train = self._trains[channel.name]
            delay = self._delay(channel)
            train.start(self._following(channel), self._count, delay, partial(self._over, channel))
            self._endings.append(watch_pause(self._task, train.pause, train.resume))
        if self._task.timing_type == SampleTimingType.SAMPLE_CLOCK.value:
            timing = self._task.properties("timing")
            terminal = self._task.card.model.source(timing["SAMP_CLK_SRC"])
            rising = timing["SAMP_CLK_ACTIVE_EDGE"] == Edge.RISING.value
            self._endings.append(self._task.card.wiring.watch(terminal, rising, self._clocked))

    def _following(self, channel: Channel) -> Callable[[], Pulse]:
        present = self.pulse(channel)
        self._pending.clear()
        if not self._buffer:

            def steady() -> Pulse:
                nonlocal present
                if self._pending:
                    present = self._pending.popleft()
                return present

            return steady
        if self._task.timing_type == SampleTimingType.SAMPLE_CLOCK.value:
            self._pending.append(self._buffer[0])
            self._clock_index = 0
            return lambda: self._pending[0]
        index = -1

        def buffered() -> Pulse:
            nonlocal index
            index += 1
            return self._buffer[index % len(self._buffer)]

        return buffered

    def _clocked(self, edges: int) -> None:
        if self._buffer:
            self._clock_index = (self._clock_index + edges) % len(self._buffer)
            self._pending[0] = self._buffer[self._clock_index]

    def _over(self, channel: Channel) -> None:
        channel.pulse_done = True
        if not any(train.running for train in self._trains.values()):
            self._end()
            self._task.finish()

    def _end(self) -> None:
        for ending in self._endings:
            ending()
        self._endings.clear()

    def stop(self) -> None:
        """Stop at once, outputs idle."""
        self._end()
        for train in self._trains.values():
            train.stop()

    # ------------------------------------------------------------------ writing

    def write(self, usage: int, pairs: list[tuple[float, float]], auto_start: bool) -> int:
        """Write pulses: into the buffer before a timed generation, on the fly during an unbuffered one.

        Returns
        -------
        int
            Samples written.
        """
        task = self._task
        if len(task.channels) != 1:
            raise task.error(Code.CODA_QMX_WRITE_MULTIPLE_CHANS)
        channel = task.channels[0]
        if usage != channel.usage:
            raise task.error(Code.WRITE_CHAN_TYPE_MISMATCH)
        if len(pairs) > MAX_BUFFER:
            raise task.error(Code.PAL_MEMORY_FULL, Requested_Value=len(pairs))
        pulses = [self.convert(channel, first, second) for first, second in pairs]
        if task.running and not self._buffer:
            if self._count is not None and task.timing_type != SampleTimingType.ON_DEMAND.value:
                raise task.error(Code.CANNOT_WRITE_TO_FINITE_CO_TASK)
            self._pending.clear()
            self._pending.extend(pulses[-1:])
            self.position += len(pulses)
            return len(pulses)
        if task.on_demand:
            if not auto_start:
                raise task.error(Code.WRITE_WHEN_TASK_NOT_RUNNING_CO_FREQ)
            task.start()
            self._pending.extend(pulses[-1:])
            return len(pulses)
        if len(self._buffer) + len(pulses) > MAX_BUFFER:
            raise task.error(Code.PAL_MEMORY_FULL)
        if not task.running:
            size = int(task.properties("buffer")["OUTPUT_BUF_SIZE"]) or len(pulses)
            self._buffer = (self._buffer + pulses)[-size:] if self.position else pulses[-size:]
        else:
            self._buffer = (self._buffer + pulses)[-len(self._buffer) :]
        self.position += len(pulses)
        if auto_start and not task.running:
            task.start()
        return len(pulses)

    def changed(self, channel: Channel) -> None:
        """Take over a pulse property changed while running."""
        if self._task.running and not self._buffer:
            self._pending.clear()
            self._pending.append(self.pulse(channel))
