"""Magnets: what the currents in them do at the sample."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nvscope_simulators.world.settings import MagnetAxisSettings


class MagnetAxis:
    """One magnet with its winding temperature."""

    def __init__(self, settings: MagnetAxisSettings, room_temperature: float) -> None:
        direction = np.array(settings.direction, dtype=np.float64)
        length = float(np.linalg.norm(direction))
        if length == 0:
            raise ValueError("a magnet's direction must not be the null vector")
        self._settings = settings
        self._per_ampere = settings.tesla_per_ampere * direction / length
        self._room = room_temperature
        self._temperature = room_temperature
        self._lag = 0.0  # A: a play operator of half-width `coercive_current`, which follows the current when pushed

    @property
    def temperature(self) -> float:
        """Winding temperature (K)."""
        return self._temperature

    @property
    def resistance(self) -> float:
        """Winding resistance (ohm) at its present temperature."""
        s = self._settings
        return s.resistance * (1 + s.temperature_coefficient * (self._temperature - self._room))

    def follow(self, current: float) -> None:
        """Let the remanence follow `current` (A): what a large current leaves stays until it is turned over."""
        width = self._settings.coercive_current
        self._lag = min(current + width, max(current - width, self._lag))

    def advance(self, seconds: float, current: float) -> None:
        """Heat the winding with `current` (A) for `seconds`; exact for constant resistance, in steps of 5 s at most."""
        s = self._settings
        if s.resistance == 0 or s.thermal_resistance == 0:
            return
        tau = s.thermal_resistance * s.heat_capacity
        remaining = seconds
        while remaining > 0:
            step = min(remaining, 5.0) if current else remaining
            final = self._room + s.thermal_resistance * current * current * self.resistance
            self._temperature = final + (self._temperature - final) * math.exp(-step / tau)
            remaining -= step

    def field(self, current: float) -> NDArray[np.float64]:
        """Return the field (T) at `current` (A), remanence included, shape (3,), culet frame."""
        s = self._settings
        left = s.remanence * max(-1.0, min(1.0, self._lag / s.coercive_current))
        return self._per_ampere * (current + left / s.tesla_per_ampere)


class Magnets:
    """All magnets of a rig and the field that is there without them."""

    def __init__(
        self,
        settings: Mapping[str, MagnetAxisSettings],
        residual: tuple[float, float, float],
        room_temperature: float,
    ) -> None:
        self._axes = {name: MagnetAxis(axis, room_temperature) for name, axis in settings.items()}
        self._residual = np.array(residual, dtype=np.float64)

    def axis(self, name: str) -> MagnetAxis:
        """Return one magnet; the error lists what there is."""
        try:
            return self._axes[name]
        except KeyError:
            known = ", ".join(sorted(self._axes)) or "none"
            raise ValueError(f"no magnet axis called {name!r}; the world has {known}") from None

    def follow(self, currents: Mapping[str, float]) -> None:
        """Let the remanence of every magnet follow its current (A by axis)."""
        for name, axis in self._axes.items():
            axis.follow(currents.get(name, 0.0))

    def advance(self, seconds: float, currents: Mapping[str, float]) -> None:
        """Let windings warm under `currents` (A by axis)."""
        for name, axis in self._axes.items():
            axis.advance(seconds, currents.get(name, 0.0))

    def field(self, currents: Mapping[str, float]) -> NDArray[np.float64]:
        """Return the field (T) at the sample, shape (3,), culet frame, the residual included."""
        unknown = set(currents) - set(self._axes)
        if any(currents[name] for name in unknown):
            self.axis(min(unknown))
        total = self._residual.copy()
        for name, axis in self._axes.items():
            total += axis.field(currents.get(name, 0.0))
        return total
