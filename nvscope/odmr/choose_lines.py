"""One line or two in every pixel, by the Bayesian information criterion, for shapes without a kernel of their own."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.result import ODMRFit

__all__ = ["ELSEWHERE", "choose_lines"]

ELSEWHERE = 6.0  # what a second line costs besides its parameters: noise has many places to look like one


def choose_lines(pair: ODMRFit, single: ODMRFit, widths: int, points: NDArray[np.int64], noise_known: bool) -> ODMRFit:
    """Keep a pair where its lines are both significant and worth their parameters, elsewhere one line.

    Parameters
    ----------
    pair, single : ODMRFit
        The same signal fitted with two lines and with one.
    widths : int
        How many widths the pair has of its own.
    points : ndarray
        Usable points of every pixel.
    noise_known : bool
        Whether `chi2_reduced` is in units of the noise.
    """
    of_pair = _criterion(pair, points, 4 + widths, noise_known)
    of_single = _criterion(single, points, 3, noise_known)
    two = (pair.n_lines == 2) & (of_pair + ELSEWHERE < of_single)
    kept: dict[str, Any] = {}
    for field in fields(ODMRFit):
        first, second = getattr(pair, field.name), getattr(single, field.name)
        if field.name not in ("model_name", "frequency", "signal"):
            kept[field.name] = np.where(two, first, second).astype(first.dtype)
    return replace(pair, **kept)


def _criterion(result: ODMRFit, points: NDArray[np.int64], of_lines: int, noise_known: bool) -> NDArray[np.float64]:
    parameters = of_lines + 1 + result.baseline_degree
    with np.errstate(divide="ignore", invalid="ignore"):
        chi2 = result.chi2_reduced * (points - parameters)
        misfit = np.where(noise_known, chi2, points * np.log(chi2))
        value = misfit + parameters * np.log(points)
    return np.asarray(np.where(np.isnan(value), np.inf, value), float)
