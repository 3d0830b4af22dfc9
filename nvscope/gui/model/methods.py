"""Calculations a window needs and does not own: given to it by the command line, so that there is one of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RatioMap:
    """A ratio s with the uncertainty that scatters from point to point and the share of the reference."""

    s: FloatArray
    point_err: FloatArray
    reference_err: FloatArray


@dataclass(frozen=True, eq=False)
class SpectrumFit:
    """A fitted spectrum.

    Attributes
    ----------
    frequency, model : ndarray, shape (fine,)
        Fine axis (Hz) and the fitted signal on it.
    components : tuple of ndarray
        Each line on its own, baseline included, on the fine axis.
    at_data : ndarray, shape (frequency,)
        The fitted signal at the measured frequencies.
    parameters : tuple of (text, value, error, unit)
        For people, in everyday units.
    lines : tuple of float
        Centres (Hz).
    status : str
        How far it may be trusted.
    chi2_reduced : float
    """

    frequency: FloatArray
    model: FloatArray
    components: tuple[FloatArray, ...]
    at_data: FloatArray
    parameters: tuple[tuple[str, float, float, str], ...]
    lines: tuple[float, ...]
    status: str
    chi2_reduced: float


@dataclass(frozen=True, eq=False)
class CriticalTemperature:
    """A running estimate; `note` says what it is or why there is none.

    Attributes
    ----------
    tc, tc_err : float
        K; NaN if there is none.
    temperature, curve : ndarray
        What was fitted, to draw; empty if nothing was.
    """

    tc: float
    tc_err: float
    note: str
    temperature: FloatArray = field(default_factory=lambda: np.empty(0))
    curve: FloatArray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Shift:
    """How far the picture has moved (pixels), positive down and to the right, and the 1-σ uncertainty of either."""

    down: float
    right: float
    err: float


Place = tuple[int, int]
Start = tuple[float, float] | None
Vertices = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Methods:
    """The calculations.

    Attributes
    ----------
    ratio : callable
        ``ratio(b, b_err, reference, reference_err, field, reference_field)``; `reference` None divides by `field`.
    zero_field_splitting : callable
        D0 (Hz) at a temperature (K).
    fit : callable
        ``fit(frequency, signal (frequency, n), frames (frequency, n), attrs, starts)`` returns one `SpectrumFit` or
        None each; `starts` holds (f_minus, f_plus) in Hz or None.
    transition : callable
        ``transition(T, s, err, common_err)``.
    onset : callable
        ``onset(T, R, err)``.
    extremes : callable
        ``extremes(s, err, radius, outlines, pixel_size)`` returns the most suppressed and the most enhanced place as
        (row, column) or None; `outlines` are the sample's, vertices (x, y) as fractions of width and height.
    shift : callable
        ``shift(before, after)`` of two maps of the lines' centre; None if nothing is recognised in both.
    """

    ratio: Callable[
        [FloatArray, FloatArray, FloatArray | None, FloatArray | None, float, float],
        RatioMap,
    ]
    zero_field_splitting: Callable[[float], float]
    fit: Callable[
        [FloatArray, FloatArray, FloatArray, Mapping[str, Any], Sequence[Start]], Sequence[SpectrumFit | None]
    ]
    transition: Callable[[FloatArray, FloatArray, FloatArray, float], CriticalTemperature]
    onset: Callable[[FloatArray, FloatArray, FloatArray], CriticalTemperature]
    extremes: Callable[[FloatArray, FloatArray, float, Sequence[Vertices], float], tuple[Place | None, Place | None]]
    shift: Callable[[FloatArray, FloatArray], Shift | None]
