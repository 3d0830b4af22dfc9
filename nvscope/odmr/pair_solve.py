"""Refine one or two Lorentzians in many spectra side by side.

Gauss-Newton on centres and widths with baseline and amplitudes eliminated (variable projection, Kaufman's Jacobian);
a step that does not lower chi2 is cut back. A spectrum that has converged leaves its place to the next.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np
from numba import njit

from nvscope.odmr.batch import back, factor
from nvscope.odmr.pair_sums import BASE_SUMS, COLUMNS, LINE_SUMS, assemble, line_sums
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.simd import LANES

__all__ = ["FOUND_ROWS", "ORDER", "converge"]

SHORT = 64  # points up to which a full batch's spectra stay in the first-level cache
FEW = 12  # places taken at most when the next spectra are let in
BATCH = 64  # spectra side by side: their normal matrices fit the second-level cache
ROUNDS = 24
CLOSE = 0.02  # stop when the coming step gains less than this many variances; that step is still taken
AHEAD = 0.003  # ... or when the step after it would, steps shrinking as the last one did
SHORT_STEP = 0.25  # of a width: longer last steps are not taken, what is linear in them would be wrong
ROUNDING = 1e-13  # share of the signal's own sum of squares that is rounding
ORDER = np.array(
    [
        [[0, 1, 3, 4, 7, 8, 2, 5, 6], [0, 1, 7, 3, 4, 8, 2, 5, 6], [0, 1, 7, 8, 3, 4, 2, 5, 6]],
        [[0, 1, 2, 3, 4, 5, 6, 7, 8], [0, 1, 2, 7, 3, 4, 5, 6, 8], [0, 1, 2, 7, 8, 3, 4, 5, 6]],
    ]
)
"""With n lines and baseline degree d columns ORDER[n - 1, d][: 1 + n + d] are linear, the next 2 n are the slopes."""
# rows of what is found: sums, then ...
FOUND_AT = 2 * LINE_SUMS
FOUND_OUTCOME = FOUND_AT + 4
FOUND_ROWS = FOUND_OUTCOME + 3
# rows of the state of a place in the batch
BEFORE, STEP, LAST, REACH, PASSES, NEXT, CHI2, DECREMENT, VARIANCE, POINTS, ENDED = (
    0,
    4,
    8,
    9,
    10,
    11,
    14,
    15,
    16,
    17,
    18,
)
ROOM = 19


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def converge(pixel, q, lines, degree, x, spectra, weights, base, variance, points, bounds, order, found):
    """Refine starts.

    Parameters
    ----------
    pixel : (start,)
        Which spectrum each start belongs to.
    q : (4, start)
        c1, w1, c2, w2; refined in place. With one line the second is left as it is; its width must not be zero.
    lines, degree : int
        One line or two; baseline degree.
    spectra, weights : (frequency, spectrum), (frequency, 1 or spectrum)
        Signal, and its weights; where a weight is zero so is the signal.
    base : (9, spectrum)
        See `pair_sums.BASE_SUMS`.
    variance, points : (spectrum,)
        Noise variance of unit weight, zero if not known; usable points.
    bounds : (4,)
        Limits of centre and width.
    order : (9,)
        `ORDER[lines - 1, degree]`.
    found : (FOUND_ROWS, start)
        The last pass's sums and the c1, w1, c2, w2 they belong to, one short step before `q` or where it is; 0 if
        converged, passes, chi2.
    """
    linear = 1 + lines + degree
    size = linear + 2 * lines
    total = pixel.size
    room = BATCH if x.size <= SHORT else BATCH // 2
    y = np.zeros((x.size, room))
    sums = np.zeros((2 * LINE_SUMS, BATCH))
    own = np.zeros((BASE_SUMS, BATCH))
    here = np.ones((4, BATCH))
    at = np.ones((4, BATCH))
    gram = np.zeros((COLUMNS, COLUMNS, BATCH))
    right = np.zeros((COLUMNS, BATCH))
    lower = np.zeros((COLUMNS, COLUMNS, BATCH))
    z = np.zeros((COLUMNS, BATCH))
    full = np.zeros((COLUMNS, BATCH))
    fixed = np.zeros((COLUMNS, BATCH))
    state = np.zeros((ROOM, BATCH))
    start = np.zeros(BATCH, np.int64)
    own_weights = 1 if weights.shape[1] > 1 else 0
    w = np.zeros((x.size, room if own_weights else LANES))
    if not own_weights:
        for t in range(x.size):
            for a in range(LANES):
                w[t, a] = weights[t, 0]
    following = 0
    lively = 0
    while True:
        # close ranks; once few are left, fill up with those that follow
        place = 0
        while place < lively:
            if state[ENDED, place] == 0.0:
                place += 1
                continue
            lively -= 1
            if place < lively:
                start[place] = start[lively]
                for t in range(x.size):
                    y[t, place] = y[t, lively]
                if own_weights:
                    for t in range(x.size):
                        w[t, place] = w[t, lively]
                for k in range(BASE_SUMS):
                    own[k, place] = own[k, lively]
                for k in range(4):
                    here[k, place] = here[k, lively]
                for k in range(ROOM):
                    state[k, place] = state[k, lively]
        if lively <= FEW and following < total:
            many = min(room - lively, total - following)
            p = pixel[following]
            if pixel[following + many - 1] - p == many - 1:
                for t in range(x.size):
                    source = spectra[t, p : p + many]
                    for a in range(many):
                        y[t, lively + a] = source[a]
            else:
                for a in range(many):
                    p = pixel[following + a]
                    for t in range(x.size):
                        y[t, lively + a] = spectra[t, p]
            for a in range(lively, lively + many):
                p = pixel[following]
                start[a] = following
                if own_weights:
                    for t in range(x.size):
                        w[t, a] = weights[t, p]
                for k in range(BASE_SUMS):
                    own[k, a] = base[k, p]
                for k in range(4):
                    here[k, a] = q[k, following]
                state[LAST, a] = np.inf
                state[REACH, a] = 1.0
                state[PASSES, a] = 0.0
                state[DECREMENT, a] = 0.0
                state[VARIANCE, a] = variance[p]
                state[POINTS, a] = points[p]
                state[ENDED, a] = 0.0
                following += 1
            lively += many
        if lively == 0:
            return
        for line in range(lines):
            line_sums((lively + LANES - 1) // LANES * LANES, x, y, w, own_weights, here, line, sums)
        assemble(lively, sums, own, here, gram, right)
        for k in range(4):
            for a in range(lively):
                at[k, a] = here[k, a]
        factor(lively, gram, right, order, size, lower, z)
        for part in range(2):
            if part == 0:
                back(lively, lower, linear, z, fixed)
            else:
                back(lively, lower, size, z, full)
        advance(lively, lines, linear, here, own, z, fixed, full, bounds, state)
        for a in range(lively):
            if state[ENDED, a] != 0.0:
                s = start[a]
                short = state[ENDED, a] == 1.0 and state[NEXT + 2, a] == 0.0
                for k in range(4):
                    short = short and abs(here[k, a] - at[k, a]) < SHORT_STEP * at[k | 1, a]
                for k in range(4):
                    q[k, s] = here[k, a] if short or state[ENDED, a] == 2.0 else at[k, a]
                for k in range(2 * LINE_SUMS):
                    found[k, s] = sums[k, a]
                for k in range(4):
                    found[FOUND_AT + k, s] = at[k, a]
                found[FOUND_OUTCOME, s] = 0.0 if state[ENDED, a] == 1.0 else 1.0
                found[FOUND_OUTCOME + 1, s] = state[PASSES, a]
                # the last step was taken without another look; this is what it gains
                gain = state[NEXT, a] if short else 0.0
                found[FOUND_OUTCOME + 2, s] = max(state[CHI2, a] - gain, 0.0)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def advance(count, lines, linear, here, own, z, fixed, full, bounds, state):
    """Accept or cut back the last step of each place, propose the next in `here`, and say which have ended."""
    size = linear + 2 * lines
    for a in range(count):
        state[CHI2, a] = own[8, a]
    for i in range(linear):
        for a in range(count):
            state[CHI2, a] -= z[i, a] * z[i, a]
    for a in range(count):
        state[NEXT, a] = 0.0
    for i in range(linear, size):
        for a in range(count):
            state[NEXT, a] += z[i, a] * z[i, a]
    # NEXT holds the decrement, NEXT + 1 whether the step was accepted, NEXT + 2 how it was limited
    for a in range(count):
        floor = ROUNDING * own[8, a]
        worse = state[CHI2, a] > state[LAST, a] + floor and state[REACH, a] > 0.0
        state[NEXT + 1, a] = 0.0 if worse else 1.0
        state[NEXT + 2, a] = 0.0
        state[PASSES, a] += 1.0
        reach = 0.3 * state[REACH, a]
        # nothing lower along this step: look once more where it began, and stop
        reach = 0.0 if reach < 0.02 or state[PASSES, a] >= ROUNDS else reach
        state[REACH, a] = reach if worse else state[REACH, a]
    for k in range(2 * lines):
        line = 1 + k // 2
        narrow = k % 2
        low, high = bounds[2 * narrow], bounds[2 * narrow + 1]
        for a in range(count):
            accepted = state[NEXT + 1, a] != 0.0
            old = here[k, a]
            width = here[k | 1, a]
            amplitude = fixed[line, a]
            value = old + (full[linear + k, a] / amplitude if amplitude != 0.0 else 0.0)
            least = 0.4 * width if narrow else old - 2.0 * width
            most = 2.5 * width if narrow else old + 2.0 * width
            least = max(least, low)
            most = min(most, high)
            inside = value > least and value < most
            state[NEXT + 2, a] += 0.0 if inside else 1.0
            value = value if value > least else least
            value = value if value < most else most
            first = old if accepted else state[BEFORE + k, a]
            step = value - old if accepted else state[STEP + k, a]
            state[BEFORE + k, a] = first
            state[STEP + k, a] = step
            here[k, a] = first + (step if accepted else step * state[REACH, a])
    for a in range(count):
        accepted = state[NEXT + 1, a] != 0.0
        floor = ROUNDING * own[8, a]
        chi2, decrement, before = state[CHI2, a], state[NEXT, a], state[DECREMENT, a]
        known = state[VARIANCE, a]
        scale = known if known > 0.0 else max(chi2, 0.0) / (state[POINTS, a] - size)
        close = decrement < CLOSE * scale + floor or decrement * decrement < AHEAD * scale * before
        leaning = state[NEXT + 2, a] > 0.0 and state[LAST, a] - chi2 < CLOSE * scale + floor
        good = accepted and (close or leaning)
        bad = accepted and not good and (state[REACH, a] == 0.0 or state[PASSES, a] >= ROUNDS)
        state[ENDED, a] = 1.0 if good else (2.0 if bad else 0.0)
        state[LAST, a] = chi2 if accepted else state[LAST, a]
        state[DECREMENT, a] = decrement if accepted else before
        state[REACH, a] = min(1.0, 4.0 * state[REACH, a]) if accepted else state[REACH, a]
    for k in range(2 * lines):
        for a in range(count):
            here[k, a] = state[BEFORE + k, a] if state[ENDED, a] == 2.0 else here[k, a]
