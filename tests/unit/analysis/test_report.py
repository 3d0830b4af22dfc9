"""The report of a run in every state a run can be in."""

from __future__ import annotations

import errno
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nvscope.analysis.load import load_run
from nvscope.analysis.report import make_report
from nvscope.analysis.report_tables import seconds, with_error
from nvscope.analysis.results import analyse_series
from nvscope.analysis.run_regions import run_regions
from nvscope.analysis.series import find_series
from nvscope.errors import DataError
from nvscope.store import files

H = 97e-4
ALL = {"s-and-r", "s-maps", "b-maps", "tc-map", "b-error", "spectra"}


def numbers(report: Path) -> dict:
    found = re.search(r'<script type="application/json" id="numbers">(.*?)</script>', report.read_text("utf-8"), re.S)
    assert found
    return json.loads(found[1])


def warnings_in(report: Path) -> str:
    found = re.search(r"<h2>Warnings</h2>(.*?)</section>", report.read_text("utf-8"), re.S)
    assert found
    return found[1]


def names(run: Path, suffix: str) -> set[str]:
    return {path.stem for path in (run / "figures").glob(f"*.{suffix}")}


def test_complete_run(run_writer):
    def certificate(point):
        verdict = "degraded" if point == 5 else "valid"
        return {"protocol": "fw", "verdict": verdict, "reason": "T exceeded by 0.31 K", "numbers": {}}

    run = run_writer(certificate=certificate, regions=DRAWN)
    report = make_report(run)
    assert report == run / "report.html"
    text = report.read_text("utf-8")
    assert names(run, "png") == names(run, "svg") == ALL
    assert text.count("data:image/png;base64,") == len(ALL)
    assert "None." in warnings_in(report)
    for svg in (run / "figures").glob("*.svg"):
        ET.parse(svg)
    # nothing is fetched from anywhere
    assert not re.search(r'(src|href)\s*=\s*"(?!data:)', text)
    assert "@import" not in text
    found = numbers(report)
    assert found["outcome"] == "done"
    assert found["tc"] == pytest.approx(80, abs=2.5)
    assert found["tc_onset"] == pytest.approx(80.5, abs=3)
    assert found["suppressed"]["s"][0] == pytest.approx(0.935, abs=0.015)
    assert found["enhanced"]["s"][0] > 1.01
    assert found["suppressed"]["s"][-1] == pytest.approx(1, abs=0.003)
    assert [p["purpose"] for p in found["points"]][:3] == ["find-lines", "reference", "zfc"]
    assert found["points"][4]["median_b_err"] == pytest.approx(2.1e-5, rel=0.1)
    assert [p["verdict"] for p in found["points"]].count("degraded") == 1
    assert "T exceeded by 0.31 K" in text
    assert "97 G" in text
    assert found["mean_suppression"] == pytest.approx(0.02, abs=0.01)
    assert 0.2 < found["suppressed_area"] < 0.8
    assert "<h2>Regions</h2>" in text
    assert found["regions"]["region of interest"]["pixels"] == 100
    assert found["regions"]["reference region"]["tc"] is None


def test_places_and_local_tc_are_the_made_up_ones(run_writer, flake):
    sample = flake()
    data = load_run(run_writer(sample))
    (series,) = find_series(data)
    assert series.reference is not None
    assert series.reference.purpose == "reference"
    result = analyse_series(series, data.loading)
    assert result.suppressed is not None
    assert result.enhanced is not None
    smooth = sample.response
    assert smooth[result.suppressed.disc.mask].mean() < np.quantile(smooth, 0.04)
    assert smooth[result.enhanced.disc.mask].mean() > 0.012
    # s against the truth: unbiased, and scattering as it says
    truth = np.stack([sample.s(t) for t in series.temperature])
    pull = (series.s - truth) / series.s_err
    assert abs(np.nanmean(pull)) < 0.1
    assert np.nanstd(pull) == pytest.approx(1, abs=0.1)
    deep = sample.response < -0.02
    error = (result.tc_map.tc - sample.local_tc)[deep]
    assert np.nanmedian(np.abs(error)) < 2.0
    assert np.isfinite(error).mean() > 0.9


def test_a_reference_of_another_run_normalises_s(run_writer, flake, tmp_path):
    sample = flake()
    other = run_writer(sample)
    data = load_run(run_writer(sample, reference=False, normalised_by=other))
    (series,) = find_series(data)
    assert series.reference is not None
    assert series.reference.elsewhere == other
    truth = np.stack([sample.s(t) for t in series.temperature])
    assert abs(np.nanmean((series.s - truth) / series.s_err)) < 0.1
    # the other run did not know of 0.35 G at zero current, this one counts it: its coil carried that much less
    residual = 0.35e-4
    knowing = replace(
        data, points=tuple(replace(p, attrs={**p.attrs, "residual_field": residual}) for p in data.points)
    )
    (corrected,) = find_series(knowing)
    expected = series.s * (1 + residual / series.field)
    assert np.nanmax(np.abs(corrected.s - expected)) < 2e-5
    # taken along with the run it belongs to, it is found beside it
    moved = other.parent.with_name("elsewhere")
    assert f"normalised by the map at {series.reference.temperature:.0f} K" in make_report(data.path).read_text("utf-8")
    other.rename(moved)
    gone = load_run(data.path)
    assert gone.references == ()
    assert any("reference run is not there any more" in text for _, text in gone.warnings)
    moved.rename(other)
    own = load_run(run_writer(sample, normalised_by=other))
    assert find_series(own)[0].reference.elsewhere is None  # a run's own comes first


BOX = [[11 / 32, 11 / 32], [21 / 32, 11 / 32], [21 / 32, 21 / 32], [11 / 32, 21 / 32]]
CORNER = [[0.0, 0.0], [0.1, 0.0], [0.1, 0.1], [0.0, 0.1]]
DRAWN = [
    {"kind": "roi", "vertices": [[0.4, 0.4], [0.6, 0.4], [0.5, 0.6]]},  # replaced by the next
    {"kind": "roi", "vertices": BOX},
    {"kind": "reference", "vertices": CORNER},
    {"kind": "something else", "vertices": BOX},
]


def test_regions_that_were_drawn_are_judged(run_writer, flake):
    sample = flake()
    data = load_run(run_writer(sample, regions=DRAWN))
    (series,) = find_series(data)
    roi, reference = analyse_series(series, data.loading, data.regions).regions
    assert (roi.name, reference.name) == ("region of interest", "reference region")
    mask = np.zeros((32, 32), bool)
    mask[11:21, 11:21] = True
    assert roi.pixels == 100
    # the fit of a mean weighs pixels by their noise, as the truth here does
    weight = 1 / sample.b_err[mask] ** 2
    truth = (sample.s(20.0)[mask] * weight).sum() / weight.sum()
    assert roi.curve.value[0] == pytest.approx(truth, abs=4 * np.hypot(roi.curve.err[0], roi.curve.common_err))
    assert roi.tc is not None
    assert roi.tc[0] == pytest.approx(80, abs=3)
    assert roi.median_b_err[0] == pytest.approx(float(np.median(sample.b_err[mask])), rel=0.02)
    err = np.hypot(reference.curve.err[0], reference.curve.common_err)
    assert reference.curve.value[0] == pytest.approx(1, abs=4 * err)
    assert reference.tc is None


def test_a_region_is_taken_away_and_damage_is_none():
    assert run_regions([*DRAWN, {"kind": "roi", "vertices": []}], []).keys() == {"reference region"}
    damaged = [{"kind": "roi", "vertices": ["damaged"]}, {"kind": "roi", "vertices": [[0, 0], [1, 1]]}, {}]
    assert run_regions(damaged, [{"region": None}, {"region": 7}]) == {}
    # the sequence's own outlines count until somebody draws
    assert run_regions([], [{"region": [BOX, CORNER]}])["region of interest"][1][2] == (0.1, 0.1)
    assert len(run_regions(DRAWN, [{"region": [BOX, CORNER]}])["region of interest"]) == 1


def test_aborted_run_reports_what_there_is(run_writer):
    run = run_writer(temperatures=(20.0, 40.0, 60.0), outcome="aborted", cut_last=True)
    report = make_report(run)
    text = report.read_text("utf-8")
    assert numbers(report)["outcome"] == "aborted"
    assert "operator pressed Ctrl-C" in text
    assert names(run, "png") == ALL - {"tc-map"}
    assert "None." in warnings_in(report)


def test_a_run_that_cannot_be_written_is_refused_plainly(run_writer, monkeypatch):
    run_dir = run_writer(temperatures=(20.0,))
    (run_dir / "report.html").mkdir()
    with pytest.raises(DataError, match=r"report of .* cannot be written: .*report\.html"):
        make_report(run_dir)

    def read_only(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", read_only)
    monkeypatch.setattr("nvscope.analysis.report.write_report", lambda run: pytest.fail("computed before refusing"))
    with pytest.raises(DataError, match=r"cannot be written: Read-only file system; see"):
        make_report(run_dir)


def test_run_cut_short_without_an_end(run_writer):
    report = make_report(run_writer(temperatures=(20.0,), outcome=None, cut_last=True))
    assert numbers(report)["outcome"] == "unfinished"
    assert "None." in warnings_in(report)
    # a run that is still being written may be reported on again and again
    first = report.read_bytes()
    assert make_report(report.parent).read_bytes() == first


@pytest.mark.parametrize(
    ("temperatures", "options"),
    [
        ((20.0, 74.0, 80.0, 90.0), {"reference": False}),
        ((20.0, 90.0), {"transport": False, "loading": None}),
        ((20.0,), {"reference": False, "transport": False, "loading": None}),
    ],
    ids=["no reference", "no transport, no loading", "bare"],
)
def test_partial_runs(run_writer, temperatures, options):
    run = run_writer(temperatures=temperatures, **options)
    report = make_report(run)
    assert "None." in warnings_in(report)
    assert {"s-maps", "b-maps", "b-error"} <= names(run, "png")
    if options.get("reference") is False:
        assert "no reference above Tc was taken" in report.read_text("utf-8")
    if temperatures[-1] == 90.0:
        assert numbers(report)["suppressed"]["s"][-1] == pytest.approx(1, abs=0.01)


def test_single_map_and_no_map(run_writer):
    reference_only = run_writer(temperatures=())
    report = make_report(reference_only)
    assert names(reference_only, "png") == {"b-map"}
    assert "None." in warnings_in(report)
    nothing = run_writer(temperatures=(), reference=False)
    report = make_report(nothing)
    assert "data:image" not in report.read_text("utf-8")
    assert numbers(report)["points"][0]["purpose"] == "find-lines"


def test_damaged_descriptions_are_named_and_survived(run_writer):
    run = run_writer(temperatures=(20.0, 60.0))
    (run / "run.json").write_text("{", encoding="utf-8")
    with (run / "journal.jsonl").open("a", encoding="utf-8") as journal:
        journal.write("not json\n")
    text = warnings_in(make_report(run))
    assert "does not describe a run" in text
    assert "1 lines of the journal" in text


def test_text_from_outside_is_escaped(run_writer, tmp_path):
    run = run_writer(temperatures=(20.0,))
    info = json.loads((run / "run.json").read_text("utf-8"))
    info["note"] = "<img src=x onerror=alert(1)></script>"
    info["operator"] = '"><b>'
    (run / "run.json").write_text(json.dumps(info), encoding="utf-8")
    text = make_report(run).read_text("utf-8")
    assert "<img src=x" not in text
    assert '"><b>' not in text
    with pytest.raises(DataError, match="not a run directory"):
        make_report(tmp_path)


@pytest.mark.parametrize(
    ("value", "text"),
    [(13820, "3 h 50 min"), (250, "4 min 10 s"), (12.3, "12 s"), (float("nan"), "unknown"), (3599.7, "1 h 00 min")],
)
def test_durations(value, text):
    assert seconds(value) == text


def test_values_with_errors():
    assert with_error(0.062083, 2.4e-5) == "0.06208 ± 0.00002"
    assert with_error(123.4, 20) == "123 ± 20"
    assert with_error(float("nan"), 1) == "–"
    assert with_error(0.5, float("nan")) == "0.5"
