"""One step of the refinement of `LANES` pixels: take it, cut it back, or end; and what those that end leave."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from numba import njit, types
from numba.extending import intrinsic

from nvscope.odmr.lane import Rows
from nvscope.odmr.normal import BASE_SUMS, LINE_SUMS, add, back, columns_of, factor, normal_equations
from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.simd import LANES, broadcast, choose, larger, load, store

__all__ = [
    "AT",
    "ENDED",
    "ENDS",
    "LEFT",
    "OUTCOME",
    "POINTS",
    "STATE",
    "TOLD",
    "VARIANCE",
    "advance",
    "begin",
    "settle",
    "solve_equations",
]

ROUNDS = 24
CLOSE = 0.1  # stop when the coming step gains less than this many variances; that step is still taken
AHEAD = 0.003  # ... or when the step after it would, steps shrinking as the last one did
ROUNDING = 1e-13  # share of the signal's own sum of squares that is rounding
# rows of the state of a pixel: where the last step began, the step, chi2 there, the share of the step that is taken ...
BEFORE, STEP, LAST, REACH, PASSES, DECREMENT, VARIANCE, POINTS = 0, 4, 8, 9, 10, 11, 12, 13
# ... and of this pass: what the coming step gains, whether it was limited, chi2, 1 if converged or 2 if given up
GAIN, LIMITED, CHI2, ENDED = 14, 15, 16, 17
STATE = 18
# rows of what the normal equations tell
TAKEN, COMING, AMPLITUDE, PUSH, TOLD = 0, 1, 2, 4, 8
SHORT_STEP = 0.25  # of a width: longer last steps are not taken, what is linear in them would be wrong
# rows of what is left: sums, where they were taken, where that leads, ...
SUMS, AT, ENDS = 0, 2 * LINE_SUMS, 2 * LINE_SUMS + 4
# ... 0 if converged, passes, chi2
OUTCOME = ENDS + 4
LEFT = OUTCOME + 3


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def begin(state):
    """Set up `state`, (STATE, LANES), but for what is known of the noise."""
    for k in range(STATE):
        store(state, k, 0, broadcast(0.0))
    store(state, LAST, 0, broadcast(1e300))
    store(state, REACH, 0, broadcast(1.0))


@intrinsic(prefer_literal=True)
def _equations(typingctx, sums, base, here, told, lines, degree):
    n, bend = lines.literal_value, degree.literal_value

    def codegen(context, builder, signature, args):
        given = (Rows(context, builder, signature.args[k], args[k]) for k in range(4))
        sums, base, here, told = given
        order = columns_of(n, bend)[: 1 + 3 * n + bend]
        gram, right = normal_equations(sums, base, here, n, bent=bend > 0)
        lower, z = factor(gram, right, order)
        linear = 1 + n + bend
        held, free = back(lower, z, linear), back(lower, z, len(order))
        drops = [z[i] * z[i] * lower[i, i] for i in range(len(order))]
        told[TAKEN] = add(drops[:linear])
        told[COMING] = add(drops[linear:])
        for line in range(n):
            told[AMPLITUDE + line] = held[1 + line]
        for k in range(2 * n):
            told[PUSH + k] = free[linear + k]
        return context.get_dummy_value()

    return types.void(sums, base, here, told, lines, degree), codegen


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def solve_equations(sums, base, here, lines, degree, told):
    """Fill `told`, (TOLD, LANES), from the sums at `here`.

    What amplitudes and baseline take off the sum of squares, what centres and widths would take off besides, the
    amplitudes, and the steps of centres and widths times these.
    """
    if lines == 1:
        if degree == 0:
            _equations(sums, base, here, told, 1, 0)
        elif degree == 1:
            _equations(sums, base, here, told, 1, 1)
        else:
            _equations(sums, base, here, told, 1, 2)
    elif degree == 0:
        _equations(sums, base, here, told, 2, 0)
    elif degree == 1:
        _equations(sums, base, here, told, 2, 1)
    else:
        _equations(sums, base, here, told, 2, 2)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def advance(lines, degree, base, bounds, told, here, state):
    """Accept or cut back the last step, propose the next in `here`, and say which lanes have ended.

    `told` is what `solve_equations` says of `here`.
    """
    zero, one, two = broadcast(0.0), broadcast(1.0), broadcast(2.0)
    size = 1 + degree + 3 * lines
    total = load(base, BASE_SUMS - 1, 0)
    floor = broadcast(ROUNDING) * total
    chi2, gain = total - load(told, TAKEN, 0), load(told, COMING, 0)
    last, reach = load(state, LAST, 0), load(state, REACH, 0)
    passes = load(state, PASSES, 0) + one
    spent = choose(broadcast(ROUNDS - 0.5), passes, zero, one)
    worse = choose(reach, zero, choose(chi2, last + floor, one, zero), zero)
    less = broadcast(0.3) * reach
    # nothing lower along this step: look once more where it began, and stop
    less = choose(broadcast(0.02), less, zero, choose(spent, zero, zero, less))
    reach = choose(worse, zero, less, reach)
    limited = zero
    for k in range(2 * lines):
        narrow = k % 2
        low, high = broadcast(bounds[2 * narrow]), broadcast(bounds[2 * narrow + 1])
        old, width, amplitude = load(here, k, 0), load(here, k | 1, 0), load(told, AMPLITUDE + k // 2, 0)
        size_of = choose(amplitude, zero, amplitude, zero - amplitude)
        value = old + choose(size_of, zero, load(told, PUSH + k, 0) / amplitude, zero)
        if narrow == 1:
            least, most = broadcast(0.4) * width, broadcast(2.5) * width
        else:
            least, most = old - two * width, old + two * width
        least = larger(least, low)
        most = choose(high, most, most, high)
        limited = limited + choose(value, least, choose(most, value, zero, one), one)
        value = choose(value, least, value, least)
        value = choose(most, value, value, most)
        first = choose(worse, zero, load(state, BEFORE + k, 0), old)
        step = choose(worse, zero, load(state, STEP + k, 0), value - old)
        store(state, BEFORE + k, 0, first)
        store(state, STEP + k, 0, step)
        store(here, k, 0, first + choose(worse, zero, step * reach, step))
    before, known = load(state, DECREMENT, 0), load(state, VARIANCE, 0)
    points = load(state, POINTS, 0)
    scale = choose(known, zero, known, larger(chi2, zero) / (points - broadcast(float(size))))
    enough = broadcast(CLOSE) * scale + floor
    close = choose(enough, gain, one, choose(broadcast(AHEAD) * scale * before, gain * gain, one, zero))
    leaning = choose(limited, zero, choose(enough, last - chi2, one, zero), zero)
    stuck = choose(reach, zero, spent, one)
    ended = choose(worse, zero, zero, choose(close + leaning, zero, one, two * stuck))
    store(state, LAST, 0, choose(worse, zero, last, chi2))
    store(state, DECREMENT, 0, choose(worse, zero, before, gain))
    risen = broadcast(4.0) * reach
    store(state, REACH, 0, choose(worse, zero, reach, choose(one, risen, risen, one)))
    store(state, PASSES, 0, passes)
    store(state, GAIN, 0, gain)
    store(state, LIMITED, 0, limited)
    store(state, CHI2, 0, chi2)
    store(state, ENDED, 0, ended)
    given_up = ended - one
    for k in range(2 * lines):
        store(here, k, 0, choose(given_up, zero, load(state, BEFORE + k, 0), load(here, k, 0)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def settle(sums, at, here, state, open_lanes, left):
    """Keep in `left`, (LEFT, LANES), what the lanes that end now leave; returns how many are still open.

    `open_lanes`, (1, LANES), is 1 where a spectrum is being refined, else 0; updated. `at` is where `sums` were taken,
    one step before `here`.
    """
    zero, one = broadcast(0.0), broadcast(1.0)
    still = load(open_lanes, 0, 0)
    ended = load(state, ENDED, 0)
    now = choose(ended, zero, still, zero)
    store(open_lanes, 0, 0, still - now)
    lively, ending = 0, 0
    for a in range(LANES):
        lively += 1 if open_lanes[0, a] > 0.0 else 0
        ending += 1 if state[ENDED, a] > 0.0 else 0
    if ending == 0:
        return lively
    far = load(state, LIMITED, 0)
    for k in range(4):
        step = load(here, k, 0) - load(at, k, 0)
        step = choose(step, zero, step, zero - step)
        far = far + choose(broadcast(SHORT_STEP) * load(at, k | 1, 0), step, zero, one)
    given_up = choose(ended, one, one, zero)
    short = choose(far + given_up, zero, zero, one)
    # the last step was taken without another look; this is what it gains
    chi2 = larger(load(state, CHI2, 0) - short * load(state, GAIN, 0), zero)
    for k in range(2 * LINE_SUMS):
        store(left, k, 0, choose(now, zero, load(sums, k, 0), load(left, k, 0)))
    for k in range(4):
        before, after = load(at, k, 0), load(here, k, 0)
        store(left, AT + k, 0, choose(now, zero, before, load(left, AT + k, 0)))
        after = choose(short + given_up, zero, after, before)
        store(left, ENDS + k, 0, choose(now, zero, after, load(left, ENDS + k, 0)))
    store(left, OUTCOME, 0, choose(now, zero, given_up, load(left, OUTCOME, 0)))
    store(left, OUTCOME + 1, 0, choose(now, zero, load(state, PASSES, 0), load(left, OUTCOME + 1, 0)))
    store(left, OUTCOME + 2, 0, choose(now, zero, chi2, load(left, OUTCOME + 2, 0)))
    return lively
