"""The laser spot and the camera: electrons with their noise, as digital units."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from nvscope_simulators.world.geometry import Grid
from nvscope_simulators.world.kernels import kernel
from nvscope_simulators.world.sample import PhotonBudget
from nvscope_simulators.world.settings import CameraSettings, OpticsSettings

Array = NDArray[np.float64]


def beam_profile(optics: OpticsSettings, grid: Grid) -> Array:
    """Return the Gaussian excitation relative to the beam's centre, camera shape."""
    x, y = grid.camera_coordinates()
    cx, cy = ((fraction - 0.5) * grid.extent for fraction in optics.beam_center)
    return np.asarray(np.exp(-2 * ((x - cx) ** 2 + (y - cy) ** 2) / optics.beam_radius**2))


def fixed_pattern(settings: CameraSettings) -> tuple[Array, Array]:
    """Return sensitivity (mean 1) and dark current (electrons/s) of each pixel, camera shape: this camera's own."""
    rng = np.random.default_rng(settings.serial)
    shape = (settings.height, settings.width)
    sensitivity = 1 + settings.flatness * np.clip(rng.standard_normal(shape), -3, 3)
    dark = np.full(shape, settings.dark_current)
    hot = rng.random(shape) < settings.hot_pixels
    dark[hot] += settings.hot_current * np.exp(rng.standard_normal(int(hot.sum())))
    return sensitivity, dark


@kernel
def _normal(bits: np.uint32, quantiles: NDArray[np.float32]) -> np.float32:
    """Turn 32 random bits into a normal variate: quantiles interpolated in a table, its two end cells worked out."""
    cell = bits >> np.uint32(20)
    part = np.float32(bits & np.uint32(0xFFFFF)) * np.float32(1 / 0x100000)
    if cell == 0 or cell == 4095:
        p = (part + np.float32(5e-7)) / np.float32(4096)
        if cell == 4095:
            p = (np.float32(1) - part + np.float32(5e-7)) / np.float32(4096)
        # Abramowitz and Stegun 26.2.23, good to 4.5e-4
        u = np.sqrt(np.float32(-2) * np.log(p))
        top = np.float32(2.515517) + u * (np.float32(0.802853) + u * np.float32(0.010328))
        bottom = np.float32(1) + u * (np.float32(1.432788) + u * (np.float32(0.189269) + u * np.float32(0.001308)))
        size = u - top / bottom
        return -size if cell == 0 else size
    return quantiles[cell] + part * (quantiles[cell + 1] - quantiles[cell])


@kernel
def _digitise(
    relative: NDArray[np.float32],
    electrons: NDArray[np.float32],
    dark: NDArray[np.float32],
    numbers: NDArray[np.float32],
    quantiles: NDArray[np.float32],
    state: np.uint64,
    out: NDArray[np.uint16],
) -> np.uint64:
    scale, dark_scale, read_variance = numbers[0], numbers[1], numbers[2]
    full_well, per_electron, offset = numbers[3], numbers[4], numbers[5]
    sixth, one, half = np.float32(1 / 6), np.float32(1), np.float32(0.5)
    word = np.uint64(0)
    for i in range(out.size):
        if i & 1:
            bits = np.uint32(word >> np.uint64(32))
        else:  # splitmix64 (Steele, Lea and Flood, OOPSLA 2014); one word serves two pixels
            state += np.uint64(0x9E3779B97F4A7C15)
            word = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            word ^= word >> np.uint64(31)
            bits = np.uint32(word & np.uint64(0xFFFFFFFF))
        z = _normal(bits, quantiles)
        mean = relative[i] * electrons[i] * scale + dark[i] * dark_scale
        variance = mean + read_variance
        # a Poisson variable is not symmetric: the last term gives the sum its third cumulant (Cornish and Fisher)
        value = mean + np.sqrt(variance) * z + sixth * mean / variance * (z * z - one)
        counts = min(value, full_well) * per_electron + offset + half
        out[i] = np.uint16(max(np.float32(0), min(np.float32(65535), counts)))
    return state


class Camera:
    """Turns relative brightness into frames, with a random stream of its own."""

    def __init__(
        self, settings: CameraSettings, optics: OpticsSettings, photons: PhotonBudget, grid: Grid, seed: int
    ) -> None:
        self._settings = settings
        self._photons = photons
        self._state = np.random.SeedSequence([seed, 0xCA3E4A]).generate_state(1, np.uint64)[0]
        cells = np.linspace(0.0, 1.0, 4097)
        cells[0], cells[-1] = 0.5 / 4096, 1 - 0.5 / 4096  # unused: the end cells are worked out
        self._quantiles = ndtri(cells).astype(np.float32)
        self._saturation_power = optics.saturation_power
        sensitivity, dark = fixed_pattern(settings)
        self._electrons = (photons.electrons * sensitivity * beam_profile(optics, grid)).astype(np.float32).ravel()
        self._dark = dark.astype(np.float32).ravel()

    @property
    def saturation(self) -> int:
        """Digital value of a full well, or the largest of 16 bits if that comes first."""
        s = self._settings
        return min(65535, math.floor(s.full_well / s.gain + s.offset + 0.5))

    def brightness(self, exposure: float, laser_power: float) -> float:
        """Return the exposure relative to the photon budget's for `exposure` (s) and `laser_power` (W).

        Fluorescence of a driven optical transition saturates as P/(P + P_sat).
        """
        nominal, half = self._photons.laser_power, self._saturation_power
        return exposure / self._photons.exposure * laser_power / nominal * (nominal + half) / (laser_power + half)

    def mean_electrons(self, relative: NDArray[np.float32], exposure: float, laser_power: float) -> Array:
        """Return the expected photoelectrons of one exposure, without noise, shape (n,)."""
        light = relative.astype(np.float64) * self._electrons * self.brightness(exposure, laser_power)
        return np.asarray(light + self._dark * exposure)

    def digitise(
        self, relative: NDArray[np.float32], exposure: float, laser_power: float, out: NDArray[np.uint16]
    ) -> None:
        """Fill `out` (camera shape, C order) with one noisy exposure."""
        if not out.flags.c_contiguous or out.size != self._electrons.size:
            raise ValueError(f"a frame of {self._electrons.size} pixels in C order is needed, got shape {out.shape}")
        s = self._settings
        numbers = (
            self.brightness(exposure, laser_power),
            exposure,
            max(s.read_noise**2, 1e-9),
            s.full_well,
            1 / s.gain,
            s.offset,
        )
        advanced = _digitise(
            relative,
            self._electrons,
            self._dark,
            np.array(numbers, dtype=np.float32),
            self._quantiles,
            self._state,
            out.reshape(-1),
        )
        self._state = np.uint64(advanced)  # numba hands back a Python integer
