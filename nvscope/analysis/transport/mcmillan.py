"""Electron–phonon coupling from Tc and Θ_D: the McMillan equation in its advanced form.

Tc = (Θ_D/1.45) exp[−1.04 (1 + λ)/(λ − μ* (1 + 0.62 λ))] f1 f2*,
f1 = [1 + (λ/(2.46 (1 + 3.8 μ*)))^{3/2}]^{1/3}, f2* = 1 + (0.0241 − 0.0735 μ*) λ²
(Talantsev, Supercond. Sci. Technol. 33, 094009 (2020)).

For Θ_D = 518 K, Tc = 58.0 K and μ* = 0.13 these equations give λ = 1.714. Talantsev and Chistyakov quote 1.75 for the
same numbers: 2 % more than the equations as printed, and outside what the stated uncertainties allow (1.700 to 1.729).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from nvscope.errors import NvscopeError

FloatArray = NDArray[np.float64]

_RANGE = (0.3, 8.0)


def critical_temperature(coupling: ArrayLike, theta: float, mu: float = 0.13) -> FloatArray:
    """Return Tc (K) for λ = `coupling`, Θ_D = `theta` (K) and μ* = `mu`; 0 where λ is too small to superconduct."""
    c = np.asarray(coupling, dtype=np.float64)
    attraction = c - mu * (1 + 0.62 * c)
    f1 = (1 + (c / (2.46 * (1 + 3.8 * mu))) ** 1.5) ** (1 / 3)
    f2 = 1 + (0.0241 - 0.0735 * mu) * c**2
    with np.errstate(divide="ignore", over="ignore"):
        exponent = np.where(attraction > 0, -1.04 * (1 + c) / np.where(attraction > 0, attraction, 1.0), -np.inf)
    return np.asarray(theta / 1.45 * np.exp(exponent) * f1 * f2)


@dataclass(frozen=True)
class Coupling:
    """λ with the range that the uncertainties of Tc and Θ_D allow."""

    value: float
    low: float
    high: float


def coupling_constant(
    tc: float, theta: float, mu: float = 0.13, tc_err: float = 0.0, theta_err: float = 0.0
) -> Coupling:
    """Return λ from Tc and Θ_D (K).

    The range is that of all four corners Tc ± `tc_err`, Θ_D ± `theta_err`, not a standard deviation.

    Raises
    ------
    NvscopeError
        If no λ between 0.3 and 8 gives this Tc.
    """
    corners = [_solve(tc + i * tc_err, theta + j * theta_err, mu) for i in (-1, 1) for j in (-1, 1)]
    return Coupling(_solve(tc, theta, mu), min(corners), max(corners))


def _solve(tc: float, theta: float, mu: float) -> float:
    low, high = (float(critical_temperature(c, theta, mu)) for c in _RANGE)
    if not low < tc < high:
        raise NvscopeError(
            f"Tc = {tc:g} K lies outside what λ from {_RANGE[0]} to {_RANGE[1]} gives with Θ_D = {theta:g} K "
            f"({low:.3g} to {high:.3g} K)"
        )
    return float(brentq(lambda c: float(critical_temperature(c, theta, mu)) - tc, *_RANGE, xtol=1e-12))
