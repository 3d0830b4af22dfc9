"""Where a pattern has moved: known shifts come back within the uncertainty that is claimed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from nvscope.analysis.registration import pattern_shift

NOISE = 0.5e6


def pattern(down: float, right: float) -> np.ndarray:
    """A smooth random pattern like a stress map, 8 MHz in all, moved."""
    base = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(96, 96)), 5, mode="wrap")
    moved = ndimage.shift(base * 8e6 / base.std(), (down, right), order=5, mode="wrap")
    return np.asarray(moved[16:80, 16:80])


@pytest.mark.parametrize(("down", "right"), [(0.0, 0.0), (0.31, -0.18), (2.4, -5.7)])
def test_a_known_shift_comes_back(down, right):
    rng = np.random.default_rng(5)
    found = []
    for _ in range(12):
        before = pattern(0, 0) + rng.normal(0, NOISE, (64, 64))
        # another temperature: an offset and a factor; some pixels not fitted
        after = 2e6 + 1.1 * pattern(down, right) + rng.normal(0, NOISE, (64, 64))
        after[rng.random((64, 64)) < 0.03] = np.nan
        shift = pattern_shift(before, after)
        assert shift is not None
        found.append((shift.down, shift.right, shift.err))
    table = np.array(found)
    assert table[:, 2].max() < 0.05
    # the mean of 12 has 0.29 of the scatter; interpolation between pixels adds a hundredth of one
    assert table[:, :2].mean(axis=0) == pytest.approx([down, right], abs=0.02)
    # 24 values: their scatter is known to 15 %, and the claim may be cautious but not bold
    scatter = (table[:, :2] - table[:, :2].mean(axis=0)).std()
    assert scatter < 1.5 * table[:, 2].mean()


def test_nothing_in_common_is_no_shift():
    rng = np.random.default_rng(7)
    for _ in range(5):
        assert pattern_shift(rng.normal(size=(64, 64)), rng.normal(size=(64, 64))) is None
    assert pattern_shift(pattern(0, 0), pattern(0, 0)[:32]) is None
    assert pattern_shift(pattern(0, 0), np.full((64, 64), np.nan)) is None
    assert pattern_shift(np.zeros((64, 64)), np.zeros((64, 64))) is None
