"""Where the next frames tell most about the splitting: frames placed by Fisher information.

The variance of a pixel's half splitting is cᵀ F⁻¹ c with F = Σ n_k x_k x_kᵀ, x_k the derivatives of two Lorentzians on
a constant baseline at frequency k after their seven parameters and n_k the frames there. The frames of the next sweep
minimise its geometric mean over the pixels given, next to what is already there, by the multiplicative algorithm for
optimal designs (Torsney; Silvey, Titterington and Torsney, Commun. Stat. A 7, 1379 (1978)): n_k grows with the square
root of what a frame at k would gain. Shot noise is taken as equal at all frequencies: contrasts are a few per cent.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["place_frames", "spread_evenly"]

FloatArray = NDArray[np.float64]

_GUARD = 0.15
"""Share of the frames that stays spread over the whole axis: a line that moves away is still seen."""

_ROUNDS = 60
_ENOUGH = 1e-3
"""Relative gain of a round below which the frames count as placed."""


def spread_evenly(frames: int, points: int, turn: int = 0) -> NDArray[np.int64]:
    """Return `frames` spread over `points` as evenly as they go; what is left over lies elsewhere in every turn."""
    counts = np.full(points, frames // points, np.int64)
    left = frames % points
    if left:
        # steps by the golden ratio visit everything soon, whatever is left over
        start = (turn * 0.6180339887498949) % 1.0
        counts[np.unique(((np.arange(left) + start) * points / left).astype(np.int64) % points)] += 1
    return counts


def place_frames(
    frequency: FloatArray, lines: Mapping[str, FloatArray], frames: int, taken: NDArray[np.integer], turn: int = 0
) -> NDArray[np.int64]:
    """Return how many of the next `frames` to take at each frequency.

    Parameters
    ----------
    frequency : ndarray, shape (frequency,)
        Where frames can be taken, Hz.
    lines : mapping of str to ndarray, shape (pixel,)
        The pair of lines in some pixels by the names of maps: ``f_minus`` and ``f_plus`` (Hz), ``contrast_…``,
        ``width_…`` (half at half maximum, Hz).
    frames : int
        Frames to place.
    taken : ndarray, shape (frequency,)
        Frames that are there.
    turn : int
        Number of the sweep, so that guards stand elsewhere each time.
    """
    guard = spread_evenly(round(_GUARD * frames), frequency.size, turn)
    free = frames - int(guard.sum())
    there = np.asarray(taken, float) + guard
    gain = _derivatives(frequency, lines)
    share = np.full(frequency.size, 1.0 / frequency.size)
    before = np.inf
    for _ in range(_ROUNDS):
        variance, gains = _gains(gain, there + free * share)
        worth = float(np.mean(np.log(variance)))
        if before - worth < _ENOUGH * 0.1 and np.isfinite(before):
            break
        before = worth
        share = share * np.sqrt(gains)
        share /= share.sum()
    return np.asarray(guard + _apportion(share, free))


def _derivatives(frequency: FloatArray, lines: Mapping[str, FloatArray]) -> FloatArray:
    """Return derivatives of the spectra after baseline, amplitudes, centres and widths, (pixel, frequency, 7).

    Centres and widths are in units of the widths, times the contrast: a Fisher matrix of order one inverts safely.
    """
    columns = [np.ones((lines["f_minus"].size, frequency.size))]
    for side in ("minus", "plus"):
        centre, contrast, width = lines[f"f_{side}"], lines[f"contrast_{side}"], lines[f"width_{side}"]
        u = (frequency[None, :] - centre[:, None]) / width[:, None]
        shape = 1 / (1 + u**2)
        scale = contrast[:, None] / width[:, None] * 1e7  # only the ratio of the two lines' slopes matters
        columns += [shape, scale * u * shape**2, scale * u**2 * shape**2]
    return np.stack(columns, axis=-1)


def _gains(derivatives: FloatArray, frames: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return each pixel's variance of the half splitting, and what a frame more at each frequency is worth to all."""
    fisher = np.matmul(derivatives.transpose(0, 2, 1) * frames, derivatives)
    # a line where no frames are yet has no information at all; a little prior keeps it from being infinitely dear
    prior = 1e-6 * np.trace(fisher, axis1=1, axis2=2) / 7
    fisher += prior[:, None, None] * np.eye(7)
    wanted = np.zeros(7)
    wanted[2], wanted[5] = -0.5, 0.5
    solved = np.linalg.solve(fisher, np.broadcast_to(wanted[:, None], (len(fisher), 7, 1)))[..., 0]
    variance = solved @ wanted
    effect = np.matmul(derivatives, solved[..., None])[..., 0]
    return variance, np.asarray((effect**2 / variance[:, None]).mean(axis=0))


def _apportion(share: FloatArray, frames: int) -> NDArray[np.int64]:
    """Round shares to whole frames that add up: the largest remainders get the frames left over."""
    exact = share * frames
    counts = np.floor(exact).astype(np.int64)
    rest = np.argsort(counts - exact, kind="stable")[: frames - int(counts.sum())]
    counts[rest] += 1
    return counts
