"""Critical temperatures read off synthetic curves whose law is not the one fitted."""

from __future__ import annotations

import numpy as np
import pytest

from nvscope.analysis.onset import resistance_onset
from nvscope.analysis.transition import TransitionStatus, fit_transition

TEMPERATURES = np.array([20, 30, 40, 50, 58, 62, 66, 70, 74, 77, 80, 83, 87, 92, 100.0])
NOISE = 0.0017


def order_parameter(reduced: np.ndarray) -> np.ndarray:
    """Square of the usual interpolation of the BCS gap."""
    return np.where(reduced < 1, np.tanh(1.74 * np.sqrt(np.maximum(1 / reduced - 1, 0))) ** 2, 0.0)


def curves(rng, tc, amplitude, noise, reference_noise, spread=0.0):
    local = tc + spread * rng.standard_normal((101, len(tc)))
    mean = np.mean([order_parameter(TEMPERATURES[:, None] / one) for one in local], axis=0)
    offset = reference_noise * rng.standard_normal(len(tc))
    return 1 + amplitude * mean + offset + noise * rng.standard_normal((len(TEMPERATURES), len(tc)))


@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_map_of_tc(spread):
    rng = np.random.default_rng(6)
    n = 3000
    tc, amplitude = rng.uniform(62, 88, n), -rng.uniform(0.02, 0.06, n)
    found = fit_transition(
        TEMPERATURES, curves(rng, tc, amplitude, NOISE, NOISE, spread), NOISE, NOISE, shared_shape=True
    )
    assert np.mean(found.status == TransitionStatus.FOUND) > 0.99
    error = (found.tc - tc)[found.status == TransitionStatus.FOUND]
    assert np.median(np.abs(error)) < 1.0
    assert abs(np.median(error)) < 0.3
    pull = error / found.tc_err[found.status == TransitionStatus.FOUND]
    assert 0.85 < np.quantile(np.abs(pull), 0.683) < 1.25
    assert np.median(np.abs(found.amplitude / amplitude - 1)) < 0.05


def test_wild_values_do_not_choose_the_shape():
    rng = np.random.default_rng(14)
    n = 600
    tc = rng.uniform(75, 82, n)
    y = curves(rng, tc, np.full(n, -0.05), NOISE, NOISE)
    y[rng.integers(len(TEMPERATURES), size=60), np.arange(60)] += rng.normal(0, 0.5, 60)
    found = fit_transition(TEMPERATURES, y, NOISE, NOISE, shared_shape=True)
    assert np.median(np.abs(found.tc - tc)[60:]) < 0.7


def test_single_curve_either_sign():
    rng = np.random.default_rng(7)
    for sign in (-0.05, +0.05):
        y = curves(rng, np.array([80.0]), np.array([sign]), 0.0005, 0.0004)[:, 0]
        found = fit_transition(TEMPERATURES, y, 0.0005, 0.0004)
        assert found.tc.shape == ()
        assert found.status == TransitionStatus.FOUND
        assert found.tc == pytest.approx(80, abs=1.0)
        assert 0.05 < found.tc_err < 1.5
        assert found.curve(10.0) == pytest.approx(1 + sign, abs=0.003)
        assert found.curve([90.0, 120.0]) == pytest.approx(1.0, abs=0.002)


def test_flat_curves_have_no_transition():
    rng = np.random.default_rng(8)
    y = 1 + NOISE * rng.standard_normal((len(TEMPERATURES), 5000)) + NOISE * rng.standard_normal(5000)
    found = fit_transition(TEMPERATURES, y, NOISE, NOISE, shared_shape=True)
    assert np.mean(found.status == TransitionStatus.NO_TRANSITION) > 0.995
    assert np.isnan(found.tc[found.status == TransitionStatus.NO_TRANSITION]).all()


def test_limits_outside_the_range():
    rng = np.random.default_rng(9)
    hot = fit_transition(TEMPERATURES, curves(rng, np.array([140.0]), np.array([-0.05]), 5e-4, 0)[:, 0], 5e-4)
    assert hot.status == TransitionStatus.ABOVE_RANGE
    cold = 1 - 0.05 * np.array([1.0] + [0.0] * (len(TEMPERATURES) - 1))
    assert fit_transition(TEMPERATURES, cold, 5e-4).status == TransitionStatus.BELOW_RANGE


def test_partial_and_unordered_data():
    rng = np.random.default_rng(10)
    y = curves(rng, np.array([80.0]), np.array([-0.05]), 5e-4, 0.0)[:, 0]
    y[3] = np.nan
    order = rng.permutation(len(y))
    straight, shuffled = fit_transition(TEMPERATURES, y, 5e-4), fit_transition(TEMPERATURES[order], y[order], 5e-4)
    assert shuffled.tc == pytest.approx(float(straight.tc), abs=1e-9)
    few = fit_transition(TEMPERATURES[:3], y[:3, None], 5e-4)
    assert few.status.tolist() == [TransitionStatus.NO_DATA]
    assert (
        fit_transition(TEMPERATURES, np.full((15, 2), np.nan), 5e-4).status.tolist() == [TransitionStatus.NO_DATA] * 2
    )


def normal_state(t):
    """Phonon-like: flat at low temperature, then linear; curved through the range of interest."""
    return 0.5 + 2e-3 * t * np.tanh((t / 120) ** 2) + 1.5e-3 * t


def test_onset_of_a_resistive_transition():
    t = np.array([20, 30, 40, 50, 60, 65, 70, 74, 77, 80, 83, 86, 90, 95, 100, 110.0])
    rng = np.random.default_rng(11)
    for tc in (68.0, 78.0, 82.0):
        r = normal_state(t) * (1 - 0.8 * np.clip((tc - t) / 15, 0, 1)) * (1 + 5e-4 * rng.standard_normal(len(t)))
        found = resistance_onset(t, r, 5e-4 * r)
        assert found is not None
        assert abs(found.temperature - tc) < 3 * found.temperature_err
        assert abs(found.temperature - tc) < 2.0
        assert found.drop == pytest.approx(0.8, abs=0.1)


def test_no_onset_without_a_drop():
    t = np.linspace(10, 110, 24)
    rng = np.random.default_rng(12)
    for seed_noise in (0.0, 1e-3):
        r = normal_state(t) * (1 + seed_noise * rng.standard_normal(len(t)))
        assert resistance_onset(t, r, seed_noise * r) is None
    # one bad point is not a transition
    r = normal_state(t)
    r[10] *= 0.5
    assert resistance_onset(t, r, 1e-3 * r) is None
    assert resistance_onset([], []) is None
    assert resistance_onset([20, 300.0], [0.0, 1.0]) is None


def test_onset_false_alarm_rate():
    t = np.linspace(20, 110, 18)
    rng = np.random.default_rng(13)
    r = 1 + 3e-3 * t
    alarms = sum(
        resistance_onset(t, r * (1 + 2e-3 * rng.standard_normal(len(t))), 2e-3 * r) is not None for _ in range(120)
    )
    assert alarms <= 3
