"""The closed loop on a made-up run with a made-up truth, fitted for real."""

from __future__ import annotations

import numpy as np
import pytest
from nvscope_simulators.world.truth import TruthWriter

from nvscope.analysis.compare import compare, table
from nvscope.analysis.validate import validate_run
from nvscope.errors import DataError
from nvscope.nv import GAMMA

H = 97e-4
TEMPERATURES = (20.0, 50.0, 70.0, 75.0, 79.0, 83.0, 90.0)


def write_truth(run, sample, *, wrong=0.0):
    shape = (sample.size, sample.size)
    body = np.abs(sample.response) > 0.004
    truth = TruthWriter(run / "truth.zarr", {"tc": sample.local_tc, "mask": body.astype(float)})
    states = [np.ones(shape), np.ones(shape)] + [sample.s(t) for t in TEMPERATURES]
    for number, s in enumerate(states):
        b = H * 1.003 * s
        half = np.hypot(GAMMA * b, sample.stress)
        truth.append(
            {
                "b_z": b,
                "s": s + wrong,
                "f_minus": sample.center - half,
                "f_plus": sample.center + half,
                "temperature": 0.0,
                "h": H * 1.003,
                # while a point is open, except for one whose state was already written down before it
                "rig_time": 200.0 + 600.0 * number + (1.0 if number != 3 else -1.0),
            }
        )


def test_closed_loop(run_writer, flake):
    sample = flake(size=40)
    run = run_writer(sample, temperatures=TEMPERATURES, fitted=True)
    write_truth(run, sample)
    found = validate_run(run)
    outside = found.row("s", "outside")
    assert outside.ratio <= 1.1
    assert outside.outliers < 0.01
    assert abs(outside.bias) < 0.001
    assert abs(outside.pull_mean) < 0.1
    assert outside.pull_width == pytest.approx(1, abs=0.1)
    assert 0.7 < found.row("B", "outside").ratio <= 1.1
    assert found.row("Tc", "where 1 − s > 0.02").median_error < 2.5
    lines = table(found.rows)
    assert len({len(line) for line in lines}) == 1
    with pytest.raises(KeyError, match="sigma_zz"):
        found.row("sigma_zz", "outside")


def test_a_wrong_truth_shows(run_writer, flake):
    sample = flake(size=24)
    run = run_writer(sample, temperatures=TEMPERATURES)
    with pytest.raises(DataError, match="no truth"):
        validate_run(run)
    write_truth(run, sample, wrong=0.005)
    row = validate_run(run).row("s", "outside")
    assert row.bias == pytest.approx(-0.005, abs=0.0005)
    assert abs(row.pull_mean) > 1


def test_compare_leaves_out_what_is_not_there():
    rng = np.random.default_rng(1)
    true = np.zeros((4, 32, 32))
    measured = 2.0 * rng.standard_normal(true.shape) + 0.5
    measured[:, :4] = np.nan
    mask = np.ones((32, 32), dtype=bool)
    row = compare("x", "1", "everywhere", measured, true, np.full(true.shape, 2.0), np.full((32, 32), 1.6), mask)
    assert row.pixels == 4 * 28 * 32
    assert row.bias == pytest.approx(0.5, abs=0.1)
    assert row.scatter == pytest.approx(2, rel=0.05)
    assert row.ratio == pytest.approx(1.25, rel=0.05)
    assert row.pull_mean == pytest.approx(0.25, abs=0.05)
    assert row.pull_width == pytest.approx(1, rel=0.05)
    assert row.outliers == 0
    # one fit in a hundred that took noise for a line is counted, and does not hide how good the others are
    wild = np.where(rng.random(true.shape) < 0.01, 300.0, measured)
    other = compare("x", "1", "everywhere", wild, true, np.full(true.shape, 2.0), np.full((32, 32), 1.6), mask)
    assert other.outliers == pytest.approx(0.01, abs=0.004)
    assert other.scatter == pytest.approx(row.scatter, rel=0.02)
    assert compare("x", "1", "nowhere", measured, true, true, true, ~mask).pixels == 0
