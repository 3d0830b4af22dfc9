"""The search for the aligned pair: finds it among other lines, to a fraction of its step, on any axis."""

from __future__ import annotations

import numpy as np
import pytest

from nvscope.odmr import ExpectedPair, fit
from nvscope.odmr.known_field import find_pairs

HALF = 272e6


def spectra(axis, f_minus, f_plus, contrast, noise, rng, width=7e6):
    shape = [1 / (1 + ((axis[:, None] - f) / width) ** 2) for f in (f_minus, f_plus)]
    clean = 1 - contrast * (shape[0] + shape[1])
    return (clean + noise * rng.standard_normal(clean.shape)).astype(np.float32)


AXES = {
    "two windows": np.concatenate([c + np.linspace(-75e6, 75e6, 31) for c in (2.87e9 - HALF, 2.87e9 + HALF)]),
    "one sweep": np.arange(2.52e9, 3.22e9, 5e6),
    "unequal steps": np.concatenate([np.arange(2.52e9, 2.7e9, 4e6), np.arange(3.04e9, 3.22e9, 6e6)]),
}


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("sign", [1, -1])
def test_pairs_are_found_to_a_fraction_of_a_step(name, sign):
    rng = np.random.default_rng(1)
    half, centre = HALF * (1 + rng.uniform(-0.15, 0.15, 600)), 2.87e9 + rng.uniform(-15e6, 15e6, 600)
    axis = AXES[name]
    signal = spectra(axis, centre - half, centre + half, sign * 0.02, 0.002, rng)
    # another group's line of the other sign near the lower one
    signal += (sign * 0.012 / (1 + ((axis[:, None] - (centre - half) - 40e6) / 7e6) ** 2)).astype(np.float32)
    found = find_pairs(axis, signal.reshape(-1, 20, 30), HALF)
    assert found["f_plus"].shape == (20, 30)
    # the line alone: at 10 σ a point it is known to (σ/A)·w·√(2 step/πw) ≈ 0.5 MHz; trials are 3.5 MHz apart
    assert np.sqrt(np.mean((found["f_plus"].ravel() - (centre + half)) ** 2)) < 1.2e6
    assert np.mean(np.abs(found["f_minus"].ravel() - (centre - half)) < 6e6) > 0.99


def test_what_is_no_spectrum_has_no_pair_and_threads_change_nothing():
    rng = np.random.default_rng(2)
    axis = AXES["two windows"]
    signal = spectra(axis, np.full(3000, 2.87e9 - HALF), 2.87e9 + HALF, 0.02, 0.004, rng)[:, None]
    signal[5, 0, 1234] = np.nan
    signal[:, 0, 77] = 0.5
    one, two = (find_pairs(axis, signal, HALF, threads) for threads in (1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
        assert np.isnan(one[name][0, [77, 1234]]).all()
        assert np.isfinite(one[name]).sum() == 2998


def test_an_axis_that_shows_no_pair_says_so():
    axis = 2.87e9 + np.linspace(-20e6, 20e6, 21)  # both lines lie outside
    signal = np.random.default_rng(3).normal(1, 0.01, (21, 1, 8)).astype(np.float32)
    assert np.isnan(find_pairs(axis, signal, HALF)["f_minus"]).all()


def faint_map(noise, seed):
    """Spectra (frequency, y, x) of pairs 2 HALF apart, 3 % more or less across the image, and where they are."""
    y, x = np.mgrid[:48, :48] / 48
    half, centre = HALF * (1 + 0.03 * np.sin(3 * x + y)), 2.87e9 + 8e6 * np.cos(2 * y)
    axis = AXES["two windows"]
    lines = centre - half, centre + half
    signal = spectra(axis, lines[0].ravel(), lines[1].ravel(), 0.02, noise, np.random.default_rng(seed))
    return axis, signal.reshape(-1, 48, 48), lines


@pytest.mark.parametrize("noise", [0.003, 0.007])
def test_a_pair_that_is_expected_is_found_as_by_a_search_of_all_pixels(noise):
    axis, signal, (lower, _) = faint_map(noise, 6)
    shares = []
    for start in (find_pairs(axis, signal, HALF), ExpectedPair(HALF)):
        found = fit(axis, signal, baseline="constant", noise=noise, start=start)
        right = np.abs(found.f_minus - lower) < 5 * found.f_minus_err
        assert np.mean(right[found.good]) > 0.995
        shares.append(found.good.mean())
    assert shares[1] > shares[0] - 0.01


@pytest.mark.parametrize("how", [{"lines": 2, "neighbours": False}, {"lines": "auto"}, {"model": "n15"}])
def test_where_nobody_is_asked_an_expected_pair_is_looked_for_in_every_pixel(how):
    axis, signal, _ = faint_map(0.003, 7)
    signal = signal[:, :4, :6]
    searched, expected = (
        fit(axis, signal, noise=0.003, start=start, **how)
        for start in (find_pairs(axis, signal, HALF), ExpectedPair(HALF))
    )
    np.testing.assert_array_equal(searched.f_minus, expected.f_minus)


def test_an_expected_pair_that_makes_no_sense_is_refused():
    axis, signal, _ = faint_map(0.003, 7)
    with pytest.raises(ValueError, match="give maps of all lines"):
        fit(axis, signal, lines=4, start=ExpectedPair(HALF))
    for half in (0.0, -HALF, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="above 0 Hz"):
            ExpectedPair(half)
    # no pair so far apart lies within the axis: pixels are guessed
    found = fit(axis, signal, baseline="constant", noise=0.003, start=ExpectedPair(5e9))
    assert found.good.mean() > 0.9
