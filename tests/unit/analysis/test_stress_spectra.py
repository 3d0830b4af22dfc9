"""The lines of all groups under stress and their slopes, and a fit of spectra in which they overlap."""

import numpy as np
import pytest

from nvscope.analysis.stress_spectra import HYPERFINE, BiasSpectra, fit_stress_spectra
from nvscope.nv import GROUP_AXES, crystal_rotation, traction
from nvscope.nv.traction import six_numbers, stress_lines

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


def test_overlapping_lines_give_the_traction_back():
    """Lines of either sign and different depth, 6 × 6 pixels, a residual field nobody told the fit of."""
    rng = np.random.default_rng(2)
    shape, size = (6, 6), 36
    rotation = crystal_rotation(0.35, 0.05, 1.1, False)
    y, x = (a.ravel() / 6 - 0.5 for a in np.mgrid[:6, :6])
    culet = np.zeros((size, 3, 3))
    culet[:, 2, 2] = 20 + x - 0.5 * y
    culet[:, 0, 0], culet[:, 1, 1] = 14.6 + 0.3 * x, 14.2
    culet[:, 0, 2] = culet[:, 2, 0] = 0.8 + x
    culet[:, 1, 2] = culet[:, 2, 1] = -0.5 + y
    sigma = GPA * six_numbers(rotation @ culet @ rotation.T)
    depth, noise = np.array([0.022, -0.012, -0.011, 0.009]), 6e-4
    residual = rotation @ (np.array([0.15, -0.1, 0.35]) * GAUSS)
    frequency = np.arange(2960e6, 3260e6, 2.5e6)
    spectra = []
    for axis in GROUP_AXES:
        lines = stress_lines(sigma, 20 * GAUSS * axis + residual, D0).place
        signal = np.ones((size, frequency.size))
        for group in range(4):
            for level in range(2):
                for m in (-1, 0, 1):
                    u = (frequency - lines[group, level][:, None] - m * HYPERFINE) / 5.5e6
                    signal += depth[group] / 3 / (1 + u * u)
        noisy = signal + noise * rng.standard_normal(signal.shape)
        spectra.append(BiasSpectra(20 * GAUSS * axis, frequency, 2e4 * noisy, np.full(signal.shape, 2e4 * noise)))
    fit = fit_stress_spectra(spectra, shape, 20 * GPA, D0, rotation)
    found, covariance = traction(fit.sigma, fit.covariance, rotation)
    err = np.sqrt(np.einsum("pii->pi", covariance))
    true = GPA * culet[:, 2]
    true = np.stack([true[:, 0], true[:, 1], true[:, 2]], axis=1)
    pull = (found - true) / err
    # 36 pixels of three components: a width known to 10 %
    assert np.quantile(np.abs(pull), 0.683) == pytest.approx(1.0, abs=0.35)
    assert np.abs((found - true).mean(axis=0)).max() < 0.05 * GPA
    assert np.median(err) < 0.12 * GPA
    assert fit.extra == pytest.approx(np.broadcast_to(residual, (4, 3)), abs=0.15 * GAUSS)
