"""Finding the aligned pair among the lines of four groups, and following it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nvscope.odmr.windows import find_pair, recentre

GAMMA = 28.024951e9
H = 97e-4
AXIS = np.arange(3.08e9 - 350e6, 3.08e9 + 350e6 + 1, 4e6)


def four_groups(axis, d, off_axis_shift=40e6, contrast=-0.01, off_contrast=-0.02, seed=0, noise=2e-4, field=H):
    """Dips of the aligned group and, from the spin-1 Hamiltonian, of three groups at 109.5° (axes of their own D)."""
    sz = np.diag([1.0, 0.0, -1.0])
    sx = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]) / math.sqrt(2)
    spectrum = np.ones_like(axis)
    for cos, shift, depth in [(1.0, 0.0, contrast)] + [
        (-1 / 3 + tilt, off_axis_shift + s, off_contrast / 3) for tilt, s in ((-0.03, 0), (0.0, 6e6), (0.03, -5e6))
    ]:
        sin = math.sqrt(1 - cos**2)
        e = np.linalg.eigvalsh((d + shift) * sz @ sz + GAMMA * field * (cos * sz + sin * sx))
        for f in (e[1] - e[0], e[2] - e[0]):
            spectrum = spectrum + depth * 7e6**2 / ((axis - f) ** 2 + 7e6**2)
    return 20000 * (spectrum + noise * np.random.default_rng(seed).standard_normal(axis.size))


@pytest.mark.parametrize("contrast", [-0.01, 0.01, -0.004])
@pytest.mark.parametrize("offset", [-70e6, -23e6, 0.0, 41e6, 70e6])
def test_both_lines_are_found_among_stronger_off_axis_lines(offset, contrast):
    off = math.copysign(0.02, contrast)
    spectrum = four_groups(AXIS, 3.08e9 + offset, contrast=contrast, off_contrast=off)
    pair = find_pair(AXIS, spectrum, GAMMA * H)
    assert pair.found
    assert pair.seen == "both"
    assert pair.center == pytest.approx(3.08e9 + offset, abs=2e6)
    assert pair.half_splitting == pytest.approx(GAMMA * H, abs=2e6)


@pytest.mark.parametrize("shift", [0.0, 40e6, 80e6])
@pytest.mark.parametrize(
    ("offset", "seen"),
    [(110e6, "lower"), (180e6, "lower"), (290e6, "lower"), (-110e6, "upper"), (-200e6, "upper"), (-290e6, "upper")],
)
def test_one_line_in_the_sweep_is_enough(offset, seen, shift):
    pair = find_pair(AXIS, four_groups(AXIS, 3.08e9 + offset, shift), GAMMA * H)
    assert pair.found
    assert pair.seen == seen
    assert pair.center == pytest.approx(3.08e9 + offset, abs=4e6)
    assert math.isnan(pair.f_plus if seen == "lower" else pair.f_minus)


def test_many_noisy_spectra():
    right = 0
    rng = np.random.default_rng(3)
    for seed in range(60):
        d = 3.08e9 + rng.uniform(-290e6, 290e6)
        spectrum = four_groups(AXIS, d, rng.uniform(-20e6, 90e6), seed=seed, noise=5e-4)
        right += abs(find_pair(AXIS, spectrum, GAMMA * H).center - d) < 6e6
    assert right >= 59


@pytest.mark.parametrize("field", [20e-4, 5e-4])
def test_low_field(field):
    spectrum = four_groups(AXIS, 3.07e9, 0.0, -0.02, 0.0, field=field)
    pair = find_pair(AXIS, spectrum, GAMMA * field)
    assert pair.center == pytest.approx(3.07e9, abs=3e6)
    assert pair.half_splitting == pytest.approx(GAMMA * field, abs=4e6)


def test_nothing_is_found_where_there_is_nothing():
    rng = np.random.default_rng(1)
    for spectrum in (np.full(AXIS.size, 7.0), np.full(AXIS.size, np.nan), 1 + 1e-3 * rng.standard_normal(AXIS.size)):
        pair = find_pair(AXIS, spectrum, GAMMA * H)
        assert not pair.found
        assert math.isnan(pair.center)


def test_impossible_questions_are_refused():
    with pytest.raises(ValueError, match="one value for each frequency"):
        find_pair(AXIS, np.ones(3), GAMMA * H)
    with pytest.raises(ValueError, match="zero or more"):
        find_pair(AXIS, np.ones(AXIS.size), -1.0)
    with pytest.raises(ValueError, match="ascend"):
        find_pair(AXIS[::-1], np.ones(AXIS.size), 1e8)


def test_windows_follow_the_lines_and_ignore_strays():
    rng = np.random.default_rng(2)
    minus = 2.8e9 + rng.uniform(-20e6, 30e6, 1000)
    plus = minus + 544e6
    minus[3], plus[5] = np.nan, 3.9e9
    windows = recentre(minus, plus, 150e6)
    assert windows is not None
    assert windows.complete
    assert windows.lower == pytest.approx(2.805e9, abs=2e6)
    assert windows.half_splitting == pytest.approx(272e6, abs=2e6)
    assert recentre(np.full(3, np.nan), minus[:3], 150e6) is None
    wide = recentre(np.linspace(2.7e9, 2.9e9, 100), np.linspace(3.3e9, 3.5e9, 100), 150e6)
    assert wide is not None
    assert not wide.complete
