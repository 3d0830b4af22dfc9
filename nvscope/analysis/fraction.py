"""How much of the sample screens.

Two numbers, because one would need a model of the body. The *suppressed area* is the part of the sample's area in which
the field is lowered significantly (1 − s above both a threshold and three of its uncertainties). The *mean suppression*
⟨1 − s⟩ over the sample's area is what a map says about volume without a model: a body that expelled everything would
reach 1, so it is a lower bound on the shielding fraction, and an annulus at s = 0.95 over 60 % of the area gives 3 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

CLASSES = ((0.85, 0.97), (0.97, 1.0))
"""The classes of s drawn in the literature: strong and weak suppression."""
THRESHOLD = 0.01


@dataclass(frozen=True)
class ScreeningFraction:
    """How much of the sample screens at one temperature; all between 0 and 1.

    Attributes
    ----------
    suppressed_area, suppressed_area_err : float
        Area with significantly lowered field over the sample's area; the uncertainty is that of counting pixels near
        the threshold.
    mean_suppression, mean_suppression_err : float
        ⟨1 − s⟩ over the sample's area.
    classes : tuple of float
        Area fractions of `CLASSES`.
    pixels : int
        Pixels of the sample with a known s.
    """

    suppressed_area: float
    suppressed_area_err: float
    mean_suppression: float
    mean_suppression_err: float
    classes: tuple[float, ...]
    pixels: int


def screening_fraction(
    s: FloatArray, s_err: FloatArray, sample: NDArray[np.bool_], threshold: float = THRESHOLD
) -> ScreeningFraction:
    """Return how much of the sample screens in one map of s.

    Parameters
    ----------
    s, s_err : ndarray, shape (y, x)
        The ratio and its total uncertainty.
    sample : ndarray of bool, shape (y, x)
        The sample's outline.
    threshold : float
        Smallest 1 − s that counts.
    """
    good = sample & np.isfinite(s) & np.isfinite(s_err)
    count = int(good.sum())
    if count == 0:
        nan = float("nan")
        return ScreeningFraction(nan, nan, nan, nan, tuple(nan for _ in CLASSES), 0)
    depth, err = 1 - s[good], s_err[good]
    limit = np.maximum(threshold, 3 * err)
    counted = depth > limit
    near = np.abs(depth - limit) < err
    return ScreeningFraction(
        suppressed_area=float(counted.mean()),
        suppressed_area_err=float(np.sqrt(near.sum()) / (2 * count)),
        mean_suppression=float(depth.mean()),
        mean_suppression_err=float(np.sqrt((err**2).sum()) / count),
        classes=tuple(float(np.mean((1 - depth >= low) & (1 - depth < high))) for low, high in CLASSES),
        pixels=count,
    )
