"""Eight lines, four pairs, of unequal depth."""

from __future__ import annotations

import numpy as np
import pytest

from nvscope.odmr import fit
from nvscope.odmr.synthetic import lorentzian


def test_eight_separate_lines_of_unequal_depth():
    """Without any knowledge of groups lines are paired outermost with outermost; a start keeps its own pairs."""
    axis = np.linspace(2.70e9, 3.04e9, 301)
    half = np.array([140e6, 95e6, 60e6, 30e6])
    depth = np.array([0.02, -0.008, 0.015, 0.03])
    clean = np.ones_like(axis)
    for h, a in zip(half, depth, strict=True):
        clean = clean - a * lorentzian(axis, 2.87e9 - h, 6e6) - 0.8 * a * lorentzian(axis, 2.87e9 + h, 6e6)
    signal = clean[:, None] + 5e-4 * np.random.default_rng(2).standard_normal((axis.size, 60))
    result = fit(axis, signal, lines=8, baseline="constant", noise=5e-4)
    assert result.f_minus.shape == (4, 60)
    assert result.good.mean() > 0.95
    np.testing.assert_allclose(np.median(result.half_splitting, axis=1), half, atol=0.5e6)
    inside = np.abs(result.f_plus - (2.87e9 + half)[:, None])[:, result.good] < result.f_plus_err[:, result.good]
    assert inside.mean() == pytest.approx(0.683, abs=0.06)  # 240 lines: ± 0.03
    order = [2, 0, 3, 1]
    start = {"f_minus": (2.87e9 - half)[order, None], "f_plus": (2.87e9 + half)[order, None]}
    named = fit(axis, signal, lines=8, baseline="constant", noise=5e-4, start=start)
    np.testing.assert_allclose(np.median(named.half_splitting, axis=1), half[order], atol=0.5e6)
