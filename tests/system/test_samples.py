"""The main job on every sample, small: what each is there to show."""

import json

import numpy as np
import pytest

from nvscope.analysis.load import load_run
from nvscope.analysis.series import find_series
from nvscope.analysis.validate import validate_run
from nvscope.analysis.zero_field import zero_field_maps

COMMON = ("--pixels", "32x32", "--set", "temperatures=60 K, 100 K")


@pytest.fixture(scope="module")
def main_job(nvscope, tmp_path_factory):
    """Run ``zfc-fw`` on a sample; the run and its series."""

    def run(sample, *more):
        done = nvscope("run", "zfc-fw", "--sample", sample, *COMMON, *more, runs=tmp_path_factory.mktemp(sample))
        assert done.code == 0, done.output
        done.check_estimate()
        verdicts = {entry["data"]["verdict"] for entry in done.journal("certificate")}
        assert verdicts == {"valid"}
        series = find_series(load_run(done.directory))[0]
        return done, series

    return run


EMPTY = """
[[steps]]
sequence = "zfc-fw"
parameters = { temperatures = ["60 K", "100 K"] }
[[steps]]
sequence = "flux-trap"
"""


def test_an_empty_cell_shows_the_applied_field_and_nothing_else(nvscope, tmp_path):
    (tmp_path / "empty.toml").write_text(EMPTY, encoding="utf-8")
    program = ("--set", "program=empty.toml", "--pixels", "32x32")
    done = nvscope("run", "overnight", "--sample", "empty", *program, runs=tmp_path)
    assert done.code == 0, done.output
    done.check_estimate()
    assert {entry["data"]["verdict"] for entry in done.journal("certificate")} == {"valid"}
    validation = validate_run(done.directory)
    row = validation.row("s", "outside")
    assert abs(row.bias) <= 0.001
    assert row.scatter <= 1.1 * row.bound
    # H = 0: a floor is what |B| stays below with probability 0.9; 700 pixels: 0.1 ± 0.011, and errors within 20 %
    (zero,) = zero_field_maps(load_run(done.directory))
    seen = np.isfinite(zero.remnant.b)
    assert seen.mean() > 0.6
    assert zero.remnant.detected[seen].mean() < 0.16
    # nothing to measure R on is a warning, not the end
    assert any("contact is open" in json.dumps(entry["data"]) for entry in done.journal("warning"))


def test_a_sample_that_does_not_pin_does_not_screen(main_job):
    _, series = main_job("no-trap", "--set", "frames=4")
    # 1000 pixels, each good to 0.004: their mean to 0.0002
    assert np.nanmean(series.s[0]) == pytest.approx(1, abs=0.002)


def test_s2_screens_and_lets_go(main_job):
    _, series = main_job("s2", "--set", "frames=4")
    cold, between, warm = series.s
    dip = cold < np.nanpercentile(cold, 4)
    # some 40 pixels, each good to 0.004: their mean to 0.0007; a reference that read high by chance is in all three
    assert np.nanmean(between[dip]) < 0.985
    assert np.nanmean(warm[dip]) > 0.99


def test_s3_is_diamagnetic_here_and_there_without_a_drop_in_r(main_job):
    _, series = main_job("s3", "--set", "frames=8", "--set", "base_temperature=9 K")
    cold, warm = series.s[0], series.s[-1]
    assert np.nanpercentile(cold, 2) < np.nanpercentile(warm, 2) - 0.002
    resistance = [point.resistance for point in series.points]
    assert min(resistance) > 0.5 * max(resistance)


def test_a_connected_sheet_screens_everywhere_inside(main_job):
    _, series = main_job("bscco", "--set", "frames=4")
    assert np.nanmedian(series.s[0][14:18, 14:18]) < 0.98


def test_an_array_is_mapped_too(main_job):
    _, series = main_job("array", "--set", "frames=4")
    assert np.isfinite(series.s[0]).mean() > 0.9
