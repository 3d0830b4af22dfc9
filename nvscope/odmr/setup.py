"""What all pixels of a fit share, in the kernels' units: the frequency axis spans -1 … 1."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from nvscope.odmr.noise import Weights
from nvscope.odmr.shapes import LineModel
from nvscope.odmr.templates import TemplateBank, segments, template_bank

__all__ = ["GAIN_SHARE", "INSIDE", "UNEXPLAINED", "Setup", "make_setup"]

Array = NDArray[np.float64]

NEEDED = 4.0
INSIDE = (
    0.5  # widths that a line must be inside of what was sampled: a flank alone does not say how far off its line is
)
UNEXPLAINED = 5.0  # excess of chi2 over the noise given, in its own scatter, from which errors grow with what is more
GAIN_SHARE = 1.875  # what all lines must lower chi2 by, in variances, over the square of what one needs: 30 at four


@dataclass(frozen=True, eq=False)
class Setup:
    """A fit's axis, line shape, weights and limits.

    Attributes
    ----------
    frequency, middle, unit, x
        Hz, and f = middle + unit·x.
    shape, lines, which
        Line shape, how many, and which width each line has.
    choose_lines
        Whether a pixel may have one line less where that is likelier.
    degrees
        Lowest and highest baseline degree to choose from.
    weights
        Of the signal.
    bounds
        Lowest and highest centre, smallest and largest width.
    windows : (window, 2)
        Where signal was sampled.
    needed : (points + 1,)
        Least amplitude of a line over its error, by degrees of freedom; see `needed_by_freedom`.
    step
        Usual distance of two points of `x`.
    """

    frequency: Array
    middle: float
    unit: float
    x: Array
    shape: LineModel
    lines: int
    which: NDArray[np.int64]
    choose_lines: bool
    degrees: tuple[int, int]
    weights: Weights
    bounds: Array
    windows: Array
    needed: Array
    step: float

    @cached_property
    def bank(self) -> TemplateBank:
        """Line templates; centres and widths in units of `x`. Made when first asked for."""
        root = self.weights.root[0] if self.weights.root.shape[0] == 1 else np.ones(self.frequency.size)
        bank = template_bank(self.shape, self.frequency, np.where(root > 0, root, 0.0), self.degrees[1])
        return replace(bank, centre=(bank.centre - self.middle) / self.unit, width=bank.width / self.unit)


def needed_by_freedom(points: int, known: bool) -> Array:
    """Least amplitude of a line over its error for each number of degrees of freedom, 0 … `points`.

    Four; where the error follows from the scatter, what Student's t exceeds as rarely as a normal deviate exceeds four:
    the scatter of few points about a fit of nearly as many parameters says next to nothing.
    """
    if known:
        return np.full(points + 1, NEEDED)
    tail = 1.0 - ndtr(NEEDED)
    return np.concatenate([[np.inf], -stdtrit(np.arange(1, points + 1), tail)])


def make_setup(
    frequency: Array,
    shape: LineModel,
    lines: int,
    which: NDArray[np.int64],
    degrees: tuple[int, int],
    weights: Weights,
    *,
    choose_lines: bool = False,
) -> Setup:
    """Scale the axis, find its windows, and build templates."""
    middle = float(frequency[0] + frequency[-1]) / 2
    unit = float(frequency[-1] - frequency[0]) / 2
    x = (frequency - middle) / unit
    step = float(np.median(np.diff(x)))
    sampled = segments(frequency)
    steps = [float(np.median(np.diff(x[first:last]))) for first, last in sampled]
    windows = np.array([[x[first], x[last - 1]] for first, last in sampled])
    longest = max(float(x[last - 1] - x[first]) for first, last in sampled)
    return Setup(
        frequency=frequency,
        middle=middle,
        unit=unit,
        x=x,
        shape=shape,
        lines=lines,
        which=which,
        choose_lines=choose_lines,
        degrees=degrees,
        weights=weights,
        bounds=np.array([-1 - 2 * step, 1 + 2 * step, 0.2 * min(steps), longest]),
        windows=windows,
        needed=needed_by_freedom(frequency.size, weights.known),
        step=step,
    )
