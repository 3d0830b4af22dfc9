"""Which solutions may not be the best there is: who is faint or odd asks the rest of the spectrum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.pair_block import Block, Handicap, no_handicap
from nvscope.odmr.pair_finish import C1, C2, W1, W2
from nvscope.odmr.pair_judge import WORSE, doubt, freedom, misfits, noise_variance, outdone, second_stronger
from nvscope.odmr.pair_likeness import Places, misgiving
from nvscope.odmr.pair_residual import third_line
from nvscope.odmr.pair_search import try_harder

__all__ = ["doubtful"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

WIDER = 2.5  # ratio of widths up to which a further line is looked for
ABOUT = 1.25  # ratio of widths up to which it is as good as the same, where widths go in steps of two
ENOUGH = 8  # templates; with fewer all are taken
PROBES = 12  # pixels that show whether a search helps where most are misled
MENDED = 0.5  # share of what was too much chi2 that may be left for it to have helped
BETTER = 0.8  # share of chi2 that may be left where nothing says how much is too much
HELPED = 0.25  # share of them that must be helped
FEW = 100  # solutions that show how wide lines are


def doubtful(
    block: Block,
    solved: Array,
    pixels: Indices,
    guided: NDArray[np.bool_],
    handicap: Handicap,
    against: Array | None = None,
    *,
    later: bool,
) -> Indices:
    """Which solutions may not be the best there is.

    `guided` are those that began where lines are known to be; `handicap` is what that says against others, and
    `against` what it, and the lines' unlikeness, say against the solutions, if that is known. Who will be asked
    again `later` need not be asked everything.
    """
    noise = block.noise.of(pixels)
    variance = noise_variance(solved, noise)
    begun = against is None and 2 * int(np.count_nonzero(guided)) > guided.size
    usual = _usual_misfit(block, solved, pixels, begun=begun)
    doubted, unsure = doubt(solved, noise, variance, block.setup.bounds, guided, usual, later=later)
    some = np.flatnonzero(unsure)
    if some.size:
        whose = pixels[some]
        if against is None:
            own = solved[:, some]
            told = misgiving(own, variance[some]) + handicap(Places.of(own, variance[some]), whose)
        else:
            told = against[some]
        third, line = _third_line(block, some, solved, pixels)
        strong = np.where(second_stronger(solved, some), solved[C2, some], solved[C1, some])
        beside = np.vstack([strong, line])
        elsewhere = handicap(Places(beside, np.full(beside.shape, np.inf)), whose)
        outdone(some, solved, variance, third, told, elsewhere, doubted)
    return np.flatnonzero(doubted)


def _usual_misfit(block: Block, solved: Array, pixels: Indices, *, begun: bool) -> float:
    """Reduced chi2 of pixels that are fitted as well as can be: that of most, unless most are misled.

    Where the noise is known and most misfit, or most have `begun` where somebody said, a few are looked for in all of
    the spectrum. The noise may be wrong, or lines of another shape, and then that does not help.
    """
    noise = block.noise.of(pixels)
    misfit = misfits(solved, noise)
    usual = float(np.partition(misfit, misfit.size // 2)[misfit.size // 2])
    if noise.known:
        # of most freedom, which allows least: who passes this need not be looked at one by one
        if usual <= 1.0 + WORSE * np.sqrt(2.0 / noise.points.max()):
            return usual
        misled = np.flatnonzero(misfit > 1.0 + WORSE * np.sqrt(2.0 / freedom(solved, noise)))
    else:
        misled = np.arange(misfit.size if begun else 0)
    if 2 * misled.size <= misfit.size:
        return usual
    some = misled[:: -(-misled.size // PROBES)]
    harder = try_harder(block, solved[:, some], pixels[some], block.setup.lines, no_handicap)
    found = misfits(harder, noise.of(some))
    if noise.known:
        helped = np.count_nonzero(found - 1.0 < MENDED * (misfit[some] - 1.0)) >= HELPED * some.size
        return 1.0 if helped else usual
    better = float(np.median(found))
    return better if better < BETTER * usual else usual


def _third_line(block: Block, some: Indices, solved: Array, pixels: Indices) -> tuple[Array, Array]:
    """What a further line would lower chi2 by beside each of `some` solutions, and where it would be.

    Lines about as wide as these are tried: beside separate lines of one width, beside others, which may be one line
    in truth or three, of any up to `WIDER`.
    """
    bank, root = block.setup.bank, np.sqrt(block.weight)
    ratio = bank.width / np.median(solved[[W1, W2]][:, some[:: max(1, some.size // FEW)]])
    apart = np.abs(solved[C1, some] - solved[C2, some]) >= solved[W1, some] + solved[W2, some]
    third, line = np.zeros(some.size), np.zeros(some.size)
    for asked, narrow, wide in ((apart, ABOUT, 2 / ABOUT), (~apart, WIDER, WIDER)):
        where = np.flatnonzero(asked)
        if where.size:
            like = np.flatnonzero((ratio > 1 / narrow) & (ratio < wide))
            like = like if like.size >= ENOUGH else np.arange(ratio.size)
            gain, which = np.empty(where.size), np.empty(where.size, np.int64)
            third_line(some[where], pixels, solved, block.setup.x, block.spectra, root, bank.filters[like], gain, which)
            third[where], line[where] = gain, bank.centre[like[which]]
    return third, line
