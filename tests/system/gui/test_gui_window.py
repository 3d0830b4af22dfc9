"""The window itself, offscreen: what it shows, what clicks and keys do, what it remembers and writes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from pyqtgraph import AxisItem
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from nvscope.cli.watch_methods import methods
from nvscope.gui.desk import Desk
from nvscope.gui.feed import Feed
from nvscope.gui.mailbox import Mailbox
from nvscope.gui.model.quantities import QUANTITIES
from nvscope.gui.model.selection import Region
from nvscope.gui.preferences import Preferences
from nvscope.gui.widgets import theme as themes
from nvscope.gui.widgets.view import View
from nvscope.gui.window import Window, natural_zoom

Open = Callable[..., Window]


@pytest.fixture
def open_window(qtbot: QtBot, tmp_path: Path) -> Iterator[Open]:
    feeds: list[Feed] = []

    def begin(directory: Path | None = None, preferences: Preferences | None = None, **options: Any) -> Window:
        mailbox = Mailbox() if directory is None else None
        window = Window(Desk(methods(), mailbox, directory), preferences or Preferences(None), **options)
        qtbot.addWidget(window)
        if mailbox is not None:
            feed = Feed(mailbox)
            feeds.append(feed)
            feed.start()
        window.show()
        qtbot.waitExposed(window)
        return window

    yield begin
    for feed in feeds:
        feed.stop()


@pytest.fixture(scope="module")
def shared(qapp: QApplication, run_directory: Path) -> Iterator[Window]:
    """One window on the finished run for all tests that only look: opening it costs most of the time."""
    window = Window(Desk(methods(), None, run_directory), Preferences(None))
    window.show()
    assert window.settle(120.0)
    yield window
    window.close()
    window.deleteLater()


@pytest.fixture
def replay(shared: Window, qtbot: QtBot) -> Window:
    """The window as it was when opened."""
    selection = shared.desk.selection
    selection.unpin_all()
    selection.choose(None)
    selection.move(12, 12)
    shared.desk.show(None)
    shared.desk.compared = None
    shared.maps.mode.setCurrentText("this map")
    shared.maps.choose("s_ratio")
    shared.set_theme("dark")
    coldest = shared.desk.session.coldest
    assert coldest is not None
    shared.desk.pin_extremes(coldest)
    assert shared.settle(60.0)
    return shared


def at(window: Window, row: int, column: int) -> QPoint:
    """Where a pixel of the map is on its canvas."""
    plot = window.maps.plot
    scene = plot.box.mapViewToScene(QPointF(column + 0.5, row + 0.5))
    return QPoint(window.maps.graphics.mapFromScene(scene))


# --- replay --------------------------------------------------------------------------------------------------------


def test_a_finished_run_is_shown_whole(replay: Window) -> None:
    assert "0001-zfc-fw-S1-21GPa" in replay.header.title.text()
    assert "done" in replay.header.title.text()
    assert replay.maps.plot.shape == (24, 24)
    assert replay.timeline.slider.maximum() == 6
    assert "History valid" in replay.control.certificate.text()
    assert "Tc" in replay.versus.summary.text()
    assert "thermometer hesitated" in replay.control.log.toPlainText()
    assert replay.control.steps.count() == 7
    for button in (replay.control.pause, replay.control.skip, replay.control.abort, replay.control.note):
        assert not button.isEnabled()


def test_the_running_tc_is_that_of_the_run(replay: Window) -> None:
    (curve, *_) = [replay.desk.curves.ratio(place) for place in replay.desk.places()]
    found = methods().transition(curve.temperature, curve.s, curve.err, curve.common_err)
    # 1 − t⁴ collapses linearly at 80 K; the fit's forms are other ones
    assert found.tc == pytest.approx(80.0, abs=4.0)


def test_the_slider_goes_through_the_points(replay: Window) -> None:
    maps = replay.maps
    replay.timeline.slider.setValue(1)
    assert replay.settle(60.0)
    point = replay.desk.point
    assert point is not None
    assert (point.number, point.purpose) == (1, "zfc")
    assert maps.values is not None
    ring = maps.values[12, 17]
    assert ring == pytest.approx(0.95, abs=0.012)
    replay.timeline.slider.setValue(6)
    assert replay.settle(60.0)
    assert maps.values[12, 17] == pytest.approx(1.0, abs=0.012)


def test_the_scale_of_s_stays_that_of_the_strongest_map(replay: Window) -> None:
    levels = []
    for number in (1, 6):
        replay.desk.show(number)
        assert replay.settle(60.0)
        levels.append(tuple(replay.maps.bar.levels()))
    assert levels[0] == levels[1]
    assert sum(levels[0]) / 2 == pytest.approx(1.0)
    assert levels[0][0] < 0.96


def test_keys_step_through_points_and_maps(replay: Window) -> None:
    QTest.keyClick(replay, Qt.Key.Key_Left)
    assert replay.desk.point is not None
    assert replay.desk.point.number == 5
    QTest.keyClick(replay, Qt.Key.Key_Right)
    assert replay.desk.point.number == 6
    for key, name in ((Qt.Key.Key_1, "b_z"), (Qt.Key.Key_8, "b_z_err"), (Qt.Key.Key_0, "status")):
        QTest.keyClick(replay, key)
        assert replay.maps.quantity.name == name


@pytest.mark.parametrize("name", [quantity.name for quantity in QUANTITIES])
def test_every_map_can_be_shown(replay: Window, name: str) -> None:
    replay.maps.choose(name)
    replay.draw_all()
    assert replay.maps.values is not None
    assert np.isfinite(replay.maps.values).any()
    assert replay.maps.readout.text()


def test_playing_ends_at_the_last_point(replay: Window) -> None:
    replay.timeline.play.click()
    assert replay.desk.point is not None
    assert replay.desk.point.number == 0
    for _ in range(8):
        replay.timeline.advance()
        replay.draw_all()
    assert replay.desk.point.number == 6
    assert not replay.timeline.play.isChecked()


# --- cursor, pins, region ------------------------------------------------------------------------------------------


def test_the_mouse_moves_the_cursor_and_clicks_pin(replay: Window, qtbot: QtBot) -> None:
    viewport = replay.maps.graphics.viewport()
    selection = replay.desk.selection
    selection.unpin_all()
    QTest.mouseMove(viewport, at(replay, 5, 9))
    qtbot.waitUntil(lambda: selection.cursor == (5, 9))
    QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at(replay, 5, 9))
    qtbot.waitUntil(lambda: [(pin.row, pin.column) for pin in selection.pins] == [(5, 9)])
    replay.draw_all()
    assert "(9, 5)" in replay.maps.readout.text()
    assert replay.settle(60.0)
    assert [trace.label for trace in replay.desk.spectrometer.traces] == ["(9, 5)", "A"]
    fit = replay.desk.spectrometer.traces[0].fit
    assert fit is not None
    truth = 28.024951e9 * 97e-4
    assert 0.5 * (fit.lines[1] - fit.lines[0]) == pytest.approx(truth, rel=0.02)


def test_a_region_has_statistics_and_a_curve(replay: Window) -> None:
    replay.desk.show(1)
    assert replay.settle(60.0)
    replay.desk.selection.choose(Region(2, 2, 6, 8))
    assert replay.settle(60.0)
    assert replay.maps.numbers.text().startswith("region 6 × 4 (24 px): mean ")
    assert "region" in replay.versus.summary.text()
    assert replay.maps.region.isChecked()
    QTest.keyClick(replay, Qt.Key.Key_R)
    assert replay.desk.selection.region is None


def test_comparing_shows_the_difference_from_another_point(replay: Window) -> None:
    replay.desk.show(1)
    replay.desk.compared = 6
    replay.maps.mode.setCurrentText("difference")
    assert replay.settle(60.0)
    one, other = replay.desk.session.map(1, "s_ratio"), replay.desk.session.map(6, "s_ratio")
    assert one is not None
    assert other is not None
    assert replay.maps.values is not None
    np.testing.assert_array_equal(replay.maps.values, one - other)
    low, high = replay.maps.bar.levels()
    assert low == pytest.approx(-high)
    replay.maps.mode.setCurrentText("flicker")
    shown = []
    for _ in range(2):
        replay.maps.flick()
        replay.draw_all()
        shown.append(float(np.nanmean(replay.maps.values)))
    assert sorted(shown) == sorted([float(np.nanmean(one)), float(np.nanmean(other))])


# --- looks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["dark", "light"])
def test_both_themes_reach_every_corner(replay: Window, mode: themes.Mode) -> None:
    replay.set_theme(mode)
    replay.draw_all()
    image = replay.grab().toImage()
    wanted = themes.THEMES[mode]
    corners = [image.pixelColor(x, y) for x in (1, image.width() - 2) for y in (1, image.height() - 2)]
    assert {color.name() for color in corners} == {QColor(wanted.panel).name()}
    assert replay.maps.graphics.backgroundBrush().color().name() == QColor(wanted.panel).name()
    # numbers on axes stay in the unit beside them, below 1 too
    replay.maps.choose("b_z_err")
    replay.draw_all()
    replay.set_theme(mode)
    replay.draw_all()
    axes = [
        item
        for view in replay.views
        if view.graphics is not None
        for item in view.graphics.scene().items()
        if isinstance(item, AxisItem)
    ]
    assert len(axes) > 8
    assert {axis.autoSIPrefixScale for axis in axes} == {1.0}


def test_nothing_is_cut_off_at_1280_by_800(replay: Window) -> None:
    replay.resize(1280, 800)
    replay.lay_out()
    assert replay.settle(60.0)
    for button in replay.findChildren(QPushButton):
        if button.isVisible():
            assert button.width() >= button.fontMetrics().horizontalAdvance(button.text())
    for view in filter(View.isVisible, replay.views):
        assert view.width() >= 300
        assert view.height() >= 200
    tabs = replay.maps.tabs
    assert tabs.tabRect(tabs.count() - 1).right() <= tabs.width()


def test_layout_theme_and_levels_are_remembered(open_window: Open, run_directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "window.ini"
    first = open_window(run_directory, Preferences(path))
    first.set_theme("light")
    first.camera.levels = (120.0, 900.5)
    first.docks["housekeeping"].setVisible(False)
    first.resize(760, 700)  # within the screen there is offscreen
    first.close()
    second = open_window(run_directory, Preferences(path))
    assert second.theme.mode == "light"
    assert second.camera.levels == (120.0, 900.5)
    assert not second.docks["housekeeping"].isVisible()
    assert second.docks["maps"].isVisible()
    assert (second.width(), second.height()) == (760, 700)
    second.lay_out()
    assert second.docks["housekeeping"].isVisible()


@pytest.mark.parametrize("content", ["", "[General]\ngeometry=@ByteArray(nonsense)\ncamera-levels=a;b\n", "\x00\xff["])
def test_a_damaged_memory_does_no_harm(open_window: Open, run_directory: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "window.ini"
    path.write_text(content, encoding="latin-1")
    window = open_window(run_directory, Preferences(path))
    assert window.camera.levels is None
    assert window.size().width() > 600


# --- export --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["camera", "maps", "spectrum", "versus", "housekeeping"])
def test_every_plot_is_exported(replay: Window, name: str, tmp_path: Path) -> None:
    replay.draw_all()
    view = next(view for view in replay.views if view.name == name)
    for ending in ("png", "svg", "csv"):
        view.export(tmp_path / f"{name}.{ending}")
    picture = QImage(str(tmp_path / f"{name}.png"))
    assert picture.width() == 2 * view.graphics.width()
    colors = {picture.pixel(x, y) for x in range(0, picture.width(), 7) for y in range(0, picture.height(), 7)}
    assert len(colors) > 5
    assert ElementTree.parse(tmp_path / f"{name}.svg").getroot().tag.endswith("svg")
    with (tmp_path / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) > 5
    assert len({len(row) for row in rows}) == 1
    with pytest.raises(ValueError, match="pdf"):
        view.export(tmp_path / f"{name}.pdf")


def test_exported_numbers_are_those_of_the_map(replay: Window, tmp_path: Path) -> None:
    replay.maps.choose("b_z")
    replay.draw_all()
    replay.maps.export(tmp_path / "b.csv")
    with (tmp_path / "b.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["row", "column", "B (G)", "1-sigma error"]
    point = replay.desk.point
    assert point is not None
    b, b_err = (replay.desk.session.map(point.number, name) for name in ("b_z", "b_z_err"))
    assert b is not None
    assert b_err is not None
    row, column, value, error = rows[24 * 10 + 7]
    assert (int(row), int(column)) == (10, 7)
    assert float(value) == pytest.approx(b[10, 7] * 1e4, rel=1e-12)
    assert float(error) == pytest.approx(b_err[10, 7] * 1e4, rel=1e-12)


# --- live ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def live(open_window: Open, broadcast: Callable[..., Any], made_up: Any, qtbot: QtBot) -> tuple[Window, Any]:
    on_air = broadcast(type(made_up)(temperatures=(20.0,)))
    window = open_window()

    def heard() -> bool:
        on_air.status()
        return window.desk.session.status is not None

    qtbot.waitUntil(heard, timeout=20_000)
    return window, on_air


def test_frames_and_maps_appear_as_they_come(live: tuple[Window, Any], qtbot: QtBot) -> None:
    window, on_air = live
    qtbot.waitUntil(lambda: window.control.pause.isEnabled(), timeout=20_000)
    on_air.play(lambda: qtbot.wait(1))
    qtbot.waitUntil(lambda: window.maps.values is not None, timeout=20_000)
    assert window.camera.plot.shape == (24, 24)
    assert window.camera.levels is not None
    held = window.camera.levels
    bright = np.full((24, 24), 11000, np.uint16)
    bright[:3, :4] = 12000
    session = window.desk.session
    assert session.frame is not None
    on_air.send(session.frame[0], bright)
    qtbot.waitUntil(lambda: "12 saturated" in window.camera.readout.text(), timeout=20_000)
    assert window.camera.levels == held  # levels stay where they are
    assert "map (zfc) at 20 K" in window.header.step.text()


def test_pause_and_resume_are_sent(live: tuple[Window, Any], qtbot: QtBot) -> None:
    window, on_air = live
    qtbot.waitUntil(lambda: window.control.pause.isEnabled(), timeout=20_000)
    QTest.mouseClick(window.control.pause, Qt.MouseButton.LeftButton)

    def paused() -> bool:
        on_air.status()
        return window.control.resume.isVisible()

    qtbot.waitUntil(paused, timeout=20_000)
    QTest.mouseClick(window.control.resume, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: [one.verb for one in on_air.asked] == ["pause", "resume"], timeout=20_000)


@pytest.mark.parametrize(("button", "verb"), [("skip", "skip"), ("abort", "abort")])
def test_what_costs_something_is_asked_twice(live: tuple[Window, Any], qtbot: QtBot, button: str, verb: str) -> None:
    window, on_air = live
    qtbot.waitUntil(lambda: window.control.abort.isEnabled(), timeout=20_000)

    def box() -> QMessageBox:
        QTest.mouseClick(getattr(window.control, button), Qt.MouseButton.LeftButton)
        found = window.findChild(QMessageBox, f"confirm-{verb}")
        assert isinstance(found, QMessageBox)
        return found

    first = box()
    QTest.keyClick(first, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not first.isVisible())
    first.setObjectName("answered")
    second = box()
    agree = second.findChild(QPushButton, "agree")
    assert isinstance(agree, QPushButton)
    QTest.mouseClick(agree, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: [one.verb for one in on_air.asked] == [verb], timeout=20_000)


def test_a_note_is_written(live: tuple[Window, Any], qtbot: QtBot) -> None:
    window, on_air = live
    qtbot.waitUntil(lambda: window.control.note.isEnabled(), timeout=20_000)
    window.control.note.setText("  refilled <helium> & nitrogen ")
    QTest.keyClick(window.control.note, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(on_air.asked) == 1, timeout=20_000)
    assert on_air.asked[0].text == "refilled <helium> & nitrogen"
    assert window.control.note.text() == ""


def test_a_stalled_run_is_said_to_be_silent_and_the_window_lives(live: tuple[Window, Any], qtbot: QtBot) -> None:
    window, _ = live
    qtbot.waitUntil(lambda: "silent for" in window.header.title.text(), timeout=20_000)
    QTest.keyClick(window, Qt.Key.Key_T)
    assert window.theme.mode == "light"


def test_a_run_that_vanishes_is_said_to_be_gone(live: tuple[Window, Any], qtbot: QtBot) -> None:
    window, on_air = live
    on_air.close()
    qtbot.waitUntil(lambda: "gone" in window.header.title.text(), timeout=30_000)
    qtbot.waitUntil(lambda: not window.control.abort.isEnabled(), timeout=30_000)


def test_text_grows_and_shrinks(replay: Window) -> None:
    before = replay.header.title.fontMetrics().height()
    replay.set_zoom(1.6)
    assert replay.header.title.fontMetrics().height() > 1.4 * before
    replay.set_zoom(100.0)
    assert themes.zoom() == 3.0  # what still fits on a screen
    replay.set_zoom(1.0)
    assert replay.header.title.fontMetrics().height() == before
    assert (natural_zoom(1080), natural_zoom(2160)) == (1.0, pytest.approx(1.75, abs=0.01))
