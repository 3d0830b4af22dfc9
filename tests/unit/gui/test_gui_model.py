"""What a window knows, without a window: everything here must work where Qt is not installed."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nvscope.gui.mailbox import LinkReport
from nvscope.gui.model.alarms import alarms
from nvscope.gui.model.curves import Curves, places
from nvscope.gui.model.header import Header
from nvscope.gui.model.journal import entry
from nvscope.gui.model.maps import MapStore
from nvscope.gui.model.methods import CriticalTemperature, Methods, RatioMap, SpectrumFit
from nvscope.gui.model.picture import MapRequest, make_picture
from nvscope.gui.model.quantities import BY_NAME, QUANTITIES
from nvscope.gui.model.selection import MOST_PINS, Region, Selection, disc, rectangle
from nvscope.gui.model.series import TimeSeries
from nvscope.gui.model.session import Session
from nvscope.gui.model.snapshot import Snapshot
from nvscope.gui.model.spectra import SpectrumSums
from nvscope.gui.model.statistics import centered_limits, spread_limits, statistics
from nvscope.gui.model.steps import Step, Steps
from nvscope.stream.control import RunInfo
from nvscope.stream.messages import (
    BlockClosed,
    Frame,
    HistoryRow,
    JournalEntry,
    Maps,
    PointClosed,
    PointOpened,
    RunStatus,
)

SHAPE = (6, 8)
AXIS = [2.80e9, 2.81e9, 2.82e9, 3.34e9, 3.35e9, 3.36e9]
Floats = NDArray[np.float64]


def _ratio(b: Floats, b_err: Floats, ref: Floats | None, ref_err: Floats | None, field: float, _: float) -> RatioMap:
    if ref is None or ref_err is None:
        return RatioMap(b / field, b_err / field, np.zeros_like(b))
    return RatioMap(b / ref, b_err / ref, b / ref * ref_err / ref)


def _fit(f: Floats, s: Floats, n: Floats, attrs: Mapping[str, Any], starts: object) -> Sequence[SpectrumFit | None]:
    return [None] * s.shape[1]


def _no_tc(*_: object) -> CriticalTemperature:
    return CriticalTemperature(math.nan, math.nan, "none")


METHODS = Methods(_ratio, lambda t: 2.8777e9, _fit, _no_tc, _no_tc, lambda *_: (None, None), lambda *_: None)


@pytest.fixture
def session() -> Session:
    return Session(METHODS)


def opened(number: int, purpose: str, temperature: float = 20.0, field: float = 97e-4) -> PointOpened:
    attrs = {"purpose": purpose, "temperature": temperature, "field": field, "resistance": 0.05}
    return PointOpened(number, "odmr", AXIS, SHAPE, 100.0 * number, attrs)


def maps(number: int, b: float, *, final: bool = True, shape: tuple[int, int] = SHAPE) -> tuple[Maps, list[Any]]:
    arrays = {
        "b_z": np.full(shape, b, np.float32),
        "b_z_err": np.full(shape, 1e-5, np.float32),
        "center": np.full(shape, 3.08e9, np.float32),
        "contrast_minus": np.full(shape, -0.02, np.float32),
        "contrast_plus": np.full(shape, -0.04, np.float32),
        "status": np.zeros(shape, np.float32),
    }
    arrays["status"][0, 0] = 3
    message = Maps(number, 2, final, 100.0 * number + 50, shape, list(arrays), {"median_b_err": 1e-5, "lost": 3.0})
    return message, list(arrays.values())


def feed(session: Session, number: int, purpose: str, b: float, temperature: float = 20.0) -> None:
    session.apply(opened(number, purpose, temperature))
    session.apply(*maps(number, b))
    session.apply(PointClosed(number, 100.0 * number + 60, {}))


# --- the rooms -----------------------------------------------------------------------------------------------------


def test_the_model_and_the_feed_need_no_qt() -> None:
    code = (
        "import sys, nvscope.gui.desk, nvscope.gui.feed, nvscope.gui.launch\n"
        "assert not {'PySide6', 'pyqtgraph'} & {name.partition('.')[0] for name in sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# --- s and what it needs -------------------------------------------------------------------------------------------


def test_s_is_the_field_over_the_reference_at_the_same_current(session: Session) -> None:
    feed(session, 0, "reference", 97e-4, 110.0)
    feed(session, 1, "zfc", 0.95 * 97e-4)
    s = session.map(1, "s_ratio")
    assert s is not None
    assert s[3, 3] == pytest.approx(0.95, rel=1e-6)
    assert np.isnan(s[0, 0])  # the fit did not converge there
    error = session.map(1, "s_ratio_err")
    assert error is not None
    assert error[3, 3] == pytest.approx(1e-5 / 97e-4 * math.hypot(1, 0.95), rel=1e-5)


def test_without_a_reference_s_is_the_field_over_the_applied_one(session: Session) -> None:
    feed(session, 1, "odmr", 0.9 * 97e-4)
    s = session.map(1, "s_ratio")
    assert s is not None
    assert s[3, 3] == pytest.approx(0.9, rel=1e-6)


def test_a_reference_at_another_field_is_none(session: Session) -> None:
    session.apply(opened(0, "reference", 110.0, field=150e-4))
    session.apply(*maps(0, 150e-4))
    feed(session, 1, "zfc", 97e-4)
    assert session.reference_of(1) is None
    session.apply(opened(2, "reference", 110.0, field=97.5e-4))
    reference = session.reference_of(1)
    assert reference is not None
    assert reference.number == 2


def test_s_waits_for_the_maps_of_the_reference(session: Session) -> None:
    session.apply(opened(0, "reference", 110.0))
    feed(session, 1, "zfc", 97e-4)
    assert session.map(1, "s_ratio") is None
    assert session.needs(1) == [0]
    session.apply(*maps(0, 97e-4))
    assert session.map(1, "s_ratio") is not None
    assert session.needs(1) == []


def test_maps_that_are_shown_but_not_published(session: Session) -> None:
    feed(session, 1, "zfc", 97e-4)
    shift, contrast = session.map(1, "d_shift"), session.map(1, "contrast")
    assert shift is not None
    assert contrast is not None
    assert shift[2, 2] == pytest.approx(3.08e9 - 2.8777e9, abs=200)  # float32 holds 3 GHz to 128 Hz
    assert contrast[2, 2] == pytest.approx(-0.03)
    assert session.map(1, "width") is None
    assert session.map(7, "b_z") is None


# --- messages ------------------------------------------------------------------------------------------------------


def test_live_maps_never_replace_final_ones(session: Session) -> None:
    session.apply(opened(1, "zfc"))
    session.apply(*maps(1, 97e-4, final=True))
    session.apply(*maps(1, 50e-4, final=False))
    b = session.map(1, "b_z")
    assert b is not None
    assert b[3, 3] == pytest.approx(97e-4)
    assert session.points[1].final


def test_a_point_repeated_to_whoever_joins_changes_nothing(session: Session) -> None:
    feed(session, 1, "zfc", 97e-4)
    sums, record = session.live_spectra, session.points[1]
    session.apply(opened(1, "zfc"))
    assert session.points[1] == record
    assert session.live_spectra is sums


def test_what_a_point_ends_with_is_added_to_it(session: Session) -> None:
    session.apply(opened(1, "zfc"))
    verdict = {"protocol": "zfc", "verdict": "valid", "reason": "as asked"}
    session.apply(PointClosed(1, 5.0, {"temperature": 20.5, "certificate": verdict}))
    record = session.points[1]
    assert (record.temperature, record.certificate, record.closed) == (20.5, verdict, True)
    assert record.resistance == 0.05


def test_housekeeping_comes_from_history_status_and_maps(session: Session) -> None:
    session.apply(HistoryRow(1.0, {"temperature": 20.0, "field": None}))
    session.apply(HistoryRow(2.0, {"temperature": 21.0, "field": 97e-4}))
    session.apply(RunStatus("r", "running", "cooling", 0.5, 3.0, {"frames_per_second": 180.0}))
    session.apply(*maps(1, 97e-4))
    assert session.history["temperature"].values.tolist() == [20.0, 21.0]
    assert session.history["field"].values.tolist() == [97e-4]
    assert session.history["frames_per_second"].last == 180.0
    assert session.history["median_b_err"].last == pytest.approx(1e-5)
    assert session.history["lost_frames"].last == 3.0


def test_columns_without_end_do_not_fill_memory(session: Session) -> None:
    for k in range(500):
        session.apply(HistoryRow(float(k), {f"column_{k}": 1.0}))
    assert len(session.history) <= 64


def test_the_disk_fills_in_what_was_missed_and_loses_nothing_heard(session: Session) -> None:
    session.apply(HistoryRow(50.0, {"temperature": 30.0}))
    session.apply(JournalEntry("step", 49.0, {"step": "third"}))
    session.apply(JournalEntry("note", 51.0, {"text": "heard"}))
    earlier = Session(METHODS)
    feed(earlier, 0, "reference", 97e-4, 110.0)
    snapshot = Snapshot(
        header=Header(run="0001-zfc-fw-S1"),
        points=tuple(earlier.points.values()),
        history={"rig_time": np.array([10.0, 20.0]), "temperature": np.array([110.0, 100.0])},
        log=(entry("note", {"text": "written"}, 12.0),),  # type: ignore[arg-type]
        planned=(Step("first", 10.0), Step("second", 10.0), Step("third", 10.0), Step("fourth", 10.0)),
        announced=((5.0, "first"), (20.0, "second")),
        outcome="unfinished",
        reason="",
    )
    session.adopt(snapshot)
    assert session.history["temperature"].values.tolist() == [110.0, 100.0, 30.0]
    assert [one.text for one in session.log] == ["written", "heard"]
    assert session.steps.current == 2
    assert session.points[0].temperature == 110.0
    assert session.outcome == ""


# --- spectra -------------------------------------------------------------------------------------------------------


def frame(step: int, point: int = 1, reference: bool = False) -> Frame:
    return Frame(point, 0, 0, step, 0, reference, 1.0, SHAPE)


def test_live_spectra_are_means_of_the_frames_seen() -> None:
    sums = SpectrumSums(1, AXIS, SHAPE, {})
    rng = np.random.default_rng(1)
    images = rng.integers(0, 60000, (5, *SHAPE)).astype(np.uint16)
    for image in images[:3]:
        sums.add(frame(2), image)
    sums.add(frame(4), images[3])
    for stranger in (frame(2, point=9), frame(2, reference=True), frame(99)):
        sums.add(stranger, images[4])
    signal, frames = sums.at(disc(2, 3, 0.0, SHAPE))
    assert signal[2] == pytest.approx(images[:3, 2, 3].mean())
    assert signal[4] == images[3, 2, 3]
    assert np.isnan(signal[[0, 1, 3, 5]]).all()
    assert frames.tolist() == [0, 0, 3, 0, 1, 0]
    image = sums.mean_image()
    assert image is not None
    assert image == pytest.approx(images[:4].mean(axis=0), rel=1e-6)


def test_a_large_image_is_binned_rather_than_held_whole() -> None:
    sums = SpectrumSums(1, AXIS, (7, 9), {}, budget=4 * len(AXIS) * 12)
    assert sums.bin == 2
    image = np.arange(63, dtype=np.uint16).reshape(7, 9)
    sums.add(Frame(1, 0, 0, 0, 0, False, 1.0, (7, 9)), image)
    signal, frames = sums.at(disc(2, 4, 0.0, (7, 9)))
    assert signal[0] == pytest.approx(image[2:4, 4:6].mean())
    assert frames[0] == 4
    assert np.isnan(sums.at(disc(6, 8, 0.0, (7, 9)))[0]).all()  # the odd edge belongs to no bin


def test_stored_spectra_are_read_back_as_they_were() -> None:
    rng = np.random.default_rng(2)
    mean = rng.uniform(100, 200, (len(AXIS), *SHAPE))
    mean[1] = np.nan
    frames = np.array([4, 0, 4, 4, 2, 4])
    sums = SpectrumSums.stored(3, np.array(AXIS), mean, frames, {})
    signal, _ = sums.at(disc(1, 1, 1.5, SHAPE))
    assert signal[0] == pytest.approx(mean[0, :3, :3].mean(), rel=1e-6)
    assert np.isnan(signal[1])
    assert not sums.live


# --- places and curves ---------------------------------------------------------------------------------------------


def test_curves_grow_with_points_and_leave_out_what_is_no_part_of_them(session: Session) -> None:
    feed(session, 0, "find-lines", 97e-4, 110.0)
    feed(session, 1, "reference", 97e-4, 110.0)
    for number, (temperature, s) in enumerate([(40.0, 0.97), (20.0, 0.95), (90.0, 1.0)], start=2):
        feed(session, number, "fw", s * 97e-4, temperature)
    selection = Selection()
    selection.pin(3, 3)
    selection.choose(Region(-5, -5, 2, 2))
    curves = Curves(session)
    pin, region = (curves.ratio(place) for place in places(selection, SHAPE))
    assert pin.temperature.tolist() == [20.0, 40.0, 90.0]
    assert pin.points == (3, 2, 4)
    assert pin.s == pytest.approx([0.95, 0.97, 1.0], rel=1e-6)
    assert region.s == pytest.approx([0.95, 0.97, 1.0], rel=1e-6)
    assert region.err == pytest.approx(pin.err / math.sqrt(3), rel=1e-6)  # 2 × 2 less the pixel that did not converge
    temperature, resistance, _ = curves.resistance()
    assert temperature.size == resistance.size == 5


def test_a_curve_outlives_the_maps_it_was_read_from() -> None:
    session = Session(METHODS, MapStore(budget=1))
    selection = Selection()
    selection.pin(3, 3)
    curves = Curves(session)
    session.apply(opened(0, "reference", 110.0))
    session.apply(*maps(0, 97e-4))
    session.maps.protect(0)
    for number, temperature in enumerate((20.0, 30.0, 40.0), start=1):
        feed(session, number, "fw", 0.9 * 97e-4, temperature)
        (place,) = places(selection, SHAPE)
        assert curves.ratio(place).temperature.size == number
    assert 1 not in session.maps
    assert curves.missing([place]) == []
    selection.pin(4, 4)
    assert curves.missing(places(selection, SHAPE)) == [1, 2]  # a new pin needs the maps again


def test_the_error_of_a_difference_has_no_share_of_the_common_reference(session: Session) -> None:
    feed(session, 0, "reference", 97e-4, 110.0)
    feed(session, 1, "zfc", 92e-4, 20.0)
    feed(session, 2, "fw", 95e-4, 40.0)
    one, other, s_one, s_other = session.sources(2), session.sources(1), session.ratio(2), session.ratio(1)
    assert one is not None
    assert s_one is not None
    assert s_other is not None
    picture = make_picture(session.methods, MapRequest(BY_NAME["s_ratio"], one, "difference", other))
    assert picture.values is not None
    assert picture.errors is not None
    np.testing.assert_allclose(picture.values[-1], (95 - 92) / 97, rtol=1e-5)
    np.testing.assert_allclose(picture.errors[-1], np.hypot(s_one.point_err, s_other.point_err)[-1], rtol=1e-6)
    assert picture.limits[0] == -picture.limits[1]


def test_maps_of_nothing_make_a_picture(session: Session) -> None:
    session.apply(opened(1, "odmr"))
    message, arrays = maps(1, 97e-4)
    session.apply(message, [np.full_like(array, np.nan) for array in arrays])
    sources = session.sources(1)
    assert sources is not None
    for quantity in QUANTITIES:
        picture = make_picture(session.methods, MapRequest(quantity, sources))
        assert picture.whole.finite == 0
        assert picture.limits[0] < picture.limits[1]


def test_maps_are_bounded_and_the_protected_stay() -> None:
    store = MapStore(budget=4 * 48 * 3)
    image = np.zeros(SHAPE, np.float32)
    store.put(0, {"b_z": image}, final=True, sweeps=1)
    store.protect(0)
    for number in range(1, 20):
        store.put(number, {"b_z": image}, final=True, sweeps=1)
    assert store.nbytes <= 4 * 48 * 3
    assert 0 in store
    assert 19 in store
    assert 1 not in store


def test_pins_toggle_keep_their_colours_and_are_few() -> None:
    selection = Selection()
    changes: list[int] = []
    selection.listeners.append(lambda: changes.append(1))
    for column in range(MOST_PINS):
        selection.pin(1, column)
    selection.pin(1, 2)
    assert [pin.label for pin in selection.pins] == ["A", "B", "D", "E", "F"]
    selection.pin(5, 7)
    assert selection.pins[-1].label == "C"
    selection.pin(0, 0)
    assert len(selection.pins) == MOST_PINS
    assert changes == [1] * (MOST_PINS + 3)
    selection.forget((2, 3))
    assert all(pin.row < 2 and pin.column < 3 for pin in selection.pins)


@given(st.integers(-3, 12), st.integers(-3, 12), st.sampled_from([0.0, 1.5, 2.5]), st.integers(1, 9), st.integers(1, 9))
def test_a_disc_never_leaves_the_image(row: int, column: int, radius: float, height: int, width: int) -> None:
    rows, columns = disc(row, column, radius, (height, width))
    assert ((rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)).all()
    assert ((rows - row) ** 2 + (columns - column) ** 2 <= radius**2).all()


def test_a_region_is_cut_to_the_image() -> None:
    rows, columns = rectangle(Region(-2, 4, 3, 99), SHAPE)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 2, 4, 7)
    assert rectangle(Region(90, 90, 99, 99), SHAPE)[0].size == 0


# --- series, steps, numbers ----------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300))
def test_a_series_keeps_its_bound_its_order_and_its_extremes(values: list[float]) -> None:
    series = TimeSeries(32)
    for time, value in enumerate(values):
        series.add(float(time), value)
    assert len(series) <= 32
    assert (np.diff(series.times) > 0).all()
    assert series.values.max() == max(values)
    assert series.values.min() == min(values)
    assert series.last == values[-1]


def test_a_series_takes_neither_the_past_nor_what_is_no_number() -> None:
    series = TimeSeries()
    for time, value in ((5.0, 1.0), (4.0, 2.0), (6.0, math.nan), (math.inf, 1.0), (7.0, 3.0)):
        series.add(time, value)
    assert series.times.tolist() == [5.0, 7.0]


def test_steps_follow_the_plan_and_take_what_was_not_planned() -> None:
    steps = Steps()
    steps.begin([Step(text, 1.0) for text in ("cool", "map", "warm", "map")], [])
    for time, text in ((1.0, "cool"), (2.0, "map"), (2.0, "map"), (3.0, "warm"), (4.0, "oil the pump"), (5.0, "map")):
        steps.announce(time, text)
    assert [step.text for step in steps.steps] == ["cool", "map", "warm", "oil the pump", "map"]
    assert steps.current == 4
    steps.announce(3.0, "warm")  # heard twice: from the air and from the disk
    assert steps.current == 4


@pytest.mark.parametrize(
    ("kind", "data", "text", "severity"),
    [
        ("note", {"text": "added nitrogen"}, "added nitrogen", "plain"),
        ("certificate", {"protocol": "zfc", "verdict": "invalid", "reason": "1 G"}, "zfc invalid: 1 G", "error"),
        ("state", {"state": "failed", "reason": "no light"}, "failed: no light", "error"),
        ("block-rejected", {"point": 3, "block": 1, "reason": "lost"}, "block 1 of point 3: lost", "warning"),
        ("error", {"error": "broke\nTraceback …"}, "broke", "error"),
    ],
)
def test_the_journal_in_words(kind: str, data: dict[str, Any], text: str, severity: str) -> None:
    found = entry(kind, data, 1.0)
    assert found is not None
    assert (found.text, found.severity) == (text, severity)


def test_what_only_machines_read_is_left_out() -> None:
    assert entry("commit", {"point": 1}, 1.0) is None


def test_statistics_of_what_is_finite() -> None:
    found = statistics(np.array([1.0, 2.0, 3.0, np.nan]))
    assert (found.pixels, found.finite, found.mean, found.median) == (4, 3, 2.0, 2.0)
    assert found.scatter == pytest.approx(1.0)
    assert found.mean_err == pytest.approx(1 / math.sqrt(3))
    assert statistics(np.full(3, np.nan)).finite == 0


def test_scales_hold_the_data_and_never_collapse() -> None:
    low, high = spread_limits(np.linspace(0, 100, 1001))
    assert (low, high) == pytest.approx((0.5, 99.5))
    for flat in (np.full(9, 5.0), np.zeros(9), np.full(9, np.nan)):
        low, high = spread_limits(flat)
        assert high > low
    assert centered_limits(np.array([0.95, 1.01]), 1.0, 0.004) == pytest.approx((0.95, 1.05), abs=1e-3)
    assert centered_limits(np.array([1.0, 1.0]), 1.0, 0.004) == pytest.approx((0.996, 1.004))


def test_every_quantity_says_what_it_means_and_in_which_unit() -> None:
    for quantity in QUANTITIES:
        assert len(quantity.meaning) > 20
        assert quantity.unit or quantity.scale == 1.0
    assert BY_NAME["b_z"].text(97.123e-4, 0.2e-4) == "97.12 ± 0.20 G"
    assert BY_NAME["status"].text(3.0) == "not converged"
    assert BY_NAME["s_ratio"].text(math.nan) == "–"


def test_the_runs_regions_are_places_and_judge_the_target() -> None:
    session = Session(METHODS)
    session.apply(PointOpened(0, "odmr", AXIS, SHAPE, 0.0, {"purpose": "fw"}))
    square = [[0.0, 0.0], [0.5, 0.0], [0.5, 0.5], [0.0, 0.5]]
    session.apply(JournalEntry("region", 1.0, {"kind": "roi", "vertices": square, "text": "drawn"}))
    session.apply(JournalEntry("region", 1.0, {"kind": "reference", "vertices": "damaged"}))
    errors = np.full(SHAPE, 4e-5, np.float32)
    errors[:3, :4] = 1e-5
    maps = Maps(0, 1, False, 2.0, SHAPE, ["b_z_err"], {"median_b_err": 4e-5})
    session.apply(maps, [errors])
    assert session.history["median_b_err"].last == pytest.approx(1e-5)

    selection = Selection()
    selection.follow(session.regions)
    (place,) = places(selection, SHAPE)
    assert (place.label, place.pixels[0].size) == ("ROI", 12)
    assert Region(0, 0, 3, 4).corners(SHAPE) == [tuple(vertex) for vertex in square]

    session.apply(JournalEntry("region", 3.0, {"kind": "roi", "vertices": []}))
    selection.follow(session.regions)
    assert places(selection, SHAPE) == []


def test_a_changed_target_is_followed() -> None:
    session = Session(METHODS, header=Header(target_b_err=2e-5))
    session.apply(JournalEntry("parameters", 1.0, {"settings": {"frames": "4"}}))
    assert session.header.target_b_err == 2e-5
    session.apply(JournalEntry("parameters", 1.0, {"settings": {"until": "0.1 G"}}))
    assert session.header.target_b_err == pytest.approx(1e-5)
    session.apply(JournalEntry("parameters", 1.0, {"settings": {"until": ""}}))
    assert math.isnan(session.header.target_b_err)


def test_what_is_wrong_is_said_worst_first() -> None:
    run = RunInfo("0001-a", "", 1, "tcp://127.0.0.1:1", "tcp://127.0.0.1:2")
    well = LinkReport("connected", run, heard=100.0)
    session = Session(METHODS)
    assert alarms(session, well, 101.0) == []
    session.apply(HistoryRow(10.0, {"helium_level": 0.1}))
    session.apply(PointOpened(0, "odmr", AXIS, SHAPE, 0.0, {}))
    bad = {"verdict": "invalid", "reason": "the field was on", "protocol": "zfc"}
    session.apply(PointClosed(0, 20.0, {"certificate": bad}))
    found = alarms(session, LinkReport("silent", run, heard=100.0), 107.0)
    assert [one.severity for one in found] == ["error", "error", "warning"]
    assert [one.text for one in found] == ["nothing heard for 7 s", "history invalid: the field was on", "helium 10 %"]
    session.apply(JournalEntry("alarm", 30.0, {"text": "magnet: quenched"}))
    assert "magnet: quenched" in [one.text for one in alarms(session, well, 101.0)]
    session.apply(JournalEntry("note", 2000.0, {"text": "hours later"}))
    assert "magnet: quenched" not in [one.text for one in alarms(session, well, 101.0)]


def test_the_runs_own_drift_is_kept() -> None:
    session = Session(METHODS)
    session.apply(PointOpened(0, "odmr", AXIS, SHAPE, 0.0, {"purpose": "fw", "drift": True}))
    session.apply(BlockClosed(0, 0, 10, 1, True, 1.0, "", (0.5, -0.25)))
    session.apply(BlockClosed(7, 0, 10, 1, True, 1.0, "", (0.5, -0.25)))  # of a point never heard of
    session.apply(PointClosed(0, 2.0, {}))
    assert session.points[0].shift == (0.5, -0.25)
