"""Calls that write samples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from nidaqmx.constants import FillMode, UsageTypeCO
from numpy.typing import NDArray

from nvscope_simulators.nidaqmx_card.card import Card
from nvscope_simulators.nidaqmx_card.counter_output import CounterOutput
from nvscope_simulators.nidaqmx_card.digital import Bits, DigitalOutput
from nvscope_simulators.nidaqmx_card.errors import Code
from nvscope_simulators.nidaqmx_card.rpc import Fields, Handler, Table, one_of, task_of
from nvscope_simulators.nidaqmx_card.tasks import Task

_WIDTHS = {"U8": 8, "U16": 16, "U32": 32}


def _output(task: Task) -> DigitalOutput:
    if not isinstance(task.engine, DigitalOutput):
        code = Code.WRITE_CHAN_TYPE_MISMATCH if task.engine is not None else Code.WRITE_NO_OUTPUT_CHANS_IN_TASK
        raise task.error(code)
    return task.engine


def by_channel(task: Task, request: Any, data: NDArray[Any]) -> NDArray[Any]:
    """Return data as (samples, channels, rest), whichever way they were laid out."""
    layout = one_of(request, "data_layout", FillMode.GROUP_BY_CHANNEL.value, FillMode.GROUP_BY_SCAN_NUMBER.value)
    samples, channels = int(request.num_samps_per_chan), len(task.channels)
    if samples <= 0 or data.size == 0:
        raise task.error(Code.INVALID_NUM_SAMPS_TO_WRITE, Requested_Value=samples)
    if data.size % (samples * channels):
        raise task.error(Code.WRITE_NUM_CHANS_MISMATCH, Number_of_Channels_in_Task=channels)
    if layout == FillMode.GROUP_BY_CHANNEL.value:
        return data.reshape(channels, samples, -1).swapaxes(0, 1)
    return data.reshape(samples, channels, -1)


def lines(card: Card, request: Any) -> Fields:
    """Write one byte per line."""
    task = task_of(card, request)
    output = _output(task)
    data = by_channel(task, request, np.frombuffer(request.write_array, dtype=np.uint8))
    widths = [len(channel.lines) for channel in task.channels]
    if data.shape[2] != max(widths):
        raise task.error(
            Code.NUM_LINES_MISMATCH_IN_READ_OR_WRITE,
            Number_of_Lines_Per_Channel_in_Task=max(widths),
            Number_of_Lines_Per_Channel_in_Data=data.shape[2],
        )
    bits: Bits = np.concatenate([data[:, n, :width] != 0 for n, width in enumerate(widths)], axis=1)
    return {"samps_per_chan_written": output.write(bits, request.auto_start)}


def unpack(values: NDArray[np.uint32], width: int) -> Bits:
    """Return the lines of port values, least significant first, shape (samples, width)."""
    return (values[:, None] >> np.arange(width, dtype=np.uint32) & 1).astype(bool)


def _ports(name: str) -> Handler:
    width = _WIDTHS[name]

    def handler(card: Card, request: Any) -> Fields:
        task = task_of(card, request)
        output = _output(task)
        widths = [len(channel.lines) for channel in task.channels]
        if max(widths) > width:
            codes = {
                8: Code.CHAN_SIZE_TOO_BIG_FOR_U_8_PORT_WRITE,
                16: Code.CHAN_SIZE_TOO_BIG_FOR_U_16_PORT_WRITE,
                32: Code.CHAN_SIZE_TOO_BIG_FOR_U_32_PORT_WRITE,
            }
            raise task.error(codes[width])
        raw = request.write_array
        values = np.frombuffer(raw, dtype=np.uint8) if isinstance(raw, bytes) else np.array(raw, dtype=np.uint32)
        data = by_channel(task, request, values.astype(np.uint32))
        if data.shape[2] != 1:
            raise task.error(Code.WRITE_NUM_CHANS_MISMATCH, Number_of_Channels_in_Task=len(widths))
        bits = np.concatenate([unpack(data[:, n, 0], w) for n, w in enumerate(widths)], axis=1)
        return {"samps_per_chan_written": output.write(bits, request.auto_start)}

    return handler


def scalar(card: Card, request: Any) -> Fields:
    """Write one value to the one channel of the task."""
    task = task_of(card, request)
    output = _output(task)
    if len(task.channels) != 1:
        raise task.error(Code.WRITE_NUM_CHANS_MISMATCH, Number_of_Channels_in_Task=len(task.channels))
    width = len(task.channels[0].lines)
    if width > 32:
        raise task.error(Code.CHAN_SIZE_TOO_BIG_FOR_U_32_PORT_WRITE)
    output.write(unpack(np.array([request.value], dtype=np.uint32), width), request.auto_start)
    return {}


def waveforms(card: Card, request: Any) -> Fields:
    """Write digital waveforms, one per channel."""
    task = task_of(card, request)
    output = _output(task)
    if len(request.waveforms) != len(task.channels):
        raise task.error(Code.WRITE_NUM_CHANS_MISMATCH, Number_of_Channels_in_Task=len(task.channels))
    parts: list[Bits] = []
    for channel, waveform in zip(task.channels, request.waveforms, strict=True):
        width = int(waveform.signal_count)
        data = np.frombuffer(waveform.y_data, dtype=np.uint8)
        if width != len(channel.lines) or data.size == 0 or data.size % width:
            raise task.error(
                Code.NUM_LINES_MISMATCH_IN_READ_OR_WRITE,
                Number_of_Lines_Per_Channel_in_Task=len(channel.lines),
                Number_of_Lines_Per_Channel_in_Data=width,
            )
        part: Bits = np.empty((len(data) // width, width), dtype=bool)
        part[:, channel.columns] = data.reshape(-1, width) != 0
        parts.append(part)
    if len({len(part) for part in parts}) != 1:
        raise task.error(Code.INCONSISTENT_NUM_SAMPLES_TO_WRITE)
    return {"samps_per_chan_written": output.write(np.concatenate(parts, axis=1), request.auto_start)}


def _counter(task: Task, usage: int, first: Iterable[float], second: Iterable[float], auto_start: bool) -> int:
    if not isinstance(task.engine, CounterOutput):
        code = Code.WRITE_CHAN_TYPE_MISMATCH if task.engine is not None else Code.WRITE_NO_OUTPUT_CHANS_IN_TASK
        raise task.error(code)
    return task.engine.write(usage, list(zip(first, second, strict=True)), auto_start)


def _pulses(usage: int, first: str, second: str, scalar_value: bool) -> Handler:
    def handler(card: Card, request: Any) -> Fields:
        task = task_of(card, request)
        one, two = getattr(request, first), getattr(request, second)
        if scalar_value:
            _counter(task, usage, [one], [two], request.auto_start)
            return {}
        if len(one) != len(two) or len(one) == 0 or len(one) != request.num_samps_per_chan * max(1, len(task.channels)):
            raise task.error(Code.INVALID_NUM_SAMPS_TO_WRITE, Requested_Value=request.num_samps_per_chan)
        return {"num_samps_per_chan_written": _counter(task, usage, one, two, request.auto_start)}

    return handler


_FREQUENCY, _TIME, _TICKS = (
    UsageTypeCO.PULSE_FREQUENCY.value,
    UsageTypeCO.PULSE_TIME.value,
    UsageTypeCO.PULSE_TICKS.value,
)

HANDLERS: Table = {
    "WriteDigitalLines": lines,
    "WriteDigitalU8": _ports("U8"),
    "WriteDigitalU16": _ports("U16"),
    "WriteDigitalU32": _ports("U32"),
    "WriteDigitalScalarU32": scalar,
    "WriteDigitalWaveforms": waveforms,
    "WriteCtrFreq": _pulses(_FREQUENCY, "frequency", "duty_cycle", False),
    "WriteCtrFreqScalar": _pulses(_FREQUENCY, "frequency", "duty_cycle", True),
    "WriteCtrTime": _pulses(_TIME, "high_time", "low_time", False),
    "WriteCtrTimeScalar": _pulses(_TIME, "high_time", "low_time", True),
    "WriteCtrTicks": _pulses(_TICKS, "high_ticks", "low_ticks", False),
    "WriteCtrTicksScalar": _pulses(_TICKS, "high_ticks", "low_ticks", True),
}
