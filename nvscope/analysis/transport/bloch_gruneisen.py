"""The normal state of R(T): Bloch–Grüneisen resistance that saturates.

1/R = 1/R_sat + 1/[R0 + A t⁵ J(1/t)], t = T/Θ_D, J(y) = ∫₀^y x⁵/((eˣ − 1)(1 − e⁻ˣ)) dx
(Wiesmann et al., Phys. Rev. Lett. 38, 782 (1977); as used for La3Ni2O7 by Talantsev and Chistyakov).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.analysis.transport.least_squares import clean, fit_curve

FloatArray = NDArray[np.float64]

_CAP = 60.0


@lru_cache(maxsize=1)
def _nodes() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(64)
    return np.asarray((nodes + 1) / 2), np.asarray(weights / 2)


def bloch_gruneisen_integral(upper: ArrayLike) -> FloatArray:
    """Return J(upper) = ∫₀^upper x⁵/(4 sinh²(x/2)) dx, upper ≥ 0; J(∞) = 124.4313.

    Written with sinh the integrand neither overflows nor becomes 0/0; beyond x = 60 nothing is left of it.
    """
    y = np.minimum(np.asarray(upper, dtype=np.float64), _CAP)[..., None]
    nodes, weights = _nodes()
    x = y * nodes
    with np.errstate(invalid="ignore", divide="ignore"):
        integrand = np.where(x > 0, x**5 / (4 * np.sinh(x / 2) ** 2), 0.0)
    return np.asarray((y * weights * integrand).sum(-1))


def saturated_resistance(temperature: ArrayLike, r0: float, a: float, theta: float, conductance: float) -> FloatArray:
    """Return R(T) (ohm).

    Parameters
    ----------
    temperature : array_like
        K.
    r0, a : float
        Residual resistance and strength of electron–phonon scattering (ohm).
    theta : float
        Θ_D (K).
    conductance : float
        1/R_sat (1/ohm); 0 if the resistance does not saturate.
    """
    t = np.asarray(temperature, dtype=np.float64) / theta
    with np.errstate(divide="ignore"):
        ideal = r0 + a * t**5 * bloch_gruneisen_integral(1 / t)
    return np.asarray(ideal / (1 + conductance * ideal))


@dataclass(frozen=True)
class NormalState:
    """A fitted normal state; NaN uncertainty where a parameter sits on its bound.

    Attributes
    ----------
    r0, a, theta, conductance : float
        As in `saturated_resistance`.
    r0_err, a_err, theta_err, conductance_err : float
    chi2_reduced : float
    """

    r0: float
    a: float
    theta: float
    conductance: float
    r0_err: float
    a_err: float
    theta_err: float
    conductance_err: float
    chi2_reduced: float

    @property
    def saturation(self) -> float:
        """R_sat (ohm); infinite if the data do not saturate."""
        return 1 / self.conductance if self.conductance > 0 else float("inf")

    def resistance(self, temperature: ArrayLike) -> FloatArray:
        """Return R(T) (ohm)."""
        return saturated_resistance(temperature, self.r0, self.a, self.theta, self.conductance)


def starting_values(t: FloatArray, r: FloatArray) -> tuple[list[list[float]], list[float]]:
    """Return first guesses of (R0, A, Θ, 1/R_sat) over a range of Θ, and typical sizes."""
    low, high = float(r[np.argmin(t)]), float(r[np.argmax(t)])
    rise = max(high - low, 1e-3 * max(abs(high), 1e-30))
    starts = []
    for theta in (150.0, 300.0, 500.0, 800.0):
        shape = float(saturated_resistance(t.max(), 0.0, 1.0, theta, 0.0))
        for saturation in (0.0, 0.2 / max(high, 1e-30)):
            starts.append([max(low, 0.0), 1.5 * rise / max(shape, 1e-12), theta, saturation])
    size = max(abs(high), 1e-30)
    return starts, [size, 10 * size, 300.0, 1 / size]


def fit_normal_state(
    temperature: ArrayLike, resistance: ArrayLike, resistance_err: ArrayLike | None = None
) -> NormalState:
    """Fit R0, A, Θ_D and 1/R_sat ≥ 0 to the normal state.

    Parameters
    ----------
    temperature, resistance : array_like, shape (point,)
        Only points above the transition (K, ohm).
    resistance_err : array_like, optional
        1-σ uncertainties (ohm); without them errors follow from the scatter.

    Raises
    ------
    NvscopeError
        If fewer than 6 points are usable.
    """
    (t, r), sigma = clean(temperature, resistance, err=resistance_err, least=6)
    starts, scale = starting_values(t, r)
    upper = [np.inf, np.inf, 3000.0, np.inf]
    fit = fit_curve(
        lambda p: (saturated_resistance(t, *p) - r) / sigma,
        starts,
        ([0.0, 0.0, 10.0, 0.0], upper),
        scale,
        known_noise=resistance_err is not None,
    )
    return normal_state(fit.value, fit.err, fit.chi2 / max(fit.freedom, 1))


def normal_state(value: FloatArray, err: FloatArray, chi2_reduced: float) -> NormalState:
    """Return a normal state from (R0, A, Θ, 1/R_sat) and their uncertainties."""
    (r0, a, theta, conductance), (r0_err, a_err, theta_err, conductance_err) = value.tolist(), err.tolist()
    return NormalState(r0, a, theta, conductance, r0_err, a_err, theta_err, conductance_err, chi2_reduced)
