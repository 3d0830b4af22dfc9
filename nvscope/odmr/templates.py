"""The bank of line templates from which first guesses are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from nvscope.odmr.shapes import LineModel, evaluate_line

__all__ = ["TemplateBank", "segments", "template_bank"]

MAX_TEMPLATES = 1600
FEW = 50_000  # numbers in templates up to which they are multiplied in a millisecond or so without a library
GAP_STEPS = 4.0  # a step longer than this many of those around it separates two windows
AROUND = 9  # steps


@dataclass(frozen=True)
class TemplateBank:
    """Unit-norm lines with the baseline projected out, on one frequency axis.

    Attributes
    ----------
    centre, width : ndarray, shape (template,)
        Hz.
    basis : ndarray, shape (degree + 1, frequency)
        The baselines projected out, times the roots of the weights, orthonormal.
    filters : ndarray, shape (template, frequency)
        Their product with a weighted spectrum is the matched-filter amplitude in units of the noise.
    overlap, gain : ndarray, shape (template, template or a little more)
        Inner products ρ of the filters, and 1/(1 - ρ²), zero where two are too alike to be told apart; rows are filled
        up with zeros to a multiple of 8.
    """

    centre: NDArray[np.float64]
    width: NDArray[np.float64]
    basis: NDArray[np.float64]
    filters: NDArray[np.float64]
    overlap: NDArray[np.float64]
    gain: NDArray[np.float64]


COLLINEAR = 0.95


def segments(frequency: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Split an ascending axis at its gaps; returns (first, last + 1) of each window."""
    if frequency.size < 3:
        return [(0, frequency.size)]
    steps = np.diff(frequency)
    # of the steps around it: coarse and fine windows may follow each other
    usual = median_filter(steps, min(AROUND, steps.size), mode="nearest")
    cuts = np.flatnonzero(steps > GAP_STEPS * usual) + 1
    # a gap is one only if windows on both sides hold enough points to show a line
    edges = [0, *(int(cut) for cut in cuts), frequency.size]
    merged = [edges[0]]
    for edge in edges[1:]:
        if edge - merged[-1] >= 4 or edge == frequency.size:
            merged.append(edge)
    if len(merged) > 2 and merged[-1] - merged[-2] < 4:
        del merged[-2]
    return list(pairwise(merged))


def template_bank(
    model: LineModel, frequency: NDArray[np.float64], root_weight: NDArray[np.float64], degree: int
) -> TemplateBank:
    """Build templates on a ladder of widths, each width at centres one width apart.

    Parameters
    ----------
    model : LineModel
        Line shape.
    frequency : ndarray, shape (frequency,)
        Hz, ascending; may have gaps.
    root_weight : ndarray, shape (frequency,)
        Square roots of the weights.
    degree : int
        Degree of the baseline projected out.
    """
    centres: list[NDArray[np.float64]] = []
    widths: list[NDArray[np.float64]] = []
    for width, first, last in _ladder(frequency):
        low, high = frequency[first], frequency[last - 1]
        count = max(2, round((high - low) / width) + 1)
        centres.append(np.linspace(low, high, count))
        widths.append(np.full(count, width))
        if sum(map(len, widths)) >= MAX_TEMPLATES:
            break
    centre, breadth = np.concatenate(centres), np.concatenate(widths)
    rows = evaluate_line(model, frequency[None, :], centre[:, None], breadth[:, None]) * root_weight
    basis = _baselines(frequency, root_weight, degree)
    filters = rows - np.einsum("id,df->if", np.einsum("if,df->id", rows, basis), basis)
    norm = np.sqrt(np.einsum("ij,ij->i", filters, filters))
    keep = norm > 1e-3 * norm.max()
    filters = filters[keep] / norm[keep, None]
    # for few it is not worth waking the linear algebra library's threads
    overlap = np.einsum("if,jf->ij", filters, filters) if filters.size < FEW else filters @ filters.T
    gain = np.where(np.abs(overlap) < COLLINEAR, 1.0 / (1.0 - np.minimum(overlap**2, COLLINEAR**2)), 0.0)
    room = ((0, 0), (0, -overlap.shape[0] % 8))
    return TemplateBank(
        centre[keep], breadth[keep], basis, np.ascontiguousarray(filters), np.pad(overlap, room), np.pad(gain, room)
    )


def _ladder(frequency: NDArray[np.float64]) -> list[tuple[float, int, int]]:
    """Widths to try, each twice the one before, and the window (first, last + 1) each is for; narrow ones first."""
    windows = segments(frequency)
    longest = max(float(frequency[last - 1] - frequency[first]) for first, last in windows)
    rungs = []
    for first, last in windows:
        step = float(np.median(np.diff(frequency[first:last])))
        width = step * (1.0 if frequency.size <= 256 else 2.0)
        while width <= max(longest / 5, 1.01 * step):
            rungs.append((width, first, last))
            width *= 2.0
    return sorted(rungs)


def _baselines(frequency: NDArray[np.float64], root_weight: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Return weighted polynomials up to `degree`, orthonormal, shape (degree + 1, frequency)."""
    x = 2 * (frequency - frequency[0]) / (frequency[-1] - frequency[0]) - 1
    return np.ascontiguousarray(np.linalg.qr(np.vander(x, degree + 1) * root_weight[:, None])[0].T)
