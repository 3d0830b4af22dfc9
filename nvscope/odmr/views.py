"""A solved stack as its pixels see each other, and whether they may believe what they are told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.neighbours import Surroundings, surroundings
from nvscope.odmr.pair_publish import A, F, W
from nvscope.odmr.solved import Solved
from nvscope.odmr.stack import Stack

__all__ = ["ORDERED", "View", "as_told", "believable", "in_order", "lines_of", "widened"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SURE = 6.0  # amplitude over its error from which a pixel is listened to
CONTENT = 4.0  # ... from which it need not ask
ORDERED = 0.5  # share of pixels whose neighbours must agree for a stack to be worth binning
ASKED = 200  # pixels that show whether they do
AGREEING = 0.1  # share of pixels whose own lines must be like those they are told; by chance few in a hundred are
CLEARLY = 0.15  # share from which nothing else is asked: of lines at random about one centre a tenth are alike
THERE = 0.03  # share of pixels that must see something where they are told; by chance less than one in a hundred do
SCATTERED = 2.5  # median square of how far lines are off, in errors, where chance put them there; else 0.5
ALIKE = 2.0  # ratio of widths
HUMP = 3.0  # ratio from which a binned line is that of pixels that have nothing to do with each other
FAR = 2.5  # errors and spreads from where a pixel is told that its lines are


@dataclass(frozen=True, eq=False)
class View:
    """A solved stack as its pixels see each other.

    Attributes
    ----------
    lines : (4, y, x)
        c1, w1, c2, w2 in units of x.
    good : (pixel,)
        Pixels whose lines are there, and not doubted.
    sure, content : (y, x)
        Pixels that are listened to; pixels that need not ask.
    """

    lines: Array
    good: Mask
    sure: Mask
    content: Mask

    @classmethod
    def of(cls, stack: Stack, solved: Solved, grid: tuple[int, int]) -> View:
        """Look at what was solved of `stack`, laid out on `grid`."""
        table = solved.table
        depth, depth_err = np.abs(table[A : A + 2]), table[A + 2 : A + 4]
        good = (solved.status == 0) & ~solved.doubted
        sure, content = (good & (depth > least * depth_err).all(axis=0) for least in (SURE, CONTENT))
        return cls(lines_of(stack, table).reshape(4, *grid), good, sure.reshape(grid), content.reshape(grid))


def lines_of(stack: Stack, table: Array) -> Array:
    """c1, w1, c2, w2 in units of x from maps."""
    lines = table[[F, W, F + 1, W + 1]]
    lines[::2] -= stack.setup.middle
    lines /= stack.setup.unit
    return lines


def in_order(view: View) -> bool:
    """Whether those who are sure agree with those around them, or too few are to tell."""
    sure = np.flatnonzero(view.sure)
    around = surroundings(view.lines, view.sure, sure[:: max(1, sure.size // ASKED)])
    heard = np.isfinite(around.spread[0])
    return bool(np.count_nonzero(heard) < ASKED // 10 or np.mean(around.known[heard]) > ORDERED)


def believable(around: Surroundings, own: Array, err: Array | None = None) -> bool:
    """Whether enough pixels have lines of their own, (4, pixel), that look like those they are told to look for.

    Lines scattered at random sum up to a broad one in a binned stack: places alone would not tell. Where no more are
    alike than lines at random about one centre may be, they must lie where they are told to within `err`, if known.
    """
    told, own = around.lines[:, around.known], own[:, around.known]
    width, other = told[[1, 3]], own[[1, 3]]
    alike = (np.abs(told[[0, 2]] - own[[0, 2]]) < np.minimum(width, other)).all(axis=0)
    alike &= (np.maximum(width, other) < ALIKE * np.minimum(width, other)).all(axis=0)
    share = np.count_nonzero(alike) / max(1, alike.size)
    if err is not None and AGREEING <= share < CLEARLY:
        return not scattered(told[:, alike], own[:, alike], err[:, around.known][:, alike])
    return bool(share >= AGREEING)


def scattered(told: Array, own: Array, err: Array) -> bool:
    """Whether lines lie further from where they are told than their errors say, as those do that chance put there."""
    far = (told[[0, 2]] - own[[0, 2]]) ** 2 / np.maximum(err**2, 1e-12)
    return bool(np.median(far) > SCATTERED)


def as_told(around: Surroundings, own: Array, err: Array) -> Mask:
    """Which pixels have found by themselves what they are told: another look would find the same."""
    far = (own[[0, 2]] - around.lines[[0, 2]]) ** 2 / (err**2 + around.spread**2)
    return np.asarray((far < FAR**2).all(axis=0))


def widened(around: Surroundings, told: Surroundings, own: Array, err: Array) -> Surroundings | None:
    """What may be believed of all `around` where some, `told` to look there, find lines of their `own` but no likeness.

    Lines of faint pixels have any width, but more of them lie where they are told than by chance, and there to within
    their errors `err`. A binned line that is wider than theirs is so because they scatter, by the difference: the
    wider, the less it says. None where chance would do as well, or most of what is told are humps.
    """
    width, other = told.lines[[1, 3]], own[[1, 3]]
    there = (np.abs(told.lines[[0, 2]] - own[[0, 2]]) < np.minimum(width, other)).all(axis=0)
    if np.count_nonzero(there) < max(1.0, THERE * there.size):
        return None
    if scattered(told.lines[:, there], own[:, there], err[:, there]):
        return None
    usual = np.median(other[:, there], axis=1)[:, None]
    width = around.lines[[1, 3]]
    hump = (width > HUMP * usual).any(axis=0)
    if np.count_nonzero(hump) > ORDERED * np.count_nonzero(around.known):
        return None
    return Surroundings(np.where(hump, np.nan, around.lines), np.hypot(around.spread, np.maximum(width - usual, 0.0)))
