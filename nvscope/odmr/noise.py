"""What is known about the noise of a signal, and the weights that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Noise", "PoissonNoise", "Weights", "resolve_noise", "usable_points"]


@dataclass(frozen=True)
class PoissonNoise:
    """Shot noise of a camera: variance = ((S - offset)·gain + read_noise²)/(gain²·frames) in counts².

    Attributes
    ----------
    gain : float or None
        Electrons per count; None if not known: errors then follow from the scatter about the fit.
    offset : float
        Counts at zero light.
    read_noise : float
        Electrons rms per frame.
    frames : float or array-like of shape (frequency,)
        Frames averaged into each frequency's signal; zero where there is none yet.
    """

    gain: float | None = 1.0
    offset: float = 0.0
    read_noise: float = 0.0
    frames: ArrayLike = 1.0

    def __post_init__(self) -> None:
        if self.gain is not None and not (np.isfinite(self.gain) and self.gain > 0):
            raise ValueError(f"gain is electrons per count and must be positive, got {self.gain}")
        if not (np.isfinite(self.read_noise) and self.read_noise >= 0 and np.isfinite(self.offset)):
            raise ValueError("read_noise (electrons) must be zero or more and offset (counts) finite")


Noise = float | NDArray[np.floating] | PoissonNoise | None


@dataclass(frozen=True)
class Weights:
    """Weights as the kernels want them.

    Attributes
    ----------
    root : ndarray, shape (1 or pixel, frequency)
        Square roots of the weights; with `poisson` only the square roots of the frame counts.
    poisson : ndarray, shape (2,)
        Slope and intercept of the variance against the signal; zeros where `root` is complete.
    known : bool
        Whether errors follow from the noise given, or from the scatter about the fit.
    offset : float
        Counts that are not light, left out of the contrast.
    """

    root: NDArray[np.float64]
    poisson: NDArray[np.float64]
    known: bool
    offset: float = 0.0


def usable_points(signal: NDArray[np.generic], root: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many points of each pixel of (frequency, pixel) are finite and weigh something; `root` as in `Weights`."""
    return np.asarray(np.count_nonzero(np.isfinite(signal) & (root.T > 0), axis=0))


def resolve_noise(noise: Noise, points: int, grid: tuple[int, ...], counts: bool) -> Weights:
    """Turn what the caller knows into weights.

    Parameters
    ----------
    noise : None, float, ndarray or PoissonNoise
        None: errors from the scatter about the fit, with Poisson weights where the signal is in `counts`. A number, or
        an array of shape (frequency,), the grid's, or (frequency, *grid): 1-σ noise in the signal's unit; points whose
        noise is infinite or not a number are left out.
    points : int
        Length of the frequency axis.
    grid : tuple of int
        Pixel grid.
    counts : bool
        Whether the signal is raw counts: not negative, of integer type.
    """
    flat = np.zeros(2)
    if noise is None:
        return Weights(np.ones((1, points)), np.array([1.0, 0.0]) if counts else flat, known=False)
    if isinstance(noise, PoissonNoise):
        frames = np.asarray(noise.frames, float)
        if frames.ndim > 1 or frames.size not in (1, points) or not np.all(frames >= 0):
            raise ValueError(f"frames must be a count or {points} counts, one for each frequency, none negative")
        gain = 1.0 if noise.gain is None else noise.gain
        # ((S - o) g + r²)/g² = S/g + (r² - o g)/g²
        variance = np.array([1 / gain, (noise.read_noise**2 - noise.offset * gain) / gain**2])
        root = np.sqrt(np.broadcast_to(frames, (1, points))).copy()
        return Weights(root, variance, known=noise.gain is not None, offset=noise.offset)
    if isinstance(noise, (str, bool)) or np.asarray(noise).dtype.kind not in "uif":
        raise ValueError(f"noise must be real numbers in the signal's unit, PoissonNoise(...) or None, got {noise!r}")
    sigma = np.asarray(noise, float)
    if sigma.shape == (points,) == grid:
        raise ValueError(
            f"noise of shape ({points},) may be one for each frequency or one for each of {points} pixels; "
            "give it as (frequency, pixel): np.broadcast_to(noise[:, None] or noise[None, :], signal.shape)"
        )
    if np.any(sigma <= 0):
        raise ValueError("noise is a standard deviation and must be positive; leave points out with inf or nan")
    if sigma.ndim == 0:
        rows = np.broadcast_to(sigma, (1, points))
    elif sigma.shape == (points,):
        rows = sigma[None, :]
    elif sigma.shape == grid:
        rows = np.broadcast_to(sigma.reshape(-1, 1), (sigma.size, points))
    elif sigma.shape == (points, *grid):
        rows = sigma.reshape(points, -1).T
    else:
        raise ValueError(f"noise has shape {sigma.shape}; expected a number, ({points},), {grid} or {(points, *grid)}")
    with np.errstate(invalid="ignore"):
        root = np.where(np.isfinite(rows), 1.0 / rows, 0.0)
    if not root.any():
        raise ValueError("noise is infinite or not a number everywhere: that leaves every point out")
    return Weights(np.ascontiguousarray(root), flat, known=True)
