"""What the fit is compared with: a textbook Levenberg–Marquardt in numba, scipy, and Cpufit where it is installed.

All fit a constant baseline and two Lorentzians, parameters b, a1, c1, w1, a2, c2, w2, centres and widths in MHz. The
numba rival gets spectra in the layout it likes best, (pixel, frequency) in float64, and a simple guess of its own; it
need not compute errors.
"""

from __future__ import annotations

import math
import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import curve_fit

Array = NDArray[np.float64]
Single = NDArray[np.float32]
FAST = {"reassoc", "contract", "nsz", "arcp"}
PARAMETERS = 7


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def simple_guess(x, y, p):
    """Two largest excursions of the smoothed spectrum from its mean, half a dozen steps apart."""
    n = x.size
    mean = 0.0
    for i in range(n):
        mean += y[i]
    mean /= n
    best, second, first = -1.0, -1.0, 0
    for i in range(1, n - 1):
        s = abs(y[i - 1] + y[i] + y[i + 1] - 3 * mean)
        if s > best:
            best = s
            first = i
    other = 1 if first > n // 2 else n - 2
    for i in range(1, n - 1):
        s = abs(y[i - 1] + y[i] + y[i + 1] - 3 * mean)
        if abs(i - first) > 4 and s > second:
            second = s
            other = i
    p[0] = mean
    low, high = min(first, other), max(first, other)
    p[1], p[2], p[3] = y[low] - mean, x[low], 6.0
    p[4], p[5], p[6] = y[high] - mean, x[high], 6.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def fill(x, y, p, rows):
    """Rows of the Jacobian, then the residual; returns the sum of squared residuals."""
    chi2 = 0.0
    a1, c1, v1 = p[1], p[2], 1.0 / p[3]
    a2, c2, v2 = p[4], p[5], 1.0 / p[6]
    for i in range(x.size):
        u = (x[i] - c1) * v1
        t = (x[i] - c2) * v2
        h = 1.0 / (1.0 + u * u)
        g = 1.0 / (1.0 + t * t)
        s = 2.0 * a1 * v1 * u * h * h
        r = 2.0 * a2 * v2 * t * g * g
        left = y[i] - p[0] - a1 * h - a2 * g
        rows[0, i] = 1.0
        rows[1, i] = h
        rows[2, i] = s
        rows[3, i] = s * u
        rows[4, i] = g
        rows[5, i] = r
        rows[6, i] = r * t
        rows[7, i] = left
        chi2 += left * left
    return chi2


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def normal_equations(rows, curvature, slope):
    for j in range(PARAMETERS):
        for k in range(j + 1):
            s = 0.0
            for i in range(rows.shape[1]):
                s += rows[j, i] * rows[k, i]
            curvature[j, k] = s
        s = 0.0
        for i in range(rows.shape[1]):
            s += rows[j, i] * rows[7, i]
        slope[j] = s


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def damped_step(curvature, slope, damping, lower, step):
    """Solve (A + damping·diag A) step = slope by Cholesky; False where that fails."""
    for j in range(PARAMETERS):
        for k in range(j + 1):
            s = curvature[j, k] * (1.0 + damping) if j == k else curvature[j, k]
            for m in range(k):
                s -= lower[j, m] * lower[k, m]
            if j == k:
                if not s > 0.0:
                    return False
                lower[j, j] = math.sqrt(s)
            else:
                lower[j, k] = s / lower[k, k]
    for j in range(PARAMETERS):
        s = slope[j]
        for m in range(j):
            s -= lower[j, m] * step[m]
        step[j] = s / lower[j, j]
    for j in range(PARAMETERS - 1, -1, -1):
        s = step[j]
        for m in range(j + 1, PARAMETERS):
            s -= lower[m, j] * step[m]
        step[j] = s / lower[j, j]
    return True


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def levenberg_marquardt(x, spectra, out, guess, tolerance):
    """Fit rows of `spectra`; where `guess` is set guess first, else start from `out`."""
    rows = np.empty((8, x.size))
    curvature, lower = np.zeros((7, 7)), np.zeros((7, 7))
    slope, step, trial = np.empty(7), np.empty(7), np.empty(7)
    for s in range(spectra.shape[0]):
        y = spectra[s]
        p = out[s]
        if guess:
            simple_guess(x, y, p)
        chi2 = fill(x, y, p, rows)
        normal_equations(rows, curvature, slope)
        damping = 1e-2
        for _ in range(60):
            if not damped_step(curvature, slope, damping, lower, step):
                damping *= 10.0
                continue
            for k in range(7):
                trial[k] = p[k] + step[k]
            trial[3], trial[6] = max(abs(trial[3]), 0.2), max(abs(trial[6]), 0.2)
            new = fill(x, y, trial, rows)
            if new < chi2:
                done = chi2 - new < tolerance * chi2
                chi2 = new
                for k in range(7):
                    p[k] = trial[k]
                if done:
                    break
                normal_equations(rows, curvature, slope)
                damping *= 0.1
            else:
                damping *= 10.0
                if damping > 1e8:
                    break
        if p[2] > p[5]:
            for k in range(1, 4):
                p[k], p[k + 3] = p[k + 3], p[k]


@njit(cache=True, nogil=True, error_model="numpy")
def simple_guesses(x, spectra):
    """Return the simple guess of each row of `spectra`, (pixel, 7)."""
    out = np.empty((spectra.shape[0], PARAMETERS))
    for s in range(spectra.shape[0]):
        simple_guess(x, spectra[s], out[s])
    return out


def exhaustive_pairs(x: Array, spectra: Array) -> Array:
    """Start from the best of all pairs of templates of four widths; returns parameters, (pixel, 7)."""
    step = float(np.median(np.diff(x)))
    found = [(c, w) for w in step * np.array([1.0, 2.0, 4.0, 8.0]) for c in np.arange(x[0], x[-1] + 1e-6, w)]
    centre, width = np.array(found).T
    shapes = 1 / (1 + ((x - centre[:, None]) / width[:, None]) ** 2)
    shapes -= shapes.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(shapes, axis=1)
    overlap = (shapes / norm[:, None]) @ (shapes / norm[:, None]).T
    gain = np.where(np.abs(overlap) < 0.95, 1 / (1 - np.minimum(overlap**2, 0.95**2)), 0.0)
    out = np.empty((len(spectra), 7))
    for p, z in enumerate(spectra @ (shapes / norm[:, None]).T):
        value = (z[:, None] ** 2 + z**2 - 2 * overlap * np.outer(z, z)) * gain
        i, j = np.unravel_index(np.argmax(value), value.shape)
        a, b = (z[i] - overlap[i, j] * z[j]) * gain[i, j], (z[j] - overlap[i, j] * z[i]) * gain[i, j]
        out[p] = [spectra[p].mean(), a / norm[i], centre[i], width[i], b / norm[j], centre[j], width[j]]
    return out


def fit_lm(x: Array, spectra: Array, threads: int, start: Array | None = None, tolerance: float = 1e-5) -> Array:
    """Fit (pixel, frequency) spectra on an axis in MHz; returns parameters, (pixel, 7)."""
    out = np.empty((len(spectra), 7)) if start is None else start.copy()
    parts = [slice(k, k + 4096) for k in range(0, len(spectra), 4096)]

    def work(part: slice) -> None:
        levenberg_marquardt(x, spectra[part], out[part], start is None, tolerance)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))
    return out


def two_lines(x: Array, b: float, a1: float, c1: float, w1: float, a2: float, c2: float, w2: float) -> Array:
    return b + a1 / (1 + ((x - c1) / w1) ** 2) + a2 / (1 + ((x - c2) / w2) ** 2)


def two_lines_jacobian(x: Array, b: float, a1: float, c1: float, w1: float, a2: float, c2: float, w2: float) -> Array:
    u, t = (x - c1) / w1, (x - c2) / w2
    h, g = 1 / (1 + u * u), 1 / (1 + t * t)
    s, r = 2 * a1 * u * h * h / w1, 2 * a2 * t * g * g / w2
    return np.stack([np.ones_like(x), h, s, s * u, g, r, r * t], axis=1)


def _curve_fits(task: tuple[Array, Array]) -> Array:
    x, spectra = task
    out = np.full((len(spectra), 7), np.nan)
    guess = np.empty(7)
    for k, y in enumerate(spectra):
        simple_guess(x, y, guess)
        try:
            out[k] = curve_fit(two_lines, x, y, guess, jac=two_lines_jacobian)[0]
        except RuntimeError:  # not converged: its loss, not ours
            continue
    return out


class ScipyPool:
    """`curve_fit` with analytic Jacobian in a pool of processes that are up and warm before the clock starts."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool = multiprocessing.get_context("spawn").Pool(processes)

    def fit(self, x: Array, spectra: Array) -> Array:
        parts = np.array_split(spectra, 4 * self._processes)
        return np.concatenate(self._pool.map(_curve_fits, [(x, part) for part in parts], chunksize=1))

    def close(self) -> None:
        self._pool.close()
        self._pool.join()


def cpufit_model() -> int | None:
    """Return the number of the model of two Lorentzians; None where Cpufit, or the model in it, is not installed."""
    try:
        from pycpufit.cpufit import ModelID
    except ImportError:
        return None
    return next((n for name, n in vars(ModelID).items() if "LORENTZ" in name.upper() and "2" in name), None)


def fit_cpufit(x: Single, spectra: Single, start: Single, threads: int, tolerance: float = 1e-4) -> Single:
    """Fit (pixel, frequency) spectra from a given start with Cpufit; returns parameters, (pixel, 7).

    All arrays are float32 and C contiguous, so that nothing is converted while the clock runs. Cpufit, the CPU version
    of Gpufit, is not on PyPI and has no model of two Lorentzians. What must be built from its sources (MIT licence,
    only the target Cpufit, in release mode for the machine at hand: neither CUDA nor Boost is needed) is its library
    with such a model added: parameters as above, analytic derivatives, x from `user_info`, and a `ModelID` in C++ and
    in the Python package pycpufit whose name has LORENTZ and 2 in it. The library is called without pycpufit's own
    `fit`, which refuses `user_info`; it runs on one thread, so the pixels are shared out here.

    It stops where the sum of squares changes by less than `tolerance` times the larger of 1 and that sum. On data near
    1 with noise 0.002 that is 25 in units of σ², after about two steps and wherever they led: give it data in units of
    their noise, where the sum is χ².
    """
    from pycpufit.cpufit import EstimatorID, cpufit_func

    types = cpufit_func.argtypes
    model, free = cpufit_model(), np.ones(PARAMETERS, np.int32)
    out = np.empty_like(start)

    def work(part: slice) -> None:
        count = len(start[part])
        state, steps = np.empty((2, count), np.int32)
        chi2 = np.empty(count, np.float32)
        arguments = (
            count, x.size, spectra[part], None, model, start[part], tolerance, 50, free, EstimatorID.LSE,
            x.nbytes, x, out[part], state, chi2, steps,
        )  # fmt: skip
        pairs = zip(arguments, types, strict=True)
        if cpufit_func(*(a.ctypes.data_as(kind) if isinstance(a, np.ndarray) else a for a, kind in pairs)):
            raise RuntimeError("Cpufit refused the data")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, [slice(k, k + 1024) for k in range(0, len(spectra), 1024)]))
    return out
