"""Critical temperature of a curve or a map s(T): where it merges with its value above the transition.

The curve is fitted with

    s(T) = s∞ + A ⟨[1 − (T/Tc')ⁿ]₊⟩,   Tc' Gaussian about Tc with relative width δ,

A of either sign and s∞ = 1 within the uncertainty of the reference. The form is a ruler, not a theory: flat at low
temperature, linear towards Tc as weak screening is, rounded where places with different Tc are averaged; (n, δ) come
from a list. Tc is thus the middle of a rounded merging, not its last trace. For every Tc on a grid A and s∞ follow in
closed form; Tc is the minimum of the χ² profile, its uncertainty half the profile's width at Δχ² = 1, widened by the
root of χ²ᵣ where that exceeds 1.

A map shares one (n, δ), because a pixel alone cannot tell a late collapse from a lower Tc; a curve has its own, and
then the profile is the envelope over the list, so that not knowing the shape widens the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.analysis.transition_profile import CurveData, Profile, Shape, collapse, half_width, vertex

FloatArray = NDArray[np.float64]

SHAPES: tuple[Shape, ...] = tuple(product((2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0), (0.0, 0.02, 0.04, 0.07)))
"""The forms (n, δ) tried."""
_PLAIN: Shape = (4.0, 0.02)
DETECTION = 16.0
"""Δχ² against a flat curve that counts as a transition: 4 σ for one parameter, still > 3 σ with Tc free."""
_SHAPE_SAMPLE = 150
_SCREEN = 0.4
_MIN_POINTS = 4


class TransitionStatus(IntEnum):
    """What a fit of s(T) found."""

    FOUND = 0
    NO_TRANSITION = 1  # flat within the noise
    ABOVE_RANGE = 2  # still screening at the highest temperature: `tc` is a lower limit
    BELOW_RANGE = 3  # gone before the second temperature: `tc` is an upper limit
    NO_DATA = 4


@dataclass(frozen=True, eq=False)
class Transition:
    """Critical temperatures of one curve or of a map; arrays of shape (...).

    Attributes
    ----------
    tc, tc_err : ndarray
        Critical temperature and its 1-σ uncertainty (K) from noise, and for a curve from not knowing its form among
        those tried; NaN unless `status` is FOUND or a limit.
    sampling : ndarray
        The interval between measured temperatures around Tc over √12 (K): what any law of s(T) may hide in it.
    amplitude, amplitude_err : ndarray
        A = s(0) − s∞ and its uncertainty; negative where the field is suppressed.
    baseline : ndarray
        s∞.
    exponent, spread : ndarray
        n and δ.
    delta_chi2 : ndarray
        χ² of a flat curve minus that of the fit.
    chi2_reduced : ndarray
    status : ndarray of int
        `TransitionStatus`.
    """

    tc: FloatArray
    tc_err: FloatArray
    sampling: FloatArray
    amplitude: FloatArray
    amplitude_err: FloatArray
    baseline: FloatArray
    exponent: FloatArray
    spread: FloatArray
    delta_chi2: FloatArray
    chi2_reduced: FloatArray
    status: NDArray[np.int8]

    @property
    def total_err(self) -> FloatArray:
        """1-σ uncertainty of Tc with the sampling of temperature included (K)."""
        return np.hypot(self.tc_err, self.sampling)

    def curve(self, temperature: ArrayLike) -> FloatArray:
        """Return the fitted s at `temperature` (K), shape temperature.shape + map shape."""
        t = np.asarray(temperature, dtype=np.float64).reshape(np.shape(temperature) + (1,) * self.tc.ndim)
        return np.asarray(self.baseline + self.amplitude * collapse(t, self.tc, self.exponent, self.spread))

    def reshape(self, shape: tuple[int, ...]) -> Transition:
        """Return it with every array reshaped."""
        return Transition(*(getattr(self, one.name).reshape(shape) for one in fields(self)))

    def replaced(self, index: NDArray[np.intp], other: Transition) -> Transition:
        """Return it with the entries at `index` (of one-dimensional arrays) taken from `other`."""
        merged = {one.name: getattr(self, one.name).copy() for one in fields(self)}
        for name, array in merged.items():
            array[index] = getattr(other, name)
        return Transition(**merged)


def fit_transition(
    temperature: ArrayLike,
    s: ArrayLike,
    s_err: ArrayLike,
    baseline_err: ArrayLike = 0.0,
    *,
    shapes: Sequence[Shape] = SHAPES,
    shared_shape: bool = False,
    step: float = 0.2,
) -> Transition:
    """Fit the transition of one curve or of every pixel of a stack.

    Parameters
    ----------
    temperature : array_like, shape (point,)
        Temperatures (K), in any order.
    s, s_err : array_like, shape (point, ...)
        The ratio and the uncertainties that are independent from point to point; NaN entries are left out.
    baseline_err : array_like, shape (...)
        1-σ uncertainty of the reference, which moves a whole curve; s∞ = 1 ± `baseline_err`.
    shapes : sequence of (n, δ)
        Forms tried.
    shared_shape : bool
        One form for the whole stack, chosen by the summed χ² of up to 150 of its clearest curves,
        none of which counts for more than 25.
    step : float
        Grid of Tc (K); Tc itself is interpolated.
    """
    t = np.asarray(temperature, dtype=np.float64)
    values = np.asarray(s, dtype=np.float64)
    shape = values.shape[1:]
    errors = np.broadcast_to(np.asarray(s_err, dtype=np.float64), values.shape)
    prior = np.broadcast_to(np.asarray(baseline_err, dtype=np.float64), shape)
    if len(t) < _MIN_POINTS or t.max() - t.min() < 4 * step:
        return _empty(shape)
    whole = CurveData.of(t, values.reshape(len(t), -1), errors.reshape(len(t), -1), prior.reshape(-1))
    grid = np.arange(t.min() + step, t.max() + 0.5 * step, step)
    if not shared_shape:
        return _fit(whole, grid, tuple(shapes), False).reshape(shape)
    # most pixels of a map are flat: only those that might not be are worth a fine grid
    coarse = Profile.of(whole, grid[:: max(1, len(grid) // 60)], _PLAIN)
    gain = whole.flat() - coarse.chi2.min(axis=0)
    worthy = np.flatnonzero(gain > _SCREEN * DETECTION)
    form = _shared_form(whole, grid, shapes, gain)
    screened = _fit(whole, grid[:: max(1, len(grid) // 60)], (form,), True)
    return screened.replaced(worthy, _fit(whole.select(worthy), grid, (form,), True)).reshape(shape)


def _fit(data: CurveData, grid: FloatArray, forms: tuple[Shape, ...], shared: bool) -> Transition:
    """Fit every curve of `data`; arrays of shape (pixel,)."""
    profiles = [Profile.of(data, grid, form) for form in forms]
    choice = np.argmin([fit.chi2.min(axis=0) for fit in profiles], axis=0)
    envelope = np.min([fit.chi2 for fit in profiles], axis=0)
    index = np.argmin(envelope, axis=0)
    pixels = np.arange(envelope.shape[1])
    best = envelope[index, pixels]
    flat, count = data.flat(), data.good.sum(0)
    chi2_reduced = best / np.maximum(count - 3, 1)
    tc = vertex(grid, envelope, index)
    detected = (flat - best > DETECTION) & (count >= _MIN_POINTS)
    status = _status(tc, np.sort(data.t), detected, count, grid[1] - grid[0])
    # a pixel's own χ²ᵣ scatters with its few degrees of freedom: a map is widened as a whole
    misfit = np.median(chi2_reduced[detected]) if shared and detected.any() else chi2_reduced
    tc_err = half_width(grid, envelope, index) * np.sqrt(np.maximum(misfit, 1.0))

    def linear(name: str) -> FloatArray:
        return np.stack([getattr(fit, name)[index, pixels] for fit in profiles])[choice, pixels]

    absent = count < _MIN_POINTS

    def out(array: FloatArray, hidden: NDArray[np.bool_]) -> FloatArray:
        return np.where(hidden, np.nan, array)

    form = np.asarray(forms, dtype=np.float64)[choice]
    return Transition(
        tc=out(tc, ~detected),
        tc_err=out(tc_err, ~detected),
        sampling=out(_sampling(np.unique(data.t), tc), ~detected),
        amplitude=out(linear("amplitude"), absent),
        amplitude_err=out(linear("amplitude_err"), absent),
        baseline=out(1 + linear("offset"), absent),
        exponent=out(form[:, 0], ~detected),
        spread=out(form[:, 1], ~detected),
        delta_chi2=out(flat - best, absent),
        chi2_reduced=out(chi2_reduced, absent),
        status=status,
    )


def _empty(shape: tuple[int, ...]) -> Transition:
    nothing = np.full(shape, np.nan)
    return Transition(*(nothing,) * 10, status=np.full(shape, TransitionStatus.NO_DATA, dtype=np.int8))


def _sampling(temperatures: FloatArray, tc: FloatArray) -> FloatArray:
    above = np.clip(np.searchsorted(temperatures, tc), 1, len(temperatures) - 1)
    return np.asarray((temperatures[above] - temperatures[above - 1]) / np.sqrt(12))


def _status(
    tc: FloatArray, coldest: FloatArray, detected: NDArray[np.bool_], count: NDArray[np.intp], step: float
) -> NDArray[np.int8]:
    status = np.full(tc.shape, TransitionStatus.FOUND, dtype=np.int8)
    status[tc > coldest[-1] - step] = TransitionStatus.ABOVE_RANGE
    status[tc <= coldest[1]] = TransitionStatus.BELOW_RANGE
    status[~detected] = TransitionStatus.NO_TRANSITION
    status[count < _MIN_POINTS] = TransitionStatus.NO_DATA
    return status


def _shared_form(data: CurveData, grid: FloatArray, shapes: Sequence[Shape], gain: FloatArray) -> Shape:
    clearest = np.argsort(-gain)[:_SHAPE_SAMPLE]
    clearest = clearest[gain[clearest] > DETECTION]
    if len(clearest) == 0:
        return _PLAIN
    sample = data.select(clearest)
    chi2 = np.array([Profile.of(sample, grid[::3], form).chi2.min(axis=0) for form in shapes])
    # a pixel with a wild value in it would outvote all others: none gets more than five sigmas' worth
    worse = np.minimum(chi2 - chi2.min(axis=0), 25.0)
    return shapes[int(np.argmin(worse.sum(axis=1)))]
