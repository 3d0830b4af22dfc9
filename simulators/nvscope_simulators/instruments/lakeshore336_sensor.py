"""A sensor at an input of a Lake Shore controller: what it says, how well, and what is wrong with it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nvscope.config import Frozen
from nvscope.units import Kelvin
from nvscope_simulators.instruments.lakeshore336_memory import six
from nvscope_simulators.instruments.lakeshore_curves import CURVES, Curve
from nvscope_simulators.world.interface import World

INVALID, UNDER, OVER, ZERO_UNITS, OVER_UNITS = 1, 16, 32, 64, 128
Trouble = Literal["none", "open", "short", "over", "under", "bogus"]


class SensorSettings(Frozen):
    """A sensor and where it is."""

    world: Literal["sample", "stage", "platform"] = Field(default="sample", description="where it is mounted")
    curve: Literal["CX-1050", "DT-670", "PT-100", "none"] = Field(default="CX-1050", description='"none": no sensor')
    offset: Kelvin = Field(default=0.0, description="error of its calibration")
    noise: Kelvin = Field(default=0.001, description="standard deviation of a reading")


class Sensor:
    """An input with its sensor."""

    def __init__(self, world: World, settings: SensorSettings) -> None:
        self._world = world
        self._settings = settings
        self.present = settings.curve != "none"
        self.curve: Curve | None = None
        self.curve_number = 0
        if self.present:
            self.curve_number, self.curve = CURVES[settings.curve]
        self.name = settings.world.capitalize() if self.present else ""
        # INTYPE: sensor type, autorange, range, compensation, preferred units
        self.type = [self.curve.input_type, 1, 0, 1, 1] if self.curve else [0, 0, 0, 0, 1]
        self._trouble: Trouble = "none"
        self._bogus_left = 0
        self._lowest, self._highest = float("inf"), float("-inf")

    def set_trouble(self, trouble: Trouble, count: int = 1) -> None:
        """Break the sensor, or mend it; ``"bogus"`` makes the next `count` readings senseless though called valid."""
        self._trouble = "none" if trouble == "bogus" else trouble
        self._bogus_left = count if trouble == "bogus" else 0

    def measure(self) -> tuple[float, int]:
        """Return the temperature (K) and its status; 0 K where there is no valid reading, as the instrument does."""
        if self._bogus_left:
            self._bogus_left -= 1
            return 0.0, 0
        true = self._true()
        status = self._status(true)
        if status:
            return 0.0, status
        value = true + self._settings.offset + self._settings.noise * self._world.rng.standard_normal()
        if value < self._lowest:
            self._lowest = value
        if value > self._highest:
            self._highest = value
        return value, 0

    def kelvin(self) -> float:
        """Read the temperature (K)."""
        return self.measure()[0]

    def units(self) -> float:
        """Read the sensor itself (V or ohm)."""
        curve = self.curve
        if curve is None or self._trouble == "short":
            return 0.0
        if self._trouble == "open":
            return 10.0 if curve.input_type == 1 else 100000.0
        return curve.units(self._true() + self._settings.offset)

    def status(self) -> int:
        """Return the reading status bits (``RDGST?``)."""
        return self._status(self._true())

    def _status(self, true: float) -> int:
        curve = self.curve
        if curve is None or self.type[0] == 0:
            return INVALID
        if self._trouble != "none":
            return {"open": OVER_UNITS, "short": ZERO_UNITS, "over": OVER, "under": UNDER}[self._trouble]
        return UNDER if true < curve.lowest else OVER if true > curve.highest else 0

    def extremes(self) -> str:
        """Return the lowest and highest reading since the last reset."""
        if self._lowest > self._highest:
            return f"{six(0.0)},{six(0.0)}"
        return f"{six(self._lowest)},{six(self._highest)}"

    def reset_extremes(self) -> None:
        """Start the extremes anew."""
        self._lowest, self._highest = float("inf"), float("-inf")

    def _true(self) -> float:
        return self._world.temperature(self._settings.world)


__all__ = ["Curve", "Sensor", "SensorSettings", "Trouble"]
