"""A bench instead of a lab: a world of plain numbers to try an instrument or its driver against."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nvscope_simulators.ports import Ports
from nvscope_simulators.timeline import Timeline


@dataclass
class BenchWorld:
    """A coil of constant resistance and four ohmic contacts at fixed temperature; every number can be changed.

    Attributes
    ----------
    coil_ohms, lead_ohms, sample_ohms : float
        Resistance of the coil, of all leads in series with the sample, and of the sample between its inner contacts.
    offset, offset_drift : float
        Thermoelectric voltage (V) and its drift (V/s).
    """

    timeline: Timeline = field(default_factory=Timeline)
    ports: Ports = field(default_factory=Ports)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    tesla_per_ampere: float = 1e-3
    coil_ohms: float = 0.6
    coil_kelvin: float = 295.0
    lead_ohms: float = 100.0
    sample_ohms: float = 0.5
    offset: float = 0.0
    offset_drift: float = 0.0
    kelvin: dict[str, float] = field(default_factory=lambda: {"sample": 295.0, "stage": 295.0, "platform": 295.0})

    def temperature(self, sensor: str) -> float:
        """Return the temperature (K) of one of the sensors in `kelvin`."""
        return self.kelvin[sensor]

    def coil_resistance(self, axis: str) -> float:
        """Return `coil_ohms`, whatever the axis."""
        return self.coil_ohms

    def coil_temperature(self, axis: str) -> float:
        """Return `coil_kelvin`, whatever the axis."""
        return self.coil_kelvin

    def applied_field(self) -> NDArray[np.float64]:
        """Return the field (T), each axis from its own current."""
        current = self.ports.magnet.current
        return self.tesla_per_ampere * np.array([current.get(axis, 0.0) for axis in "xyz"])

    def four_probe_voltage(self, current: float) -> float:
        """Return the voltage (V) between the inner contacts."""
        return self.sample_ohms * current + self.offset + self.offset_drift * self.timeline.now

    def two_probe_voltage(self, current: float) -> float:
        """Return the voltage (V) the source has to supply."""
        return (self.sample_ohms + self.lead_ohms) * current

    @property
    def image_shape(self) -> tuple[int, int]:
        """Return a small camera's shape."""
        return 8, 8

    @property
    def saturation(self) -> int:
        """Return what 16 bits hold."""
        return 65535

    def expose(self, exposure: float, out: NDArray[np.uint16]) -> None:
        """Fill `out` with a constant."""
        out[:] = 1000
