"""How fast and how good the per-pixel fit is, with all rivals in one run.

``python benchmarks/fit.py`` prints the machine and two tables. Speed: ours is timed end to end through `fit`, from a
(frequency, y, x) stack of float32 to maps with errors; the numba rival gets its own layout for nothing, and Cpufit also
the guess it starts from. Every rival is timed in turn, several times over, and the best time of each counts, because
other programs share the machine. Quality: against the truth, the Cramér–Rao bound and a fit started from the truth.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import llvmlite.binding as llvm
import numba
import numpy as np
import scipy
from fit_rivals import ScipyPool, cpufit_model, exhaustive_pairs, fit_cpufit, fit_lm, simple_guesses
from numpy.typing import NDArray

from nvscope.odmr import ODMRFit, fit
from nvscope.odmr.synthetic import LinePairs, cramer_rao, line_pairs, one_window, two_windows

Array = NDArray[np.float64]
NOISE = 0.002
AXES = {
    "61 points, one window": one_window(61),
    "101 points, one window": one_window(101),
    "2 x 41 points, two windows": two_windows(41),
}
CASES = {
    "contrast 2 %, noise 0.4 %": {"noise": 0.004},
    "contrast 1 %, noise 0.4 %": {"noise": 0.004, "contrast": 0.01},
    "lines 6-15 MHz apart": {"splitting": (6e6, 15e6)},
    "half the pixels positive, 2 %/0.4 %": {"noise": 0.004, "positive": 0.5},
}
FIRST_USE = """
import time; begin = time.perf_counter()
import numpy as np
from nvscope.odmr import fit
from nvscope.odmr.synthetic import line_pairs, one_window
truth = line_pairs(one_window(), 4096, 1)
loaded = time.perf_counter()
fit(truth.frequency, truth.signal.astype(np.float32).reshape(-1, 64, 64))
print(loaded - begin, time.perf_counter() - loaded)
"""


@dataclass(frozen=True)
class Quality:
    """RMS error over the bound, share within 5 σ of it, share of truths within the reported 1 σ."""

    rms: float
    near: float
    covered: float


def quality(half: Array, minus: Array, plus: Array, err: Array | None, truth: LinePairs) -> Quality:
    low, high, bound = cramer_rao(truth)
    near = (np.abs(minus - truth.f_minus) < 5 * low) & (np.abs(plus - truth.f_plus) < 5 * high)
    off = half - (truth.f_plus - truth.f_minus) / 2
    inside = np.nan if err is None else float(np.mean(np.abs(off) < err))
    return Quality(float(np.sqrt(np.mean((off[near] / bound[near]) ** 2))), float(near.mean()), inside)


def of_fit(result: ODMRFit, truth: LinePairs) -> Quality:
    return quality(
        *(np.ravel(getattr(result, name)) for name in ("half_splitting", "f_minus", "f_plus", "half_splitting_err")),
        truth,
    )


def of_parameters(p: Array, truth: LinePairs) -> Quality:
    middle = truth.frequency.mean()
    minus, plus = np.minimum(p[:, 2], p[:, 5]) * 1e6 + middle, np.maximum(p[:, 2], p[:, 5]) * 1e6 + middle
    return quality((plus - minus) / 2, minus, plus, None, truth)


def true_parameters(truth: LinePairs) -> Array:
    middle = truth.frequency.mean()
    return np.stack(
        [
            np.ones_like(truth.f_minus),
            truth.amplitude_minus, (truth.f_minus - middle) / 1e6, truth.width_minus / 1e6,
            truth.amplitude_plus, (truth.f_plus - middle) / 1e6, truth.width_plus / 1e6,
        ],
        axis=1,
    )  # fmt: skip


def good_guess(truth: LinePairs, rng: np.random.Generator) -> Array:
    """The truth with centres off by a tenth of a width, amplitudes and widths by 10 %, the baseline by the noise.

    As good as the previous map or a neighbour may give, wherever the lines are.
    """
    p = true_parameters(truth)
    scatter = rng.standard_normal(p.shape)
    size = 0.1 * np.abs(p)
    size[:, 0] = NOISE
    size[:, [2, 5]] = 0.1 * p[:, [3, 6]]
    return p + size * scatter


def cpufit_jobs(x: Array, rows: Array, truth: LinePairs, threads: int) -> dict[str, Callable[[], Array]]:
    """Fits with Cpufit: data as they are and in units of the noise; the guess is made before the clock starts."""
    if cpufit_model() is None:
        return {}
    good = good_guess(truth, np.random.default_rng(7))

    def job(start: Array, unit: float) -> Callable[[], Array]:
        scale = np.array([unit, unit, 1, 1, unit, 1, 1])
        axis, data, guess = (np.ascontiguousarray(a, np.float32) for a in (x, rows / unit, start / scale))
        return lambda: fit_cpufit(axis, data, guess, threads)

    return {
        "Cpufit, data near 1, good guess": job(good, 1.0),
        "Cpufit, units of the noise, good guess": job(good, NOISE),
        "Cpufit, units of the noise, simple guess": job(simple_guesses(x, rows), NOISE),
    }


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall time and time on the processor, all threads together (s)."""
    begin, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin, time.process_time() - used


def speed(name: str, axis: Array, side: int, threads: int, repeat: int, pool: ScipyPool | None) -> None:
    truth = line_pairs(axis, side * side, seed=5)
    rng = np.random.default_rng(6)
    stack = truth.signal.astype(np.float32).reshape(-1, side, side)
    again = truth.clean + truth.sigma * rng.standard_normal(truth.clean.shape)
    again = again.astype(np.float32).reshape(-1, side, side)
    x = (axis - axis.mean()) / 1e6
    rows = np.ascontiguousarray(truth.signal.T)
    sample = rows[:4000]

    first = fit(axis, stack, baseline="constant", noise=NOISE, threads=threads)
    jobs: dict[str, tuple[Callable[[], object], int]] = {
        "ours": (lambda: fit(axis, stack, baseline="constant", noise=NOISE, threads=threads), len(rows)),
        "ours, baseline chosen per pixel": (lambda: fit(axis, stack, noise=NOISE, threads=threads), len(rows)),
        "ours, warm start on fresh noise": (
            lambda: fit(axis, again, baseline="constant", noise=NOISE, start=first, threads=threads),
            len(rows),
        ),
        "textbook LM, numba": (lambda: fit_lm(x, rows, threads), len(rows)),
    }
    if pool is not None:
        jobs["scipy curve_fit, analytic Jacobian, pooled"] = (lambda: pool.fit(x, sample), len(sample))
    cpufit = cpufit_jobs(x, rows, truth, threads)
    jobs |= {key: (work, len(rows)) for key, work in cpufit.items()}
    for work, _ in jobs.values():
        work()
    taken: dict[str, list[float]] = {key: [] for key in jobs}
    used: dict[str, list[float]] = {key: [] for key in jobs}
    for _ in range(repeat):
        for key, (work, count) in jobs.items():
            if "scipy" in key and len(taken[key]) >= 3:
                continue
            wall, cpu = timed(work)
            taken[key].append(wall / count)
            used[key].append(cpu / count)

    best = {key: min(times) for key, times in taken.items()}
    warm = fit(axis, again, baseline="constant", noise=NOISE, start=first, threads=threads)
    reached = {
        "ours": of_fit(first, truth),
        "ours, baseline chosen per pixel": of_fit(fit(axis, stack, noise=NOISE, threads=threads), truth),
        "ours, warm start on fresh noise": of_fit(warm, truth),
        "textbook LM, numba": of_parameters(fit_lm(x, rows, threads), truth),
    } | {key: of_parameters(work().astype(float), truth) for key, work in cpufit.items()}
    ideal = of_parameters(fit_lm(x, rows, threads, true_parameters(truth), 1e-9), truth)
    print(f"\n{name}: {side} x {side} pixels, contrast 2 %, noise 0.2 %, {threads} threads, best of {repeat}")
    print(
        f"{'':44}{'fits/s':>11}{'spread':>8}{'CPU us':>9}{'ours is':>9}{'by CPU':>9}"
        f"{'RMS/CRB':>9}{'/truth':>8}{'in 5s':>9}{'in 1s':>7}"
    )
    for key, value in best.items():
        spread = f"{max(taken[key]) / value:.2f}"
        q = reached.get(key)
        cpu = min(used[key])
        by_cpu = f"{cpu / min(used['ours']):8.2f}x" if "scipy" not in key else ""  # its work is done elsewhere
        row = f"{key:44}{1 / value:11,.0f}{spread:>8}{cpu * 1e6:9.3f}{value / best['ours']:8.2f}x{by_cpu:>9}"
        if q is not None:
            row += f"{q.rms:9.3f}{q.rms / ideal.rms:8.4f}{q.near:9.5f}"
            row += "" if np.isnan(q.covered) else f"{q.covered:7.3f}"
        print(row)
    print(f"{'(LM started from the truth, to the end)':44}{'':46}{ideal.rms:9.3f}{1:8.4f}{ideal.near:9.5f}")
    if cpufit:
        print("Cpufit: its guess is not counted; on data near 1 its criterion stops it after two steps, near the guess")
    else:
        print("Cpufit with a model of two Lorentzians is not installed: not compared")


def shares(threads: int, pixels: int = 20000) -> None:
    """Share within 5 σ of the truth where the guess decides, 61 points."""
    print(f"\nshare of {pixels} pixels with both lines within 5 sigma (Cramer-Rao) of the truth, 61 points")
    print(f"{'':38}{'simple guess, LM':>18}{'exhaustive pairs, LM':>22}{'ours':>8}{'LM from truth':>15}")
    axis = one_window(61)
    x = (axis - axis.mean()) / 1e6
    for name, how in CASES.items():
        truth = line_pairs(axis, pixels, seed=77, **how)  # type: ignore[arg-type]
        rows = np.ascontiguousarray(truth.signal.T)
        ours = of_fit(fit(axis, truth.signal, baseline="constant", noise=truth.sigma[:, 0], threads=threads), truth)
        lm = of_parameters(fit_lm(x, rows, threads), truth)
        pairs = of_parameters(fit_lm(x, rows, threads, exhaustive_pairs(x, rows), 1e-7), truth)
        ideal = of_parameters(fit_lm(x, rows, threads, true_parameters(truth), 1e-9), truth)
        print(f"{name:38}{lm.near:18.4f}{pairs.near:22.4f}{ours.near:8.4f}{ideal.near:15.4f}")


def first_use() -> None:
    """Time to load and to fit 64 x 64 pixels in a fresh process, kernels not yet compiled and then cached."""
    print("\nfresh process, import and then the first fit (s):")
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "NUMBA_CACHE_DIR": folder}
        for kind in ("compiling", "cached", "cached"):
            done = subprocess.run(
                [sys.executable, "-c", FIRST_USE], env=env, capture_output=True, text=True, check=True
            )
            loaded, fitted = (float(value) for value in done.stdout.split())
            print(f"  {kind:10} {loaded:6.2f} + {fitted:.2f}")


def machine() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
        name = next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    features = llvm.get_host_cpu_features()
    vector = next((kind for kind in ("avx512f", "avx2", "neon") if features.get(kind)), "no wide vectors")
    return (
        f"{name}, {llvm.get_host_cpu_name()}, {vector}, {os.cpu_count()} cores{load}; {platform.system()}, "
        f"Python {platform.python_version()}, numpy {np.__version__}, numba {numba.__version__}, "
        f"scipy {scipy.__version__}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256, help="pixels along an edge (default 256)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--no-scipy", action="store_true", help="leave out the slowest rival")
    parser.add_argument("--quick", action="store_true", help="61 points only")
    options = parser.parse_args()
    print(machine())
    pool = None if options.no_scipy else ScipyPool(options.threads)
    try:
        for name, axis in list(AXES.items())[: 1 if options.quick else None]:
            speed(name, axis, options.side, options.threads, options.repeat, pool)
    finally:
        if pool is not None:
            pool.close()
    shares(options.threads)
    first_use()


if __name__ == "__main__":
    main()
