"""Calls that add channels to tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nidaqmx.constants import (
    CountDirection,
    Edge,
    FrequencyUnits,
    Level,
    LineGrouping,
    TimeUnits,
    UsageTypeCI,
    UsageTypeCO,
)

from nvscope_simulators.nidaqmx_card import counter_input, counter_output, tables
from nvscope_simulators.nidaqmx_card.card import Card
from nvscope_simulators.nidaqmx_card.channels import Channel, Engine
from nvscope_simulators.nidaqmx_card.counter_input import CounterInput
from nvscope_simulators.nidaqmx_card.counter_output import CounterOutput
from nvscope_simulators.nidaqmx_card.digital import DigitalInput, DigitalOutput
from nvscope_simulators.nidaqmx_card.errors import Code, DAQmxError
from nvscope_simulators.nidaqmx_card.names import expand
from nvscope_simulators.nidaqmx_card.rpc import Fields, Handler, Table, missing, one_of, task_of
from nvscope_simulators.nidaqmx_card.tasks import Task

MAX_NAME = 256


def channel_names(given: str, defaults: list[str]) -> list[str]:
    """Return the names of new channels: as given, numbered if there are more, or those of the physical channels."""
    if len(given) > MAX_NAME or any(ord(character) < 32 for character in given):
        raise DAQmxError(Code.INVALID_CHAN_NAME, Channel_Name=given[:40])
    if not given:
        return defaults
    names = expand(given)
    if len(names) == len(defaults):
        return names
    return [f"{given}{number}" for number in range(len(defaults))]


def _counters(card: Card, text: str) -> list[str]:
    names = card.model.physical(text)
    for name in names:
        if name not in card.model.counters:
            if name == card.model.frequency_output:
                raise missing("the frequency generator freqout")
            raise DAQmxError(Code.INVALID_PHYS_CHAN_TYPE, Physical_Channel_Name=name)
    if len(set(names)) != len(names):
        raise DAQmxError(Code.DUPLICATE_PHYSICAL_CHANS_NOT_SUPPORTED)
    return names


def add_channels(task: Task, channels: list[Channel], engine: Callable[[Task], Engine]) -> None:
    """Add all of the channels to a task, or none."""
    before = list(task.channels)
    try:
        for channel in channels:
            task.add(channel, engine)
    except DAQmxError:
        task.channels = before
        raise


def _pulse_channels(card: Card, request: Any, usage: int, values: dict[str, float]) -> Fields:
    task = task_of(card, request)
    idle = one_of(request, "idle_state", Level.LOW.value, Level.HIGH.value)
    counters = _counters(card, request.counter)
    table = tables.COUNTER_OUTPUT | tables.PULSE_SHAPES[usage]
    channels = []
    for name, counter in zip(channel_names(request.name_to_assign_to_channel, counters), counters, strict=True):
        channel = Channel(name, tables.CO, usage, [counter], [], table)
        for key, value in values.items():
            channel.properties.change(key, value, running=False)
        channel.properties.put("CO_PULSE_IDLE_STATE", idle)
        channel.properties.put("CO_PULSE_TERM", counter_output.default_terminal(card, counter))
        channels.append(channel)
    if usage == UsageTypeCO.PULSE_TICKS.value:
        named = request.source_terminal.lower() not in ("", "onboardclock")
        source = request.source_terminal if named else "100MHzTimebase"
        card.model.terminal(source)
        for channel in channels:
            channel.properties.put("CO_CTR_TIMEBASE_SRC", source)
    add_channels(task, channels, CounterOutput)
    return {}


def pulse_frequency(card: Card, request: Any) -> Fields:
    """Add counters that make pulses of a frequency (Hz) and duty cycle."""
    one_of(request, "units", FrequencyUnits.HZ.value)
    values = {
        "CO_PULSE_FREQ": request.freq,
        "CO_PULSE_DUTY_CYC": request.duty_cycle,
        "CO_PULSE_FREQ_INITIAL_DELAY": request.initial_delay,
    }
    return _pulse_channels(card, request, UsageTypeCO.PULSE_FREQUENCY.value, values)


def pulse_time(card: Card, request: Any) -> Fields:
    """Add counters that make pulses of high and low times (s)."""
    one_of(request, "units", TimeUnits.SECONDS.value)
    values = {
        "CO_PULSE_HIGH_TIME": request.high_time,
        "CO_PULSE_LOW_TIME": request.low_time,
        "CO_PULSE_TIME_INITIAL_DELAY": request.initial_delay,
    }
    return _pulse_channels(card, request, UsageTypeCO.PULSE_TIME.value, values)


def pulse_ticks(card: Card, request: Any) -> Fields:
    """Add counters that make pulses of high and low ticks of a timebase."""
    values = {
        "CO_PULSE_HIGH_TICKS": request.high_ticks,
        "CO_PULSE_LOW_TICKS": request.low_ticks,
        "CO_PULSE_TICKS_INITIAL_DELAY": request.initial_delay,
    }
    return _pulse_channels(card, request, UsageTypeCO.PULSE_TICKS.value, values)


def _digital(card: Card, request: Any, kind: int, engine: Callable[[Task], Engine]) -> Fields:
    task = task_of(card, request)
    together = (
        one_of(request, "line_grouping", LineGrouping.CHAN_PER_LINE.value, LineGrouping.CHAN_FOR_ALL_LINES.value)
        == LineGrouping.CHAN_FOR_ALL_LINES.value
    )
    names = card.model.physical(request.lines)
    for name in names:
        if "/port" not in name:
            raise DAQmxError(Code.INVALID_PHYS_CHAN_TYPE, Physical_Channel_Name=name)
    if not together and any(name in card.model.ports for name in names):
        raise DAQmxError(Code.INVALID_LINE_GROUPING)
    table = tables.DIGITAL_OUTPUT if kind == tables.DO else tables.DIGITAL_INPUT
    groups = [names] if together else [[name] for name in names]
    defaults = [group[0] if len(group) == 1 else f"{group[0]}..." for group in groups]
    channels = []
    for name, group in zip(channel_names(request.name_to_assign_to_lines, defaults), groups, strict=True):
        lines = [line for item in group for line in card.model.port_lines(item)]
        if len(set(lines)) != len(lines):
            raise DAQmxError(Code.DUPLICATE_PHYSICAL_CHANS_NOT_SUPPORTED)
        channels.append(Channel(name, kind, 0, group, lines, table))
    add_channels(task, channels, engine)
    return {}


def digital_output(card: Card, request: Any) -> Fields:
    """Add digital output lines."""
    return _digital(card, request, tables.DO, DigitalOutput)


def digital_input(card: Card, request: Any) -> Fields:
    """Add digital input lines."""
    return _digital(card, request, tables.DI, DigitalInput)


def _measurement(card: Card, request: Any, usage: int, values: dict[str, Any]) -> Fields:
    task = task_of(card, request)
    counters = _counters(card, request.counter)
    terminal, _, own = tables.MEASUREMENTS[usage]
    channels = []
    for name, counter in zip(channel_names(request.name_to_assign_to_channel, counters), counters, strict=True):
        channel = Channel(name, tables.CI, usage, [counter], [], tables.COUNTER_INPUT | own)
        for key, value in values.items():
            channel.properties.change(key, value, running=False)
        channel.properties.put(terminal, counter_input.default_terminal(card, counter, usage))
        channels.append(channel)
    add_channels(task, channels, CounterInput)
    return {}


_EDGES = (Edge.RISING.value, Edge.FALLING.value)


def count_edges(card: Card, request: Any) -> Fields:
    """Add a counter that counts edges."""
    values = {
        "CI_COUNT_EDGES_ACTIVE_EDGE": one_of(request, "edge", *_EDGES),
        "CI_COUNT_EDGES_INITIAL_CNT": request.initial_count,
        "CI_COUNT_EDGES_DIR": one_of(
            request, "count_direction", CountDirection.COUNT_UP.value, CountDirection.COUNT_DOWN.value
        ),
    }
    return _measurement(card, request, UsageTypeCI.COUNT_EDGES.value, values)


def _measuring(usage: int, units: int | None, edge: str | None) -> Handler:
    def handler(card: Card, request: Any) -> Fields:
        if units is not None:
            one_of(request, "units", units)
        low, high = ("min_freq", "max_freq") if usage == UsageTypeCI.DUTY_CYCLE.value else ("min_val", "max_val")
        values: dict[str, Any] = {"CI_MIN": getattr(request, low), "CI_MAX": getattr(request, high)}
        if edge is not None:
            name = "starting_edge" if usage == UsageTypeCI.PULSE_WIDTH_DIGITAL.value else "edge"
            values[edge] = one_of(request, name, *_EDGES)
        if usage == UsageTypeCI.PULSE_TICKS.value:
            values["CI_CTR_TIMEBASE_SRC"] = card.model.timebase(request.source_terminal)
        return _measurement(card, request, usage, values)

    return handler


HANDLERS: Table = {
    "CreateCOPulseChanFreq": pulse_frequency,
    "CreateCOPulseChanTime": pulse_time,
    "CreateCOPulseChanTicks": pulse_ticks,
    "CreateDOChan": digital_output,
    "CreateDIChan": digital_input,
    "CreateCICountEdgesChan": count_edges,
    "CreateCIFreqChan": _measuring(UsageTypeCI.FREQUENCY.value, FrequencyUnits.HZ.value, "CI_FREQ_STARTING_EDGE"),
    "CreateCIPeriodChan": _measuring(UsageTypeCI.PERIOD.value, TimeUnits.SECONDS.value, "CI_PERIOD_STARTING_EDGE"),
    "CreateCIPulseWidthChan": _measuring(
        UsageTypeCI.PULSE_WIDTH_DIGITAL.value, TimeUnits.SECONDS.value, "CI_PULSE_WIDTH_STARTING_EDGE"
    ),
    "CreateCIDutyCycleChan": _measuring(UsageTypeCI.DUTY_CYCLE.value, None, "CI_DUTY_CYCLE_STARTING_EDGE"),
    "CreateCIPulseChanFreq": _measuring(UsageTypeCI.PULSE_FREQ.value, FrequencyUnits.HZ.value, None),
    "CreateCIPulseChanTime": _measuring(UsageTypeCI.PULSE_TIME.value, TimeUnits.SECONDS.value, None),
    "CreateCIPulseChanTicks": _measuring(UsageTypeCI.PULSE_TICKS.value, None, None),
}
