"""One line or two, chosen per pixel; what neighbours add."""

from __future__ import annotations

import numpy as np
import pytest

from nvscope.odmr import FitStatus, fit
from nvscope.odmr.shapes import LINE_MODELS, evaluate_line
from nvscope.odmr.synthetic import line_pairs, lorentzian, one_window, two_windows


def smooth_map(axis, side, noise, contrast, seed):
    """A stack whose lines vary smoothly over the image; returns it with the true f_minus and f_plus maps."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    half = 272e6 * (1 - 0.02 * x) if np.diff(axis).max() > 1e8 else 25e6 + 12e6 * np.sin(6 * x) * np.cos(5 * y)
    center = axis.mean() + 8e6 * np.cos(4 * x + 2 * y)
    f = axis[:, None, None]
    clean = 1 - contrast * (lorentzian(f, center - half, 5.5e6) + lorentzian(f, center + half, 5.5e6))
    return clean + noise * rng.standard_normal(clean.shape), center - half, center + half


def test_one_line_or_two_is_chosen_per_pixel():
    axis = one_window(81)
    rng = np.random.default_rng(1)
    pairs = line_pairs(axis, 400, seed=2, splitting=(20e6, 100e6))
    centre = 2.87e9 + rng.uniform(-60e6, 60e6, 400)
    single = 1 + rng.choice([-0.02, 0.02], 400) * lorentzian(axis[:, None], centre, rng.uniform(4e6, 9e6, 400))
    single += 0.002 * rng.standard_normal(single.shape)
    result = fit(axis, np.hstack([pairs.signal, single]), lines="auto", noise=0.002)
    assert np.mean(result.n_lines[:400] == 2) > 0.99
    assert np.mean(result.n_lines[400:] == 1) > 0.97
    one = (result.n_lines == 1) & (np.arange(800) >= 400)
    assert np.all(np.isnan(result.half_splitting[one]))
    pull = (result.f_minus[400:] - centre) / result.f_minus_err[400:]
    assert np.mean(np.abs(pull[one[400:]]) < 1) == pytest.approx(0.683, abs=0.07)
    assert result.good.mean() > 0.97
    np.testing.assert_allclose(result.model()[:, 400:], single, atol=0.012)


@pytest.mark.parametrize(("model", "width"), [("gaussian", "separate"), ("n14", "shared"), ("lorentzian", "shared")])
def test_one_line_or_two_is_chosen_for_any_shape(model, width):
    axis = one_window(81)
    rng = np.random.default_rng(21)
    lower, upper = 2.84e9 + rng.uniform(-10e6, 10e6, (1, 150)), 2.9e9 + rng.uniform(-10e6, 10e6, (1, 150))
    amplitude = np.array([[-0.02] * 100 + [0.0] * 50])  # the last fifty have one line
    shape, six = LINE_MODELS[model], np.full((1, 150), 6e6)
    clean = 1 - 0.02 * evaluate_line(shape, axis[:, None], lower, six)
    clean += amplitude * evaluate_line(shape, axis[:, None], upper, six)
    signal = clean + 0.002 * rng.standard_normal(clean.shape)
    for noise in (0.002, None):
        result = fit(axis, signal, model=model, width=width, lines="auto", noise=noise)
        assert np.all(result.n_lines[:100] == 2)
        assert np.mean(result.n_lines[100:] == 1) > 0.9  # a second line of noise costs 6 + 3 ln 81 in chi2
        one = result.n_lines == 1
        assert np.all(np.isnan(result.half_splitting[one]))
        assert np.all(np.abs(result.f_minus - lower[0]) < 5 * result.f_minus_err)
        assert np.sqrt(np.mean((result.model() - clean) ** 2)) < 0.002


def test_parameters_are_those_that_chi2_belongs_to():
    """Pairs fitted to single lines: the second one ends as a spike between samples, where parameters are stiff."""
    axis = one_window(81)
    rng = np.random.default_rng(6)
    centre = 2.87e9 + rng.uniform(-60e6, 60e6, 500)
    single = 1 - 0.02 * lorentzian(axis[:, None], centre, 6e6) + 0.002 * rng.standard_normal((81, 500))
    result = fit(axis, single, lines=2, baseline="constant", noise=0.002)
    chi2 = np.sum(((single - result.model()) / 0.002) ** 2, axis=0)
    # the last step is taken without another look where it is worth less than a few hundredths of a variance
    assert np.max(np.abs(chi2 - result.chi2_reduced * 74)) < 1.0


def test_noise_alone_has_no_lines():
    axis = one_window()
    noise = 1 + 0.002 * np.random.default_rng(3).standard_normal((axis.size, 1500))
    result = fit(axis, noise, lines="auto")
    assert result.good.mean() < 0.02
    assert np.all(result.n_lines[result.status == FitStatus.no_signal] <= 2)


@pytest.mark.parametrize("baseline", ["constant", "linear", "quadratic", "auto"])
def test_single_lines_on_any_baseline(baseline):
    axis = one_window(71)
    rng = np.random.default_rng(4)
    centre = 2.87e9 + rng.uniform(-70e6, 70e6, 1500)
    signal = 1 - 0.02 * lorentzian(axis[:, None], centre, 6e6) + 0.002 * rng.standard_normal((71, 1500))
    result = fit(axis, signal, lines=1, baseline=baseline, noise=0.002)
    assert result.good.mean() > 0.99
    inside = np.abs(result.f_minus - centre)[result.good] < result.f_minus_err[result.good]
    assert inside.mean() == pytest.approx(0.683, abs=0.04)
    np.testing.assert_array_equal(result.f_minus, result.f_plus)


@pytest.mark.parametrize("axis", [one_window(), two_windows()], ids=["one window", "two windows"])
def test_neighbours_rescue_faint_pixels(axis):
    signal, lower, upper = smooth_map(axis, 32, noise=0.005, contrast=0.01, seed=7)
    alone = fit(axis, signal, baseline="constant", noise=0.005, neighbours=False)
    together = fit(axis, signal, baseline="constant", noise=0.005)
    near = [np.hypot(r.f_minus - lower, r.f_plus - upper) < 12e6 for r in (alone, together)]
    assert near[0].mean() < 0.8
    assert near[1].mean() > 0.9
    assert together.good.sum() > 2 * alone.good.sum()
    pull = (together.half_splitting - (upper - lower) / 2)[together.good] / together.half_splitting_err[together.good]
    # half a percent is usual: faint lines whose noise looks like a line (of 270 pixels, so 1.35 ± 1.2 are far)
    assert np.mean(np.abs(pull) > 5) < 0.02


def test_neighbours_do_not_smooth_away_what_is_there():
    """A map whose pixels have nothing in common, and a lone pixel that differs, stay as they are."""
    axis = one_window()
    truth = line_pairs(axis, 900, seed=8, noise=0.004)
    stack = truth.signal.reshape(-1, 30, 30)
    alone = fit(axis, stack, baseline="constant", noise=0.004, neighbours=False)
    together = fit(axis, stack, baseline="constant", noise=0.004)
    wrong = [np.mean(np.abs(r.f_minus.ravel() - truth.f_minus) > 10e6) for r in (alone, together)]
    assert wrong[1] <= wrong[0] + 0.003
    signal, lower, _ = smooth_map(axis, 16, noise=0.002, contrast=0.02, seed=9)
    f = axis[:, None]
    odd = 1 - 0.02 * (lorentzian(f, 2.80e9, 5e6) + lorentzian(f, 2.94e9, 5e6))
    signal[:, 8, 8] = odd[:, 0] + 0.002 * np.random.default_rng(1).standard_normal(axis.size)
    result = fit(axis, signal, baseline="constant", noise=0.002)
    assert result.f_minus[8, 8] == pytest.approx(2.80e9, abs=3e6)
    assert np.max(np.abs(np.delete((result.f_minus - lower).ravel(), 8 * 16 + 8))) < 5e6


def test_a_map_without_order_is_no_worse_for_its_neighbours():
    """Binned, lines scattered at random make one broad hump: nobody may take that for what neighbours know."""
    axis = one_window()
    truth = line_pairs(axis, 96 * 96, seed=12, noise=0.006)
    stack = truth.signal.reshape(-1, 96, 96)
    alone = fit(axis, stack, baseline="constant", noise=0.006, neighbours=False)
    together = fit(axis, stack, baseline="constant", noise=0.006)
    near = [
        np.hypot(r.f_minus.ravel() - truth.f_minus, r.f_plus.ravel() - truth.f_plus) < 10e6 for r in (alone, together)
    ]
    assert near[1].mean() > near[0].mean() - 0.003
    far = np.abs(together.half_splitting.ravel() - (truth.f_plus - truth.f_minus) / 2)
    far = (far > 5 * together.half_splitting_err.ravel())[together.good.ravel()]
    # of some 5700 good ones; faint lines whose noise looks like a line, as without neighbours
    assert far.mean() < 0.015


def test_faint_pixels_at_steps_keep_to_their_own_side():
    axis = one_window()
    y, x = np.mgrid[0:64, 0:64]
    half = np.where((x // 8 + y // 8) % 2 == 0, 20e6, 45e6)
    f = axis[:, None, None]
    clean = 1 - 0.02 * (lorentzian(f, 2.87e9 - half, 5.5e6) + lorentzian(f, 2.87e9 + half, 5.5e6))
    signal = clean + 0.007 * np.random.default_rng(6).standard_normal(clean.shape)
    result = fit(axis, signal, baseline="constant", noise=0.007)
    # a single line stands 4.6 σ out of the noise on average, and needs 3 where it is expected, 4 elsewhere
    assert result.good.mean() > 0.6
    far = np.abs(result.half_splitting - half)[result.good] > 5 * result.half_splitting_err[result.good]
    assert far.mean() < 0.005


@pytest.mark.parametrize("model", ["n14", "gaussian"])
@pytest.mark.parametrize("neighbours", [True, False])
def test_a_wrong_start_is_not_believed_whatever_the_shape(model, neighbours):
    axis = one_window(101)
    signal, f_minus, f_plus = smooth_map(axis, 20, 0.002, 0.02, 5)
    start = {"f_minus": f_minus - 22e6, "f_plus": f_plus + 15e6}
    found = fit(axis, signal, model, noise=0.002, baseline="constant", start=start, neighbours=neighbours)
    right = (np.abs(found.f_minus - f_minus) < 3e6) & (np.abs(found.f_plus - f_plus) < 3e6)
    # lines of another shape are found as well: noise is ten times less than a line, shapes differ by less than that
    assert np.mean(right) > 0.98
