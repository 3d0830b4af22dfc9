"""The lines of all groups under stress and their slopes, and a fit of spectra in which they overlap."""

import numpy as np
import pytest

from nvscope.analysis.joint import BiasSpectra, fit_stress_spectra
from nvscope.analysis.joint.model import HYPERFINE, OWN, Model, Shared
from nvscope.nv import BARSON_2017, GROUP_AXES, crystal_rotation, six_numbers, stress_lines, traction

GPA, GAUSS = 1e9, 1e-4
D0 = 2877.0e6


def test_lines_and_their_slopes_agree_with_differences():
    rng = np.random.default_rng(1)
    sigma = GPA * np.array([15.0, 15.5, 15.2, 1.8, 2.1, 1.6]) + GPA * rng.normal(0, 0.5, (5, 6))
    field = 20 * GAUSS * np.array([0.3, -0.5, 0.8])
    here = stress_lines(sigma, field, D0)
    for k in range(6):
        step = np.zeros(6)
        step[k] = 1e-4 * GPA
        change = stress_lines(sigma + step, field, D0).place - stress_lines(sigma - step, field, D0).place
        assert here.by_stress[..., k] == pytest.approx(change / (2e-4 * GPA), rel=1e-4, abs=1e-6 * 1e-2)
    for k in range(3):
        step = np.zeros(3)
        step[k] = 1e-3 * GAUSS
        change = stress_lines(sigma, field + step, D0).place - stress_lines(sigma, field - step, D0).place
        assert here.by_field[..., k] == pytest.approx(change / (2e-3 * GAUSS), rel=1e-4, abs=1e5)


def spectra_of(sigma, fields, extra, frequency, depth, width, noise, rng):
    """Spectra of lines (4, 2) of given depth and half width under stresses (pixel, 6)."""
    spectra = []
    for field in fields:
        lines = stress_lines(sigma, field + extra, D0).place
        signal = np.ones((len(sigma), frequency.size))
        for group in range(4):
            for level in range(2):
                for m in (-1, 0, 1):
                    u = (frequency - lines[group, level][:, None] - m * HYPERFINE) / width[group][level]
                    signal += depth[group][level] / 3 / (1 + u * u)
        noisy = signal + noise * rng.standard_normal(signal.shape)
        spectra.append(BiasSpectra(field, frequency, 2e4 * noisy, np.full(signal.shape, 2e4 * noise)))
    return spectra


def test_slopes_of_the_model_agree_with_differences():
    """χ² against every parameter of a pixel and everything that is shared, smeared and powered lines included."""
    rng = np.random.default_rng(3)
    sigma = GPA * np.array([[15.0, 15.5, 20.2, 0.8, 1.1, 0.6], [14.0, 14.5, 18.2, -0.8, 0.1, 1.6]])
    frequency = np.arange(2960e6, 3200e6, 3e6)
    depth, width = np.full((4, 2), 0.015), np.full((4, 2), 5.5e6)
    spectra = spectra_of(sigma, 20 * GAUSS * GROUP_AXES[:2], 0.0, frequency, depth, width, 1e-3, rng)
    model, at = Model(spectra, D0, BARSON_2017), np.arange(2)
    theta = np.concatenate([sigma / GPA + rng.normal(0, 0.1, (2, 6)), np.log(rng.uniform(4e6, 7e6, (2, 4)))], axis=1)
    start = Shared(rng.normal(0, 0.5 * GAUSS, (2, 3)), 0.4, 0.6)
    model.slope2 = rng.uniform(1e12, 9e12, model.slope2.shape)
    model.expect(model.evaluate(theta, at, start).depth, theta[:, 6:] + 0.05, 1e-4)

    def evaluate(values):
        shared = Shared(values[OWN:-2].reshape(2, 3) * GAUSS, float(values[-2]), float(values[-1]))
        model.broaden_by_power(shared)
        return model.evaluate(np.broadcast_to(values[:OWN], (2, OWN)), at, shared, common=True)

    here = np.r_[theta[0], start.extra.ravel() / GAUSS, start.blur2, start.unpowered]
    slope = -2 * evaluate(here).gradient[0]
    for k, step in enumerate(np.r_[np.full(10, 1e-4), np.full(6, 1e-3), 1e-4, 1e-4]):
        change = np.zeros(here.size)
        change[k] = step
        numeric = (evaluate(here + change).chi2[0] - evaluate(here - change).chi2[0]) / (2 * step)
        assert slope[k] == pytest.approx(numeric, rel=1e-3, abs=1e-3 * np.abs(slope).max()), k


def test_overlapping_lines_give_the_traction_back():
    """Lines of either sign and different depth, 8 × 8 pixels, a residual field nobody told the fit of, dead points."""
    rng = np.random.default_rng(2)
    shape, size = (8, 8), 64
    rotation = crystal_rotation(0.35, 0.05, 1.1, False)
    y, x = (a.ravel() / 8 - 0.5 for a in np.mgrid[:8, :8])
    culet = np.zeros((size, 3, 3))
    culet[:, 2, 2] = 20 + x - 0.5 * y
    culet[:, 0, 0], culet[:, 1, 1] = 14.6 + 0.3 * x, 14.2
    culet[:, 0, 2] = culet[:, 2, 0] = 0.8 + x
    culet[:, 1, 2] = culet[:, 2, 1] = -0.5 + y
    sigma = GPA * six_numbers(rotation @ culet @ rotation.T)
    depth = np.array([[0.022, 0.020], [-0.012, -0.016], [-0.011, -0.009], [0.009, 0.009]])
    # what power makes of width: lines that are driven harder are deeper and broader
    width = 4e6 / np.sqrt(1 - np.abs(depth) / np.array([0.04, 0.03, 0.03, 0.03])[:, None])
    residual = rotation @ (np.array([0.15, -0.1, 0.35]) * GAUSS)
    frequency, fields = np.arange(2960e6, 3260e6, 2.5e6), 20 * GAUSS * GROUP_AXES
    spectra = spectra_of(sigma, fields, residual, frequency, depth, width, 6e-4, rng)
    for one in spectra:
        one.signal[9] = np.nan
        one.signal[20, ::2] = np.nan
    fit = fit_stress_spectra(spectra, shape, 20 * GPA, D0, rotation)
    found, covariance = traction(fit.sigma, fit.covariance, rotation)
    assert np.isnan(found[9]).all()
    seen = np.arange(size) != 9
    err = np.sqrt(np.einsum("pii->pi", covariance))[seen]
    off = (found - GPA * culet[:, 2])[seen]
    # 63 pixels of three components: a width known to 7 %
    assert np.quantile(np.abs(off / err), 0.683) == pytest.approx(1.0, abs=0.2)
    assert np.abs(off.mean(axis=0)).max() < 0.03 * GPA
    assert np.median(err) < 0.12 * GPA
    assert np.median(err[19]) > 1.2 * np.median(err)  # half of its points: √2
    assert fit.extra == pytest.approx(np.broadcast_to(residual, (4, 3)), abs=0.15 * GAUSS)
