"""The field at zero current from the half splittings of one pair of lines at +b, -b and +b again.

With H the field that the magnet is told to make along its axis, a its true over its nominal gain and r what is there
besides (T, both along the NV axis), the aligned pair obeys (Doherty et al., Phys. Rev. B 85, 205203 (2012); exactly in
`nvscope.nv.inversion`)

    h² = γ² (aH + r)² + Π⊥²,

whatever the stress Π⊥ of a pixel, so that of two fields, *pixel by pixel*,

    r/a = (h₁² - h₂²) / (2 γ² a² (H₁ - H₂)) - (H₁ + H₂)/2,      δ(r/a) = √((h₁ δh₁)² + (h₂ δh₂)²) / (γ² |H₁ - H₂|).

r/a is the nominal field that has to be taken away. a is set to 1: a gain that is wrong by 1 % makes 2 % of r. What the
transverse field adds is common to both but for a share Π⊥/D (0.7 % at 20 MHz) of its change, and for a tilt of 3° and
a transverse residual of 0.2 G is below 2 mG. Squares of medians over two maps are no substitute: those are medians of
different pixels, and of other lines where a fit took the wrong pair.

Pixels are averaged with weights 1/δ² and Huber's ψ (Ann. Math. Stat. 35, 73 (1964)), which bounds what a pixel with a
wrong line can do; the error is the larger of what the pixels' errors say and of their scatter (the sandwich
Σψ²/(Σψ')²).

Only the better known half of the pixels makes the value. Where another group's line lies on one of the pair, errors are
large, and the two are not told apart without bias: in the simulated lab at 21 GPa (five seeds) r = 0.40 G came out as
0.46 ± 0.01 G in pixels with an error of 0.3 G, and as 0.401 ± 0.004 G in those with 0.15 G or less. How far the other
half is off beyond noise says whether it is so, and half of that is counted as 1 σ: twice or more of what was seen
there.

The third visit is for what the pixels do not know. A magnet with remanence m follows m(+b), m(-b) on the way down, and
a magnet that has drifted does not come back: r from the first two is (m(+b) + m(-b))/2 on the branch by which zero is
reached, where m(0) lies between m(+b) and m(-b), because m is monotone; so it is wrong by (m(+b) - m(-b))/2 at most.
Half of what is missing at +b when it is reached again from below is that number, as long as ±b is too little to turn
over what the large field has left (a play or friction-like hysteresis). It is counted as 1 σ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.plans.odmr_settings import GAMMA

FloatArray = NDArray[np.float64]

FEWEST = 60
"""Pixels: the scatter of half of fewer is known to no better than an eighth, and wrong lines outweigh it."""
_WIDEST = 1.5
"""Scatter over stated errors: fits of the right lines have 1.0 to 1.2, a mixture of lines 1.8 and more."""
_HUBER = 1.345
"""σ beyond which a pixel's pull is bounded; 95 % as good as a mean where errors are Gaussian."""


@dataclass(frozen=True)
class ResidualField:
    """The field at zero current (T) along the magnet's axis, beyond what is known already.

    Attributes
    ----------
    field, err : float
        And its 1-σ uncertainty: pixels, repetition and lines that overlap.
    pixels_err : float
        What of `err` the pixels' noise makes.
    repetition : float
        How much another pass from -b to +b gives beyond the first; with its error `repetition_err`.
    others : float
        How much the less well known half of the pixels gives beyond the other; with its error `others_err`.
    pixels : int
        Pixels that were fitted at all three fields; half of them make `field`.
    scatter : float
        Robust width of the pixels' distribution over their stated errors.
    """

    field: float
    err: float
    pixels_err: float
    repetition: float
    repetition_err: float
    others: float
    others_err: float
    pixels: int
    scatter: float

    @property
    def complaint(self) -> str | None:
        """Why this must not be cancelled; None if it may."""
        if self.pixels < FEWEST:
            return f"only {self.pixels} pixels have the pair at all fields, {FEWEST} are needed"
        if not self.scatter <= _WIDEST:
            return f"pixels differ by {self.scatter:.1f} times their errors: other lines were taken for the pair"
        return None

    @property
    def trustworthy(self) -> bool:
        """Whether it is to be cancelled: no complaint, and better known than it is large.

        Cancelling any other would on average add more than it takes away.
        """
        return self.complaint is None and abs(self.field) > self.err

    def describe(self) -> str:
        """Return a line for people."""
        if self.complaint is not None:
            return f"the residual field is not known and not cancelled: {self.complaint}"
        field, err, own = (1e4 * value for value in (self.field, self.err, self.pixels_err))
        again, others = 1e4 * self.repetition, 1e4 * self.others
        done = "cancelled" if self.trustworthy else "no more than its uncertainty, not cancelled"
        return (
            f"residual field {field:.3f} ± {err:.3f} G, {done} (±{own:.3f} G from the better half of {self.pixels} "
            f"pixels, the others {others:+.3f} G; another pass {again:+.3f} G)"
        )


def residual_field(half: FloatArray, half_err: FloatArray, field: FloatArray) -> ResidualField:
    """Return the residual field.

    Parameters
    ----------
    half, half_err : ndarray, shape (3, pixel)
        Half splittings and 1-σ errors (Hz) at the three visits; NaN where there is none.
    field : ndarray, shape (3,)
        Nominal fields (T), the first and the last on one side of zero, the second on the other.
    """
    good = np.isfinite(half).all(axis=0) & np.isfinite(half_err).all(axis=0) & (half_err > 0).all(axis=0)
    pixels = int(good.sum())
    if pixels < FEWEST:
        return ResidualField(*(math.nan,) * 7, pixels, math.nan)
    square, square_err = half[:, good] ** 2, 2 * half[:, good] * half_err[:, good]

    scale = 1 / (2 * GAMMA**2 * (field[0] - field[1]))

    def change(i: int, j: int) -> tuple[FloatArray, FloatArray]:
        return scale * (square[i] - square[j]), abs(scale) * np.hypot(square_err[i], square_err[j])

    each, each_err = change(0, 1)
    each -= 0.5 * (field[0] + field[1])
    order = np.argsort(each_err)
    best, rest = order[: pixels // 2], order[pixels // 2 :]
    value, err, scatter = robust_mean(each[best], each_err[best])
    others, others_err, _ = robust_mean(each[rest], each_err[rest])
    others, others_err = others - value, math.hypot(err, others_err)
    # r of the last two less r of the first two, in which the map between them drops out
    again, again_err = change(2, 0)
    repetition, repetition_err, _ = robust_mean(again[best], again_err[best])
    repetition -= (field[2] - field[0]) * (field[2] + field[0] + 2 * value) / (2 * (field[0] - field[1]))
    total = math.hypot(err, _beyond(repetition, repetition_err), 0.5 * _beyond(others, others_err))
    return ResidualField(
        value,
        total,
        err,
        repetition,
        repetition_err,
        others,
        others_err,
        pixels,
        scatter,
    )


def _beyond(value: float, err: float) -> float:
    """Return what of a difference is not its noise."""
    return math.sqrt(max(0.0, value**2 - err**2))


def robust_mean(value: FloatArray, err: FloatArray) -> tuple[float, float, float]:
    """Return Huber's weighted mean, its 1-σ error, and the robust width of (value - mean)/err."""
    mean = float(np.median(value))
    width = 1.0
    for _ in range(30):
        pull = (value - mean) / err
        width = 1.4826 * float(np.median(np.abs(pull - np.median(pull))))
        scale = max(1.0, width)
        weight = np.minimum(1.0, _HUBER * scale / np.maximum(np.abs(pull), 1e-12)) / err**2
        step = float((weight * (value - mean)).sum() / weight.sum())
        mean += step
        if abs(step) < 1e-3 / math.sqrt(weight.sum()):
            break
    pull = (value - mean) / err
    inside = np.abs(pull) < _HUBER * scale
    curvature = float((inside / err**2).sum())
    bounded = np.clip(pull, -_HUBER * scale, _HUBER * scale) / err
    sandwich = math.sqrt(float((bounded**2).sum())) / curvature if curvature > 0 else math.inf
    stated = 1 / math.sqrt(curvature) if curvature > 0 else math.inf
    return mean, max(sandwich, stated), width
