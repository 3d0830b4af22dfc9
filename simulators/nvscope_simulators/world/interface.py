"""What simulated instruments may ask of the world."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nvscope_simulators.ports import Ports
from nvscope_simulators.timeline import Timeline


class World(Protocol):
    """One sample in one cell in one cryostat; asked at `timeline.now`."""

    timeline: Timeline
    ports: Ports
    rng: np.random.Generator
    """For instrument noise (readings); frames have a stream of their own, so that one does not disturb the other."""

    def temperature(self, sensor: str) -> float:
        """Return the true temperature (K) at ``"sample"``, ``"stage"`` (cold finger) or ``"platform"``."""
        ...

    def coil_resistance(self, axis: str) -> float:
        """Return the resistance (ohm) of a resistive coil, warm from its own current."""
        ...

    def coil_temperature(self, axis: str) -> float:
        """Return the temperature (K) of a resistive coil."""
        ...

    def applied_field(self) -> NDArray[np.float64]:
        """Return the field (T) of all magnets at the sample, shape (3,), lab frame with Z along the culet normal."""
        ...

    def four_probe_voltage(self, current: float) -> float:
        """Return the voltage (V) between the inner contacts at `current` (A), thermoelectric offset in, no noise."""
        ...

    def two_probe_voltage(self, current: float) -> float:
        """Return the voltage (V) the current source has to supply, lead resistance included."""
        ...

    @property
    def image_shape(self) -> tuple[int, int]:
        """Camera image shape (y, x)."""
        ...

    @property
    def saturation(self) -> int:
        """Digital value of a saturated pixel."""
        ...

    def expose(self, exposure: float, out: NDArray[np.uint16]) -> None:
        """Fill `out` (y, x) with one exposure of `exposure` seconds ending now."""
        ...
