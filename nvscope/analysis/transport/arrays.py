"""Arrays of nano-holes: flux quanta per cell, two-step transitions, and a metal where a superconductor was expected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import find_peaks, lombscargle

from nvscope.analysis.transport.least_squares import clean
from nvscope.errors import NvscopeError

FloatArray = NDArray[np.float64]

PLANCK = 6.62607015e-34
ELEMENTARY_CHARGE = 1.602176634e-19

Lattice = Literal["triangular", "square", "honeycomb"]
_CELL = {"triangular": math.sqrt(3) / 2, "square": 1.0, "honeycomb": 3 * math.sqrt(3) / 2}
"""Area of a unit cell over the square of the pitch (honeycomb: of the distance between neighbouring holes)."""


def flux_period(pitch: float, lattice: Lattice = "triangular", charges: int = 2) -> float:
    """Return ΔB = (h/q)/A_cell (T) for holes `pitch` (m) apart and carriers of `charges` elementary charges."""
    return PLANCK / (charges * ELEMENTARY_CHARGE) / (_CELL[lattice] * pitch**2)


def carrier_charge(period: float, pitch: float, lattice: Lattice = "triangular") -> float:
    """Return q/e from a measured period (T)."""
    return PLANCK / ELEMENTARY_CHARGE / (period * _CELL[lattice] * pitch**2)


@dataclass(frozen=True)
class Oscillation:
    """A periodic part of R(B): period and its uncertainty (T), amplitude (ohm), and how far it stands out.

    `significance` is the peak of the normalised periodogram; chance alone gives ln(number of frequencies) or so.
    """

    period: float
    period_err: float
    amplitude: float
    significance: float


def field_oscillation(
    field: ArrayLike, resistance: ArrayLike, shortest: float | None = None, background: int = 4
) -> Oscillation:
    """Find the period of R(B).

    Parameters
    ----------
    field, resistance : array_like, shape (point,)
        T and ohm; the spacing need not be uniform.
    shortest : float, optional
        Shortest period looked for (T); four median spacings by default.
    background : int
        Degree of the polynomial taken away first.

    Raises
    ------
    NvscopeError
        If fewer than 12 points are usable, or they span less than two of the shortest periods.
    """
    (b, r), _ = clean(field, resistance, err=None, least=12)
    order = np.argsort(b)
    b, r = b[order], r[order]
    span = float(b[-1] - b[0])
    shortest = shortest or 4 * float(np.median(np.diff(b)))
    if span < 2 * shortest:
        raise NvscopeError(f"the field spans {span:g} T, less than two periods of {shortest:g} T")
    x = 2 * (b - b[0]) / span - 1
    residual = r - np.polynomial.chebyshev.chebval(x, np.polynomial.chebyshev.chebfit(x, r, background))
    # below 1.5 periods in the span the background has taken it already
    frequency = np.linspace(1.5 / span, 1 / shortest, max(400, int(20 * span / shortest)))
    power = lombscargle(b, residual, 2 * np.pi * frequency)
    peak = int(np.argmax(power))
    best = _vertex(frequency, power, peak)
    amplitude = math.sqrt(4 * float(power[peak]) / len(b))
    noise = float(np.std(residual - _sinusoid(b, residual, best)))
    # Cramér–Rao bound of a frequency in white noise
    frequency_err = math.sqrt(6 / len(b)) * max(noise, 1e-12 * amplitude) / (math.pi * span * amplitude)
    return Oscillation(1 / best, frequency_err / best**2, amplitude, float(power[peak] / np.var(residual)))


def _sinusoid(b: FloatArray, values: FloatArray, frequency: float) -> FloatArray:
    design = np.stack([np.cos(2 * np.pi * frequency * b), np.sin(2 * np.pi * frequency * b)], axis=1)
    return np.asarray(design @ np.linalg.lstsq(design, values, rcond=None)[0])


def _vertex(x: FloatArray, y: FloatArray, index: int) -> float:
    if not 0 < index < len(x) - 1:
        return float(x[index])
    low, mid, high = y[index - 1 : index + 2]
    return float(x[index] + 0.5 * (low - high) / (low - 2 * mid + high) * (x[1] - x[0]))


@dataclass(frozen=True)
class Step:
    """One step of R(T): where R falls fastest (K), the uncertainty from the spacing, and R's fall (ohm) over it."""

    temperature: float
    temperature_err: float
    drop: float


def transition_steps(temperature: ArrayLike, resistance: ArrayLike, significance: float = 0.05) -> tuple[Step, ...]:
    """Return the steps of R(T), hottest first: islands (Tc1), then coherence between them (Tc2).

    A step is a maximum of dR/dT that stands out of its surroundings; steps that carry less than `significance` of the
    whole fall of R are left out.

    Raises
    ------
    NvscopeError
        If fewer than 8 points are usable.
    """
    (t, r), _ = clean(temperature, resistance, err=None, least=8)
    order = np.argsort(t)
    t, r = t[order], r[order]
    middle, slope = (t[1:] + t[:-1]) / 2, np.diff(r) / np.diff(t)
    smooth = np.convolve(np.pad(slope, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    peaks = find_peaks(np.pad(smooth, 1), prominence=0.1 * float(smooth.max()))[0] - 1
    # a step ends where R falls slowest before the next one begins
    valleys = [a + int(np.argmin(smooth[a : b + 1])) for a, b in pairwise(peaks.tolist())]
    edges = [0, *valleys, len(smooth) - 1]
    steps = []
    fall = float(r.max() - r.min())
    for peak, (low, high) in zip(peaks.tolist(), pairwise(edges), strict=True):
        drop = float(r[high + 1] - r[low])
        if drop >= significance * fall:
            steps.append(Step(float(middle[peak]), float((t[peak + 1] - t[peak]) / math.sqrt(12)), drop))
    return tuple(sorted(steps, key=lambda step: -step.temperature))


@dataclass(frozen=True)
class Residual:
    """What R does towards T = 0.

    Attributes
    ----------
    kind : str
        ``"flat"`` (anomalous metal), ``"activated"`` (R = R∞ exp(−U/T)) or ``"undecided"``.
    resistance, resistance_err : float
        The flat value (ohm).
    activation, activation_err : float
        U (K).
    delta_aic : float
        Evidence for "activated" over "flat"; beyond ±6 a decision is made.
    """

    kind: Literal["flat", "activated", "undecided"]
    resistance: float
    resistance_err: float
    activation: float
    activation_err: float
    delta_aic: float


def low_temperature_residual(temperature: ArrayLike, resistance: ArrayLike, resistance_err: ArrayLike) -> Residual:
    """Decide whether R saturates or keeps falling exponentially, on the coldest points of R(T).

    Raises
    ------
    NvscopeError
        If fewer than 5 points with R > 0 are usable.
    """
    (t, r), sigma = clean(temperature, resistance, err=resistance_err, least=5)
    positive = r > 0
    if positive.sum() < 5:
        raise NvscopeError("fewer than 5 resistances are above zero: there is no residual to speak of")
    t, log, err = t[positive], np.log(r[positive]), sigma[positive] / r[positive]
    weight = 1 / err**2
    mean = float((weight * log).sum() / weight.sum())
    flat = float((weight * (log - mean) ** 2).sum())
    design = np.stack([np.ones_like(t), -1 / t], axis=1)
    covariance = np.linalg.inv((design * weight[:, None]).T @ design)
    solution = covariance @ (design * weight[:, None]).T @ log
    activated = float((weight * (log - design @ solution) ** 2).sum())
    n = len(t)
    # small-sample Akaike criterion, noise known: one parameter against two
    gain = (flat + 2 + 4 / (n - 2)) - (activated + 4 + 12 / (n - 3))
    kind: Literal["flat", "activated", "undecided"] = "undecided"
    if gain > 6 and solution[1] > 0:
        kind = "activated"
    elif gain < 0 or abs(solution[1]) < 2 * math.sqrt(covariance[1, 1]):
        kind = "flat"
    value = math.exp(mean)
    return Residual(
        kind,
        value,
        value / math.sqrt(weight.sum()),
        float(solution[1]),
        math.sqrt(covariance[1, 1]),
        float(gain),
    )
