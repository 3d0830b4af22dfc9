"""Quantities at the human boundary: text with units in, SI floats inside.

Everything past this module is SI (tesla, hertz, kelvin, second, pascal, metre, ampere, watt, radian). A field of a
configuration model is annotated with one of the types below; it then accepts ``"97 G"`` or ``"0.0097 T"``, refuses the
wrong dimension, and holds a plain float.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import pint
from pydantic import BeforeValidator

__all__ = [
    "Amperes",
    "DBm",
    "Fraction",
    "Hertz",
    "Kelvin",
    "KelvinPerSecond",
    "Metres",
    "Ohms",
    "Pascals",
    "Radians",
    "Seconds",
    "Tesla",
    "TeslaPerAmpere",
    "TeslaPerSecond",
    "Unit",
    "Watts",
    "format_quantity",
    "parse_quantity",
]


@lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry[Any]:
    # pint's own gauss is Gaussian-cgs (cm^-1/2 g^1/2 / s) and does not convert; labs mean 1e-4 T
    registry: pint.UnitRegistry[Any] = pint.UnitRegistry(
        autoconvert_offset_to_baseunit=True, preprocessors=[lambda text: _GAUSS.sub(r"\1lab_gauss", text)]
    )
    registry.define("lab_gauss = 1e-4 * tesla = G_")
    return registry


_GAUSS = re.compile(r"(?<![A-Za-z_])([mkuµn]?)(?:G|Oe|gauss|Gauss)(?![A-Za-z_])")


def parse_quantity(value: object, unit: str) -> float:
    """Convert a human quantity to a float in `unit`.

    Parameters
    ----------
    value : str, int or float
        ``"97 G"``; a bare number is taken as zero or refused, because a number without a unit is ambiguous.
    unit : str
        The SI unit to convert to, in pint's spelling (``"tesla"``, ``"kelvin / second"``, ``""`` for a pure number).

    Raises
    ------
    ValueError
        If the text is not a quantity, has the wrong dimension, is not finite, or has no unit.
    """
    if isinstance(value, bool):
        raise ValueError(f"expected a quantity in {unit or 'no unit'}, got {value!r}")
    if isinstance(value, int | float):
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"expected a finite quantity in {unit}, got {number}")
        if unit and number != 0.0:
            raise ValueError(f'{number:g} has no unit; write it with one, for example "{number:g} {_short(unit)}"')
        return number
    if not isinstance(value, str):
        raise ValueError(f"expected a quantity in {unit or 'no unit'}, got {type(value).__name__}")
    text = value.strip()
    match = _NUMBER_AND_UNIT.match(text)
    if match is None:
        raise ValueError(f'{text!r} is not a quantity; write a number and a unit, for example "1 {_short(unit)}"')
    if unit and not match["unit"]:
        return parse_quantity(float(match["number"]), unit)
    try:
        quantity: Any = _registry().Quantity(float(match["number"]), match["unit"])
    except Exception as error:  # pint raises a dozen unrelated types for unreadable text
        raise ValueError(f"{match['unit']!r} is not a unit; expected one of {_short(unit) or 'none'}") from error
    try:
        number = float(quantity.to(unit).magnitude)
    except pint.DimensionalityError as error:
        raise ValueError(f"{text!r} is {quantity.dimensionality}, expected a quantity in {_short(unit)}") from error
    if not math.isfinite(number):
        raise ValueError(f"expected a finite quantity in {_short(unit)}, got {text!r}")
    return number


_NUMBER_AND_UNIT = re.compile(
    # a number and product of unit names: no expressions, so that no text can make pint compute for ever
    r"^(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>[A-Za-zµΩ°%][A-Za-zµΩ°%0-9_ ./*²³-]{0,40})?$"
)


def _short(unit: str) -> str:
    return f"{_registry().Unit(unit):~}".replace(" / ", "/") if unit else ""


@dataclass(frozen=True)
class Unit:
    """Annotation that makes a float field accept text with units, and tells forms how to show it.

    Attributes
    ----------
    si : str
        The unit of the stored float.
    display : str
        The unit people use.
    """

    si: str
    display: str

    def parse(self, value: object) -> object:
        """Validate one value; floats already validated (from a resolved model) pass through."""
        return value.value if isinstance(value, Resolved) else parse_quantity(value, self.si)


@dataclass(frozen=True)
class Resolved:
    """A float known to be SI already; lets code build configuration models without going through text."""

    value: float


def format_quantity(value: float, unit: Unit, digits: int = 6) -> str:
    """Write an SI float in the unit people use: ``format_quantity(0.0097, ...)`` → ``"97 G"``."""
    if unit.display == "dBm":
        return f"{value:.{digits}g} dBm"
    shown = _registry().Quantity(value, unit.si).to(unit.display)
    return f"{shown.magnitude:.{digits}g} {unit.display}".strip()


def _parse_dbm(value: object) -> object:
    if isinstance(value, Resolved):
        return value.value
    if isinstance(value, str):
        text = value.strip()
        if text.lower().endswith("dbm"):
            try:
                number = float(text[:-3])
            except ValueError:
                raise ValueError(f'{text!r} is not a power; write for example "10 dBm"') from None
            if math.isfinite(number):
                return number
        else:
            watts = parse_quantity(text, "watt")
            if watts > 0:
                return 10 * math.log10(watts / 1e-3)
    raise ValueError(f'expected a power such as "10 dBm" or "10 mW", got {value!r}')


TESLA = Unit("tesla", "G")
HERTZ = Unit("hertz", "MHz")
KELVIN = Unit("kelvin", "K")
SECONDS = Unit("second", "s")
KELVIN_PER_SECOND = Unit("kelvin / second", "K/min")
TESLA_PER_SECOND = Unit("tesla / second", "G/s")
TESLA_PER_AMPERE = Unit("tesla / ampere", "G/A")
PASCALS = Unit("pascal", "GPa")
METRES = Unit("metre", "um")
AMPERES = Unit("ampere", "A")
WATTS = Unit("watt", "mW")
OHMS = Unit("ohm", "ohm")
RADIANS = Unit("radian", "degree")
DBM = Unit("dBm", "dBm")

Tesla = Annotated[float, BeforeValidator(TESLA.parse), TESLA]
Hertz = Annotated[float, BeforeValidator(HERTZ.parse), HERTZ]
Kelvin = Annotated[float, BeforeValidator(KELVIN.parse), KELVIN]
Seconds = Annotated[float, BeforeValidator(SECONDS.parse), SECONDS]
KelvinPerSecond = Annotated[float, BeforeValidator(KELVIN_PER_SECOND.parse), KELVIN_PER_SECOND]
TeslaPerSecond = Annotated[float, BeforeValidator(TESLA_PER_SECOND.parse), TESLA_PER_SECOND]
TeslaPerAmpere = Annotated[float, BeforeValidator(TESLA_PER_AMPERE.parse), TESLA_PER_AMPERE]
Pascals = Annotated[float, BeforeValidator(PASCALS.parse), PASCALS]
Metres = Annotated[float, BeforeValidator(METRES.parse), METRES]
Amperes = Annotated[float, BeforeValidator(AMPERES.parse), AMPERES]
Watts = Annotated[float, BeforeValidator(WATTS.parse), WATTS]
Ohms = Annotated[float, BeforeValidator(OHMS.parse), OHMS]
Radians = Annotated[float, BeforeValidator(RADIANS.parse), RADIANS]
DBm = Annotated[float, BeforeValidator(_parse_dbm), DBM]
Fraction = float
