"""Where the lines are: finding the aligned pair in a coarse spectrum, and keeping two windows on it afterwards.

With the field along [111] the aligned group's lines are the outermost, D ± γH apart from a small stress splitting; the
other three groups lie between them. D is known only within some 300 MHz beforehand, γH to a percent or so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from nvscope.odmr.checks import check_axis
from nvscope.odmr.shapes import LINE_MODELS, evaluate_line

__all__ = ["LinePair", "WindowPair", "find_pair", "recentre"]

Array = NDArray[np.float64]

STRESS_SPLITTING = 25e6  # largest half splitting that stress alone is expected to cause, Hz
OFF_AXIS_SHIFT = (-60e6, 120e6)  # D of the other groups relative to the aligned one, under uniaxial stress, Hz
SIGNIFICANT = 6.0  # matched-filter amplitude in noise units that counts as a line
UNEQUAL = 5.0  # how much deeper one line of a pair may be than the other


@dataclass(frozen=True)
class LinePair:
    """What was found in a coarse spectrum.

    Attributes
    ----------
    found : bool
        Whether anything significant agrees with the expectation.
    center, half_splitting : float
        Hz; NaN unless found. With one line seen the expected half splitting places the other.
    f_minus, f_plus : float
        Hz; NaN for a line that lies outside the sweep.
    significance : float
        Matched-filter amplitude of the weaker line seen, in units of the noise.
    seen : {"both", "lower", "upper", "none"}
        Which lines lie in the sweep.
    """

    found: bool
    center: float
    half_splitting: float
    f_minus: float
    f_plus: float
    significance: float
    seen: Literal["both", "lower", "upper", "none"]


NOTHING = LinePair(False, math.nan, math.nan, math.nan, math.nan, 0.0, "none")


def find_pair(
    frequency: ArrayLike,
    spectrum: ArrayLike,
    half_splitting: float,
    *,
    expected_center: float | None = None,
    center_range: float = 300e6,
    tolerance: float = 0.03,
) -> LinePair:
    """Find the aligned pair in a coarse spectrum of a region.

    Parameters
    ----------
    frequency : array-like, shape (frequency,)
        Hz, ascending.
    spectrum : array-like, shape (frequency,)
        Mean signal of the region; dips or peaks.
    half_splitting : float
        γH, Hz; what the applied field alone would give.
    expected_center : float, optional
        Where the middle of the pair is expected, Hz; default the middle of the sweep.
    center_range : float
        How far from there it may be, Hz.
    tolerance : float
        Relative uncertainty of `half_splitting`.

    Returns
    -------
    LinePair
        Both lines where both lie in the sweep; one line, told from the off-axis lines by where those lie, otherwise.

    Raises
    ------
    ValueError
        If the axis or the expectation cannot be used.
    """
    axis = check_axis(frequency, 7)
    values = np.asarray(spectrum, float)
    if values.shape != axis.shape:
        raise ValueError(f"spectrum has shape {values.shape}, frequency {axis.shape}; one value for each frequency")
    if not (math.isfinite(half_splitting) and half_splitting >= 0):
        raise ValueError(f"half_splitting is γ|H| in Hz, zero or more; got {half_splitting}")
    usable = np.isfinite(values)
    if usable.sum() < 8 or np.ptp(values[usable]) == 0:
        return NOTHING
    middle = 0.5 * (axis[0] + axis[-1]) if expected_center is None else expected_center
    search = _Search(axis[usable], values[usable], (middle - center_range, middle + center_range))
    low = half_splitting * (1 - tolerance)
    high = math.hypot(half_splitting * (1 + tolerance), STRESS_SPLITTING)
    pair = search.both(low, high)
    return pair if pair.found else search.one(half_splitting)


class _Search:
    """The lines of one spectrum and which of them may be the aligned pair."""

    def __init__(self, axis: Array, values: Array, centers: tuple[float, float]) -> None:
        self.axis, self.values, self.centers = axis, values, centers
        self.step = float(np.median(np.diff(axis)))
        self.lines = extract_lines(axis, values)

    def both(self, low: float, high: float) -> LinePair:
        """Look for two lines of equal sign whose half distance lies between `low` and `high`."""
        best, found = 0.0, NOTHING
        for i, lower in enumerate(self.lines):
            for upper in self.lines[i + 1 :]:
                half, center = (upper.f - lower.f) / 2, (upper.f + lower.f) / 2
                weak, strong = sorted((abs(lower.z), abs(upper.z)))
                score = weak + min(strong, UNEQUAL * weak)
                if (
                    lower.z * upper.z > 0
                    and low - self.step <= half <= high + self.step
                    and self.centers[0] <= center <= self.centers[1]
                    and score > best
                ):
                    f_minus, f_plus = self.refine(lower.f), self.refine(upper.f)
                    best = score
                    found = LinePair(
                        True, (f_minus + f_plus) / 2, (f_plus - f_minus) / 2, f_minus, f_plus, weak, "both"
                    )
        return found

    def one(self, half: float) -> LinePair:
        """Look for one line of the pair, the other being outside, that leaves the off-axis lines in their place."""
        best, found = 0.0, NOTHING
        for line in self.lines:
            for seen, side in (("lower", -1.0), ("upper", 1.0)):
                center, partner = line.f - side * half, line.f - 2 * side * half
                if not self.centers[0] <= center <= self.centers[1] or self.axis[0] <= partner <= self.axis[-1]:
                    continue
                score = line.z**2 + self.explained(line, center, half)
                if score > best:
                    best = score
                    f = self.refine(line.f)
                    minus, plus = (f, math.nan) if seen == "lower" else (math.nan, f)
                    which: Literal["lower", "upper"] = "lower" if seen == "lower" else "upper"
                    found = LinePair(True, f - side * half, half, minus, plus, abs(line.z), which)
        return found

    def explained(self, aligned: Line, center: float, half: float) -> float:
        """Sum of z² of the other lines that lie where the off-axis groups' would, for the best shift of their D."""
        transverse = 8 / 9 * half**2 / max(center, 1e9)
        off_half = math.hypot(half / 3, transverse / 2)
        best = 0.0
        for shift in np.arange(OFF_AXIS_SHIFT[0], OFF_AXIS_SHIFT[1] + 1.0, 4e6):
            middle = center + 1.5 * transverse + shift
            best = max(
                best,
                sum(
                    line.z**2
                    for line in self.lines
                    if line is not aligned
                    and line.z * aligned.z > 0
                    and min(abs(line.f - middle - off_half), abs(line.f - middle + off_half)) < 15e6
                ),
            )
        return best

    def refine(self, f: float) -> float:
        """Fit one line on a sloping baseline to the neighbourhood of `f`; `f` itself where that fails."""
        for reach in (30e6, 60e6):
            near = np.abs(self.axis - f) <= max(reach, 5 * self.step)
            if near.sum() < 8:
                continue
            x, y = (self.axis[near] - f) / 1e6, self.values[near]
            level, depth = float(np.median(y)), float(y[np.argmin(np.abs(x))] - np.median(y))
            guess = [level, 0.0, depth, 0.0, max(8.0, self.step / 1e6)]
            found = optimize.least_squares(
                lambda q, x=x, y=y: _sloping_line(x, *q) - y, guess, method="lm", max_nfev=200
            )
            if found.success and abs(found.x[3]) < max(10.0, 2e-6 * self.step):
                return f + 1e6 * float(found.x[3])
        return f


def _sloping_line(x: Array, level: float, slope: float, depth: float, centre: float, width: float) -> Array:
    return level + slope * x + depth / (1 + ((x - centre) / width) ** 2)


@dataclass(frozen=True)
class Line:
    """A line of a spectrum: centre (Hz), amplitude (signal), and amplitude over noise."""

    f: float
    amplitude: float
    z: float


def extract_lines(axis: Array, values: Array, most: int = 12) -> list[Line]:
    """Explain a spectrum by few Lorentzians on a quadratic baseline, the most significant first.

    Orthogonal matching pursuit: after each line all amplitudes are solved for again, so that the flanks and the
    overshoot of a strong line are not taken for others.

    Parameters
    ----------
    axis, values : ndarray
        Hz, signal.
    most : int
        Give up after this many lines.

    Returns
    -------
    list of Line
        In ascending order of frequency; at least `SIGNIFICANT` noise units each and a twentieth of the deepest.
    """
    step = float(np.median(np.diff(axis)))
    grid = np.arange(axis[0], axis[-1] + step / 4, step / 2)
    widths = [w for w in (4e6, 8e6, 16e6) if w >= 0.7 * step] or [step]
    centre, width = np.tile(grid, len(widths)), np.repeat(widths, grid.size)
    atoms = evaluate_line(LINE_MODELS["lorentzian"], axis[None, :], centre[:, None], width[:, None])
    x = 2 * (axis - axis[0]) / (axis[-1] - axis[0]) - 1
    basis = np.linalg.qr(np.vander(x, 3))[0]
    rest = values - basis @ (basis.T @ values)
    second = np.diff(values, 2)
    own = 1.4826 * float(np.median(np.abs(second - np.median(second)))) / math.sqrt(6.0)
    floor = max(own, 1e-9 * float(np.ptp(values)), 1e-300)
    chosen: list[int] = []
    solution = np.empty(0)
    while len(chosen) < most:
        projected = atoms - (atoms @ basis) @ basis.T
        norm = np.sqrt(np.einsum("ij,ij->i", projected, projected))
        z = np.where(norm > 0.3 * norm.max(), projected @ rest / np.maximum(norm, 1e-12), 0.0)
        top = int(np.argmax(np.abs(z)))
        if abs(z[top]) < SIGNIFICANT * floor:
            break
        chosen.append(top)
        basis = np.linalg.qr(np.column_stack([np.vander(x, 3), atoms[chosen].T]))[0]
        solution = np.linalg.lstsq(np.column_stack([np.vander(x, 3), atoms[chosen].T]), values, rcond=None)[0][3:]
        rest = values - basis @ (basis.T @ values)
    if not chosen:
        return []
    # what is left over is noise too, as far as naming lines goes
    noise = max(floor, float(np.sqrt(np.mean(rest**2))))
    strength = np.sqrt(np.sum(atoms[chosen] ** 2, axis=1))
    lines = [
        Line(float(centre[k]), float(a), float(a * s / noise))
        for k, a, s in zip(chosen, solution, strength, strict=True)
    ]
    deepest = max(abs(line.amplitude) for line in lines)
    kept = [line for line in lines if abs(line.z) >= SIGNIFICANT and abs(line.amplitude) >= 0.05 * deepest]
    return sorted(kept, key=lambda line: line.f)


@dataclass(frozen=True)
class WindowPair:
    """Middles of two windows, Hz, and whether every fitted line lies well within them."""

    lower: float
    upper: float
    complete: bool

    @property
    def center(self) -> float:
        """Middle of the pair of windows."""
        return (self.lower + self.upper) / 2

    @property
    def half_splitting(self) -> float:
        """Half the distance of the windows."""
        return (self.upper - self.lower) / 2


def recentre(f_minus: ArrayLike, f_plus: ArrayLike, width: float, margin: float = 15e6) -> WindowPair | None:
    """Place two windows of `width` so that they hold as many lines of the map as they can.

    Parameters
    ----------
    f_minus, f_plus : array-like
        Fitted lines, Hz; NaN where there is none.
    width : float
        Width of each window, Hz.
    margin : float
        Room wanted between a line and the window's edge, Hz.

    Returns
    -------
    WindowPair or None
        None where no pixel has both lines.
    """
    minus, plus = np.ravel(np.asarray(f_minus, float)), np.ravel(np.asarray(f_plus, float))
    good = np.isfinite(minus) & np.isfinite(plus)
    if not good.any():
        return None
    middles, complete = [], True
    for lines in (minus[good], plus[good]):
        low, high = np.percentile(lines, (1.0, 99.0))
        fits = high - low <= width - 2 * margin
        # a few stray pixels must not drag the window off the bulk
        middles.append(float((low + high) / 2) if fits else float(np.median(lines)))
        complete = complete and bool(fits)
    return WindowPair(middles[0], middles[1], complete)
