"""The per-pixel fit against closed forms, scipy and the Cramér–Rao bound."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from nvscope.odmr import FitStatus, PoissonNoise, fit
from nvscope.odmr.synthetic import cramer_rao, line_pairs, lorentzian, one_window, two_windows

PIXELS = 3000


@pytest.fixture(scope="module", params=["one window", "two windows"])
def fitted(request):
    axis = one_window() if request.param == "one window" else two_windows()
    truth = line_pairs(axis, PIXELS, seed=5)
    return truth, fit(axis, truth.signal, baseline="constant", noise=truth.sigma)


def test_finds_the_lines_of_either_sign(fitted):
    truth, result = fitted
    bound = cramer_rao(truth)
    near = (np.abs(result.f_minus - truth.f_minus) < 5 * bound[0]) & (
        np.abs(result.f_plus - truth.f_plus) < 5 * bound[1]
    )
    assert near.mean() >= 0.998
    assert np.all(np.sign(result.amplitude_minus[near]) == np.sign(truth.amplitude_minus[near]))


def test_scatter_reaches_the_cramer_rao_bound(fitted):
    truth, result = fitted
    _, _, bound = cramer_rao(truth)
    pull = (result.half_splitting - (truth.f_plus - truth.f_minus) / 2) / bound
    pull = pull[np.abs(pull) < 5]
    assert np.sqrt(np.mean(pull**2)) < 1.06  # 1.03 within the sampling error of 3000 pixels


@pytest.mark.parametrize("name", ["f_minus", "f_plus", "amplitude_minus", "width_plus", "half_splitting", "center"])
@pytest.mark.parametrize("known", [True, False])
def test_two_thirds_of_truths_lie_within_one_sigma(name, known):
    axis = two_windows()
    truth = line_pairs(axis, 6000, seed=11)
    result = fit(axis, truth.signal, baseline="constant", noise=truth.sigma if known else None)
    true = {
        "half_splitting": (truth.f_plus - truth.f_minus) / 2,
        "center": (truth.f_plus + truth.f_minus) / 2,
    }
    expected = true[name] if name in true else getattr(truth, name)
    inside = np.abs(getattr(result, name) - expected) < getattr(result, name + "_err")
    assert inside[result.good].mean() == pytest.approx(0.683, abs=0.02)


def test_agrees_with_scipy_in_values_and_errors():
    axis = one_window(81)
    truth = line_pairs(axis, 12, seed=3, splitting=(25e6, 90e6))
    result = fit(axis, truth.signal, baseline="constant", noise=truth.sigma)

    def model(f, b, a1, c1, w1, a2, c2, w2):
        return b + a1 * lorentzian(f, c1 * 1e6, w1 * 1e6) + a2 * lorentzian(f, c2 * 1e6, w2 * 1e6)

    for p in range(12):
        first = [
            1.0, truth.amplitude_minus[p], truth.f_minus[p] / 1e6, truth.width_minus[p] / 1e6,
            truth.amplitude_plus[p], truth.f_plus[p] / 1e6, truth.width_plus[p] / 1e6,
        ]  # fmt: skip
        best, cov = curve_fit(
            model, axis, truth.signal[:, p], first, truth.sigma[:, p], absolute_sigma=True, xtol=1e-12, ftol=1e-12
        )
        errors = np.sqrt(np.diag(cov))
        for name, index, unit in (
            ("f_minus", 2, 1e6),
            ("f_plus", 5, 1e6),
            ("width_minus", 3, 1e6),
            ("amplitude_plus", 4, 1),
        ):
            assert abs(getattr(result, name)[p] - best[index] * unit) < 0.05 * errors[index] * unit
            assert getattr(result, name + "_err")[p] == pytest.approx(errors[index] * unit, rel=0.02)
        assert result.chi2_reduced[p] == pytest.approx(
            np.sum(((truth.signal[:, p] - model(axis, *best)) / truth.sigma[:, p]) ** 2) / (81 - 7), rel=1e-3
        )


def test_noise_free_spectra_are_recovered_exactly_and_redrawn():
    axis = two_windows()
    truth = line_pairs(axis, 40, seed=2)
    result = fit(axis, truth.clean.reshape(-1, 8, 5), baseline="constant")
    assert result.f_minus.shape == (8, 5)
    np.testing.assert_allclose(result.f_minus.ravel(), truth.f_minus, atol=1.0)
    np.testing.assert_allclose(result.width_plus.ravel(), truth.width_plus, rtol=1e-6)
    np.testing.assert_allclose(result.contrast_minus.ravel(), truth.amplitude_minus, rtol=1e-6)
    np.testing.assert_allclose(result.model().reshape(82, -1), truth.clean, atol=1e-9)
    assert np.all(result.n_lines == 2)


def test_counts_weigh_as_poisson():
    axis = two_windows()
    rng = np.random.default_rng(8)
    truth = line_pairs(axis, 4000, seed=4, positive=0.0, level=1.0, contrast=0.1)
    gain, offset, read, frames = 2.0, 100.0, 5.0, 8
    electrons = rng.poisson(truth.clean * 4000 * frames) + read * np.sqrt(frames) * rng.standard_normal(
        truth.clean.shape
    )
    signal = electrons / gain / frames + offset
    result = fit(axis, signal, baseline="constant", noise=PoissonNoise(gain, offset, read, frames))
    assert result.chi2_reduced.mean() == pytest.approx(1.0, abs=0.01)
    inside = np.abs(result.f_plus - truth.f_plus) < result.f_plus_err
    assert inside[result.good].mean() == pytest.approx(0.683, abs=0.02)
    assert np.median(result.contrast_minus / truth.amplitude_minus) == pytest.approx(1.0, abs=0.005)


def test_baseline_is_chosen_per_pixel():
    axis = one_window(101)
    truth = line_pairs(axis, 600, seed=6)
    xi = np.linspace(-1, 1, 101)[:, None]
    bend = np.zeros((101, 600))
    bend[:, 200:400] = 0.02 * xi
    bend[:, 400:] = 0.01 * xi + 0.02 * xi**2
    result = fit(axis, truth.signal + bend, noise=truth.sigma)
    assert (result.baseline_degree[:200] == 0).mean() > 0.9
    assert (result.baseline_degree[200:400] == 1).mean() > 0.9
    assert (result.baseline_degree[400:] == 2).mean() == 1.0
    assert np.median(result.baseline[1, 200:400]) == pytest.approx(0.02, rel=0.05)
    assert result.chi2_reduced.mean() == pytest.approx(1.0, abs=0.03)


def test_starting_from_an_earlier_fit_gives_the_same_answer():
    axis = two_windows()
    first, second = line_pairs(axis, 300, seed=9), line_pairs(axis, 300, seed=9, noise=0.0021)
    earlier = fit(axis, first.signal, baseline="constant", noise=first.sigma)
    warm = fit(axis, second.signal, baseline="constant", noise=second.sigma, start=earlier)
    cold = fit(axis, second.signal, baseline="constant", noise=second.sigma)
    both = warm.good & cold.good
    assert both.mean() > 0.98
    assert np.max(np.abs(warm.f_minus - cold.f_minus)[both] / cold.f_minus_err[both]) < 0.1
    given = fit(axis, second.clean, start={"f_minus": first.f_minus, "f_plus": first.f_plus}, baseline="constant")
    np.testing.assert_allclose(given.f_plus, second.f_plus, atol=10.0)


def test_shared_width_and_single_line():
    axis = one_window(81)
    one = 1.0 - 0.02 * lorentzian(axis, 2.861e9, 5e6)
    result = fit(axis, one[:, None], lines=1, baseline="constant")
    assert result.f_minus[0] == pytest.approx(2.861e9, abs=1.0)
    assert np.isnan(result.half_splitting[0])
    assert result.n_lines[0] == 1
    np.testing.assert_allclose(result.model()[:, 0], one, atol=1e-9)
    pair = one - 0.015 * lorentzian(axis, 2.89e9, 5e6)
    shared = fit(axis, pair[:, None], width="shared", baseline="constant")
    assert shared.width_minus[0] == shared.width_plus[0] == pytest.approx(5e6, rel=1e-6)
    assert shared.f_plus[0] == pytest.approx(2.89e9, abs=1.0)


def test_signals_about_zero_have_no_contrast():
    axis = one_window()
    truth = line_pairs(axis, 50, seed=12)
    result = fit(axis, truth.signal - 1.0, noise=truth.sigma, baseline="constant")
    assert np.all(np.isnan(result.contrast_minus))
    near = np.abs(result.f_minus - truth.f_minus) < 6 * result.f_minus_err
    assert near.mean() > 0.95


def test_not_finite_points_are_left_out():
    axis = one_window()
    truth = line_pairs(axis, 200, seed=13, splitting=(40e6, 100e6))
    holed = truth.signal.copy()
    holed[::7, ::2] = np.nan
    holed[3, :50] = np.inf
    holed[:, 7] = np.nan
    result = fit(axis, holed, noise=truth.sigma, baseline="constant")
    assert result.status[7] == FitStatus.invalid
    assert np.isnan(result.f_minus[7])
    good = result.good
    assert good.mean() > 0.95
    assert np.all(np.abs(result.f_minus - truth.f_minus)[good] < 6 * result.f_minus_err[good])


def test_same_numbers_on_any_number_of_threads():
    axis = two_windows()
    truth = line_pairs(axis, 2500, seed=14)
    one, two = (fit(axis, truth.signal, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.f_minus, two.f_minus)
    np.testing.assert_array_equal(one.half_splitting_err, two.half_splitting_err)


def test_describes_itself():
    axis = one_window()
    truth = line_pairs(axis, 6, seed=15)
    result = fit(axis, truth.signal.reshape(-1, 2, 3))
    data = result.to_xarray()
    assert data.f_minus.dims == ("y", "x")
    assert data.f_minus.attrs["units"] == "Hz"
    assert data.status.attrs["flag_meanings"].split()[0] == "converged"
    import matplotlib as mpl

    mpl.use("Agg")
    ax = result.plot((1, 2))
    assert "GHz" in ax.get_xlabel()
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.parametrize(
    ("model", "offsets"),
    [("gaussian", [0.0]), ("n14", [-2.16e6, 0.0, 2.16e6]), ("n15", [-1.515e6, 1.515e6])],  # Felton et al. 2009
)
@pytest.mark.parametrize("width", ["separate", "shared"])
def test_other_line_shapes(model, offsets, width):
    axis = one_window(121, span=80e6)
    rng = np.random.default_rng(17)
    pixels, half_width = 700, 1.5e6
    minus = axis.mean() - rng.uniform(8e6, 25e6, pixels)
    plus = axis.mean() + rng.uniform(8e6, 25e6, pixels)
    f = axis[:, None]
    signal = 1 + 0.002 * rng.standard_normal((axis.size, pixels))
    for centre in (minus, plus):
        for offset in offsets:
            u2 = ((f - centre - offset) / half_width) ** 2
            signal -= 0.03 / len(offsets) * (np.exp(-np.log(2) * u2) if model == "gaussian" else 1 / (1 + u2))
    result = fit(axis, signal, model=model, baseline="constant", noise=0.002, width=width)
    assert result.good.mean() > 0.98
    good = result.good
    for name, truth in (("f_minus", minus), ("f_plus", plus), ("width_plus", half_width)):
        inside = np.abs(getattr(result, name) - truth)[good] < getattr(result, name + "_err")[good]
        assert inside.mean() == pytest.approx(0.683, abs=0.055)  # 700 pixels: ± 0.018, at three of them
    assert result.chi2_reduced.mean() == pytest.approx(1.0, abs=0.02)
