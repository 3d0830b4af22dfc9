"""Crystalline strain from the breadth of X-ray peaks.

β = 0.9 λ/(D cos θ) + 4 ε tan θ (Williamson and Hall, Acta Metall. 1, 22 (1953)), with θ half of the diffraction angle
and β in radians of 2θ; reduced to β = 4 ε tan θ where the domains are too large to broaden anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls

from nvscope.analysis.transport.least_squares import clean

WAVELENGTH = 61.99e-12
"""m; the radiation of the published La3Ni2O7 scans."""


@dataclass(frozen=True)
class Strain:
    """Strain ε and mean domain size D (m; infinite where the size does not show), with 1-σ uncertainties."""

    strain: float
    strain_err: float
    size: float
    size_err: float
    reduced: bool


def williamson_hall(
    two_theta: ArrayLike,
    breadth: ArrayLike,
    breadth_err: ArrayLike | None = None,
    wavelength: float = WAVELENGTH,
    reduced: bool = False,
) -> Strain:
    """Fit strain and, unless `reduced`, domain size to peak breadths.

    Parameters
    ----------
    two_theta, breadth : array_like, shape (peak,)
        Diffraction angle 2θ and breadth of the peaks (rad).
    breadth_err : array_like, optional
        1-σ uncertainties (rad); without them errors follow from the scatter.
    wavelength : float
        m.
    reduced : bool
        Leave the domain size out.

    Raises
    ------
    NvscopeError
        If fewer than 3 peaks are usable.
    """
    (angle, beta), sigma = clean(two_theta, breadth, err=breadth_err, least=3)
    theta = angle / 2
    size_column, strain_column = 0.9 * wavelength / np.cos(theta) / sigma, 4 * np.tan(theta) / sigma
    # columns of order one: lengths of 1e-11 m would be lost beside strains of 1e-2
    scale = float(np.abs(size_column).max())
    columns = [strain_column] if reduced else [strain_column, size_column / scale]
    design, target = np.stack(columns, axis=1), beta / sigma
    solution, _ = nnls(design, target)
    used = solution > 0
    if not reduced and not used[-1]:  # no size wanted: what is left is the reduced form
        design, solution, used = design[:, :1], solution[:1], used[:1]
    residual = target - design @ solution
    factor = 1.0 if breadth_err is not None else float((residual**2).sum()) / max(len(beta) - design.shape[1], 1)
    err = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * factor)
    if design.shape[1] == 1:
        return Strain(float(solution[0]), float(err[0]), float("inf"), float("nan"), True)
    inverse, inverse_err = solution[1] / scale, err[1] / scale
    return Strain(float(solution[0]), float(err[0]), float(1 / inverse), float(inverse_err / inverse**2), False)
