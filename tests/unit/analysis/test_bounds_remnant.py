"""Photon bounds, remnant fields and screening fractions against closed forms and Monte Carlo."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import curve_fit

from nvscope.analysis.bounds import pair_bound
from nvscope.analysis.fraction import screening_fraction
from nvscope.analysis.remnant import remnant_field
from nvscope.nv import GAMMA, transitions

GAUSS = 1e-4


def two_windows(points=41):
    window = np.linspace(-75e6, 75e6, points)
    return np.concatenate([2.808e9 + window, 3.352e9 + window])


def test_bound_of_the_published_photon_budget():
    """20 000 e⁻, contrast 2 %, half width 6 MHz, every 3.75 MHz with 8 frames: 0.7 MHz, 0.17 G."""
    noise = np.full((82, 1), 1 / math.sqrt(8 * 20_000))
    found = pair_bound(two_windows(), noise, 2.808e9, 3.352e9, -0.02, -0.02, 6e6, 6e6)
    closed = noise[0, 0] / 0.02 * math.sqrt(4 * 6e6 * 3.75e6 / math.pi)
    assert found.f_minus[0] == pytest.approx(closed, rel=0.02)
    assert found.f_minus[0] == pytest.approx(0.7e6, rel=0.05)
    assert found.half_splitting[0] / GAMMA / GAUSS == pytest.approx(0.17, abs=0.005)


def test_bound_is_what_a_good_fit_reaches():
    rng = np.random.default_rng(1)
    f = np.linspace(2.80e9, 3.00e9, 61)
    true = (1.0, -0.02, 2.885e9, 7e6, -0.017, 2.912e9, 8e6)  # overlapping lines

    def model(x, base, c1, f1, w1, c2, f2, w2):
        return base + c1 / (1 + ((x - f1) / w1) ** 2) + c2 / (1 + ((x - f2) / w2) ** 2)

    noise = 3e-4
    clean = model(f, *true)
    found = np.array([curve_fit(model, f, clean + noise * rng.standard_normal(f.size), p0=true)[0] for _ in range(300)])
    bound = pair_bound(f, np.full((61, 1), noise), true[2], true[5], true[1], true[4], true[3], true[6])
    half = (found[:, 5] - found[:, 2]) / 2
    assert half.std() == pytest.approx(bound.half_splitting[0], rel=0.12)
    assert ((found[:, 5] + found[:, 2]) / 2).std() == pytest.approx(bound.center[0], rel=0.12)


def test_bound_where_nothing_is_known():
    # a line outside the sweep, a pixel without a fit
    found = pair_bound(two_windows(), np.full((82, 1), 1e-3), [2.808e9, np.nan], 3.352e9, [0.0, -0.02], -0.02, 6e6, 6e6)
    assert not np.isfinite(found.half_splitting).any()


def test_floor_of_a_remnant_field():
    """Π⊥ = 20 MHz and line errors of 0.2 MHz: reads up to 1.4 G (90th percentile) where the truth is 0."""
    rng = np.random.default_rng(2)
    half, stress = 20e6 + 0.2e6 * rng.standard_normal((2, 200_000))
    found = remnant_field(half, 0.2e6, stress, 0.2e6)
    assert np.median(found.floor) / GAUSS == pytest.approx(1.4, abs=0.1)
    assert np.mean(found.b <= found.floor) == pytest.approx(0.9, abs=0.01)
    assert found.detected.mean() == pytest.approx(0.1, abs=0.01)


def test_remnant_from_the_exact_hamiltonian():
    """8 G trapped along the axis with 4 G across it, under stress: the square-root form is good to 0.1 G."""
    lines = transitions(3.09e9, [3 * GAUSS, -2.6 * GAUSS, 8 * GAUSS], 18e6, 9e6)
    found = remnant_field((lines.f_plus - lines.f_minus) / 2, 0.2e6, math.hypot(18e6, 9e6), 0.2e6)
    assert found.b / GAUSS == pytest.approx(8, abs=0.1)
    assert bool(found.detected)


def test_region_mean_of_a_remnant_is_not_biased_by_the_square_root():
    rng = np.random.default_rng(3)
    mask = np.ones((60, 60), dtype=bool)
    for true in (0.0, 1.0):
        shape = (60, 60)
        half = np.hypot(20e6, GAMMA * true * GAUSS) + 0.2e6 * rng.standard_normal(shape)
        found = remnant_field(half, np.full(shape, 0.2e6), 20e6 + 0.2e6 * rng.standard_normal(shape), 0.2e6)
        size, err, floor = found.mean(mask)
        if true:
            assert abs(size / GAUSS - true) < 3 * err / GAUSS
            assert err / GAUSS < 0.05
            assert size > floor
        else:
            assert size < 1.8 * floor
            assert found.b.mean() / GAUSS > 0.4  # what averaging |B| instead would read


def test_remnant_without_a_stress_reference_is_an_upper_limit():
    found = remnant_field(20e6, 0.2e6, None)
    assert not found.separable
    assert found.b == pytest.approx(20e6 / GAMMA)
    assert np.isinf(found.floor)
    assert not bool(found.detected)


def test_screening_fraction_of_an_annulus():
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:64, :64] - 31.5
    radius = np.hypot(x, y)
    sample = radius < 20
    ring = sample & (radius > 12.6)  # 60 % of the area
    s = np.where(ring, 0.95, 1.0) + 0.002 * rng.standard_normal((64, 64))
    found = screening_fraction(s, np.full(s.shape, 0.002), sample)
    share = ring.sum() / sample.sum()
    assert found.suppressed_area == pytest.approx(share, abs=0.01)
    assert found.mean_suppression == pytest.approx(0.05 * share, abs=3 * found.mean_suppression_err)
    assert found.mean_suppression == pytest.approx(0.03, abs=0.001)
    assert found.classes[0] == pytest.approx(share, abs=0.01)
    normal = screening_fraction(1 + 0.002 * rng.standard_normal(s.shape), np.full(s.shape, 0.002), sample)
    assert normal.suppressed_area < 0.005
    assert screening_fraction(s, s, np.zeros(s.shape, dtype=bool)).pixels == 0
