"""From line positions to the relative brightness of every pixel at one microwave frequency."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from nvscope_simulators.world.kernels import kernel
from nvscope_simulators.world.sample import PhotonBudget, SpinTruth

Array = NDArray[np.float64]

_ORIGIN = 2.87e9  # Hz; offsets from here keep single precision at the hertz level


@dataclass(frozen=True)
class Lines:
    """Every line of every pixel, single precision, shape (lines, n): offset from 2.87 GHz (MHz), width (MHz), depth."""

    offset: NDArray[np.float32]
    width: NDArray[np.float32]
    depth: NDArray[np.float32]
    hyperfine: float  # MHz

    def relative(self, frequency: float) -> NDArray[np.float32]:
        """Return brightness relative to no microwaves at `frequency` (Hz), shape (n,)."""
        out = np.ones(self.offset.shape[1], dtype=np.float32)
        at = np.float32((frequency - _ORIGIN) / 1e6)
        _add_lines(out, self.offset, self.width, self.depth, at, np.float32(self.hyperfine))
        return out


@kernel
def _add_lines(
    out: NDArray[np.float32],
    offset: NDArray[np.float32],
    width: NDArray[np.float32],
    depth: NDArray[np.float32],
    at: np.float32,
    hyperfine: np.float32,
) -> None:
    one, third = np.float32(1), np.float32(1 / 3)
    for line in range(offset.shape[0]):
        center, half, size = offset[line], width[line], depth[line]
        for i in range(out.size):
            inverse = one / half[i]
            middle = (at - center[i]) * inverse
            step = hyperfine * inverse
            left, right = middle - step, middle + step
            shape = one / (one + left * left) + one / (one + middle * middle) + one / (one + right * right)
            out[i] += third * size[i] * shape


@dataclass(frozen=True)
class LineLaw:
    """How depth and width of a line follow from how strongly it is driven.

    With S = Ω²/ΓΓ' (1 × `saturation` at nominal power in the middle of the image for one line of the unstressed
    [111] group), depth ∝ S/(1 + S) and width = Γ √(1 + S): steady state of a driven two-level transition
    (Dréau et al., Phys. Rev. B 84, 195204 (2011)).
    """

    saturation: float
    intrinsic_width: float  # Hz, one hyperfine component, no drive
    scale: float  # depth = scale · S/(1 + S)
    hyperfine: float  # Hz

    def depth_and_width(self, drive: Array, spread: Array) -> tuple[Array, Array]:
        """Return depth (unsigned) and half width (Hz) of each hyperfine component's Lorentzian.

        Parameters
        ----------
        drive : Array
            Strength of the drive relative to nominal.
        spread : Array
            Standard deviation of the line's position within what one pixel sees (Hz); the area is kept.
        """
        s = self.saturation * drive
        own = self.intrinsic_width * np.sqrt(1 + s)
        # half width of a Lorentzian smeared by a narrower Gaussian (Olivero and Longbothum, 1977, to 1 %)
        half = 0.5346 * own + np.sqrt(0.2166 * own**2 + 2 * math.log(2) * spread**2)
        return self.scale * s / (1 + s) * own / half, half


def line_law(photons: PhotonBudget, spins: SpinTruth) -> LineLaw:
    """Choose width and scale so that a nominally driven line has the photon budget's half width and contrast."""
    a = spins.hyperfine

    def triplet(x: float, half: float) -> float:
        return sum(1 / (1 + ((x + m * a) / half) ** 2) for m in (-1, 0, 1)) / 3

    def excess(half: float) -> float:
        return triplet(photons.half_width, half) - triplet(0.0, half) / 2

    driven = brentq(excess, 1e-3 * photons.half_width, photons.half_width)
    s = spins.saturation
    return LineLaw(
        saturation=s,
        intrinsic_width=driven / math.sqrt(1 + s),
        scale=photons.contrast / triplet(0.0, driven) * (1 + s) / s,
        hyperfine=a,
    )


def contrast_sign(spins: SpinTruth, excess: Array) -> Array:
    """Return the signed factor of each group's depth: −1 a dip, +1 a peak, for its axial excess stress (Pa).

    Uniaxial stress along an NV axis turns its dips into peaks; the turn-over is where the excited state's levels cross.
    """
    return np.asarray(np.tanh((excess - spins.inversion_stress) / spins.inversion_width))


def pack(frequencies: Array, depth: Array, width: Array, hyperfine: float) -> Lines:
    """Return single-precision lines from arrays (Hz) of shape (..., n)."""
    n = frequencies.shape[-1]
    return Lines(
        np.ascontiguousarray(((frequencies - _ORIGIN) / 1e6).reshape(-1, n), dtype=np.float32),
        np.ascontiguousarray((width / 1e6).reshape(-1, n), dtype=np.float32),
        np.ascontiguousarray(depth.reshape(-1, n), dtype=np.float32),
        hyperfine / 1e6,
    )
