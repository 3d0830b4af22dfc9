"""Calls on analog channels: voltages only."""

from __future__ import annotations

from typing import Any

import numpy as np
from ni.protobuf.types.waveform_pb2 import WaveformAttributeValue
from nidaqmx.constants import (
    TerminalConfiguration,
    UsageTypeAI,
    UsageTypeAO,
    VoltageUnits,
    WaveformAttributeMode,
)
from numpy.typing import NDArray

from nvscope_simulators.nidaqmx_card import tables
from nvscope_simulators.nidaqmx_card.acquisition import MAX_BUFFER
from nvscope_simulators.nidaqmx_card.analog import AnalogInput, AnalogOutput, Volts
from nvscope_simulators.nidaqmx_card.card import Card
from nvscope_simulators.nidaqmx_card.channels import Channel
from nvscope_simulators.nidaqmx_card.errors import Code, DAQmxError
from nvscope_simulators.nidaqmx_card.rpc import Fields, Table, choice, one_of, task_of
from nvscope_simulators.nidaqmx_card.rpc_channels import add_channels, channel_names
from nvscope_simulators.nidaqmx_card.rpc_read import arranged, auto_start, timing_fields, wanted
from nvscope_simulators.nidaqmx_card.rpc_write import by_channel
from nvscope_simulators.nidaqmx_card.tasks import Task

_INPUT_RANGES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_CONFIGURATIONS = tuple(configuration.value for configuration in TerminalConfiguration)


def input_voltage(card: Card, request: Any) -> Fields:
    """Add analog inputs; the smallest range that holds the limits is chosen."""
    task = task_of(card, request)
    one_of(request, "units", VoltageUnits.VOLTS.value)
    configuration = one_of(request, "terminal_config", *_CONFIGURATIONS)
    names = card.model.physical(request.physical_channel)
    channels = []
    for name, physical in zip(channel_names(request.name_to_assign_to_channel, names), names, strict=True):
        if physical not in card.model.analog_inputs and physical not in card.model.internal_inputs:
            raise DAQmxError(Code.INVALID_PHYS_CHAN_TYPE, Physical_Channel_Name=physical)
        channel = Channel(name, tables.AI, UsageTypeAI.VOLTAGE.value, [physical], [], tables.ANALOG_INPUT)
        limits = _limits(request.min_val, request.max_val, 10.0)
        limit = next(r for r in _INPUT_RANGES if r >= max(abs(value) for value in limits))
        for key, value in (("AI_MIN", -limit), ("AI_MAX", limit), ("AI_RNG_LOW", -limit), ("AI_RNG_HIGH", limit)):
            channel.properties.put(key, value)  # the limits are read back as the range that was chosen for them
        chosen = TerminalConfiguration.DIFF.value if configuration == -1 else configuration
        channel.properties.put("AI_TERM_CFG", chosen)
        channels.append(channel)
    add_channels(task, channels, AnalogInput)
    return {}


def output_voltage(card: Card, request: Any) -> Fields:
    """Add analog outputs."""
    task = task_of(card, request)
    one_of(request, "units", VoltageUnits.VOLTS.value)
    names = card.model.physical(request.physical_channel)
    channels = []
    for name, physical in zip(channel_names(request.name_to_assign_to_channel, names), names, strict=True):
        if physical not in card.model.analog_outputs:
            raise DAQmxError(Code.INVALID_PHYS_CHAN_TYPE, Physical_Channel_Name=physical)
        channel = Channel(name, tables.AO, UsageTypeAO.VOLTAGE.value, [physical], [], tables.ANALOG_OUTPUT)
        low, high = _limits(request.min_val, request.max_val, 10.0)
        channel.properties.put("AO_MIN", low)
        channel.properties.put("AO_MAX", high)
        channels.append(channel)
    add_channels(task, channels, AnalogOutput)
    return {}


def _limits(low: float, high: float, largest: float) -> tuple[float, float]:
    if not -largest <= low < high <= largest:
        raise DAQmxError(Code.INVALID_ATTRIBUTE_VALUE, Minimum_Value=low, Maximum_Value=high)
    return low, high


# ---------------------------------------------------------------------- reading


async def _volts(task: Task, count: int, timeout: float) -> Volts:
    engine = task.engine
    if not isinstance(engine, AnalogInput):
        code = Code.READ_CHAN_TYPE_MISMATCH if engine is not None else Code.READ_NO_INPUT_CHANS_IN_TASK
        raise task.error(code)
    was_running = task.running
    auto_start(task)
    if task.on_demand:
        found = engine.now(max(1, count))
        if not was_running:
            task.stop()
        return found
    taken = await engine.take(count, timeout)
    return np.array(taken).reshape(len(taken), len(task.channels))


async def read(card: Card, request: Any) -> Fields:
    """Read volts."""
    task = task_of(card, request)
    count = wanted(task, request, request.array_size_in_samps, len(task.channels))
    volts = await _volts(task, count, request.timeout)
    return {"read_array": arranged(request, volts[:, :, None]).tolist(), "samps_per_chan_read": len(volts)}


async def read_scalar(card: Card, request: Any) -> Fields:
    """Read the one channel of the task once."""
    task = task_of(card, request)
    if len(task.channels) > 1:
        raise task.error(Code.ONE_CHAN_READ_FOR_MULTI_CHAN_TASK)
    return {"value": float((await _volts(task, 1, request.timeout))[0, 0])}


async def read_waveforms(card: Card, request: Any) -> Fields:
    """Read waveforms, one per channel."""
    task = task_of(card, request)
    count = wanted(task, request, MAX_BUFFER, len(task.channels))
    engine = task.engine
    if isinstance(engine, AnalogInput) and not task.on_demand and not task.continuous:
        count = min(count, task.samples - (engine.position if task.running else 0))
    volts = await _volts(task, count, request.timeout)
    mode = WaveformAttributeMode(choice(request, "waveform_attribute_mode") & 3)
    made = []
    for n, channel in enumerate(task.channels):
        fields: Fields = {"y_data": volts[:, n].tolist()}
        if WaveformAttributeMode.TIMING in mode and isinstance(engine, AnalogInput) and not task.on_demand:
            fields |= timing_fields(task, engine, len(volts))
        if WaveformAttributeMode.EXTENDED_PROPERTIES in mode:
            texts = {"NI_ChannelName": channel.name, "NI_UnitDescription": "Volts"}
            fields["attributes"] = {key: WaveformAttributeValue(string_value=text) for key, text in texts.items()}
        made.append(fields)
    return {"waveforms": made, "samps_per_chan_read": len(volts)}


# ---------------------------------------------------------------------- writing


def _output(task: Task) -> AnalogOutput:
    if not isinstance(task.engine, AnalogOutput):
        code = Code.WRITE_CHAN_TYPE_MISMATCH if task.engine is not None else Code.WRITE_NO_OUTPUT_CHANS_IN_TASK
        raise task.error(code)
    return task.engine


def write(card: Card, request: Any) -> Fields:
    """Write volts."""
    task = task_of(card, request)
    output = _output(task)
    data: NDArray[Any] = by_channel(task, request, np.array(request.write_array, dtype=np.float64))
    if data.shape[2] != 1:
        raise task.error(Code.WRITE_NUM_CHANS_MISMATCH, Number_of_Channels_in_Task=len(task.channels))
    return {"samps_per_chan_written": output.write(data[:, :, 0], request.auto_start)}


def write_scalar(card: Card, request: Any) -> Fields:
    """Write one value to the one channel of the task."""
    task = task_of(card, request)
    output = _output(task)
    if len(task.channels) != 1:
        raise task.error(Code.WRITE_NUM_CHANS_MISMATCH, Number_of_Channels_in_Task=len(task.channels))
    output.write(np.array([[request.value]]), request.auto_start)
    return {}


def write_waveforms(card: Card, request: Any) -> Fields:
    """Write waveforms, one per channel."""
    task = task_of(card, request)
    output = _output(task)
    if len(request.waveforms) != len(task.channels):
        raise task.error(Code.WRITE_NUM_CHANS_MISMATCH, Number_of_Channels_in_Task=len(task.channels))
    lengths = {len(waveform.y_data) for waveform in request.waveforms}
    if len(lengths) != 1 or 0 in lengths:
        raise task.error(Code.INCONSISTENT_NUM_SAMPLES_TO_WRITE)
    samples = np.array([waveform.y_data for waveform in request.waveforms], dtype=np.float64).T
    return {"samps_per_chan_written": output.write(samples, request.auto_start)}


HANDLERS: Table = {
    "CreateAIVoltageChan": input_voltage,
    "CreateAOVoltageChan": output_voltage,
    "ReadAnalogF64": read,
    "ReadAnalogScalarF64": read_scalar,
    "ReadAnalogWaveforms": read_waveforms,
    "WriteAnalogF64": write,
    "WriteAnalogScalarF64": write_scalar,
    "WriteAnalogWaveforms": write_waveforms,
}
