"""The older one-word dialect of Stanford Research instruments: numbers, units, error codes.

Codes are those of the SG380 series manual (LERR?).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from nvscope_simulators.instruments.scpi import CommandError

ILLEGAL_VALUE = (10, "Illegal value")
NOT_ALLOWED = (12, "Not allowed")
UNDEFINED = (111, "Undefined command")
ILLEGAL_QUERY = (112, "Illegal query")
ILLEGAL_SET = (113, "Illegal set")
EXTRA = (115, "Extra parameters")
MISSING = (116, "Missing parameters")
BAD_FLOAT = (118, "Invalid floating point number")
BAD_INTEGER = (120, "Invalid integer")
SYNTAX = (126, "Syntax error")
BAD_UNITS = (127, "Illegal units")
OVERRUN = (171, "Over run")

_NUMBER = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*([A-Za-z]*)$")
HERTZ = {"": 1.0, "HZ": 1.0, "KHZ": 1e3, "MHZ": 1e6, "GHZ": 1e9}
VOLTS = {"": 1.0, "V": 1.0, "MV": 1e-3}
SECONDS = {"": 1.0, "S": 1.0, "MS": 1e-3, "US": 1e-6, "NS": 1e-9}
_NONE = {"": 1.0}
POWER = {"": 1.0, "DBM": 1.0}


@dataclass(frozen=True)
class Parameter:
    """A number that can be set and read back."""

    default: float
    low: float
    high: float
    decimals: int = 0
    units: dict[str, float] | None = None


def volts(dbm: float, unit: str) -> float:
    """Convert a power (dBm into 50 ohm) to volts, ``RMS`` or ``VPP``."""
    rms = math.sqrt(50.0 * 1e-3 * 10 ** (dbm / 10))
    return rms if unit == "RMS" else 2 * math.sqrt(2) * rms


def read_number(text: str, parameter: Parameter) -> float:
    """Read a number with its unit, within the limits of `parameter`; one without decimals must be an integer."""
    match = _NUMBER.match(text)
    if match is None:
        raise CommandError(*BAD_FLOAT)
    number, unit = float(match[1]), match[2].upper()
    units = parameter.units or _NONE
    if unit in units:
        value = number * units[unit]
    elif units is POWER and unit in ("VPP", "RMS"):
        if number <= 0:
            raise CommandError(*ILLEGAL_VALUE)
        value = 10 * math.log10((number / volts(0.0, unit)) ** 2)
    else:
        raise CommandError(*BAD_UNITS)
    if not parameter.low <= value <= parameter.high:
        raise CommandError(*ILLEGAL_VALUE)
    if parameter.decimals == 0 and value != int(value):
        raise CommandError(*BAD_INTEGER)
    return round(value, parameter.decimals)


def read_integer(text: str) -> int:
    """Read a plain integer."""
    if not re.fullmatch(r"[+-]?\d{1,9}", text):
        raise CommandError(*BAD_INTEGER)
    return int(text)
