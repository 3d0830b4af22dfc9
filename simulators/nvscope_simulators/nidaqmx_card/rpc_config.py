"""Calls that configure timing, triggers, routes and buffers."""

from __future__ import annotations

from typing import Any

from nidaqmx.constants import AcquisitionType, Edge, InvertPolarity, SampleTimingType, Signal, TriggerType

from nvscope_simulators.nidaqmx_card import tables
from nvscope_simulators.nidaqmx_card.card import Card
from nvscope_simulators.nidaqmx_card.errors import Code, DAQmxError
from nvscope_simulators.nidaqmx_card.rpc import Fields, Handler, Table, choice, one_of, task_of
from nvscope_simulators.nidaqmx_card.tasks import Task

_MODES = (AcquisitionType.FINITE.value, AcquisitionType.CONTINUOUS.value)
_EDGES = (Edge.RISING.value, Edge.FALLING.value)


def _idle(card: Card, request: Any) -> Task:
    """Return the request's task, refusing while it runs."""
    task = task_of(card, request)
    if task.running:
        raise task.error(Code.CANNOT_SET_PROPERTY_WHEN_TASK_RUNNING)
    return task


def _set_timing(task: Task, request: Any, kind: int, values: dict[str, Any]) -> None:
    timing = task.properties("timing")
    timing.change("SAMP_TIMING_TYPE", kind, running=False)
    if request.samps_per_chan <= 0:
        raise task.error(
            Code.INVALID_ATTRIBUTE_VALUE, Property="samps_per_chan", Requested_Value=request.samps_per_chan
        )
    values["SAMP_QUANT_SAMP_MODE"] = one_of(request, "sample_mode", *_MODES)
    values["SAMP_QUANT_SAMP_PER_CHAN"] = request.samps_per_chan
    for name, value in values.items():
        timing.change(name, value, running=False)
    task.changed()


def implicit_timing(card: Card, request: Any) -> Fields:
    """Let the pulses themselves be the samples: finite or continuous."""
    _set_timing(_idle(card, request), request, SampleTimingType.IMPLICIT.value, {})
    return {}


def sample_clock(card: Card, request: Any) -> Fields:
    """Time samples by a clock."""
    task = _idle(card, request)
    values: dict[str, Any] = {
        "SAMP_CLK_RATE": request.rate,
        "SAMP_CLK_ACTIVE_EDGE": one_of(request, "active_edge", *_EDGES),
    }
    if request.source and request.source.lower() != "onboardclock":
        values["SAMP_CLK_SRC"] = request.source  # looked for when the task is verified, as NI does
    elif task.kind in (tables.CI, tables.CO) and task.channels:
        raise task.error(Code.INVALID_TIMING_SRC_DUE_TO_SAMP_TIMING_TYPE, Requested_Value=request.source)
    _set_timing(task, request, SampleTimingType.SAMPLE_CLOCK.value, values)
    if "SAMP_CLK_SRC" not in values:
        task.properties("timing").reset("SAMP_CLK_SRC", running=False)
    return {}


def digital_edge_start(card: Card, request: Any) -> Fields:
    """Start on an edge of a terminal."""
    task = _idle(card, request)
    trigger = task.properties("trigger")
    edge = one_of(request, "trigger_edge", *_EDGES)
    trigger.change("DIG_EDGE_START_TRIG_SRC", request.trigger_source, running=False)
    trigger.change("DIG_EDGE_START_TRIG_EDGE", edge, running=False)
    trigger.change("START_TRIG_TYPE", TriggerType.DIGITAL_EDGE.value, running=False)
    task.changed()
    return {}


def disable_start(card: Card, request: Any) -> Fields:
    """Start at once."""
    task = _idle(card, request)
    task.properties("trigger").change("START_TRIG_TYPE", TriggerType.NONE.value, running=False)
    task.changed()
    return {}


def disable_reference(card: Card, request: Any) -> Fields:
    """Nothing to disable: the tasks modelled here have no reference trigger."""
    _idle(card, request).properties("trigger")
    return {}


_EXPORTED = {
    Signal.COUNTER_OUTPUT_EVENT.value: "CTR_OUT_EVENT_OUTPUT_TERM",
    Signal.START_TRIGGER.value: "START_TRIG_OUTPUT_TERM",
    Signal.SAMPLE_CLOCK.value: "SAMP_CLK_OUTPUT_TERM",
}


def export_signal(card: Card, request: Any) -> Fields:
    """Route a signal of the task to terminals."""
    task = _idle(card, request)
    name = _EXPORTED.get(choice(request, "signal_id"))
    if name is None:
        raise task.error(Code.INVALID_SIGNAL_TYPE_EXPORT_SIGNAL, Requested_Value=choice(request, "signal_id"))
    task.properties("export").change(name, request.output_terminal, running=False)
    task.changed()
    return {}


def connect(card: Card, request: Any) -> Fields:
    """Route one terminal to another, for as long as the card is not reset."""
    inverted = choice(request, "signal_modifiers") == InvertPolarity.YES.value
    source = card.model.source(request.source_terminal)
    destination = card.check_destination(request.destination_terminal)
    if source == destination:
        raise DAQmxError(Code.ROUTE_SRC_AND_DEST_SAME_ROUTING, Source_Terminal=source)
    if (source, destination) in card.routes:
        return {}
    if card.wiring.driven(destination) or card.wiring.reaches(destination, source):
        raise DAQmxError(
            Code.RESOURCES_IN_USE_FOR_ROUTE_ROUTING, Source_Terminal=source, Destination_Terminal=destination
        )
    card.wiring.connect(source, destination, inverted)
    card.routes.add((source, destination))
    return {}


def disconnect(card: Card, request: Any) -> Fields:
    """Take a route back."""
    source = card.model.terminal(request.source_terminal)
    destination = card.model.terminal(request.destination_terminal)
    if (source, destination) in card.routes:
        card.routes.discard((source, destination))
        card.wiring.disconnect(source, destination)
    return {}


def tristate(card: Card, request: Any) -> Fields:
    """Let go of a terminal: routes made by hand end there, and nothing drives it."""
    terminal = card.check_destination(request.output_terminal)
    for source, destination in list(card.routes):
        if destination == terminal:
            card.routes.discard((source, destination))
            card.wiring.disconnect(source, destination)
    if card.wiring.driven(terminal):
        raise DAQmxError(Code.CANNOT_TRISTATE_BUSY_TERM_ROUTING, Terminal=terminal)
    return {}


def _buffer(name: str) -> Handler:
    def handler(card: Card, request: Any) -> Fields:
        task = _idle(card, request)
        task.properties("buffer").change(name, request.num_samps_per_chan, running=False)
        return {}

    return handler


HANDLERS: Table = {
    "CfgImplicitTiming": implicit_timing,
    "CfgSampClkTiming": sample_clock,
    "CfgDigEdgeStartTrig": digital_edge_start,
    "DisableStartTrig": disable_start,
    "DisableRefTrig": disable_reference,
    "ExportSignal": export_signal,
    "ConnectTerms": connect,
    "DisconnectTerms": disconnect,
    "TristateOutputTerm": tristate,
    "CfgOutputBuffer": _buffer("OUTPUT_BUF_SIZE"),
    "CfgInputBuffer": _buffer("INPUT_BUF_SIZE"),
}
