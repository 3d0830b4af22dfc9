"""Look for two lines in all of a spectrum, from what is known of it: the dear search, for pixels in doubt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.pair_block import Block, Handicap, stronger
from nvscope.odmr.pair_candidates import pair_candidates
from nvscope.odmr.pair_finish import A1, A2, C1, C2, CHI2, W1, W2
from nvscope.odmr.pair_judge import noise_variance
from nvscope.odmr.pair_likeness import Places, misgiving
from nvscope.odmr.pair_residual import third_line

__all__ = ["try_harder"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

CANDIDATES = 4  # starts for a pixel that is looked at again
PARTED = 0.6  # of a line's width: where two lines close together are looked for in it, and how wide
BESIDE = 20.0  # what a line must gain that is looked for beside another: of lines that overlap noise makes odd ones


def try_harder(block: Block, table: Array, pixels: Indices, lines: int, handicap: Handicap) -> Array:
    """Start again from the best templates that may lead to something likelier; keep what is likeliest."""
    bank = block.setup.bank
    q = np.empty((4, CANDIDATES * pixels.size))
    least = np.empty(CANDIDATES * pixels.size)
    known = table[[C1, W1, C2, W2]] if lines == 2 else table[[C1, W1, C1, W1]]
    # lines that overlap may be any of several pairs that look alike
    overlapping = np.abs(known[0] - known[2]) < known[1] + known[3]
    if lines == 2:
        known[:, overlapping] = np.inf
    pair_candidates(
        pixels, block.spectra, np.sqrt(block.weight), bank.basis, bank.filters, bank.overlap, bank.gain, bank.centre,
        bank.width, lines, known, q, least,
    )  # fmt: skip
    variance = noise_variance(table, block.noise.of(pixels))
    against = misgiving(table, variance) + handicap(Places.of(table, variance), pixels)
    every = np.arange(pixels.size)
    owner = np.repeat(every, CANDIDATES)
    could = handicap(Places.begun(q), pixels[owner]) < against[owner] + (table[CHI2, owner] - least) / variance[owner]
    rivals, owners = [table], [every]
    if could.any():
        rivals.append(block.refine_any(pixels[owner[could]], q[:, could], lines))
        owners.append(owner[could])
    if lines == 2:
        parted = _parted(block, table)
        could = handicap(Places.begun(parted), pixels) <= against
        rivals.append(block.refine_any(pixels[could], parted[:, could], 2))
        owners.append(every[could])
    best = block.likeliest(np.hstack(rivals), np.concatenate(owners), pixels, handicap)
    if lines == 2:
        _look_beside(block, best, pixels, handicap)
    return best


def _look_beside(block: Block, pairs: Array, pixels: Indices, handicap: Handicap) -> None:
    """Take two lines that overlap for one, and look for the other in what it leaves, in place.

    Beside a line many times deeper a faint one explains less than templates leave of the deep one.
    """
    bank = block.setup.bank
    overlapping = np.abs(pairs[C1] - pairs[C2]) < pairs[W1] + pairs[W2]
    some = np.flatnonzero(overlapping | (pairs[A1] * pairs[A2] < 0))
    if not some.size or len(bank.filters) < 4:
        return
    single = block.best_single(pairs[:, some], pixels[some])
    gain, which = np.empty(some.size), np.empty(some.size, np.int64)
    third_line(
        np.arange(some.size), pixels[some], single, block.setup.x, block.spectra, np.sqrt(block.weight), bank.filters,
        gain, which,
    )  # fmt: skip
    q = np.stack([single[C1], single[W1], bank.centre[which], bank.width[which]])
    found = block.refine_any(pixels[some], q, 2)
    worth = block.against(found, pixels[some], handicap) + BESIDE
    better = worth < block.against(pairs[:, some], pixels[some], handicap)
    pairs[:, some[better]] = found[:, better]


def _parted(block: Block, table: Array) -> Array:
    """Starts that take the stronger line of a pair for both lines close together."""
    centre, width = stronger(table)
    low, high = block.setup.bounds[[0, 2]], block.setup.bounds[[1, 3]]
    half = np.clip(PARTED * width, low[1], high[1])
    return np.stack([
        np.clip(centre - half, low[0], high[0]), half, np.clip(centre + half, low[0], high[0]), half,
    ])  # fmt: skip
