"""The upper critical field against its angle: thin film or bulk, and which direction is the stronger.

θ is counted from the film's plane. A film much thinner than its coherence length has the cusp of Tinkham,
|H sin θ/H⊥| + (H cos θ/H∥)² = 1 (Phys. Rev. 129, 2413 (1963)); an anisotropic bulk the ellipse
(H sin θ/H⊥)² + (H cos θ/H∥)² = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.analysis.transport.least_squares import CurveFit, clean, fit_curve

FloatArray = NDArray[np.float64]
Form = Literal["tinkham", "ellipse"]


def critical_field(angle: ArrayLike, perpendicular: float, parallel: float, form: Form) -> FloatArray:
    """Return Hc2(θ) (T); `angle` from the plane (rad), H⊥ and H∥ in T."""
    theta = np.asarray(angle, dtype=np.float64)
    across, along = np.abs(np.sin(theta)) / perpendicular, np.cos(theta) ** 2 / parallel**2
    if form == "ellipse":
        return np.asarray(1 / np.sqrt(across**2 + along))
    # along H² + across H − 1 = 0, in the form that is safe for along → 0
    return np.asarray(2 / (across + np.sqrt(across**2 + 4 * along)))


@dataclass(frozen=True)
class Anisotropy:
    """Hc2(θ) read with one form.

    Attributes
    ----------
    form : str
        The form that fits better.
    perpendicular, parallel, perpendicular_err, parallel_err : float
        H⊥ and H∥ (T).
    delta_chi2 : float
        χ² of the other form minus that of this one; both have two parameters. Below 10 or so there is no choice.
    reversed_by : float
        (H⊥ − H∥) in units of its uncertainty: positive where the film is stronger against a field across it.
    """

    form: Form
    perpendicular: float
    parallel: float
    perpendicular_err: float
    parallel_err: float
    delta_chi2: float
    reversed_by: float


def fit_anisotropy(angle: ArrayLike, field: ArrayLike, field_err: ArrayLike | None = None) -> Anisotropy:
    """Fit both forms to Hc2(θ) and return the better one.

    Parameters
    ----------
    angle, field : array_like, shape (point,)
        rad from the plane, and T.
    field_err : array_like, optional
        1-σ uncertainties (T); without them they follow from the scatter about the better form.

    Raises
    ------
    NvscopeError
        If fewer than 4 points are usable.
    """
    (theta, h), sigma = clean(angle, field, err=field_err, least=4)
    size = float(np.median(h))
    fits: dict[Form, CurveFit] = {
        form: fit_curve(
            lambda p, form=form: (critical_field(theta, p[0], p[1], form) - h) / sigma,  # type: ignore[misc]
            [[size, size], [0.5 * size, 2 * size], [2 * size, 0.5 * size]],
            ([1e-3 * size] * 2, [1e3 * size] * 2),
            [size, size],
            known_noise=field_err is not None,
        )
        for form in ("tinkham", "ellipse")
    }
    form: Form = "tinkham" if fits["tinkham"].chi2 <= fits["ellipse"].chi2 else "ellipse"
    other: Form = "ellipse" if form == "tinkham" else "tinkham"
    best = fits[form]
    noise = 1.0 if field_err is not None else max(best.chi2, 1e-300) / max(best.freedom, 1)
    (across, along), (across_err, along_err) = best.value, best.err
    return Anisotropy(
        form,
        float(across),
        float(along),
        float(across_err),
        float(along_err),
        float((fits[other].chi2 - best.chi2) / noise),
        float((across - along) / np.hypot(across_err, along_err)),
    )
