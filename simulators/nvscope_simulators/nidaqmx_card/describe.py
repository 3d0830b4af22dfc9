"""What the card, its channels and the system say about themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nidaqmx.constants import (
    AcquisitionType,
    BusType,
    ProductCategory,
    UsageTypeAI,
    UsageTypeAO,
    UsageTypeCO,
)

from nvscope_simulators.nidaqmx_card import tables
from nvscope_simulators.nidaqmx_card.acquisition import Acquisition
from nvscope_simulators.nidaqmx_card.card import Card
from nvscope_simulators.nidaqmx_card.errors import Code, DAQmxError
from nvscope_simulators.nidaqmx_card.model import MAX_TIMEBASE, PORTS, PRODUCT_NUMBER, PRODUCT_TYPE
from nvscope_simulators.nidaqmx_card.tasks import Task

DRIVER_VERSION = (24, 8, 0)

_PAUSE, _REFERENCE, _START, _ARM_START = 2, 4, 8, 32  # bits of trigger usage
_SAMPLE_MODES = [AcquisitionType.FINITE.value, AcquisitionType.CONTINUOUS.value]
_AI_TYPES = [UsageTypeAI.VOLTAGE.value]
_AO_TYPES = [UsageTypeAO.VOLTAGE.value]
_CI_TYPES = list(tables.MEASUREMENTS)
_CO_TYPES = [usage.value for usage in UsageTypeCO]
_RANGES = [edge for limit in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) for edge in (-limit, limit)]


def _join(names: list[str]) -> str:
    return ", ".join(names)


_DEVICE: Mapping[str, Callable[[Card], Any]] = {
    "PRODUCT_TYPE": lambda card: PRODUCT_TYPE,
    "PRODUCT_CATEGORY": lambda card: ProductCategory.X_SERIES_DAQ.value,
    "PRODUCT_NUM": lambda card: PRODUCT_NUMBER,
    "SERIAL_NUM": lambda card: card.settings.serial,
    "IS_SIMULATED": lambda card: False,
    "BUS_TYPE": lambda card: BusType.PCIE.value,
    "PCI_BUS_NUM": lambda card: 1,
    "PCI_DEV_NUM": lambda card: 0,
    "NUM_DMA_CHANS": lambda card: 8,
    "TERMINALS": lambda card: _join(card.model.terminals),
    "AI_PHYSICAL_CHANS": lambda card: _join(card.model.analog_inputs),
    "AO_PHYSICAL_CHANS": lambda card: _join(card.model.analog_outputs),
    "DI_LINES": lambda card: _join(card.model.lines),
    "DO_LINES": lambda card: _join(card.model.lines),
    "DI_PORTS": lambda card: _join(card.model.ports),
    "DO_PORTS": lambda card: _join(card.model.ports),
    "CI_PHYSICAL_CHANS": lambda card: _join(card.model.counters),
    "CO_PHYSICAL_CHANS": lambda card: _join([*card.model.counters, card.model.frequency_output]),
    "CHASSIS_MODULE_DEV_NAMES": lambda card: "",
    "ACCESSORY_PRODUCT_TYPES": lambda card: "",
    "ACCESSORY_PRODUCT_NUMS": lambda card: [],
    "ACCESSORY_SERIAL_NUMS": lambda card: [],
    "CI_MAX_SIZE": lambda card: 32,
    "CO_MAX_SIZE": lambda card: 32,
    "CI_MAX_TIMEBASE": lambda card: MAX_TIMEBASE,
    "CO_MAX_TIMEBASE": lambda card: MAX_TIMEBASE,
    "CI_SAMP_CLK_SUPPORTED": lambda card: True,
    "CO_SAMP_CLK_SUPPORTED": lambda card: True,
    "AO_SAMP_CLK_SUPPORTED": lambda card: True,
    "AI_SIMULTANEOUS_SAMPLING_SUPPORTED": lambda card: False,
    "ANLG_TRIG_SUPPORTED": lambda card: True,
    "DIG_TRIG_SUPPORTED": lambda card: True,
    "TIME_TRIG_SUPPORTED": lambda card: False,
    "TEDS_HWTEDS_SUPPORTED": lambda card: False,
    "AI_TRIG_USAGE": lambda card: _START | _REFERENCE | _PAUSE,
    "AO_TRIG_USAGE": lambda card: _START | _PAUSE,
    "DI_TRIG_USAGE": lambda card: _START | _REFERENCE | _PAUSE,
    "DO_TRIG_USAGE": lambda card: _START | _PAUSE,
    "CI_TRIG_USAGE": lambda card: _ARM_START | _PAUSE,
    "CO_TRIG_USAGE": lambda card: _START | _ARM_START | _PAUSE,
    "AI_SUPPORTED_MEAS_TYPES": lambda card: _AI_TYPES,
    "AO_SUPPORTED_OUTPUT_TYPES": lambda card: _AO_TYPES,
    "CI_SUPPORTED_MEAS_TYPES": lambda card: _CI_TYPES,
    "CO_SUPPORTED_OUTPUT_TYPES": lambda card: _CO_TYPES,
    "AI_SAMP_MODES": lambda card: _SAMPLE_MODES,
    "AO_SAMP_MODES": lambda card: _SAMPLE_MODES,
    "CI_SAMP_MODES": lambda card: _SAMPLE_MODES,
    "CO_SAMP_MODES": lambda card: _SAMPLE_MODES,
    "AI_MAX_SINGLE_CHAN_RATE": lambda card: 2e6,
    "AI_MAX_MULTI_CHAN_RATE": lambda card: 1e6,
    "AI_MIN_RATE": lambda card: 0.023283064370807974,
    "AI_VOLTAGE_RNGS": lambda card: _RANGES,
    "AI_COUPLINGS": lambda card: 2,
    "AO_MAX_RATE": lambda card: 2.857142857142857e6,
    "AO_MIN_RATE": lambda card: 0.023283064370807974,
    "AO_VOLTAGE_RNGS": lambda card: [-5.0, 5.0, -10.0, 10.0],
    "DI_MAX_RATE": lambda card: 1e7,
    "DO_MAX_RATE": lambda card: 1e7,
    "AI_NUM_SAMP_TIMING_ENGINES": lambda card: 1,
    "AO_NUM_SAMP_TIMING_ENGINES": lambda card: 1,
    "DI_NUM_SAMP_TIMING_ENGINES": lambda card: 1,
    "DO_NUM_SAMP_TIMING_ENGINES": lambda card: 1,
}

_CALIBRATION: Mapping[str, Any] = {
    "SELF_CAL_SUPPORTED": True,
    "SELF_CAL_LAST_TEMP": 31.0,
    "EXT_CAL_RECOMMENDED_INTERVAL": 24,
    "EXT_CAL_LAST_TEMP": 30.5,
    "CAL_DEV_TEMP": 33.0,
    "CAL_USER_DEFINED_INFO": "",
    "CAL_USER_DEFINED_INFO_MAX_SIZE": 4,
}

_DIGITAL = {
    "PHYSICAL_CHAN_DI_CHANGE_DETECT_SUPPORTED": True,
    "PHYSICAL_CHAN_DI_SAMP_MODES": _SAMPLE_MODES,
    "PHYSICAL_CHAN_DO_SAMP_MODES": _SAMPLE_MODES,
}


def device(card: Card, name: str) -> Any:
    """Return a property of the device, or refuse (-200197) what this card does not have."""
    try:
        return _DEVICE[name](card)
    except KeyError:
        raise DAQmxError(Code.ATTR_NOT_SUPPORTED, Property=name, Device=card.model.device) from None


def calibration(name: str) -> Any:
    """Return a property of the calibration."""
    try:
        return _CALIBRATION[name]
    except KeyError:
        raise DAQmxError(Code.ATTR_NOT_SUPPORTED, Property=name) from None


def physical(card: Card, names: list[str], name: str) -> Any:
    """Return a property of a physical channel."""
    channel = names[0]
    short = channel.rpartition("/")[2]
    found: dict[str, Any] = {}
    if channel in card.model.ports or channel in card.model.lines:
        width = PORTS[short] if channel in card.model.ports else 1
        clocked = "/port0" in channel
        found = _DIGITAL | {
            "PHYSICAL_CHAN_DI_PORT_WIDTH": width,
            "PHYSICAL_CHAN_DO_PORT_WIDTH": width,
            "PHYSICAL_CHAN_DI_SAMP_CLK_SUPPORTED": clocked,
            "PHYSICAL_CHAN_DO_SAMP_CLK_SUPPORTED": clocked,
        }
    elif channel in card.model.internal_inputs:
        found = {"PHYSICAL_CHAN_AI_TERM_CFGS": 0b100, "PHYSICAL_CHAN_AI_SUPPORTED_MEAS_TYPES": _AI_TYPES}
    elif channel in card.model.analog_inputs:
        differential = int(short.removeprefix("ai")) // 8 % 2 == 0
        found = {
            "PHYSICAL_CHAN_AI_TERM_CFGS": 0b111 if differential else 0b011,
            "PHYSICAL_CHAN_AI_SUPPORTED_MEAS_TYPES": _AI_TYPES,
        }
    elif channel in card.model.analog_outputs:
        found = {"PHYSICAL_CHAN_AO_TERM_CFGS": 0b001, "PHYSICAL_CHAN_AO_SUPPORTED_OUTPUT_TYPES": _AO_TYPES}
    else:
        found = {"PHYSICAL_CHAN_CO_SUPPORTED_OUTPUT_TYPES": _CO_TYPES}
        if channel in card.model.counters:
            found["PHYSICAL_CHAN_CI_SUPPORTED_MEAS_TYPES"] = _CI_TYPES
    if name not in found:
        raise DAQmxError(Code.ATTR_NOT_SUPPORTED, Property=name, Physical_Channel_Name=channel)
    return found[name]


def system(card: Card, name: str) -> Any:
    """Return a property of the system: versions, devices, nothing saved."""
    versions = dict(
        zip(("NIDAQ_MAJOR_VERSION", "NIDAQ_MINOR_VERSION", "NIDAQ_UPDATE_VERSION"), DRIVER_VERSION, strict=True)
    )
    if name in versions:
        return versions[name]
    if name == "DEV_NAMES":
        return card.model.device
    return ""


def task(owner: Task, name: str) -> Any:
    """Return a property of a task."""
    return {
        "NAME": owner.name,
        "CHANNELS": _join([channel.name for channel in owner.channels]),
        "NUM_CHANS": len(owner.channels),
        "DEVICES": owner.card.model.device if owner.channels else "",
        "NUM_DEVICES": 1 if owner.channels else 0,
        "COMPLETE": owner.done,
    }[name]


def default_samples(owner: Task) -> int:
    """Return how many samples a read of "all available" means now."""
    if isinstance(owner.engine, Acquisition):
        return 1 if owner.on_demand else owner.engine.default_count
    return 1
