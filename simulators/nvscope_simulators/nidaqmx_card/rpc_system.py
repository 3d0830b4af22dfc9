"""Calls about the device and the system."""

from __future__ import annotations

from typing import Any

from nidaqmx.constants import PowerUpStates

from nvscope_simulators.nidaqmx_card.card import Card
from nvscope_simulators.nidaqmx_card.errors import Code, DAQmxError, describe
from nvscope_simulators.nidaqmx_card.rpc import Fields, Handler, Table

_CALIBRATED = {"year": 2026, "month": 3, "day": 9, "hour": 8, "minute": 30}


def error_string(card: Card, request: Any) -> Fields:
    """Return the text of an error code, empty if there is none."""
    return {"error_string": describe(request.error_code)}


def reset_device(card: Card, request: Any) -> Fields:
    """Abort all tasks, drop all routes, release all lines."""
    card.model.check_device(request.device_name)
    card.reset()
    return {}


def _known_device(card: Card, request: Any) -> Fields:
    card.model.check_device(request.device_name)
    return {}


def supports_calibration(card: Card, request: Any) -> Fields:
    """Whether the device can be calibrated."""
    return _known_device(card, request) | {"cal_supported": True}


def last_calibration(card: Card, request: Any) -> Fields:
    """When it was calibrated."""
    return _known_device(card, request) | _CALIBRATED


def power_up_states(card: Card, request: Any) -> Fields:
    """Return the levels lines have after power-up: all let go."""
    card.model.check_device(request.device_name)
    count = sum(len(card.model.physical(name)) for name in request.channel_name)
    return {"power_up_states": [PowerUpStates.TRISTATE.value] * count}


def set_power_up_states(card: Card, request: Any) -> Fields:
    """Accept the only power-up state there is; the lines of this card are let go when it is switched on."""
    card.model.check_device(request.device_name)
    for entry in request.power_up_states:
        card.model.physical(entry.channel_names)
        if entry.state != PowerUpStates.TRISTATE.value:
            raise DAQmxError(Code.POWERUP_STATE_NOT_SUPPORTED, Physical_Channel_Name=entry.channel_names)
    return {}


def _unsaved(code: Code, name: str) -> Handler:
    """Return a handler that refuses: nothing is saved on this system."""

    def handler(card: Card, request: Any) -> Fields:
        raise DAQmxError(code, Name=str(getattr(request, name))[:80])

    return handler


_SAVED = {
    Code.INVALID_GLOBAL_CHAN: (
        "channel",
        ("GetPersistedChanAttributeBool", "GetPersistedChanAttributeString"),
    ),
    Code.CUSTOM_SCALE_DOES_NOT_EXIST: (
        "scale_name",
        (
            *(f"GetPersistedScaleAttribute{kind}" for kind in ("Bool", "String")),
            *(f"GetScaleAttribute{kind}" for kind in ("Double", "DoubleArray", "Int32", "String")),
            "DeleteSavedScale",
        ),
    ),
    Code.TASK_NOT_IN_DATA_NEIGHBORHOOD: (
        "task_name",
        ("GetPersistedTaskAttributeBool", "GetPersistedTaskAttributeString", "DeleteSavedTask"),
    ),
}

HANDLERS: Table = {
    **{call: _unsaved(code, name) for code, (name, calls) in _SAVED.items() for call in calls},
    "DeleteSavedGlobalChan": _unsaved(Code.INVALID_GLOBAL_CHAN, "channel_name"),
    "AddGlobalChansToTask": _unsaved(Code.INVALID_GLOBAL_CHAN, "channel_names"),
    "SetDigitalPowerUpStates": set_power_up_states,
    "GetErrorString": error_string,
    "ResetDevice": reset_device,
    "SelfTestDevice": _known_device,
    "SelfCal": _known_device,
    "RestoreLastExtCalConst": _known_device,
    "DeviceSupportsCal": supports_calibration,
    "GetSelfCalLastDateAndTime": last_calibration,
    "GetExtCalLastDateAndTime": last_calibration,
    "GetDigitalPowerUpStates": power_up_states,
}
