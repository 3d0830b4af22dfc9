"""Typical temperature sensors of a cryostat: kelvin to sensor units and back.

Points are Lake Shore's published typical responses (temperature catalogue, curves CX-1050, DT-670 and PT-100).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nvscope_simulators.instruments.lakeshore336_memory import six

_CX1050 = (
    *((1.4, 26566.0), (2.0, 11844.0), (3.0, 5733.4), (4.2, 3507.2), (6.0, 2252.9), (10.0, 1313.5), (20.0, 692.81)),
    *((30.0, 482.08), (40.0, 373.12), (50.0, 305.19), (77.35, 205.67), (100.0, 162.81), (150.0, 112.05)),
    *((200.0, 85.8), (250.0, 69.96), (300.0, 59.467), (325.0, 55.4)),
)
_DT670 = (
    *((1.4, 1.644290), (4.2, 1.578480), (10.0, 1.381373), (20.0, 1.197748), (30.0, 1.106244), (50.0, 1.069810)),
    *((77.35, 1.020482), (100.0, 0.975453), (150.0, 0.868735), (200.0, 0.757015), (250.0, 0.641330)),
    *((300.0, 0.522755), (350.0, 0.401831), (400.0, 0.279058), (500.0, 0.090681)),
)
_PT100 = ((30.0, 3.8201), (50.0, 9.1347), (77.35, 20.2313), (100.0, 29.9521), (200.0, 71.0736), (273.15, 100.0),
          (300.0, 110.354), (400.0, 148.62), (600.0, 221.535), (800.0, 289.789))  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """A sensor's response.

    Attributes
    ----------
    name, serial : str
        As ``CRVHDR?`` gives them.
    format : int
        2 volts, 3 ohms, 4 log ohms against kelvin.
    input_type : int
        ``INTYPE`` sensor type it belongs to: 1 diode, 2 platinum RTD, 3 NTC RTD.
    points : tuple of (kelvin, sensor units)
        Kelvin increasing.
    """

    name: str
    serial: str
    format: int
    input_type: int
    points: tuple[tuple[float, float], ...]

    @property
    def lowest(self) -> float:
        """Coldest point (K)."""
        return self.points[0][0]

    @property
    def highest(self) -> float:
        """Warmest point (K)."""
        return self.points[-1][0]

    @property
    def rising(self) -> bool:
        """Whether sensor units rise with temperature."""
        return self.points[-1][1] > self.points[0][1]

    def units(self, kelvin: float) -> float:
        """Return the sensor's response at `kelvin`, interpolated; the end values beyond the curve."""
        temperatures, units = np.array(self.points).T
        if self.format == 4:
            return float(np.exp(np.interp(np.log(max(kelvin, 1e-3)), np.log(temperatures), np.log(units))))
        return float(np.interp(kelvin, temperatures, units))

    def kelvin(self, units: float) -> float:
        """Return the temperature (K) at which the sensor answers `units`."""
        temperatures, response = np.array(self.points).T
        order = slice(None) if self.rising else slice(None, None, -1)
        if self.format == 4:
            logs = np.interp(np.log(max(units, 1e-3)), np.log(response)[order], np.log(temperatures)[order])
            return float(np.exp(logs))
        return float(np.interp(units, response[order], temperatures[order]))


CURVES: dict[str, tuple[int, Curve]] = {
    "CX-1050": (21, Curve("CX-1050-SD", "X01234", 4, 3, _CX1050)),
    "DT-670": (2, Curve("DT-670", "STANDARD C", 2, 1, _DT670)),
    "PT-100": (6, Curve("PT-100", "STANDARD C", 3, 2, _PT100)),
}
"""Sensor type → its place in the instrument's curve memory, and the curve."""


def curve_header(number: int) -> str:
    """Return ``CRVHDR?``: name, serial number, format, limit (K), coefficient (1 falling, 2 rising)."""
    for place, curve in CURVES.values():
        if place == number:
            slope = 2 if curve.rising else 1
            return f"{curve.name:<15},{curve.serial:<10},{curve.format},{six(curve.highest)},{slope}"
    return f"{'User Curve' if number > 20 else '':<15},{'':<10},2,{six(375.0)},1"


def curve_point(number: int, index: int) -> str:
    """Return ``CRVPT?``: sensor units and kelvin of one point, in order of sensor units; zeros beyond the last."""
    for place, curve in CURVES.values():
        if place == number:
            points = sorted((units, kelvin) for kelvin, units in curve.points)
            if index <= len(points):
                units, kelvin = points[index - 1]
                return f"{six(math.log10(units) if curve.format == 4 else units)},{six(kelvin)}"
    return f"{six(0.0)},{six(0.0)}"
