"""Where a fit goes wrong is where it starts: hard cases against the pair filter and against starting from the truth."""

from __future__ import annotations

import numpy as np
import pytest

from nvscope.odmr import fit
from nvscope.odmr.synthetic import cramer_rao, line_pairs, one_window, two_windows

PIXELS = 2500


def share_right(result, truth):
    bound = cramer_rao(truth)
    lower = np.abs(result.f_minus - truth.f_minus) < 5 * bound[0]
    upper = np.abs(result.f_plus - truth.f_plus) < 5 * bound[1]
    return np.mean(lower & upper)


def exhaustive_pair_filter(truth):
    """Best pair of unit-norm Lorentzians of four widths, by brute force, as a start for each pixel."""
    f = truth.frequency
    step = np.median(np.diff(f))
    shapes, centres, widths = [], [], []
    for width in step * np.array([1.0, 2.0, 4.0, 8.0]):
        for centre in np.arange(f[0], f[-1] + 1, width):
            shape = width**2 / ((f - centre) ** 2 + width**2)
            shapes.append(shape - shape.mean())
            centres.append(centre)
            widths.append(width)
    rows = np.array(shapes) / np.linalg.norm(shapes, axis=1, keepdims=True)
    overlap = rows @ rows.T
    usable = np.abs(overlap) < 0.95
    gain = np.where(usable, 1 / (1 - np.where(usable, overlap, 0) ** 2), 0.0)
    z = rows @ truth.signal
    picks = []
    for p in range(z.shape[1]):
        a = z[:, p]
        value = (a[:, None] ** 2 + a**2 - 2 * overlap * np.outer(a, a)) * gain
        picks.append(np.unravel_index(np.argmax(value), value.shape))
    first, second = np.array(picks).T
    centres, widths = np.array(centres), np.array(widths)
    swap = centres[first] > centres[second]
    low, high = np.where(swap, second, first), np.where(swap, first, second)
    return {
        "f_minus": centres[low], "f_plus": centres[high], "width_minus": widths[low], "width_plus": widths[high],
    }  # fmt: skip


CASES = {
    "ordinary": (one_window(), {"noise": 0.002}, 0.9985),
    "noisy": (one_window(), {"noise": 0.004}, 0.99),
    "faint": (one_window(), {"noise": 0.004, "contrast": 0.01}, 0.78),
    "close": (one_window(), {"noise": 0.002, "splitting": (6e6, 15e6)}, 0.925),
    "either sign": (one_window(), {"noise": 0.004, "positive": 0.5}, 0.99),
    "two windows": (two_windows(), {"noise": 0.004}, 0.99),
}


@pytest.mark.parametrize("name", CASES)
def test_reaches_or_beats_the_exhaustive_pair_filter(name):
    axis, how, least = CASES[name]
    truth = line_pairs(axis, PIXELS, seed=33, **how)
    ours = fit(axis, truth.signal, baseline="constant", noise=truth.sigma[:, 0])
    theirs = fit(axis, truth.signal, baseline="constant", noise=truth.sigma[:, 0], start=exhaustive_pair_filter(truth))
    assert share_right(ours, truth) >= least
    # theirs is looked at again where doubted, too: an advantage that the filter alone does not have
    assert share_right(ours, truth) >= share_right(theirs, truth) - 0.006


@pytest.mark.parametrize("name", CASES)
def test_what_is_called_converged_is_right(name):
    axis, how, _ = CASES[name]
    truth = line_pairs(axis, PIXELS, seed=34, **how)
    result = fit(axis, truth.signal, baseline="constant", noise=truth.sigma[:, 0])
    far = np.abs(result.f_minus - truth.f_minus) > 6 * result.f_minus_err
    assert np.mean(far[result.good]) < (0.035 if name in ("faint", "close") else 0.006)


def test_noise_alone_is_no_signal():
    rng = np.random.default_rng(5)
    for axis in (one_window(), two_windows()):
        result = fit(axis, 1 + 0.003 * rng.standard_normal((axis.size, 4000)))
        assert result.good.mean() < 0.01
        result = fit(axis, 1 + 0.003 * rng.standard_normal((axis.size, 4000)), noise=0.003)
        assert result.good.mean() < 0.01
