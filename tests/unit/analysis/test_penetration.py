"""First penetration is found where it was put in, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest

from nvscope.analysis import figures
from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.penetration import first_penetration, measure_penetration

FIELDS = np.array([60, 90, 120, 150, 180]) * 1e-4
SHAPE = (60, 60)


def course(rng, enters=np.inf, screening=0.05, noise=1e-5):
    """s of a body that answers in proportion up to a field (T) and then keeps its magnetisation; noise of B in T."""
    s = 1 - screening * np.minimum(1, enters / FIELDS)
    err = noise / FIELDS
    maps = s[:, None, None] + err[:, None, None] * rng.standard_normal((len(FIELDS), *SHAPE))
    return maps, np.broadcast_to(err[:, None, None], maps.shape)


def test_it_is_found_at_the_first_field_beyond_it():
    first = first_penetration(FIELDS, *course(np.random.default_rng(1), enters=100e-4, noise=2e-6))
    # at 120 G screening is 0.0417 in place of 0.05, forty errors less
    assert np.all(first == 120e-4)


def test_where_nothing_enters_or_nothing_screens_noise_makes_nothing_up():
    rng = np.random.default_rng(2)
    none = first_penetration(FIELDS, *course(rng))
    assert np.isinf(none).mean() > 0.999
    outside = first_penetration(FIELDS, *course(rng, screening=0.0))
    assert np.isnan(outside).mean() > 0.999


def test_a_loss_too_small_for_the_noise_is_not_claimed():
    first = first_penetration(FIELDS, *course(np.random.default_rng(3), enters=170e-4))
    assert np.isinf(first).mean() > 0.99


def run_with(enters, redone=False):
    rng = np.random.default_rng(4)
    s, err = course(rng, enters=enters, noise=2e-6)
    points = []

    def point(purpose, temperature, field, b, b_err, verdict="valid"):
        maps = {"b_z": b, "b_z_err": b_err, "status": np.zeros(SHAPE)}
        attrs = {"certificate": {"verdict": verdict}}
        points.append(MapPoint(len(points), purpose, temperature, field, attrs, maps))

    for field in FIELDS:
        point("reference", 110.0, field, np.full(SHAPE, field), np.full(SHAPE, 1e-9))
    if redone:
        point("zfc", 20.0, FIELDS[0], s[0] * FIELDS[0], err[0] * FIELDS[0])
        point("hc1", 20.0, FIELDS[1], s[1] * FIELDS[1], err[1] * FIELDS[1], "invalid")
    for k, field in enumerate(FIELDS):
        point("hc1" if k else "zfc", 20.0, field, s[k] * field, err[k] * field)
    return RunData(Path("run"), {}, tuple(points))


@pytest.mark.parametrize("redone", [False, True])
def test_a_run_is_read_from_its_zero_field_cooling_on(redone):
    (found,) = measure_penetration(run_with(130e-4, redone))
    assert found.field == pytest.approx(FIELDS)
    assert found.screening == pytest.approx([0.05, 0.05, 0.05, 0.05 * 13 / 15, 0.05 * 13 / 18], abs=1e-4)
    assert found.entered == pytest.approx([0, 0, 0, 1, 1])
    assert len(figures.penetration_figure(found, None).axes) == 4


def test_a_run_that_raises_no_field_has_none():
    run = run_with(130e-4)
    assert measure_penetration(RunData(run.path, {}, run.points[:6])) == []
