"""What the joint fit takes and gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.nv import StressSusceptibility

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BiasSpectra:
    """Spectra of some pixels at one bias.

    Attributes
    ----------
    field : ndarray, shape (3,)
        Bias (T), crystal frame.
    frequency : ndarray, shape (frequency,)
        Hz.
    signal, noise : ndarray, shape (pixel, frequency)
        Counts and their 1-σ noise.
    """

    field: FloatArray
    frequency: FloatArray
    signal: FloatArray
    noise: FloatArray


@dataclass(frozen=True, eq=False)
class StressMap:
    """Stress of every pixel of an image, in row order, and what was found with it.

    Attributes
    ----------
    sigma : ndarray, shape (pixel, 6)
        Pa, crystal frame, order as in `nvscope.nv.stress_lines`.
    covariance : ndarray, shape (pixel, 6, 6)
        Pa².
    chi2_reduced : ndarray, shape (pixel,)
    width : ndarray, shape (bias, pixel, 8)
        Half width (Hz) of one hyperfine line of every group's f- and f+, as `places` has them.
    extra : ndarray, shape (bias, 3)
        Field found besides the bias (T), crystal frame.
    blur : float
        Standard deviation, in pixels, of what one pixel sees, from lines smeared by gradients.
    unpowered : float
        Square of the width that lines would have without power, over that of a usual line.
    d0 : float
        Zero-field splitting without stress (Hz) that was assumed.
    constants : StressSusceptibility
    """

    sigma: FloatArray
    covariance: FloatArray
    chi2_reduced: FloatArray
    width: FloatArray
    extra: FloatArray
    blur: float
    unpowered: float
    d0: float
    constants: StressSusceptibility
