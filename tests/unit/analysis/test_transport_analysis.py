"""Transport analysis against published numbers, closed forms and independent quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.special import i0

from nvscope.analysis.transport import (
    bkt_temperature,
    bloch_gruneisen_integral,
    carrier_charge,
    coupling_constant,
    critical_field,
    critical_temperature,
    field_oscillation,
    fit_anisotropy,
    fit_normal_state,
    fit_resistive_transition,
    five_percent_temperature,
    flux_period,
    low_temperature_residual,
    power_law,
    saturated_resistance,
    transition_resistance,
    transition_steps,
    williamson_hall,
)
from nvscope.errors import NvscopeError


def test_bloch_gruneisen_integral():
    assert bloch_gruneisen_integral(np.inf) == pytest.approx(124.4313, abs=1e-4)
    for upper in (1e-3, 0.3, 2.0, 10.0, 35.0):
        exact, _ = quad(lambda x: x**5 / ((math.exp(x) - 1) * (1 - math.exp(-x))), 0, upper, epsabs=0, epsrel=1e-13)
        assert bloch_gruneisen_integral(upper) == pytest.approx(exact, rel=1e-12)
    # small argument: x⁵/x² integrates to y⁴/4
    assert bloch_gruneisen_integral(1e-4) == pytest.approx(1e-16 / 4, rel=1e-8)
    assert bloch_gruneisen_integral([0.0, 5.0]).shape == (2,)


def test_limits_of_the_normal_state():
    # far above Θ the resistance is linear with slope A/4Θ, far below it is R0
    hot = saturated_resistance([2000.0, 4000.0], 0.0, 2.0, 100.0, 0.0)
    assert (hot[1] - hot[0]) / 2000 == pytest.approx(2.0 / 400, rel=1e-3)
    assert saturated_resistance(0.0, 0.7, 2.0, 500.0, 0.0) == pytest.approx(0.7)
    # T⁵ law
    cold = saturated_resistance([10.0, 20.0], 0.0, 1.0, 1000.0, 0.0)
    assert cold[1] / cold[0] == pytest.approx(32, rel=1e-3)
    assert saturated_resistance(1e6, 1.0, 50.0, 300.0, 1 / 3.0) == pytest.approx(3.0, rel=1e-3)


@pytest.mark.parametrize("conductance", [0.0, 0.4])
def test_normal_state_fit(conductance):
    rng = np.random.default_rng(1)
    t = np.linspace(85, 300, 70)
    clean = saturated_resistance(t, 0.4, 6.0, 550.0, conductance)
    noise = 3e-4 * clean
    found = fit_normal_state(t, clean + noise * rng.standard_normal(t.size), noise)
    assert found.chi2_reduced == pytest.approx(1, abs=0.4)
    assert abs(found.theta - 550) < 4 * found.theta_err
    assert found.theta_err < 60
    assert_allclose(found.resistance(t), clean, rtol=1e-3)
    if conductance == 0:
        assert found.saturation > 20


def test_full_transition():
    rng = np.random.default_rng(2)
    t = np.linspace(20, 300, 180)
    clean = transition_resistance(t, 78.0, 30.0, 0.4, 6.0, 518.0, 0.1)
    noise = np.full_like(t, 5e-4)
    found = fit_resistive_transition(t, clean + noise * rng.standard_normal(t.size), noise)
    assert found.onset == pytest.approx(78.0, abs=4 * found.onset_err)
    assert found.sharpness == pytest.approx(30.0, abs=4 * found.sharpness_err)
    assert abs(found.normal.theta - 518) < 4 * found.normal.theta_err
    assert found.tc_005 == pytest.approx(five_percent_temperature(78.0, 30.0), abs=4 * found.tc_005_err)
    assert float(found.resistance(found.tc_005) / found.resistance(found.onset)) == pytest.approx(0.05, rel=1e-4)


def test_five_percent_criterion():
    assert i0(2.89149) ** 2 == pytest.approx(20, rel=1e-5)
    assert math.isnan(five_percent_temperature(78.0, 2.0))
    # no overflow where I0 itself has one
    assert transition_resistance(1.0, 80.0, 5000.0, 1.0, 1.0, 500.0, 0.0) == 0.0
    with pytest.raises(NvscopeError, match="no drop"):
        fit_resistive_transition(np.linspace(20, 300, 30), np.linspace(1, 2, 30), np.full(30, 1e-3))


def test_mcmillan_as_printed():
    """The equations give 1.7143 (1.700 to 1.729), not the 1.75 quoted for the same numbers."""
    found = coupling_constant(58.0, 518.0, 0.13, 0.1, 4.0)
    assert found.value == pytest.approx(1.7143, abs=5e-5)
    assert found.low == pytest.approx(1.700, abs=5e-4)
    assert found.high == pytest.approx(1.729, abs=5e-4)
    # the quoted 1.75 would be a Tc well outside 58.0 ± 0.1 K, whatever Θ_D within its uncertainty
    assert critical_temperature(1.75, 518.0 - 4) > 58.7
    assert critical_temperature(found.value, 518.0) == pytest.approx(58.0, rel=1e-10)
    assert critical_temperature(0.1, 518.0) == 0
    with pytest.raises(NvscopeError, match="outside"):
        coupling_constant(400.0, 518.0)


def test_williamson_hall():
    rng = np.random.default_rng(3)
    two_theta = np.radians(np.linspace(8, 22, 12))
    strained = 4 * 0.0079 * np.tan(two_theta / 2)
    err = np.full(12, 1e-5)
    reduced = williamson_hall(two_theta, strained + err * rng.standard_normal(12), err, reduced=True)
    assert reduced.strain == pytest.approx(0.0079, abs=4 * reduced.strain_err)
    assert reduced.size == math.inf
    both = 0.9 * 61.99e-12 / (40e-9 * np.cos(two_theta / 2)) + strained
    full = williamson_hall(two_theta, both + err * rng.standard_normal(12), err)
    assert full.strain == pytest.approx(0.0079, abs=4 * full.strain_err)
    assert full.size == pytest.approx(40e-9, abs=4 * full.size_err)
    # domains too large to show: the fit says so instead of returning a negative size
    assert williamson_hall(two_theta, strained - 1e-5, err).reduced


def test_flux_quanta_in_an_array():
    assert flux_period(100e-9) == pytest.approx(0.2388, abs=5e-5)
    assert flux_period(100e-9, charges=1) == pytest.approx(2 * 0.2388, abs=1e-4)
    assert carrier_charge(0.2388, 100e-9) == pytest.approx(2, abs=1e-3)
    assert flux_period(100e-9, "square") == pytest.approx(2.067833848e-15 / 1e-14, rel=1e-9)


def test_period_of_magnetoresistance():
    rng = np.random.default_rng(4)
    b = np.sort(rng.uniform(-1.2, 1.2, 160))
    r = 2 + 0.8 * b**2 - 0.05 * np.cos(2 * np.pi * b / 0.2388) + 0.01 * rng.standard_normal(b.size)
    found = field_oscillation(b, r)
    assert found.period == pytest.approx(0.2388, abs=4 * found.period_err)
    assert found.period_err < 0.002
    assert found.amplitude == pytest.approx(0.05, rel=0.15)
    assert (
        found.significance > 3 * field_oscillation(b, 2 + 0.8 * b**2 + 0.01 * rng.standard_normal(b.size)).significance
    )
    with pytest.raises(NvscopeError, match="too few"):
        field_oscillation(b[:5], r[:5])


def test_two_step_transition():
    t = np.linspace(2, 30, 140)
    r = 0.5 + 0.6 / (1 + np.exp(-(t - 16) / 0.5)) + 0.3 / (1 + np.exp(-(t - 8) / 0.5)) + 0.001 * t
    steps = transition_steps(t, r)
    assert [step.temperature for step in steps] == pytest.approx([16, 8], abs=0.3)
    assert [step.drop for step in steps] == pytest.approx([0.6, 0.3], abs=0.06)
    one = transition_steps(t, 0.6 / (1 + np.exp(-(t - 16) / 0.5)))
    assert len(one) == 1


def test_flat_or_activated():
    rng = np.random.default_rng(5)
    t = np.linspace(0.1, 1.0, 12)
    err = np.full(12, 0.01)
    flat = low_temperature_residual(t, 1.0 + 0.01 * rng.standard_normal(12), err)
    assert flat.kind == "flat"
    assert flat.resistance == pytest.approx(1, abs=4 * flat.resistance_err)
    falling = 2 * np.exp(-0.3 / t)
    active = low_temperature_residual(t, falling * (1 + 0.01 * rng.standard_normal(12)), 0.01 * falling)
    assert active.kind == "activated"
    assert active.activation == pytest.approx(0.3, abs=4 * active.activation_err)


def test_bkt():
    rng = np.random.default_rng(6)
    current = np.geomspace(1e-6, 1e-3, 25)
    temperatures = np.array([4.0, 5.0, 6.0, 7.0])
    laws = []
    for t in temperatures:
        alpha = 1 + 2 * (10 - t) / (10 - 5.6) if t < 8 else 1.0
        voltage = 1e-3 * (current / 1e-3) ** alpha
        err = np.full_like(current, 2e-9)
        laws.append(power_law(current, voltage + err * rng.standard_normal(25), err))
        assert laws[-1].exponent == pytest.approx(alpha, abs=max(0.02, 4 * laws[-1].exponent_err))
    tc, tc_err = bkt_temperature(temperatures, laws)
    assert tc == pytest.approx(5.6, abs=max(0.02, 4 * tc_err))
    # reversed currents count, ohmic curves do not cross
    ohmic = power_law(-current, -current * 2.0, np.full_like(current, 1e-9))
    assert ohmic.exponent == pytest.approx(1, abs=1e-6)
    with pytest.raises(NvscopeError, match="does not fall"):
        bkt_temperature([4.0, 5.0], [ohmic, ohmic])


@pytest.mark.parametrize(("form", "across", "along"), [("tinkham", 4.0, 18.0), ("ellipse", 12.0, 8.0)])
def test_angle_of_the_critical_field(form, across, along):
    rng = np.random.default_rng(7)
    theta = np.radians(np.linspace(-90, 90, 37))
    clean = critical_field(theta, across, along, form)
    # both forms by their definition
    terms = np.abs(clean * np.sin(theta) / across), (clean * np.cos(theta) / along) ** 2
    assert_allclose((terms[0] if form == "tinkham" else terms[0] ** 2) + terms[1], 1, rtol=1e-12)
    found = fit_anisotropy(theta, clean * (1 + 0.01 * rng.standard_normal(37)), 0.01 * clean)
    assert found.form == form
    assert found.delta_chi2 > 50
    assert found.perpendicular == pytest.approx(across, abs=4 * found.perpendicular_err)
    assert found.parallel == pytest.approx(along, abs=4 * found.parallel_err)
    assert (found.reversed_by > 5) == (across > along)


def test_refusals_say_what_is_missing():
    with pytest.raises(NvscopeError, match="same length"):
        fit_normal_state([1.0, 2.0], [1.0])
    with pytest.raises(NvscopeError, match="at least 6"):
        fit_normal_state(np.arange(10.0), np.full(10, np.nan))
    with pytest.raises(NvscopeError, match="at least 4"):
        power_law([1e-6] * 5, [0.0] * 5, [1e-9] * 5)
