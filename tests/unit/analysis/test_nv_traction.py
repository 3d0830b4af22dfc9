"""Stress from the lines of four groups, against other algebra, published noise figures and Monte Carlo."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from nvscope_simulators.world.crystal import cubic_axes, spin_couplings

from nvscope.config import Loading
from nvscope.nv import (
    BARSON_2017,
    GROUP_AXES,
    HSIEH_2019,
    PairObservation,
    crystal_rotation,
    fit_stress,
    group_lines,
    in_group_frames,
    stress_coupling,
    stress_from_splittings,
    traction,
)
from nvscope.nv.stress_lines import six_numbers, tensor

GPA = 1e9
D0 = 2877.01e6
SETS = pytest.mark.parametrize("constants", [BARSON_2017, HSIEH_2019], ids=lambda c: c.name)


def cell_stress(rng, n):
    """Stress as under a culet: 13 to 25 GPa along the normal, 0.7 of it in plane, shear of a few GPa."""
    normal = rng.uniform(13, 25, n)
    s = np.zeros((n, 3, 3))
    s[:, 2, 2] = normal
    s[:, 0, 0], s[:, 1, 1] = 0.71 * normal + rng.normal(0, 0.5, (2, n))
    for (i, j), size in {(0, 1): 0.4, (0, 2): 1.5, (1, 2): 1.5}.items():
        s[:, i, j] = s[:, j, i] = rng.normal(0, size, n)
    return s * GPA


def splittings(sigma, constants):
    coupling = stress_coupling(in_group_frames(sigma), constants)
    return coupling.pi_z, np.hypot(coupling.pi_x, coupling.pi_y)


def observe(sigma, fields, constants, noise, rng, groups=range(4)):
    n = len(sigma)
    for field in fields:
        lines = group_lines(D0, np.broadcast_to(field, (n, 3)), sigma, constants)
        for g in groups:
            low, high = (f[g] + noise * rng.standard_normal(n) for f in lines)
            yield PairObservation(g, field, low, high, np.full(n, max(noise, 1.0)), np.full(n, max(noise, 1.0)))


def errors(fit, sigma):
    found = tensor(fit.sigma) - sigma
    return {"zz": found[:, 2, 2] / GPA, "xz": found[:, 0, 2] / GPA, "yz": found[:, 1, 2] / GPA}


@SETS
def test_closed_form_is_exact(constants):
    sigma = cell_stress(np.random.default_rng(1), 3000)
    found = tensor(stress_from_splittings(*splittings(sigma, constants), constants))
    assert_allclose(found / GPA, sigma / GPA, atol=1e-7)
    hydrostatic = 20 * GPA * np.eye(3)[None]
    found = tensor(stress_from_splittings(*splittings(hydrostatic, constants), constants))
    assert_allclose(found / GPA, hydrostatic / GPA, atol=1e-6)


@SETS
def test_noise_of_shifts_and_splittings_measured_bare(constants):
    """1 MHz on every D and E: about 0.05 GPa on σ_ZZ, 0.05 to 0.09 GPa on shear."""
    rng = np.random.default_rng(2)
    sigma = cell_stress(rng, 1500)
    # D ± E as a pair of lines: 1 MHz on each of D and E is √2 MHz on each line
    shift, split = splittings(sigma, constants)
    noisy_d, noisy_e = (v + 1e6 * rng.standard_normal(v.shape) for v in (shift, split))
    err = np.full(len(sigma), math.sqrt(2) * 1e6)
    pairs = [
        PairObservation(g, np.zeros(3), D0 + noisy_d[g] - noisy_e[g], D0 + noisy_d[g] + noisy_e[g], err, err)
        for g in range(4)
    ]
    found = errors(fit_stress(pairs, D0, constants), sigma)
    assert np.std(found["zz"]) == pytest.approx(0.07, abs=0.01)
    # and with 1 MHz on every line, as the published figures are meant
    pairs = list(observe(sigma, [np.zeros(3)], constants, 1e6, rng))
    found = errors(fit_stress(pairs, D0, constants), sigma)
    assert np.std(found["zz"]) == pytest.approx(0.05, abs=0.005)
    for shear in ("xz", "yz"):
        assert 0.05 < np.std(found[shear]) < 0.095


@SETS
def test_low_bias_and_all_groups(constants):
    """At 20 G with all groups the shear is known to about 0.1 GPa; the aligned group alone knows nothing."""
    rng = np.random.default_rng(3)
    sigma = cell_stress(rng, 1000)
    bias = 20e-4 * np.array([0.8, 0.6, 0.0])
    pairs = list(observe(sigma, [bias], constants, 1e6, rng))
    fit = fit_stress(pairs, D0, constants)
    found = errors(fit, sigma)
    assert np.std(found["zz"]) < 0.065
    for shear in ("xz", "yz"):
        assert np.std(found[shear]) < 0.16
    stated = np.sqrt(np.einsum("pii->pi", fit.covariance)) / GPA
    pulls = np.concatenate([found["zz"] / stated[:, 2], found["xz"] / stated[:, 4], found["yz"] / stated[:, 3]])
    assert np.quantile(np.abs(pulls), 0.683) == pytest.approx(1, abs=0.07)
    assert np.mean(fit.chi2) == pytest.approx(2, abs=0.3)
    alone = list(observe(sigma, [20e-4 * GROUP_AXES[0]], constants, 1e6, rng, groups=[0]))
    assert np.isnan(fit_stress(alone, D0, constants, start=six_numbers(sigma)).sigma).all()


def test_four_aligned_biases_and_more_noise_at_high_bias():
    rng = np.random.default_rng(4)
    sigma = cell_stress(rng, 500)
    spread = {}
    for gauss in (20, 97):
        fields = [gauss * 1e-4 * axis for axis in GROUP_AXES]
        pairs = list(observe(sigma, fields, BARSON_2017, 1e6, rng))
        spread[gauss] = np.std(errors(fit_stress(pairs, D0), sigma)["xz"])
    assert spread[20] < 0.06
    assert 0.08 < spread[97] < 0.21


def test_one_solution_from_many_starts():
    rng = np.random.default_rng(5)
    sigma = np.repeat(cell_stress(rng, 1), 60, axis=0)
    pairs = list(observe(sigma, [np.zeros(3)], BARSON_2017, 0.0, rng))
    start = six_numbers(sigma) + rng.normal(0, 3 * GPA, (60, 6))
    fit = fit_stress(pairs, D0, start=start)
    solved = fit.chi2 < 1.0
    assert solved.mean() > 0.5
    assert_allclose(fit.sigma[solved] / GPA, six_numbers(sigma)[solved] / GPA, atol=1e-4)


def test_the_other_susceptibilities_are_a_large_systematic():
    """τ = 2.00 GPa made with one set and read with the other becomes 2.77 GPa or so."""
    sigma = np.diag([15.0, 15.0, 21.0])[None] * GPA
    sigma[:, 0, 2] = sigma[:, 2, 0] = 2 * GPA
    read = tensor(stress_from_splittings(*splittings(sigma, BARSON_2017), HSIEH_2019)) / GPA
    assert math.hypot(read[0, 0, 2], read[0, 1, 2]) == pytest.approx(2.77, abs=0.15)
    assert read[0, 2, 2] == pytest.approx(21, abs=0.8)


@pytest.mark.parametrize("mirrored", [False, True])
def test_traction_against_the_simulators_own_algebra(mirrored):
    """Forward in cubic axes with independent code, back with ours: azimuth, miscut and mirror are the same story."""
    loading = Loading.model_validate(
        {
            "name": "x",
            "nominal_pressure": "21 GPa",
            "crystal_azimuth": "37 degree",
            "miscut": "3 degree",
            "miscut_azimuth": "110 degree",
            "mirrored": mirrored,
        }
    )
    culet = cell_stress(np.random.default_rng(6), 50)
    c = BARSON_2017
    couplings = spin_couplings(culet, cubic_axes(loading), c.a1, c.a2, c.b, c.c)
    six = stress_from_splittings(couplings[:, 2], np.hypot(couplings[:, 0], couplings[:, 1]))
    rotation = crystal_rotation(loading.crystal_azimuth, loading.miscut, loading.miscut_azimuth, loading.mirrored)
    vector, _ = traction(six, np.zeros((50, 6, 6)), rotation)
    assert_allclose(vector / GPA, np.stack([culet[:, 0, 2], culet[:, 1, 2], culet[:, 2, 2]], axis=1) / GPA, atol=1e-6)


def test_forgetting_the_miscut_fakes_shear():
    culet = np.diag([13.0, 13.0, 21.0]) * GPA
    rotation = crystal_rotation(0.4, math.radians(3), 1.0)
    crystal = rotation @ culet @ rotation.T
    wrong, _ = traction(six_numbers(crystal), np.zeros((6, 6)), np.eye(3))
    right, _ = traction(six_numbers(crystal), np.zeros((6, 6)), rotation)
    assert math.hypot(*wrong[:2]) / GPA == pytest.approx(0.42, abs=0.005)
    assert_allclose(right / GPA, [0, 0, 21], atol=1e-9)


def test_traction_covariance_rotates_with_it():
    rng = np.random.default_rng(7)
    root = rng.normal(size=(6, 6))
    covariance = root @ root.T
    rotation = crystal_rotation(0.3, 0.05, 2.0)
    sample = rng.multivariate_normal(np.zeros(6), covariance, 100_000)
    vectors, _ = traction(sample, np.zeros((100_000, 6, 6)), rotation)
    _, stated = traction(np.zeros(6), covariance, rotation)
    assert_allclose(np.cov(vectors.T), stated, atol=0.03 * np.trace(covariance))


def test_missing_lines_and_missing_groups():
    rng = np.random.default_rng(8)
    sigma = cell_stress(rng, 4)
    pairs = list(observe(sigma, [np.array([1.2e-3, 0.9e-3, 0.3e-3])], BARSON_2017, 1e4, rng))
    pairs[2].f_plus[1] = np.nan  # seven lines are still more than six unknowns
    for pair in pairs:
        pair.f_minus[3] = np.nan
    fit = fit_stress(pairs, D0, start=six_numbers(sigma) * 1.02)
    assert fit.freedom.tolist() == [2, 1, 2, -2]
    assert_allclose(fit.sigma[:3, 2] / GPA, sigma[:3, 2, 2] / GPA, atol=0.02)
    assert np.isnan(fit.sigma[3]).all()
