"""Validated, frozen configuration read from TOML."""

from nvscope.config.files import config_folders, find_config, load_toml, read_model, validate
from nvscope.config.models import (
    Detector,
    Frozen,
    HistoryLimits,
    InstrumentSpec,
    Limits,
    Loading,
    Polygon,
    Rig,
    Sample,
    Settling,
    SimulatorSpec,
)

__all__ = [
    "Detector",
    "Frozen",
    "HistoryLimits",
    "InstrumentSpec",
    "Limits",
    "Loading",
    "Polygon",
    "Rig",
    "Sample",
    "Settling",
    "SimulatorSpec",
    "config_folders",
    "find_config",
    "load_toml",
    "read_model",
    "validate",
]
