"""NV physics against published numbers, closed forms and an independent diagonalisation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nvscope.errors import NvscopeError
from nvscope.nv import (
    BARSON_2017,
    GAMMA,
    GROUP_AXES,
    GROUP_FRAMES,
    HSIEH_2019,
    expected_center,
    expected_half_splitting,
    field_from_half_splitting,
    group_lines,
    hamiltonian,
    in_group_frames,
    invert_pair,
    line_windows,
    miscut_rotation,
    rotate_tensor,
    stress_coupling,
    susceptibility,
    transitions,
    window_frequencies,
    zero_field_splitting,
)

GPA = 1e9
GAUSS = 1e-4


def test_chen_2011_values():
    expected = [2877.65e6, 2877.01e6, 2870.37e6]
    assert_allclose(zero_field_splitting([20.0, 150.0, 300.0]), expected, atol=5e3)


def test_cambria_2023_values():
    assert zero_field_splitting(150.0, "cambria2023") == pytest.approx(2876.79e6, abs=5e3)
    # no phonons at all: the constant term; and no overflow on the way there
    assert_allclose(zero_field_splitting([0.0, 1e-300, 1.0], "cambria2023"), 2877.38e6, rtol=1e-15)


def test_laser_heating_is_invisible_in_d_at_low_temperature():
    temperature = np.linspace(9, 80, 200)
    slope = np.gradient(zero_field_splitting(temperature), temperature)
    assert np.abs(slope).max() <= 3e3


def test_zero_field_splitting_refuses():
    with pytest.raises(NvscopeError, match="negative"):
        zero_field_splitting(-1.0)
    with pytest.raises(NvscopeError, match="chen2011"):
        zero_field_splitting(10.0, "chen2012")  # type: ignore[arg-type]


def test_susceptibilities():
    assert susceptibility("barson2017") is BARSON_2017
    assert susceptibility("hsieh2019") is HSIEH_2019
    assert BARSON_2017.hydrostatic * GPA == pytest.approx(14.58e6)
    assert BARSON_2017.kappa * GPA == pytest.approx((math.sqrt(2) * -2.3 - 3.5 / math.sqrt(2)) * 1e6)
    with pytest.raises(NvscopeError, match="known: barson2017, hsieh2019"):
        susceptibility("barson")


def test_zeeman_alone():
    lines = transitions(2.87e9, [0, 0, 97 * GAUSS])
    assert lines.f_plus - lines.f_minus == pytest.approx(2 * 28.024951e9 * 97e-4, rel=1e-12)
    assert lines.f_plus - lines.f_minus == pytest.approx(0.544e9, rel=1e-3)
    assert lines.f_plus + lines.f_minus == pytest.approx(2 * 2.87e9, rel=1e-14)


def test_level_crossing_at_d_over_gamma():
    """At γB = D the lowest two levels meet: 1024 G for D = 2.87 GHz."""
    crossing = 2.87e9 / GAMMA
    assert transitions(2.87e9, [0, 0, crossing]).f_minus == pytest.approx(0.0, abs=1e-5)
    assert crossing / GAUSS == pytest.approx(1024, abs=1)


def test_transverse_field_second_order():
    """Known perturbation theory: for B ⟂ axis f∓ → D + γ²B²/D and D + 2γ²B²/D."""
    d, b = 2.87e9, 5 * GAUSS
    lines = transitions(d, [b, 0, 0])
    second = (GAMMA * b) ** 2 / d
    assert_allclose([lines.f_minus, lines.f_plus], [d + second, d + 2 * second], atol=2e2)


def test_hamiltonian_is_hermitian_and_matches_explicit_matrix():
    d, px, py, bx, by, bz = 3.05e9, 11e6, -7e6, 1e-3, -2e-3, 4e-3
    up = GAMMA * (bx - 1j * by) / math.sqrt(2)
    # raising part of Π: ⟨+1|S_y² − S_x²|−1⟩ = −1, ⟨+1|S_x S_y + S_y S_x|−1⟩ = −i
    off = -px - 1j * py
    explicit = np.array(
        [
            [d + GAMMA * bz, up, off],
            [np.conj(up), 0, up],
            [np.conj(off), np.conj(up), d - GAMMA * bz],
        ]
    )
    h = hamiltonian(d, [bx, by, bz], px, py)
    assert_allclose(h, h.conj().T, atol=0)
    assert_allclose(h, explicit, atol=1e-6)


def test_group_axes_are_the_published_ones():
    s2, s23 = math.sqrt(2), math.sqrt(2 / 3)
    expected = [[0, 0, 1], [-s2 / 3, s23, -1 / 3], [-s2 / 3, -s23, -1 / 3], [2 * s2 / 3, 0, -1 / 3]]
    assert_allclose(GROUP_AXES, expected, atol=1e-15)
    tetrahedral = GROUP_AXES @ GROUP_AXES.T
    assert_allclose(np.abs(tetrahedral[~np.eye(4, dtype=bool)]), 1 / 3, atol=1e-15)
    for frame in GROUP_FRAMES:
        assert_allclose(frame @ frame.T, np.eye(3), atol=1e-15)
        assert np.linalg.det(frame) == pytest.approx(1)


def test_hydrostatic_stress_shifts_all_groups_alike():
    coupling = stress_coupling(in_group_frames(10 * GPA * np.eye(3)))
    assert_allclose(coupling.pi_z, 3 * 4.86e6 * 10, rtol=1e-12)
    assert_allclose([coupling.pi_x, coupling.pi_y], 0, atol=1e-6)


def test_trace_from_the_sum_of_shifts_and_normal_stress():
    """Physics: tr σ = Σ Π_Z/(4 a1) and σ_ZZ = [Π_Z,1 − (a1 − a2) tr σ]/(3 a2), for any stress."""
    rng = np.random.default_rng(1)
    raw = rng.normal(0, 10 * GPA, (500, 3, 3))
    sigma = raw + np.swapaxes(raw, 1, 2)
    for constants in (BARSON_2017, HSIEH_2019):
        shift = stress_coupling(in_group_frames(sigma), constants).pi_z
        trace = shift.sum(0) / (4 * constants.a1)
        assert_allclose(trace, np.trace(sigma, axis1=1, axis2=2), atol=1e-4)
        normal = (shift[0] - (constants.a1 - constants.a2) * trace) / (3 * constants.a2)
        assert_allclose(normal, sigma[:, 2, 2], atol=1e-3)


def test_stress_frames_match_cubic_form():
    """The same shift in the cubic frame: Π_Z = a1 tr σ + 2 a2 (±σ_yz ± σ_xz ± σ_xy)."""
    rng = np.random.default_rng(2)
    raw = rng.normal(0, 5 * GPA, (3, 3))
    cubic = raw + raw.T
    basis = np.array([[-1, -1, 2], [math.sqrt(3), -math.sqrt(3), 0], [math.sqrt(2)] * 3]) / math.sqrt(6)
    shift = stress_coupling(in_group_frames(basis @ cubic @ basis.T)).pi_z
    signs = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    shears = np.array([cubic[1, 2], cubic[0, 2], cubic[0, 1]])
    expected = BARSON_2017.a1 * np.trace(cubic) + 2 * BARSON_2017.a2 * signs @ shears
    assert_allclose(shift, expected, rtol=1e-10)


def test_miscut_turns_normal_stress_into_shear():
    culet = np.diag([0.0, 0.0, 8 * GPA])
    rotation = miscut_rotation(math.radians(3), math.radians(40))
    assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-15)
    axis_in_culet = np.array(
        [math.sin(math.radians(3)) * math.cos(math.radians(40)), math.sin(math.radians(3)) * math.sin(math.radians(40))]
    )
    assert_allclose(rotation @ [*axis_in_culet, math.cos(math.radians(3))], [0, 0, 1], atol=1e-15)
    crystal = rotate_tensor(rotation, culet)
    assert math.hypot(crystal[0, 2], crystal[1, 2]) / GPA == pytest.approx(0.42, abs=0.005)


def test_inversion_against_numpy_on_random_cases():
    """20 000 random cases within 5e-12 of the field and stress that numpy diagonalised."""
    rng = np.random.default_rng(3)
    n = 20_000
    d = rng.uniform(2.8e9, 3.4e9, n)
    field = rng.uniform(-150, 150, (n, 3)) * GAUSS
    field[:, 2] = np.copysign(rng.uniform(20, 150, n) * GAUSS, field[:, 2])
    pi_x, pi_y = rng.uniform(-40e6, 40e6, (2, n))
    levels = np.linalg.eigvalsh(hamiltonian(d, field, pi_x, pi_y))
    f_minus, f_plus = levels[:, 1] - levels[:, 0], levels[:, 2] - levels[:, 0]
    found = invert_pair(f_minus, f_plus, b_x=field[:, 0], b_y=field[:, 1], pi_x=pi_x, pi_y=pi_y)
    assert np.abs(found.d / d - 1).max() < 5e-12
    assert np.abs(found.b_z / np.abs(field[:, 2]) - 1).max() < 5e-12


def test_inversion_at_small_field_is_limited_only_by_the_lines():
    """At 0.1 G under 20 MHz of stress splitting a rounding of 1e-6 Hz in a line is 4e-8 of the field."""
    d, b, pi = 3.08e9, 0.1 * GAUSS, 20e6
    lines = transitions(d, [0, 0, b], pi, 0)
    assert invert_pair(*lines, pi_x=pi).b_z == pytest.approx(b, rel=1e-5)


def test_closed_form_is_the_inversion_at_zero_transverse_field():
    d, b, pi = 3.08e9, 97 * GAUSS, 15e6
    lines = transitions(d, [0, 0, b], pi * 0.6, pi * 0.8)
    closed, _ = field_from_half_splitting((lines.f_plus - lines.f_minus) / 2, 0.0, pi)
    assert closed == pytest.approx(b, rel=1e-13)
    assert (lines.f_plus + lines.f_minus) / 2 == pytest.approx(d, rel=1e-14)


@pytest.mark.parametrize(("b_x", "b_y"), [(0.0, 0.0), (3e-3, -4e-3)])
def test_inversion_errors_match_a_monte_carlo(b_x, b_y):
    rng = np.random.default_rng(4)
    lines = transitions(3.0e9, [b_x, b_y, 6e-3], 12e6, -9e6)
    errors = (0.4e6, 0.9e6)
    noisy = [f + rng.normal(0, error, 40_000) for f, error in zip(lines, errors, strict=True)]
    kwargs = {"b_x": b_x, "b_y": b_y, "pi_x": 12e6, "pi_y": -9e6}
    sample = invert_pair(*noisy, **kwargs)
    exact = invert_pair(*lines, **kwargs, f_minus_err=errors[0], f_plus_err=errors[1])
    assert exact.b_z_err == pytest.approx(sample.b_z.std(), rel=0.02)
    assert exact.d_err == pytest.approx(sample.d.std(), rel=0.02)


def test_inversion_of_nonsense_says_so():
    found = invert_pair([np.nan, 2.87e9], [3e9, 2.871e9], pi_x=5e6, f_minus_err=1e5, f_plus_err=1e5)
    assert np.isnan(found.b_z[0])
    assert np.isnan(found.b_z_err[0])
    assert found.b_z[1] == 0
    assert found.b_z_squared[1] < 0
    assert np.isinf(found.b_z_err[1])


def test_stress_ignored_at_97_gauss_biases_the_field():
    """τ = 2 GPa costs 0.2 (Hsieh) to 0.35 G (Barson) at 97 G if the stress splitting is ignored."""
    sigma = np.zeros((3, 3))
    sigma[0, 2] = sigma[2, 0] = 2 * GPA
    for constants, low, high in ((HSIEH_2019, 0.20, 0.23), (BARSON_2017, 0.32, 0.36)):
        coupling = stress_coupling(sigma, constants)
        lines = transitions(3e9, [0, 0, 97 * GAUSS], coupling.pi_x, coupling.pi_y)
        naive, _ = field_from_half_splitting((lines.f_plus - lines.f_minus) / 2)
        assert low < naive / GAUSS - 97 < high


def test_field_error_far_from_and_at_zero():
    rng = np.random.default_rng(5)
    half, half_err, stress, stress_err = 280e6, 0.5e6, 20e6, 0.3e6
    field, error = field_from_half_splitting(half, half_err, stress, stress_err)
    sample = np.sqrt(rng.normal(half, half_err, 100_000) ** 2 - rng.normal(stress, stress_err, 100_000) ** 2) / GAMMA
    assert field == pytest.approx(sample.mean(), rel=1e-4)
    assert error == pytest.approx(sample.std(), rel=0.02)
    # at zero field the truth is 0 and the error must cover what the quadrature subtraction reads
    noisy = np.hypot(stress, 0) + rng.normal(0, 0.2e6, (2, 100_000))
    read, read_err = field_from_half_splitting(noisy[0], 0.2e6, noisy[1], 0.2e6)
    assert np.quantile(read, 0.9) / GAUSS == pytest.approx(1.4, abs=0.15)
    assert np.all(np.isfinite(read_err))
    assert np.mean(read <= read_err) > 0.68


def test_four_group_lines_shapes_and_aligned_group():
    sigma = 20 * GPA * np.eye(3)
    field = np.zeros((5, 7, 3))
    field[..., 2] = 97 * GAUSS
    lines = group_lines(2.8776e9, field, sigma)
    assert lines.f_minus.shape == (4, 5, 7)
    center = (lines.f_plus[0] + lines.f_minus[0]) / 2
    assert_allclose(center, 2.8776e9 + 20 * 14.58e6, rtol=1e-12)
    # the other three see the field at 109.47°, all alike
    assert_allclose(lines.f_plus[1], lines.f_plus[2], rtol=1e-12)
    assert_allclose(lines.f_plus[1], lines.f_plus[3], rtol=1e-12)


def test_expected_center_and_windows():
    assert expected_center(21 * GPA, 100.0) == pytest.approx(3.08e9, abs=2e6)
    assert expected_center(0.0, 20.0) == pytest.approx(2877.65e6, abs=1e4)
    half = expected_half_splitting(97 * GAUSS)
    assert half == pytest.approx(0.272e9, rel=1e-3)
    windows = line_windows(3.08e9, half, 150e6)
    assert windows == ((3.08e9 - half - 75e6, 3.08e9 - half + 75e6), (3.08e9 + half - 75e6, 3.08e9 + half + 75e6))
    axis = window_frequencies(windows, 41)
    assert axis.shape == (82,)
    assert np.all(np.diff(axis) > 0)
    assert axis[1] - axis[0] == pytest.approx(3.75e6)
    assert axis[41] - axis[40] > 300e6


def test_windows_merge_when_the_lines_are_close():
    windows = line_windows(2.9e9, 20e6, 150e6)
    assert windows == ((2.9e9 - 95e6, 2.9e9 + 95e6),)
    assert window_frequencies(windows, 41).shape == (82,)
    with pytest.raises(NvscopeError, match="positive width"):
        line_windows(2.9e9, 20e6, 0.0)
    with pytest.raises(NvscopeError, match="at least 2"):
        window_frequencies(windows, 1)
