"""The field at zero current from three visits: closed form, errors, and what must not be cancelled."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nvscope.cli.selection import select
from nvscope.devices.base import Assumed
from nvscope.devices.magnet import Field, Residual
from nvscope.engine.planning import planning_rig
from nvscope.nv import GAMMA, transitions
from nvscope.plans import OdmrSettings, Windows, cancel_residual
from nvscope.plans.residual_field import ResidualField, residual_field, robust_mean

SELECTION = select("simulated", "s1", None)
GAUSS = 1e-4
BIAS = np.array([20.0, -20.0, 20.0]) * GAUSS
NOISE = 0.5e6
PIXELS = 400


def splittings(along, stress):
    """Half splittings (visit, pixel) for fields along the axis (T) and stress splittings (Hz)."""
    return np.sqrt((GAMMA * np.asarray(along)[:, None]) ** 2 + stress**2)


def measured(rng, residual=0.4 * GAUSS, remanence=(0.0, 0.0, 0.0), pixels=PIXELS, noise=NOISE, gain=1.0):
    stress = rng.uniform(0, 30e6, pixels)
    truth = splittings(gain * BIAS + residual + np.asarray(remanence), stress)
    err = noise * rng.uniform(0.6, 1.6, truth.shape)
    return truth + err * rng.standard_normal(truth.shape), err


def test_without_noise_it_is_exact_whatever_the_stress():
    half, err = measured(np.random.default_rng(1), noise=1e-3)
    found = residual_field(half, err, BIAS)
    assert found.field == pytest.approx(0.4 * GAUSS, rel=1e-6)
    assert found.pixels == PIXELS


def test_biases_need_not_be_symmetric():
    uneven = np.array([20.3, -19.6, 20.2]) * GAUSS
    half = splittings(uneven - 0.7 * GAUSS, np.random.default_rng(2).uniform(0, 30e6, 100))
    found = residual_field(half, np.full_like(half, 1e3), uneven)
    assert found.field == pytest.approx(-0.7 * GAUSS, rel=1e-6)
    assert abs(found.repetition) < 1e-6 * GAUSS


def test_it_is_unbiased_and_its_error_is_right():
    rng = np.random.default_rng(3)
    pulls, again, others = [], [], []
    for _ in range(300):
        found = residual_field(*measured(rng), BIAS)
        pulls.append((found.field - 0.4 * GAUSS) / found.pixels_err)
        again.append(found.repetition / found.repetition_err)
        others.append(found.others / found.others_err)
    for values in (pulls, again, others):
        # a mean of 300 pulls scatters by 0.058, their width by 0.041
        assert abs(np.mean(values)) < 4 * 0.058
        assert np.std(values) == pytest.approx(1, abs=4 * 0.041)


def test_errors_that_are_stated_too_small_are_made_up_for_by_the_scatter():
    rng = np.random.default_rng(4)
    pulls = []
    for _ in range(300):
        half, err = measured(rng)
        found = residual_field(half, err / 1.4, BIAS)
        pulls.append((found.field - 0.4 * GAUSS) / found.pixels_err)
    assert np.std(pulls) == pytest.approx(1, abs=4 * 0.041)
    assert found.scatter == pytest.approx(1.4, abs=0.3)


def test_a_tilted_field_with_a_transverse_residual_by_the_whole_hamiltonian():
    tilt, d = math.radians(3), 3.08e9
    axis = np.array([math.sin(tilt), 0.0, math.cos(tilt)])
    residual = np.array([0.15, -0.10, 0.35]) * GAUSS
    rng = np.random.default_rng(5)
    pairs = rng.uniform(-20e6, 20e6, (80, 2))
    lines = [transitions(d, b * axis + residual, *pairs.T) for b in BIAS]
    half = np.array([0.5 * (f_plus - f_minus) for f_minus, f_plus in lines])
    found = residual_field(half, np.full_like(half, 1e3), BIAS)
    # what has to be taken away is r_z over the gain along z, and the gain's square stands in it: cos 3° is 0.1 % off;
    # 1 mG for what the transverse field leaves
    assert found.field == pytest.approx(residual[2] / axis[2], abs=1e-3 * GAUSS + 2e-3 * residual[2])


def test_remanence_that_turns_over_is_counted():
    """What the magnet keeps on the way down and loses at -20 G: the truth at 0 is within 1 σ."""
    half, err = measured(np.random.default_rng(6), 0.35 * GAUSS, (0.1 * GAUSS, 0.0, 0.0))
    found = residual_field(half, err, BIAS)
    assert found.field == pytest.approx(0.40 * GAUSS, abs=4 * found.pixels_err)
    assert found.repetition == pytest.approx(-0.05 * GAUSS, abs=4 * found.repetition_err)
    assert abs(found.field - 0.45 * GAUSS) < 1.2 * found.err


def test_what_is_lost_in_noise_is_left_alone():
    rng = np.random.default_rng(7)
    half, err = measured(rng, residual=0.01 * GAUSS, noise=5e6)
    found = residual_field(half, err, BIAS)
    assert found.complaint is None
    assert found.err > 0.01 * GAUSS
    assert found.trustworthy == (abs(found.field) > found.err)
    assert "± " in found.describe()


def test_too_few_pixels_and_wrong_lines_are_refused():
    rng = np.random.default_rng(8)
    half, err = measured(rng)
    half[1, 40:] = np.nan
    few = residual_field(half, err, BIAS)
    assert "only 40 pixels" in few.complaint
    assert not few.trustworthy
    half, err = measured(rng)
    half[0] += np.where(rng.random(PIXELS) < 0.5, 3e6, 0)  # half of the pixels took another line at +20 G
    wrong = residual_field(half, err, BIAS)
    assert "other lines" in wrong.complaint
    assert not wrong.trustworthy


def test_a_tenth_of_wrong_pixels_moves_it_by_less_than_half_of_what_a_mean_is_moved():
    rng = np.random.default_rng(9)
    value, err = rng.standard_normal(1000), np.ones(1000)
    value[:100] += 8
    mean, _, width = robust_mean(value, err)
    assert abs(mean) < 0.5 * value.mean()
    assert width < 1.4


def carried_out(field, known, found):
    """Fields that are gone to, what the magnet is told to cancel (T), and warnings."""
    rig = planning_rig(SELECTION.rig, SELECTION.sample, SELECTION.loading, (32, 32))
    rig.magnet._residual = known
    plan = cancel_residual(rig, OdmrSettings(), Windows(3.08e9, 275e6), field, 20 * GAUSS, 2e-4)
    state, fields, told, warnings, answer = Assumed(), [], [], [], None
    while True:
        try:
            message = plan.send(answer)
        except StopIteration:
            return fields, told, warnings
        answer = None
        if message.command == "set":
            value = message.args[0]
            fields += [value.target] if isinstance(value, Field) else []
            told += [value.field] if isinstance(value, Residual) else []
            state = message.obj.estimate(value, state)
        elif message.command == "read":
            answer = message.obj.predict(state)
        elif message.command == "settings":
            answer = message.args[0]
        elif message.command == "warn":
            warnings.append(message.args[0])
        elif message.command == "residual_field":
            answer = found


def known_to(field, err, **others):
    return replace(ResidualField(field, err, err, 0.0, err, 0.0, err, 500, 1.0), **others)


def test_the_magnet_adds_what_was_found_to_what_it_knew():
    """A second measurement of a run measures what the first has left."""
    fields, told, warnings = carried_out(97 * GAUSS, 0.35 * GAUSS, known_to(0.05 * GAUSS, 0.01 * GAUSS))
    assert fields == pytest.approx(np.array([97, 20, -20, 20]) * GAUSS)
    assert told == pytest.approx([0.40 * GAUSS])
    assert warnings == []


def test_zero_is_approached_as_the_protocol_does_from_where_the_pair_stands_alone():
    fields, *_ = carried_out(-97 * GAUSS, 0.0, None)
    assert fields == pytest.approx(np.array([-97, -20, 20, -20]) * GAUSS)
    fields, *_ = carried_out(30 * GAUSS, 0.0, None)
    assert fields[0] == pytest.approx(60 * GAUSS)


def test_what_must_not_be_cancelled_is_not_and_is_said():
    assert carried_out(97 * GAUSS, 0.0, known_to(0.05 * GAUSS, 0.06 * GAUSS))[1:] == ([], [])
    _, told, (warning,) = carried_out(97 * GAUSS, 0.0, known_to(1 * GAUSS, 0.01 * GAUSS, scatter=2.0))
    assert told == []
    assert "other lines" in warning
    # with a limit of 1 G for a zero-field history, ±0.5 G is not enough to be sure
    _, told, (warning,) = carried_out(97 * GAUSS, 0.0, known_to(2 * GAUSS, 0.5 * GAUSS, repetition=0.5 * GAUSS))
    assert told == pytest.approx([2 * GAUSS])
    assert "not certain" in warning
