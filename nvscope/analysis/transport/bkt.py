"""V–I curves near a Berezinskii–Kosterlitz–Thouless transition: V ∝ I^α, α = 3 at T_BKT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nvscope.analysis.transport.least_squares import clean
from nvscope.errors import NvscopeError


@dataclass(frozen=True)
class PowerLaw:
    """V = V₁ I^α: α and its uncertainty, the range of currents used (A), and χ²ᵣ of the straight line."""

    exponent: float
    exponent_err: float
    low: float
    high: float
    chi2_reduced: float


def power_law(current: ArrayLike, voltage: ArrayLike, voltage_err: ArrayLike, high: float | None = None) -> PowerLaw:
    """Fit α to one V–I curve, on voltages that stand 5 σ above zero.

    Parameters
    ----------
    current, voltage, voltage_err : array_like, shape (point,)
        A and V; signs of the two must agree, magnitudes are used.
    high : float, optional
        Largest current used (A): beyond it the film is normal or hot.

    Raises
    ------
    NvscopeError
        If fewer than 4 points are usable.
    """
    (i, v), sigma = clean(current, voltage, err=voltage_err, least=1)
    size = np.abs(i)
    good = (v * np.sign(i) > 5 * sigma) & (size > 0) & (size <= (high or np.inf))
    if good.sum() < 4:
        raise NvscopeError(f"{int(good.sum())} voltages stand out of the noise; at least 4 are needed")
    x, y, err = np.log(size[good]), np.log(np.abs(v[good])), sigma[good] / np.abs(v[good])
    weight = 1 / err**2
    centre = float((weight * x).sum() / weight.sum())
    spread = float((weight * (x - centre) ** 2).sum())
    if spread == 0:
        raise NvscopeError("all usable voltages were taken at one current")
    slope = float((weight * (x - centre) * y).sum()) / spread
    level = float((weight * y).sum() / weight.sum())
    chi2 = float((weight * (y - level - slope * (x - centre)) ** 2).sum()) / max(int(good.sum()) - 2, 1)
    return PowerLaw(
        slope, float(np.sqrt(max(chi2, 1.0) / spread)), float(size[good].min()), float(size[good].max()), chi2
    )


def bkt_temperature(temperature: ArrayLike, laws: Sequence[PowerLaw], exponent: float = 3.0) -> tuple[float, float]:
    """Return where α falls through 3 on warming, and its 1-σ uncertainty (K).

    α(T) is interpolated linearly between the two temperatures around the crossing.

    Raises
    ------
    NvscopeError
        If α does not cross.
    """
    t = np.asarray(temperature, dtype=np.float64)
    order = np.argsort(t)
    alpha = np.array([laws[k].exponent for k in order])
    err = np.array([laws[k].exponent_err for k in order])
    t = t[order]
    crossing = np.flatnonzero((alpha[:-1] >= exponent) & (alpha[1:] < exponent))
    if not crossing.size:
        raise NvscopeError(f"α runs from {alpha.max():.2f} to {alpha.min():.2f} and does not fall through {exponent:g}")
    k = int(crossing[0])
    part = (alpha[k] - exponent) / (alpha[k] - alpha[k + 1])
    slope = (alpha[k + 1] - alpha[k]) / (t[k + 1] - t[k])
    alpha_err = np.hypot((1 - part) * err[k], part * err[k + 1])
    return float(t[k] + part * (t[k + 1] - t[k])), float(abs(alpha_err / slope))
