"""How the microscope's view of the cell changes: thermal contraction, slow drift, focus."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from nvscope.config import Loading
from nvscope_simulators.world.geometry import Array, region
from nvscope_simulators.world.maps import SampleMaps
from nvscope_simulators.world.settings import OpticsSettings

_DRIFT_STEP = 60.0  # s between the random walk's own steps, whoever looks in between


def contraction(temperature: float) -> float:
    """Return how much of the contraction from 300 K to 0 K has happened at `temperature` (K), as in copper or steel."""
    return 1 - (max(temperature, 0.0) / 300.0) ** 1.7


class View:
    """Where the cell is in the image and how sharp, by rig time and temperature; everything is at rest when focused."""

    def __init__(self, optics: OpticsSettings, seed: int) -> None:
        self._optics = optics
        self._rng = np.random.default_rng(np.random.SeedSequence([seed, 0xD21F7]))
        self._walk = [np.zeros(2)]

    def displacement(self, rig_time: float, temperature: float) -> tuple[float, float]:
        """Return the cell's displacement (x, y) in the image (m)."""
        o = self._optics
        moved = o.contraction * (contraction(temperature) - contraction(o.focus_temperature))
        walked = self._walked(rig_time)
        x = moved * math.cos(o.contraction_azimuth) + float(walked[0])
        return x, moved * math.sin(o.contraction_azimuth) + float(walked[1])

    def extra_blur(self, temperature: float, focus: float | None = None) -> float:
        """Return what defocus adds to the blur, in quadrature (m), with the objective at `focus` (m; None: fixed).

        The cone of light from a point is a disc out of focus, of radius distance times tangent of the aperture's angle;
        the standard deviation of a disc is half its radius.
        """
        o = self._optics
        contracted = o.defocus * (contraction(temperature) - contraction(o.focus_temperature))
        moved = 0.0 if focus is None else o.focus_blur * (focus - o.best_focus)
        return abs(contracted - moved)

    def best_focus(self, temperature: float) -> float:
        """Return where a motorised focus is sharp (m)."""
        o = self._optics
        contracted = contraction(temperature) - contraction(o.focus_temperature)
        return o.best_focus + o.defocus / o.focus_blur * contracted

    def _walked(self, rig_time: float) -> Array:
        if self._optics.drift == 0:
            return self._walk[0]
        position = max(rig_time, 0.0) / _DRIFT_STEP
        index = int(position)
        while len(self._walk) < index + 2:
            step = self._rng.normal(0.0, self._optics.drift * math.sqrt(_DRIFT_STEP), 2)
            self._walk.append(self._walk[-1] + step)
        before, after = self._walk[index], self._walk[index + 1]
        return np.asarray(before + (position - index) * (after - before))


def scenery(loading: Loading, maps: SampleMaps, optics: OpticsSettings) -> Array:
    """Return how much brighter than bare anvil the NV layer looks over what lies behind it, on the fine grid.

    Wire and leads are metal and send light back; the sample sends back half as much. The lens blurs it all.
    """
    x, y = maps.grid.coordinates()
    metal = region(loading, "wire", x, y) | region(loading, "lead", x, y)
    seen = np.where(metal, optics.reflection, np.where(maps.body, optics.reflection / 2, 0.0))
    return np.asarray(1 + gaussian_filter(seen, [optics.blur / pitch for pitch in maps.grid.pitch], mode="nearest"))


def shifted(images: Array, rows: float, columns: float) -> Array:
    """Move smooth images (..., y, x) by a fraction of a pixel, linearly interpolated, edges repeated."""
    result = images
    for axis, amount in ((-2, rows), (-1, columns)):
        if amount == 0:
            continue
        n = images.shape[axis]
        position = np.clip(np.arange(n) - amount, 0, n - 1)
        low = np.minimum(position.astype(np.intp), n - 2)
        part = (position - low)[:, None] if axis == -2 else position - low
        below, above = (np.take(result, low + k, axis=axis) for k in (0, 1))
        result = below + part * (above - below)
    return result
