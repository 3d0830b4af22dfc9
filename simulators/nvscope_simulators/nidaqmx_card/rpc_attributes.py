"""Getting, setting and resetting properties: one handler per call, made from the description of the interface."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from nidaqmx._stubs import nidaqmx_pb2

from nvscope_simulators.nidaqmx_card import describe, tables
from nvscope_simulators.nidaqmx_card.card import Card
from nvscope_simulators.nidaqmx_card.counter_output import CounterOutput
from nvscope_simulators.nidaqmx_card.errors import Code, DAQmxError
from nvscope_simulators.nidaqmx_card.properties import PropertySet
from nvscope_simulators.nidaqmx_card.rpc import Fields, Handler, missing, task_of
from nvscope_simulators.nidaqmx_card.tasks import Task

_NAME = re.compile(
    r"^(?P<verb>Get|Set|Reset)(?P<group>Chan|Timing|Trig|ExportedSignal|Buffer|Read|Write|Task|Device|PhysicalChan"
    r"|SystemInfo|CalInfo)Attribute(?P<per_device>Ex)?(?P<type>[A-Za-z0-9]*)$"
)
_GROUPS = {
    "Timing": "timing",
    "Trig": "trigger",
    "ExportedSignal": "export",
    "Buffer": "buffer",
    "Read": "read",
    "Write": "write",
}
_DEFAULT_SAMPLES_TO_READ = 0x31E8
"""An unlisted read property: how many samples "all available" means, asked by clients since NI-DAQmx 24.5."""

MAX_TEXT = 4096


def handlers() -> dict[str, Handler]:
    """Return the handlers of every property call this card answers."""
    found: dict[str, Handler] = {}
    for method in nidaqmx_pb2.DESCRIPTOR.services_by_name["NiDAQmx"].methods:
        match = _NAME.match(method.name)
        if match is not None:
            found[method.name] = _handler(match["verb"], match["group"], method.input_type)
    return found


def _handler(verb: str, group: str, request_type: Any) -> Handler:
    values = request_type.fields_by_name["attribute"].enum_type.values_by_number

    def name_of(request: Any) -> str:
        which = request.WhichOneof("attribute_enum")
        number = int(getattr(request, which)) if which is not None else 0
        if group == "Read" and number == _DEFAULT_SAMPLES_TO_READ:
            return "DEFAULT_NUMBER_OF_SAMPLES_TO_READ"
        entry = values.get(number)
        if entry is None or number == 0:
            raise DAQmxError(Code.SPECIFIED_ATTR_NOT_VALID, Attribute=hex(number))
        return str(entry.name.partition("ATTRIBUTE_")[2])

    if verb == "Get":
        return lambda card, request: _pack(request_type, _get(card, group, name_of(request), request))
    if verb == "Set":
        return lambda card, request: _set(card, group, name_of(request), request)
    return lambda card, request: _reset(card, group, name_of(request), request)


def _pack(request_type: Any, value: Any) -> Fields:
    response = nidaqmx_pb2.DESCRIPTOR.message_types_by_name[request_type.name.removesuffix("Request") + "Response"]
    fields = {"value": value}
    if "value_raw" in response.fields_by_name:
        fields["value_raw"] = value
    return fields


def _sets(card: Card, group: str, request: Any) -> tuple[Task, list[PropertySet]]:
    task = task_of(card, request)
    if group == "Chan":
        return task, [channel.properties for channel in task.select(request.channel)]
    if group not in _GROUPS:
        raise missing(f"properties of {group}")
    if getattr(request, "device_names", ""):
        for name in request.device_names.split(","):
            card.model.check_device(name)
        raise task.error(Code.M_STUDIO_OPERATION_DOES_NOT_SUPPORT_DEVICE_CONTEXT)
    return task, [task.properties(_GROUPS[group])]


def _is_terminal(name: str) -> bool:
    return name.endswith(("_TERM", "_TRIG_SRC", "SAMP_CLK_SRC", "CTR_TIMEBASE_SRC"))


def _get(card: Card, group: str, name: str, request: Any) -> Any:
    if group == "Task":
        return describe.task(task_of(card, request), name)
    if group == "Device":
        card.model.check_device(request.device_name)
        return describe.device(card, name)
    if group == "CalInfo":
        card.model.check_device(request.device_name)
        return describe.calibration(name)
    if group == "PhysicalChan":
        return describe.physical(card, card.model.physical(request.physical_channel), name)
    if group == "SystemInfo":
        return describe.system(card, name)
    task, sets = _sets(card, group, request)
    if name == "DEFAULT_NUMBER_OF_SAMPLES_TO_READ":
        return describe.default_samples(task)
    if name == "CHANNELS_TO_READ" and not sets[0][name]:
        return ", ".join(channel.name for channel in task.channels)
    if name == "SAMP_CLK_SRC" and not sets[0][name]:
        return _default_clock(card, task)
    found = [properties[name] for properties in sets]
    if any(value != found[0] for value in found):
        raise task.error(Code.ATTRIBUTE_INCONSISTENT_ACROSS_CHANNELS_ON_DEVICE, Property=name)
    value = found[0]
    if name == "SAMP_CLK_SRC":
        card.model.source(str(value))
    if _is_terminal(name) and value:
        return _full_names(card, str(value))
    return value


def _default_clock(card: Card, task: Task) -> str:
    subsystem = {tables.AI: "ai", tables.AO: "ao", tables.DI: "di", tables.DO: "do"}.get(task.kind)
    return f"/{card.model.device}/{subsystem}/SampleClockTimebase" if subsystem else ""


def _full_names(card: Card, text: str) -> str:
    names = []
    for name in text.split(","):
        try:
            card.model.terminal(name)
        except DAQmxError:
            return text
        names.append(card.model.qualified(name))
    return ", ".join(names)


def _set(card: Card, group: str, name: str, request: Any) -> Fields:
    which = request.WhichOneof("value_enum") if "value_raw" in request.DESCRIPTOR.fields_by_name else "value"
    value = getattr(request, which) if which else 0
    if isinstance(value, str) and (len(value) > MAX_TEXT or "\0" in value):
        raise DAQmxError(Code.INVALID_CHAR_IN_STRING, Property=name)
    if group == "CalInfo":
        raise DAQmxError(Code.ATTR_CANNOT_BE_SET, Property=name)
    task, sets = _sets(card, group, request)
    for properties in sets:
        properties.change(name, value, task.running)
    task.changed()
    _follow(task, group, name, request)
    return {}


def _reset(card: Card, group: str, name: str, request: Any) -> Fields:
    task, sets = _sets(card, group, request)
    for properties in sets:
        properties.reset(name, task.running)
    task.changed()
    return {}


def _follow(task: Task, group: str, name: str, request: Any) -> None:
    """Pass a pulse property changed during a generation on to the counter."""
    if group == "Chan" and name.startswith("CO_PULSE_") and isinstance(task.engine, CounterOutput):
        follow: Callable[[Any], None] = task.engine.changed
        for channel in task.select(request.channel):
            follow(channel)
