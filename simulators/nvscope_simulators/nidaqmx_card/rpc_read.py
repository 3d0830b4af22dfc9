"""Calls that read samples."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from ni.protobuf.types.waveform_pb2 import WaveformAttributeValue
from nidaqmx.constants import Edge, FillMode, UsageTypeCI, WaveformAttributeMode
from numpy.typing import NDArray

from nvscope_simulators.nidaqmx_card.acquisition import MAX_BUFFER, READ_ALL, Acquisition
from nvscope_simulators.nidaqmx_card.card import Card
from nvscope_simulators.nidaqmx_card.counter_input import CounterInput, Measured
from nvscope_simulators.nidaqmx_card.digital import Bits, DigitalInput, DigitalOutput
from nvscope_simulators.nidaqmx_card.errors import Code
from nvscope_simulators.nidaqmx_card.model import MAX_TIMEBASE, TIMEBASES
from nvscope_simulators.nidaqmx_card.rpc import Fields, Handler, Table, choice, task_of
from nvscope_simulators.nidaqmx_card.tasks import Task


def auto_start(task: Task) -> None:
    """Start the task for a read, as NI-DAQmx does unless told not to."""
    if not task.running and task.properties("read")["AUTO_START"]:
        task.start()


# ---------------------------------------------------------------------- digital lines


async def _bits(task: Task, count: int, timeout: float) -> Bits:
    """Return levels, shape (samples, lines of the task)."""
    engine = task.engine
    if isinstance(engine, DigitalOutput):
        return np.repeat(engine.read()[None], max(1, count), axis=0)
    if not isinstance(engine, DigitalInput):
        code = Code.READ_CHAN_TYPE_MISMATCH if engine is not None else Code.READ_NO_INPUT_CHANS_IN_TASK
        raise task.error(code)
    if task.on_demand:
        was_running = task.running
        auto_start(task)
        found = np.repeat(engine.now()[None], max(1, count), axis=0)
        if not was_running:
            task.stop()
        return found
    auto_start(task)
    taken = await engine.take(count, timeout)
    return np.array(taken, dtype=bool).reshape(len(taken), sum(len(channel.lines) for channel in task.channels))


def wanted(task: Task, request: Any, room: int, per_sample: int) -> int:
    """Return how many samples per channel to read; the client says how much room it has."""
    count = int(request.num_samps_per_chan)
    if count < READ_ALL:
        raise task.error(Code.INVALID_NUMBER_SAMPLES_TO_READ, Requested_Value=count)
    if count == READ_ALL:
        count = 1 if task.on_demand else getattr(task.engine, "default_count", 1)
    if count * per_sample > MAX_BUFFER:
        raise task.error(Code.PAL_MEMORY_FULL, Requested_Value=count)
    if count * per_sample > room:
        raise task.error(Code.READ_BUFFER_TOO_SMALL, Requested_Value=count)
    return count


def arranged(request: Any, by_sample: NDArray[Any], name: str = "fill_mode") -> NDArray[Any]:
    """Return (samples, channels, …) flattened the way the client asked."""
    if choice(request, name) == FillMode.GROUP_BY_SCAN_NUMBER.value:
        return by_sample.reshape(-1)
    return by_sample.swapaxes(0, 1).reshape(-1)


async def lines(card: Card, request: Any) -> Fields:
    """Read one byte per line."""
    task = task_of(card, request)
    width = max((len(channel.lines) for channel in task.channels), default=1)
    count = wanted(task, request, request.array_size_in_bytes, len(task.channels) * width)
    bits = await _bits(task, count, request.timeout)
    padded = np.zeros((len(bits), len(task.channels), width), dtype=np.uint8)
    start = 0
    for n, channel in enumerate(task.channels):
        padded[:, n, : len(channel.lines)] = bits[:, start : start + len(channel.lines)]
        start += len(channel.lines)
    return {
        "read_array": arranged(request, padded).tobytes(),
        "samps_per_chan_read": len(bits),
        "num_bytes_per_samp": width,
    }


def _packed(task: Task, bits: Bits) -> NDArray[np.uint32]:
    """Return port values, shape (samples, channels, 1)."""
    values = np.zeros((len(bits), len(task.channels), 1), dtype=np.uint32)
    start = 0
    for n, channel in enumerate(task.channels):
        part = bits[:, start : start + len(channel.lines)].astype(np.uint32)
        values[:, n, 0] = part @ (np.uint32(1) << np.arange(len(channel.lines), dtype=np.uint32))
        start += len(channel.lines)
    return values


def _check_width(task: Task, width: int) -> None:
    if any(len(channel.lines) > width for channel in task.channels):
        raise task.error(Code.CHANNEL_SIZE_TOO_BIG_FOR_PORT_READ_TYPE)


def _ports(width: int) -> Handler:
    async def handler(card: Card, request: Any) -> Fields:
        task = task_of(card, request)
        _check_width(task, width)
        count = wanted(task, request, request.array_size_in_samps, len(task.channels))
        values = arranged(request, _packed(task, await _bits(task, count, request.timeout)))
        packed: Any = values.astype(np.uint8).tobytes() if width == 8 else values.tolist()
        return {"read_array": packed, "samps_per_chan_read": len(values) // max(1, len(task.channels))}

    return handler


async def digital_scalar(card: Card, request: Any) -> Fields:
    """Read the one channel of the task once."""
    task = task_of(card, request)
    if len(task.channels) > 1:
        raise task.error(Code.ONE_CHAN_READ_FOR_MULTI_CHAN_TASK)
    _check_width(task, 32)
    return {"value": int(_packed(task, await _bits(task, 1, request.timeout))[0, 0, 0])}


async def waveforms(card: Card, request: Any) -> Fields:
    """Read digital waveforms, one per channel."""
    task = task_of(card, request)
    count = wanted(task, request, 2**31, 1)
    if isinstance(task.engine, DigitalInput) and not task.on_demand and not task.continuous:
        count = min(count, task.samples - (task.engine.position if task.running else 0))
    mode = WaveformAttributeMode(choice(request, "waveform_attribute_mode") & 3)
    bits = await _bits(task, count, request.timeout)
    made, start = [], 0
    for channel in task.channels:
        lines_of = bits[:, start : start + len(channel.lines)].astype(np.uint8)
        fields: Fields = {"y_data": lines_of[:, channel.columns].tobytes(), "signal_count": len(channel.lines)}
        if WaveformAttributeMode.TIMING in mode and isinstance(task.engine, DigitalInput) and not task.on_demand:
            fields |= timing_fields(task, task.engine, len(bits))
        if WaveformAttributeMode.EXTENDED_PROPERTIES in mode:
            names = ", ".join(channel.lines[index] for index in channel.columns)
            texts = {"NI_ChannelName": channel.name, "NI_LineNames": names}
            fields["attributes"] = {key: WaveformAttributeValue(string_value=text) for key, text in texts.items()}
        made.append(fields)
        start += len(channel.lines)
    return {"waveforms": made, "samps_per_chan_read": len(bits)}


_NI_EPOCH = 2_082_844_800
"""Seconds from NI's epoch, 1904, to 1970."""


def timing_fields(task: Task, engine: Acquisition[Any], samples: int) -> Fields:
    """Return host time of the first of the samples just read, and the interval between samples."""
    interval = 1.0 / float(task.properties("timing")["SAMP_CLK_RATE"])
    seconds = engine.began + (engine.position - samples) * interval + _NI_EPOCH
    whole = int(seconds)
    return {"t0": {"seconds": whole, "fractional_seconds": int((seconds - whole) * 2**64)}, "dt": interval}


# ---------------------------------------------------------------------- counters


async def _measured(task: Task, count: int, timeout: float) -> list[Measured]:
    engine = task.engine
    if not isinstance(engine, CounterInput):
        code = Code.READ_CHAN_TYPE_MISMATCH if engine is not None else Code.READ_NO_INPUT_CHANS_IN_TASK
        raise task.error(code)
    was_running = task.running
    auto_start(task)
    if not task.on_demand:
        return await engine.take(count, timeout)
    try:
        return [await engine.measure(timeout) for _ in range(max(1, count))]
    finally:
        if not was_running:
            task.stop()


def _number(task: Task, measured: Measured) -> float:
    usage = task.channels[0].usage
    period = measured.high + measured.low
    if usage == UsageTypeCI.COUNT_EDGES.value:
        return float(measured.count)
    if usage == UsageTypeCI.FREQUENCY.value:
        return 1.0 / period if period else 0.0
    if usage == UsageTypeCI.PERIOD.value:
        return period
    if usage == UsageTypeCI.DUTY_CYCLE.value:
        return measured.high / period if period else 0.0
    if usage == UsageTypeCI.PULSE_WIDTH_DIGITAL.value:
        rising = task.channels[0].properties["CI_PULSE_WIDTH_STARTING_EDGE"] == Edge.RISING.value
        return measured.high if rising else measured.low
    raise task.error(Code.READ_CHAN_TYPE_MISMATCH)


def _counter(as_integer: bool) -> Handler:
    async def handler(card: Card, request: Any) -> Fields:
        task = task_of(card, request)
        count = wanted(task, request, request.array_size_in_samps, 1)
        numbers = [_number(task, m) for m in await _measured(task, count, request.timeout)]
        return {
            "read_array": [int(number) for number in numbers] if as_integer else numbers,
            "samps_per_chan_read": len(numbers),
        }

    return handler


def _counter_scalar(as_integer: bool) -> Handler:
    async def handler(card: Card, request: Any) -> Fields:
        task = task_of(card, request)
        number = _number(task, (await _measured(task, 1, request.timeout))[0])
        return {"value": int(number) if as_integer else number}

    return handler


def _rate(task: Task) -> float:
    source = str(task.channels[0].properties["CI_CTR_TIMEBASE_SRC"])
    return TIMEBASES.get(source.rpartition("/")[2], MAX_TIMEBASE)


_PAIRS: dict[str, tuple[int, Callable[[Task, Measured], tuple[float, float]]]] = {
    "frequency duty_cycle": (
        UsageTypeCI.PULSE_FREQ.value,
        lambda task, m: (1.0 / (m.high + m.low), m.high / (m.high + m.low)),
    ),
    "high_time low_time": (UsageTypeCI.PULSE_TIME.value, lambda task, m: (m.high, m.low)),
    "high_ticks low_ticks": (
        UsageTypeCI.PULSE_TICKS.value,
        lambda task, m: (round(m.high * _rate(task)), round(m.low * _rate(task))),
    ),
}


def _pulses(names: str, scalar: bool) -> Handler:
    usage, convert = _PAIRS[names]
    first, second = names.split()

    async def read(card: Card, request: Any, count: int) -> list[tuple[float, float]]:
        task = task_of(card, request)
        if task.channels and isinstance(task.engine, CounterInput) and task.channels[0].usage != usage:
            raise task.error(Code.READ_CHAN_TYPE_MISMATCH)
        return [convert(task, measured) for measured in await _measured(task, count, request.timeout)]

    async def one(card: Card, request: Any) -> Fields:
        pair = (await read(card, request, 1))[0]
        return {first: pair[0], second: pair[1]}

    async def many(card: Card, request: Any) -> Fields:
        task = task_of(card, request)
        pairs = await read(card, request, wanted(task, request, request.array_size_in_samps, 1))
        return {
            f"read_array_{first}": [pair[0] for pair in pairs],
            f"read_array_{second}": [pair[1] for pair in pairs],
            "samps_per_chan_read": len(pairs),
        }

    chosen: Callable[[Card, Any], Awaitable[Fields]] = one if scalar else many
    return chosen


HANDLERS: Table = {
    "ReadDigitalLines": lines,
    "ReadDigitalU8": _ports(8),
    "ReadDigitalU16": _ports(16),
    "ReadDigitalU32": _ports(32),
    "ReadDigitalScalarU32": digital_scalar,
    "ReadDigitalWaveforms": waveforms,
    "ReadCounterF64": _counter(False),
    "ReadCounterF64Ex": _counter(False),
    "ReadCounterU32": _counter(True),
    "ReadCounterU32Ex": _counter(True),
    "ReadCounterScalarF64": _counter_scalar(False),
    "ReadCounterScalarU32": _counter_scalar(True),
    **{
        f"Read{call}{suffix}": _pulses(names, scalar)
        for call, names in (
            ("CtrFreq", "frequency duty_cycle"),
            ("CtrTime", "high_time low_time"),
            ("CtrTicks", "high_ticks low_ticks"),
        )
        for suffix, scalar in (("", False), ("Scalar", True))
    },
}
