"""s maps and the choice of places: statistics against Monte Carlo, geometry against areas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nvscope.analysis.ratio import ratio_to_field, ratio_to_reference
from nvscope.analysis.regions import disc_mask, disc_mean, extreme_discs, region_curve, weighted_mean
from nvscope.config.polygons import polygon_mask

H = 97e-4
B_ERR = 1.7e-5


def test_ratio_cancels_everything_the_reference_saw():
    rng = np.random.default_rng(1)
    gradient = 1 + 0.02 * rng.standard_normal((16, 16))
    truth = 1 - 0.05 * rng.random((16, 16))
    found = ratio_to_reference(H * gradient * truth, 0.0, H * gradient, 0.0, H, H)
    assert_allclose(found.s, truth, rtol=1e-14)
    assert found.normalised == "reference"


def test_ratio_uncertainty_against_monte_carlo():
    rng = np.random.default_rng(2)
    b, reference = 0.95 * H + B_ERR * rng.standard_normal(200_000), H + 0.5 * B_ERR * rng.standard_normal(200_000)
    sample = ratio_to_reference(b, B_ERR, reference, 0.5 * B_ERR)
    stated = ratio_to_reference(0.95 * H, B_ERR, H, 0.5 * B_ERR)
    assert stated.s_err == pytest.approx(sample.s.std(), rel=0.01)
    assert stated.s_err == pytest.approx(math.hypot(stated.s_point_err, stated.reference_err))


def test_reference_at_another_current_is_scaled_and_reading_noise_is_not():
    assert ratio_to_reference(H, 0.0, 0.5 * H, 0.0, H, 0.5 * H).s == pytest.approx(1)
    assert ratio_to_reference(H, 0.0, H, 0.0, H * 1.001, H).s == pytest.approx(1, abs=1e-12)
    assert ratio_to_reference(H, 0.0, H, 0.0, -H, H).s == pytest.approx(1)


def test_no_ratio_without_field_or_reference_pixel():
    reference = np.array([H, np.nan, 0.0])
    assert np.isnan(ratio_to_reference(np.full(3, H), B_ERR, reference, B_ERR).s).tolist() == [False, True, True]
    assert np.isnan(ratio_to_field(np.full(3, 1e-5), B_ERR, 0.0).s).all()
    assert ratio_to_field(np.array(0.95 * H), np.array(B_ERR), -H).s == pytest.approx(0.95)


def test_polygon_mask_has_the_area_of_the_polygon():
    angles = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    circle = [(0.5 + 0.3 * math.cos(a), 0.5 + 0.3 * math.sin(a)) for a in angles]
    assert polygon_mask(circle, (200, 200)).mean() == pytest.approx(math.pi * 0.09, rel=0.01)
    # x is the horizontal axis: a tall bar at the left is a block of columns
    bar = polygon_mask([(0, 0), (0.25, 0), (0.25, 1), (0, 1)], (8, 16))
    assert bar[:, :4].all()
    assert not bar[:, 4:].any()
    # concave: the notch is outside
    notch = polygon_mask([(0, 0), (1, 0), (1, 1), (0.5, 0.2), (0, 1)], (50, 50))
    assert not notch[40, 25]
    assert notch[40, 3]


def test_weighted_mean_and_disc_mean_uncertainty():
    rng = np.random.default_rng(3)
    err = rng.uniform(1, 3, (64, 64))
    noise = err * rng.standard_normal((400, 64, 64))
    mean, mean_err = weighted_mean(noise, np.broadcast_to(err, noise.shape))
    assert np.std(mean / mean_err) == pytest.approx(1, abs=0.03)
    inner = slice(4, -4)
    pulls = [
        disc_mean(image, err, 2.0)[0][inner, inner] / disc_mean(image, err, 2.0)[1][inner, inner]
        for image in noise[:60]
    ]
    assert np.std(pulls) == pytest.approx(1, abs=0.03)
    # at a corner three quarters of the disc are missing
    assert np.isnan(disc_mean(noise[0], err, 2.0)[0][0, 0])


def test_extremes_are_places_and_not_noisy_pixels():
    rng = np.random.default_rng(4)
    err = np.full((64, 64), 0.002)
    err[10, 10] = err[50, 12] = 0.2  # two nearly blind pixels, and wild
    s = np.ones((64, 64))
    s[disc_mask(s.shape, 40, 30, 4)] = 0.95
    s[disc_mask(s.shape, 40, 42, 4)] = 1.02
    s += err * rng.standard_normal(s.shape)
    s[10, 10], s[50, 12] = 0.4, 1.7
    suppressed, enhanced = extreme_discs(s, err, 2.0)
    assert suppressed is not None
    assert enhanced is not None
    assert math.hypot(suppressed.row - 40, suppressed.column - 30) < 4
    assert math.hypot(enhanced.row - 40, enhanced.column - 42) < 4
    assert suppressed.mask.sum() == 13


def test_extremes_keep_to_the_sample_and_survive_emptiness():
    s, err = np.ones((32, 32)), np.full((32, 32), 0.002)
    s[5:9, 5:9], s[20:26, 20:26] = 0.8, 0.9
    allowed = np.zeros(s.shape, dtype=bool)
    allowed[16:, 16:] = True
    suppressed, enhanced = extreme_discs(s, err, 2.0, allowed)
    assert suppressed is not None
    assert allowed[suppressed.row, suppressed.column]
    assert enhanced is None
    assert extreme_discs(np.full((8, 8), np.nan), err[:8, :8], 2.0) == (None, None)


def test_region_curve_uncertainties():
    rng = np.random.default_rng(5)
    point_err, reference_err = rng.uniform(1e-3, 3e-3, (2, 16, 16))
    mask = disc_mask((16, 16), 8, 8, 3)
    results = []
    for _ in range(600):
        stack = 0.95 + point_err * rng.standard_normal((3, 16, 16)) + reference_err * rng.standard_normal((16, 16))
        results.append(region_curve(stack, np.broadcast_to(point_err, stack.shape), reference_err, mask))
    values = np.array([curve.value for curve in results])
    assert values.mean() == pytest.approx(0.95, abs=1e-4)
    assert values.std() == pytest.approx(math.hypot(results[0].err[0], results[0].common_err), rel=0.08)
    # from point to point only the independent share scatters
    assert (values[:, 0] - values[:, 1]).std() == pytest.approx(math.sqrt(2) * results[0].err[0], rel=0.08)


def test_region_curve_with_dead_pixels_and_a_dead_point():
    stack = np.full((2, 8, 8), 0.9)
    stack[0, 4, 4] = np.nan
    stack[1] = np.nan
    curve = region_curve(stack, np.full(stack.shape, 1e-3), np.zeros((8, 8)), disc_mask((8, 8), 4, 4, 1))
    assert curve.value[0] == pytest.approx(0.9)
    assert curve.err[0] == pytest.approx(1e-3 / 2)
    assert np.isnan(curve.value[1])
