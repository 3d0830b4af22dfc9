"""What the camera sees: the NV layer worked out once per state, frames from it as often as asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nvscope.config import Loading
from nvscope_simulators.world.camera import Camera
from nvscope_simulators.world.geometry import Array
from nvscope_simulators.world.imaging import View, scenery, shifted
from nvscope_simulators.world.maps import SampleMaps
from nvscope_simulators.world.sample import SampleTruth
from nvscope_simulators.world.sample_state import Magnetism
from nvscope_simulators.world.settings import WorldSettings
from nvscope_simulators.world.spectrum import Lines
from nvscope_simulators.world.spins import SpinLayer

TEMPERATURE_STEP = 0.02
"""K beyond which the picture is worked out anew; at the steepest χ(T) that is 3e-4 in s."""
_FIELD_STEP = 2e-8  # T: likewise; 2e-6 in s at 97 G
_SHIFT_STEP = 0.01  # pixels: likewise; 5e-4 in s at the sharpest edge
_FOCUS_STEP = 2e-8  # m: likewise; 6 nm of blur
_CACHED_BYTES = 96 * 2**20


@dataclass
class Picture:
    """The NV layer at one temperature (K), applied field (T, shape (3,)), place in the image (m), focus and power.

    `field` (T, culet frame, (3, n)), `frequencies` (Hz) and `strengths` (4, 2, n) belong to that state; `behind` is the
    light that what lies behind the NV layer reflects, relative to the anvil, shape (n,); `images` holds
    brightness by microwave frequency as it is asked for.
    """

    temperature: float
    applied: Array
    shift: tuple[float, float]
    focus: float | None
    power_dbm: float
    field: Array
    frequencies: Array
    strengths: Array
    lines: Lines
    behind: NDArray[np.float32]
    images: dict[float | None, NDArray[np.float32]]


def _refocused(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return before is not now
    return abs(now - before) > _FOCUS_STEP


class Microscope:
    """Laser spot, NV layer, lens and camera over one loaded sample."""

    def __init__(
        self, truth: SampleTruth, loading: Loading, maps: SampleMaps, settings: WorldSettings, seed: int
    ) -> None:
        self._mirrored = loading.mirrored
        self._grid = maps.grid
        self._view = View(settings.optics, seed)
        self.spins = SpinLayer(truth, loading, maps, settings)
        self.camera = Camera(settings.camera, settings.optics, truth.photons, maps.grid, seed)
        self._scenery = scenery(loading, maps, settings.optics)
        self._picture: Picture | None = None

    def current(
        self, rig_time: float, temperature: float, applied: Array, focus: float | None, power_dbm: float
    ) -> Picture | None:
        """Return the picture worked out last if it still holds for this state, else None."""
        old = self._picture
        if old is None:
            return None
        shift = self._view.displacement(rig_time, temperature)
        moved = max(abs(a - b) for a, b in zip(shift, old.shift, strict=True))
        if (
            abs(old.temperature - temperature) > TEMPERATURE_STEP
            or np.any(np.abs(old.applied - applied) > _FIELD_STEP)
            or moved > _SHIFT_STEP * min(self._grid.pixel)
            or _refocused(old.focus, focus)
        ):
            return None
        if old.power_dbm != power_dbm:
            old.power_dbm, old.images = power_dbm, {}
            old.lines = self.spins.lines(old.frequencies, old.strengths, old.field, power_dbm)
        return old

    def look(
        self,
        rig_time: float,
        temperature: float,
        applied: Array,
        focus: float | None,
        power_dbm: float,
        magnetism: Magnetism,
    ) -> Picture:
        """Work out the picture of this state."""
        shift = self._view.displacement(rig_time, temperature)
        blur = self._view.extra_blur(temperature, focus)
        stray = magnetism.stray_field(shift, blur).reshape(3, -1)
        if self._mirrored:
            stray[1] *= -1  # culet Y runs against image y
        field = np.ascontiguousarray(stray + applied[:, None])
        frequencies, strengths = self.spins.positions(temperature, field, shift)
        lines = self.spins.lines(frequencies, strengths, field, power_dbm)
        behind = self._scenery_at(shift, 0.0 if focus is None else blur)
        picture = Picture(
            temperature, applied.copy(), shift, focus, power_dbm, field, frequencies, strengths, lines, behind, {}
        )
        self._picture = picture
        return picture

    def _scenery_at(self, shift: tuple[float, float], blur: float) -> NDArray[np.float32]:
        """Return the light reflected from behind the NV layer, the cell moved by `shift` (m, x, y), `blur` (m) added.

        Without a motorised focus it stays as sharp as the operator made it.
        """
        seen = self._scenery
        if blur:
            seen = gaussian_filter(seen, [blur / pitch for pitch in self._grid.pitch], mode="nearest")
        rows, columns = (amount / pitch for amount, pitch in zip(shift[::-1], self._grid.pitch, strict=True))
        return self._grid.to_camera(shifted(seen, rows, columns)).astype(np.float32).ravel()

    def relative(self, picture: Picture, frequency: float | None) -> NDArray[np.float32]:
        """Return brightness relative to a bare anvil at `frequency` (Hz; None: off), shape (n,); kept for reuse."""
        image = picture.images.get(frequency)
        if image is None:
            image = picture.behind if frequency is None else picture.lines.relative(frequency) * picture.behind
            if len(picture.images) * image.nbytes > _CACHED_BYTES:
                picture.images.pop(next(iter(picture.images)))
            picture.images[frequency] = image
        return image
