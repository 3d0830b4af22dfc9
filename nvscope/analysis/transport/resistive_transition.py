"""The whole R(T): normal state above the onset, thermally activated phase slips below it.

Below Tc,onset R = R(Tc,onset)/[I0(F (1 − T/Tc,onset)^{3/2})]² (Talantsev and Stolze, Supercond. Sci. Technol. 34,
064001 (2021)); the square belongs to I0, as dimensions and the limit T → Tc demand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ive

from nvscope.analysis.onset import resistance_onset
from nvscope.analysis.transport.bloch_gruneisen import (
    NormalState,
    fit_normal_state,
    normal_state,
    saturated_resistance,
    starting_values,
)
from nvscope.analysis.transport.least_squares import clean, fit_curve
from nvscope.errors import NvscopeError

FloatArray = NDArray[np.float64]

ARGUMENT_AT_5_PERCENT = 2.8914889
"""I0(x)² = 20 here: where R has fallen to 5 % of its value at the onset."""


def log_i0(x: ArrayLike) -> FloatArray:
    """Return ln I0(x) without overflow."""
    argument = np.abs(np.asarray(x, dtype=np.float64))
    return np.asarray(np.log(ive(0, argument)) + argument)


def transition_resistance(
    temperature: ArrayLike, onset: float, sharpness: float, r0: float, a: float, theta: float, conductance: float
) -> FloatArray:
    """Return R(T) (ohm) through the transition; `onset` is Tc,onset (K), `sharpness` is F."""
    t = np.asarray(temperature, dtype=np.float64)
    normal = saturated_resistance(np.maximum(t, onset), r0, a, theta, conductance)
    depth = sharpness * np.maximum(1 - t / onset, 0.0) ** 1.5
    return np.asarray(normal * np.exp(-2 * log_i0(depth)))


@dataclass(frozen=True)
class ResistiveTransition:
    """A fitted R(T).

    Attributes
    ----------
    onset, onset_err : float
        Tc,onset (K).
    sharpness, sharpness_err : float
        F.
    tc_005, tc_005_err : float
        Where R is 5 % of R(Tc,onset) (K); NaN if F is too small for R ever to get there.
    normal : NormalState
    chi2_reduced : float
    """

    onset: float
    onset_err: float
    sharpness: float
    sharpness_err: float
    tc_005: float
    tc_005_err: float
    normal: NormalState
    chi2_reduced: float

    def resistance(self, temperature: ArrayLike) -> FloatArray:
        """Return R(T) (ohm)."""
        n = self.normal
        return transition_resistance(temperature, self.onset, self.sharpness, n.r0, n.a, n.theta, n.conductance)


def five_percent_temperature(onset: float, sharpness: float) -> float:
    """Return Tc,0.05 (K): F (1 − T/Tc,onset)^{3/2} = 2.89149; NaN where F is smaller than that."""
    if sharpness <= ARGUMENT_AT_5_PERCENT:
        return float("nan")
    return onset * (1 - float((ARGUMENT_AT_5_PERCENT / sharpness) ** (2 / 3)))


def fit_resistive_transition(
    temperature: ArrayLike,
    resistance: ArrayLike,
    resistance_err: ArrayLike | None = None,
    onset: float | None = None,
) -> ResistiveTransition:
    """Fit the normal state and the transition together.

    Parameters
    ----------
    temperature, resistance : array_like, shape (point,)
        K and ohm.
    resistance_err : array_like, optional
        1-σ uncertainties (ohm).
    onset : float, optional
        First guess of Tc,onset (K); found from the data if not given.

    Raises
    ------
    NvscopeError
        If fewer than 8 points are usable or no onset is found.
    """
    (t, r), sigma = clean(temperature, resistance, err=resistance_err, least=8)
    if onset is None:
        found = resistance_onset(t, r, sigma if resistance_err is not None else None)
        if found is None:
            raise NvscopeError("R(T) shows no drop below its normal state; give `onset` to fit one all the same")
        onset = found.temperature
    above = t >= onset
    if above.sum() < 3:
        raise NvscopeError(
            f"only {int(above.sum())} points lie above the onset at {onset:.1f} K; at least 3 are needed"
        )
    normals, scale = starting_values(t[above], r[above])
    if above.sum() >= 6:
        alone = fit_normal_state(t[above], r[above], sigma[above])
        normals = [[alone.r0, alone.a, alone.theta, alone.conductance]]
    starts = [[onset, sharpness, *normal] for normal in normals for sharpness in (5.0, 30.0, 200.0)]
    fit = fit_curve(
        lambda p: (transition_resistance(t, *p) - r) / sigma,
        starts,
        ([0.5 * onset, 0.0, 0.0, 0.0, 10.0, 0.0], [1.5 * onset, np.inf, np.inf, np.inf, 3000.0, np.inf]),
        [onset, 20.0, *scale],
        known_noise=resistance_err is not None,
    )
    value, err = fit.value.tolist(), fit.err.tolist()
    reduced = fit.chi2 / max(fit.freedom, 1)
    normal = normal_state(fit.value[2:], fit.err[2:], reduced)
    tc = five_percent_temperature(value[0], value[1])
    # Tc,0.05 = Tc,onset (1 − (x/F)^{2/3}); the two uncertainties are taken as independent
    part = 1 - tc / value[0]
    tc_err = float(np.hypot((1 - part) * err[0], value[0] * part * (2 / 3) * err[1] / value[1]))
    return ResistiveTransition(value[0], err[0], value[1], err[1], tc, tc_err, normal, reduced)
