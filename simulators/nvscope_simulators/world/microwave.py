"""The microwave field of the wire: how it falls off, which way it points, how it varies with frequency."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nvscope.config import Loading
from nvscope_simulators.world.geometry import Grid
from nvscope_simulators.world.settings import MicrowaveSettings

Array = NDArray[np.float64]


class Wire:
    """A straight wire along the long side of the loading's wire polygon, below the NV layer.

    Attributes
    ----------
    amplitude : Array, camera shape
        Field amplitude relative to the image's centre.
    direction : Array, shape (3,)
        Unit vector of the (linearly polarised) field, culet frame.
    """

    def __init__(self, settings: MicrowaveSettings, loading: Loading, grid: Grid) -> None:
        self._settings = settings
        vertices = [np.asarray(p.vertices) for p in loading.polygons if p.kind == "wire"]
        corners = (np.concatenate(vertices) - 0.5) * grid.extent if vertices else np.array([[-0.5, -0.5], [-0.5, 0.5]])
        if not vertices:
            corners = corners * grid.extent
        middle = corners.mean(axis=0)
        # the long side is the direction in which the corners scatter most
        along = np.linalg.svd(corners - middle)[2][0]
        across = np.array([-along[1], along[0]])
        x, y = grid.camera_coordinates()
        aside = across[0] * (x - middle[0]) + across[1] * (y - middle[1])
        distance = np.hypot(aside, settings.distance)
        self.amplitude: Array = math.hypot(float(across @ middle), settings.distance) / distance
        side = -1.0 if loading.mirrored else 1.0
        plane = math.cos(settings.elevation)
        self.direction: Array = np.array([plane * across[0], plane * side * across[1], math.sin(settings.elevation)])

    def ripple(self, frequency: Array) -> Array:
        """Return the amplitude at `frequency` (Hz) relative to its mean."""
        s = self._settings
        return np.asarray(1 + s.ripple * np.sin(2 * np.pi / s.ripple_period * (frequency - 2.87e9)))

    def power(self, power_dbm: float) -> float:
        """Return the power (W) arriving at the wire for a source power (dBm)."""
        return float(1e-3 * 10 ** ((power_dbm + self._settings.amplifier_gain_db) / 10))
