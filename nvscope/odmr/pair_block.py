"""The spectra of a block of pixels while they are being fitted with one or two Lorentzians."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.choose_lines import ELSEWHERE
from nvscope.odmr.pair_finish import (
    A1,
    A2,
    BEND,
    C1,
    C2,
    CHI2,
    DEGREE,
    FIXED,
    LEVEL,
    LINES,
    ROWS,
    TILT,
    VARIANCE,
    W1,
    W2,
)
from nvscope.odmr.pair_guess import guess_pairs, level_spectra
from nvscope.odmr.pair_judge import (
    Noise,
    criterion,
    freedom,
    may_be_one,
    noise_variance,
    second_stronger,
    useful_terms,
    useless_term,
    wanted_degree,
    weakest_line,
)
from nvscope.odmr.pair_likeness import Places, misgiving
from nvscope.odmr.pair_solve import solve_pairs
from nvscope.odmr.setup import Setup
from nvscope.odmr.simd import LANES

__all__ = ["Block", "Handicap", "no_handicap", "stronger"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Handicap = Callable[[Places, Indices], Array]
"""Takes where lines are and the pixels they belong to; returns what counts against each, as an addition to chi2."""

STRONG_CONTRAST = 0.03  # contrast from which Poisson weights must follow the spectrum
PILOT = 24  # pixels of a block that show whether its baseline is bent


class Block:
    """A block of pixels, (frequency, pixel), levelled and weighted.

    Attributes
    ----------
    alive, invalid
        Pixels that can be fitted; pixels with too few usable points or no sensible noise.
    base, level, noise
        Sums over the baseline, what was taken off, and what is known of the noise.
    """

    def __init__(self, setup: Setup, signal: NDArray[np.generic], root: Array) -> None:
        self.setup = setup
        points, self.size = signal.shape
        # rows of an odd number of cache lines, or a column would find all of itself in the same few places of the cache
        self.spectra = np.empty((points, 8 * ((self.size + 7) // 8 | 1)))
        self.spectra[:, self.size :] = 0.0
        self.base = np.empty((9, self.size))
        self.level = np.empty(self.size)
        usable = np.full(self.size, points)
        if root.shape[0] == 1:
            self._weigh_alike(signal, root[0])
            lost = ~np.isfinite(self.level)
            if lost.any():  # as where a frame is missing in all pixels
                lost = ~np.isfinite(signal).any(axis=1)
            if lost.any():
                self._weigh_alike(signal, np.where(lost, 0.0, root[0]))
            usable[:] = np.count_nonzero(self.weight)
        if root.shape[0] > 1 or not np.isfinite(self.level).all():
            usable = self._weigh_apart(signal.astype(np.float64), root)
        slope, intercept = setup.weights.poisson
        unit = slope * self.level + intercept if slope > 0 else np.ones(self.size)
        least = 2 + 3 * setup.lines + setup.degrees[0]
        self.invalid = (usable < least) | ~(unit > 0) | ~np.isfinite(self.level)
        constant = ~(self.base[8] > 1e-24 * self.level**2 * self.base[0])
        unit[self.invalid] = 1.0
        self.alive = ~self.invalid & ~constant
        self.noise = Noise(setup.weights.known, unit, usable, self.base[8])

    def _weigh_alike(self, signal: NDArray[np.generic], root: Array) -> None:
        """Give all pixels the same weights; what weighs nothing may be anything, and is not looked at."""
        self.weight = np.ascontiguousarray(root[:, None] ** 2)
        self.spectra[:, : self.size] = signal
        nothing = np.flatnonzero(root == 0)
        self.spectra[nothing] = self.spectra[np.argmax(root > 0)]
        level_spectra(self.spectra, self.setup.x, self.weight[:, 0], self.base, self.level)
        self.spectra[nothing] = 0.0

    def _weigh_apart(self, raw: Array, root: Array) -> NDArray[np.int64]:
        """Give every pixel weights of its own, zero where there is nothing to weigh; returns its usable points."""
        weight = np.ascontiguousarray(np.where(np.isfinite(raw), np.broadcast_to(root.T**2, raw.shape), 0.0))
        raw[weight == 0] = 0.0
        self.weight = weight
        usable = np.count_nonzero(weight, axis=0)
        ordered = np.sort(np.where(weight > 0, raw, np.inf), axis=0)
        every = np.arange(self.size)
        median = 0.5 * (ordered[np.maximum(usable - 1, 0) // 2, every] + ordered[usable // 2, every])
        self.level = np.where(usable > 0, median, np.nan)
        np.subtract(raw, self.level, out=self.spectra[:, : self.size])
        self.spectra[:, : self.size][weight == 0] = 0.0
        self._sum_base(every)
        return usable

    def _sum_base(self, pixels: Indices) -> None:
        powers = self.setup.x[None, :] ** np.arange(5)[:, None]
        weighted = self.weight[:, pixels] * self.spectra[:, pixels]
        self.base[:5, pixels] = powers @ self.weight[:, pixels]
        self.base[5:8, pixels] = powers[:3] @ weighted
        self.base[8, pixels] = np.einsum("fp,fp->p", weighted, self.spectra[:, pixels])

    def start(self, pixels: Indices, given: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return c1, w1, c2, w2 to start `pixels` from, (4, start), and which are those `given`, (0 or start, 2 lines).

        The others are guessed.
        """
        lines, bounds = self.setup.lines, self.setup.bounds
        warm: NDArray[np.bool_] = np.zeros(pixels.size, np.bool_)
        if given.shape[0]:
            warm = np.asarray(np.isfinite(given).all(axis=1))
        q = np.ones((4, pixels.size))
        if not np.all(warm | ~self.alive[pixels]):
            guess_pairs(self._columns(pixels), pixels.size, self.setup.x, bounds, q)
        if np.any(warm):
            every = warm.all()
            for k in range(2 * lines):
                # centres come first there, then widths
                values = given[:, k // 2 + lines * (k % 2)]
                limited = np.clip(values, bounds[2 * (k % 2)], bounds[2 * (k % 2) + 1])
                q[k] = limited if every else np.where(warm, limited, q[k])
        return q, warm

    def _columns(self, pixels: Indices) -> Array:
        """Spectra of some pixels side by side, columns filled up to whole `LANES`."""
        if pixels.size == self.size:
            return self.spectra
        columns = np.zeros((len(self.spectra), -(-pixels.size // LANES) * LANES))
        columns[:, : pixels.size] = self.spectra[:, pixels]
        return columns

    def fit(self, alive: Indices, q: Array, guided: NDArray[np.bool_], lines: int) -> Array:
        """Return solutions for the pixels `alive` from their columns of `q`, those not `guided` from a guess."""
        lowest, highest = self.setup.degrees
        degree = lowest
        if highest > lowest:
            # asked of fits that may bend: broad lines make up for a slope where nothing else may
            some = alive[:PILOT]
            began = np.where(guided[some], q[:, some], self._guess_flat(some, highest))
            bent = useful_terms(self.refine(some, began, lines, highest), self.noise.of(some), lowest, highest)
            degree = highest if np.mean(bent) > 0.5 else lowest
        q = q[:, alive] if alive.size < self.size else q
        if degree > 0 and not guided[alive].all():
            q = np.where(guided[alive], q, self._guess_flat(alive, degree))
        solved = self.refine(alive, q, lines, degree)
        return self.choose_baseline(solved, alive) if highest > lowest else solved

    def _guess_flat(self, pixels: Indices, degree: int) -> Array:
        """Guess from spectra less the polynomial that fits each best, lines and all: a slope is largest at its ends."""
        count, rows = pixels.size, np.arange(degree + 1)
        sums = self.base[(rows[:, None] + rows)[..., None], pixels].transpose(2, 0, 1)
        sums = sums + 1e-12 * sums[:, :1, :1] * np.eye(degree + 1)  # points that are left may all be at one place
        terms = np.linalg.solve(sums, self.base[5 + rows[:, None], pixels].T[..., None])[..., 0]
        flat = np.zeros((len(self.spectra), -(-count // LANES) * LANES))
        flat[:, :count] = self.spectra[:, pixels] - np.vander(self.setup.x, degree + 1, increasing=True) @ terms.T
        flat[:, :count] *= (self.weight if self.weight.shape[1] == 1 else self.weight[:, pixels]) > 0
        guess = np.ones((4, count))
        guess_pairs(flat, count, self.setup.x, self.setup.bounds, guess)
        return guess

    def masked(self, pairs: Array, pixels: Indices) -> Indices:
        """Which pairs may be one line."""
        doubtful = np.empty(pixels.size, np.bool_)
        may_be_one(pairs, noise_variance(pairs, self.noise.of(pixels)), doubtful)
        return np.flatnonzero(doubtful)

    def unmask(self, pairs: Array, pixels: Indices, expected: NDArray[np.bool_]) -> None:
        """Call the weaker of two lines that overlap missing, in place, where one line explains both.

        Beside the other either seems significant; a single dip with noise on it can be split at will. Where two are
        `expected` that needs no proof.
        """
        some = self.masked(pairs, pixels)
        some = some[~expected[some]]
        if not some.size:
            return
        noise = self.noise.of(pixels[some])
        single = self.best_single(pairs[:, some], pixels[some])
        needed = 3 * np.log(noise.points) * noise_variance(pairs[:, some], noise)
        masked = some[single[CHI2] - pairs[CHI2, some] < needed]
        pairs[np.where(second_stronger(pairs, masked), FIXED, FIXED + 1), masked] = np.inf

    def refine(self, pixels: Indices, q: Array, lines: int, degree: int) -> Array:
        """Converge from `q`, (4, start), of which each belongs to one of `pixels`; returns a table of solutions."""
        setup = self.setup
        q = np.array(q, order="C")
        table = np.empty((ROWS, pixels.size))
        variance = self.noise.unit if self.noise.known else np.zeros(self.size)
        solve_pairs(
            pixels, q, lines, degree, setup.x, self.spectra, self.weight, self.base, variance, self.noise.points,
            setup.bounds, table,
        )  # fmt: skip
        return table

    def refine_any(self, pixels: Indices, q: Array, lines: int) -> Array:
        """Converge from `q` with the baseline that suits."""
        lowest, highest = self.setup.degrees
        solved = self.refine(pixels, q, lines, highest)
        return self.choose_baseline(solved, pixels) if highest > lowest else solved

    def choose_baseline(self, solved: Array, pixels: Indices) -> Array:
        """Refit where another degree is worth its parameters, up or down."""
        lowest, highest = self.setup.degrees
        noise = self.noise.of(pixels)
        wanted = wanted_degree(solved, noise, highest)
        for degree in range(highest, lowest, -1):
            wanted = np.where(useless_term(solved, noise, degree), degree - 1, wanted)
        for degree in range(lowest, highest + 1):
            change = np.flatnonzero((wanted == degree) & (solved[DEGREE] != degree))
            for lines in (1, 2):
                some = change[solved[LINES, change] == lines]
                if some.size:
                    other = self.refine(pixels[some], solved[:4, some], lines, degree)
                    some_noise = self.noise.of(pixels[some])
                    better = criterion(other, some_noise) < criterion(solved[:, some], some_noise)
                    solved[:, some[better]] = other[:, better]
        return solved

    def likeliest(self, rivals: Array, owner: Indices, pixels: Indices, handicap: Handicap) -> Array:
        """Choose one of the solutions `rivals`, (ROWS, solution), for each of `pixels`; `owner` says whose each is."""
        points = self.against(rivals, pixels[owner], handicap)
        order = np.lexsort((points, owner))
        first = np.searchsorted(owner[order], np.arange(pixels.size))
        chosen: Array = rivals[:, order[first]]
        return chosen

    def against(self, table: Array, pixels: Indices, handicap: Handicap) -> Array:
        """What counts against solutions; lower is better."""
        noise = self.noise.of(pixels)
        variance = noise_variance(table, noise)
        points = criterion(table, noise) + misgiving(table, variance)
        points += handicap(Places.of(table, variance), pixels)
        return np.where(np.isfinite(points), points, np.inf)

    def choose_lines(self, pairs: Array, pixels: Indices) -> Array:
        """Keep a pair only where the criterion prefers it to one line and both its lines are significant."""
        noise = self.noise.of(pixels)
        single = self.best_single(pairs, pixels)
        doubts = misgiving(pairs, noise_variance(pairs, noise)) + ELSEWHERE
        pair_wins = criterion(pairs, noise) + doubts < criterion(single, noise)
        pair_wins &= weakest_line(pairs, noise) > self.setup.needed[np.maximum(freedom(pairs, noise), 0).astype(int)]
        return np.where(pair_wins, pairs, single)

    def best_single(self, pairs: Array, pixels: Indices) -> Array:
        """Fit one line where each pair is: at its stronger line, and at both together."""
        strong = stronger(pairs)
        share = np.abs(pairs[A1]) / (np.abs(pairs[A1]) + np.abs(pairs[A2]))
        between = np.nan_to_num(share * pairs[[C1, W1]] + (1 - share) * pairs[[C2, W2]], nan=0.1)
        between[1] += 0.5 * np.abs(pairs[C1] - pairs[C2])
        low, high = self.setup.bounds[[0, 2], None], self.setup.bounds[[1, 3], None]
        filler = np.ones_like(strong)
        starts = [np.vstack([np.clip(np.nan_to_num(q), low, high), filler]) for q in (strong, between)]
        both = self.refine_any(np.tile(pixels, 2), np.hstack(starts), 1)
        return self.likeliest(both, np.tile(np.arange(pixels.size), 2), pixels, no_handicap)

    def follow_spectrum(self, solved: Array, pixels: Indices) -> None:
        """Refit pixels of strong contrast with the Poisson weights of their fitted spectra, in place."""
        light = np.abs(self.level[pixels] - self.setup.weights.offset)
        strong = np.flatnonzero(np.maximum(np.abs(solved[A1]), np.abs(solved[A2])) > STRONG_CONTRAST * light)
        if strong.size:
            # less what noise may have added: it is the light that is there which makes the noise
            own = solved[:, strong]
            sigma = np.sqrt(noise_variance(own, self.noise.of(pixels[strong])))
            depths = [np.abs(own[a]) - 2 * sigma * np.sqrt(own[VARIANCE + a]) for a in (A1, A2)]
            strong = strong[np.maximum(*depths) > STRONG_CONTRAST * light[strong]]
        if not strong.size:
            return
        chosen = pixels[strong]
        if self.weight.shape[1] == 1:
            self.weight = np.repeat(self.weight, self.size, axis=1)
        x = self.setup.x[:, None]
        model = self.level[chosen] + solved[LEVEL, strong] + x * (solved[TILT, strong] + x * solved[BEND, strong])
        for centre, width, amplitude in ((C1, W1, A1), (C2, W2, A2)):
            u = (x - solved[centre, strong]) / solved[width, strong]
            model += solved[amplitude, strong] / (1 + u * u)
        slope, intercept = self.setup.weights.poisson
        noise = np.maximum(slope * model + intercept, 0.1 * self.noise.unit[chosen])
        # relative to the level's noise, which stays the unit
        self.weight[:, chosen] *= self.noise.unit[chosen] / noise
        self._sum_base(chosen)
        for lines in (1, 2):
            for degree in range(self.setup.degrees[0], self.setup.degrees[1] + 1):
                same = strong[(solved[DEGREE, strong] == degree) & (solved[LINES, strong] == lines)]
                if same.size:
                    solved[:, same] = self.refine(pixels[same], solved[:4, same], lines, degree)


def stronger(pairs: Array) -> Array:
    """Return centre and width, (2, pixel), of the more significant line of each pair."""
    chosen: Array = np.nan_to_num(np.where(second_stronger(pairs), pairs[[C2, W2]], pairs[[C1, W1]]))
    return chosen


def no_handicap(places: Places, pixels: Indices) -> Array:
    """Count nothing against any solution but what the spectrum says."""
    return np.zeros(pixels.size)
