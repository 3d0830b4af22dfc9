"""The window on a real run: simulated lab, every process, every wire."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from nvscope.cli.watch_methods import methods
from nvscope.gui.desk import Desk
from nvscope.gui.feed import Feed
from nvscope.gui.mailbox import Mailbox
from nvscope.gui.model.selection import Region
from nvscope.gui.preferences import Preferences
from nvscope.gui.widgets.parameters import ParametersDialog
from nvscope.gui.window import Window
from nvscope.store.layout import list_runs
from nvscope.store.reader import RunReader

PATIENCE = 120_000  # ms; the rig's processes share the machine with everything else


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A long map as things stand, in a process of its own."""
    monkeypatch.setenv("NVSCOPE_STATE", str(tmp_path / "state"))
    command = [
        sys.executable,
        "-m",
        "nvscope.cli",
        "run",
        "odmr",
        "--pixels",
        "32x32",
        "--runs",
        str(tmp_path / "runs"),
    ]
    settings = ["--set", "sweeps=5000", "--set", "frames=2", "--set", "search_frames=1"]
    with (tmp_path / "run.log").open("wb") as log:
        process = subprocess.Popen([*command, *settings], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        yield process
        if process.poll() is None:
            process.kill()
        process.wait(30)


@pytest.mark.timeout(600)
def test_a_run_is_watched_pinned_paused_resumed_aborted_and_replayed(
    run: subprocess.Popen[bytes], qtbot: QtBot, tmp_path: Path
) -> None:
    mailbox = Mailbox()
    window = Window(Desk(methods(), mailbox), Preferences(None))
    qtbot.addWidget(window)
    feed = Feed(mailbox, lambda info: info.pid == run.pid)
    feed.start()
    window.show()
    session = lambda: window.desk.session  # noqa: E731  (replaced when a run is found)
    try:
        qtbot.waitUntil(lambda: len(session().mapped) >= 2 and window.maps.values is not None, timeout=PATIENCE)
        assert window.header.title.text().startswith(list_runs(tmp_path / "runs")[0].name)
        point = window.desk.point
        assert point is not None
        assert point.purpose == "odmr"

        # maps change while frames come
        seen, sweeps = session().revision["maps"], session().points[point.number].sweeps
        qtbot.waitUntil(lambda: session().points[point.number].sweeps > sweeps + 1, timeout=PATIENCE)
        assert session().revision["maps"] > seen
        assert session().frame is not None

        # a click pins, and the pinned place has a spectrum that is fitted
        plot = window.maps.plot
        place = plot.box.mapViewToScene(QPointF(16.5, 15.5))
        viewport = window.maps.graphics.viewport()
        window.desk.selection.unpin_all()
        QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=window.maps.graphics.mapFromScene(place))
        qtbot.waitUntil(lambda: [(p.row, p.column) for p in window.desk.selection.pins] == [(15, 16)])
        qtbot.waitUntil(
            lambda: any(t.label == "A" and t.fit is not None for t in window.desk.spectrometer.traces), timeout=PATIENCE
        )

        # pause, note, resume
        QTest.mouseClick(window.control.pause, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: session().status is not None and session().status.state == "paused", timeout=PATIENCE)
        window.control.note.setText("paused from the window")
        QTest.keyClick(window.control.note, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: "paused from the window" in window.control.log.toPlainText(), timeout=PATIENCE)

        # a rectangle becomes the region of interest; the next point's settings are changed, the impossible refused
        window.desk.selection.choose(Region(8, 8, 24, 24))
        window.camera.send_region("roi")
        qtbot.waitUntil(lambda: "roi" in session().regions, timeout=PATIENCE)
        qtbot.waitUntil(lambda: any(t.label == "ROI" for t in window.desk.spectrometer.traces), timeout=PATIENCE)
        QTest.mouseClick(window.control.next, Qt.MouseButton.LeftButton)
        dialog = window.findChild(ParametersDialog, "parameters")
        assert isinstance(dialog, ParametersDialog)
        qtbot.waitUntil(lambda: "frames" in dialog.form.edits, timeout=PATIENCE)
        for text, answer in (("0", "frames"), ("3", "")):
            edit = dialog.form.edits["frames"]
            assert isinstance(edit, QLineEdit)
            edit.setText(text)
            QTest.mouseClick(dialog.apply, Qt.MouseButton.LeftButton)
            qtbot.waitUntil(lambda a=answer: a in dialog.verdict.text() if a else not dialog.isVisible())
        qtbot.waitUntil(lambda: "frames 2 → 3" in window.control.log.toPlainText(), timeout=PATIENCE)
        qtbot.waitUntil(lambda: window.control.resume.isVisible(), timeout=PATIENCE)
        QTest.mouseClick(window.control.resume, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: session().status.state == "running", timeout=PATIENCE)
        resumed = session().points[point.number].sweeps
        qtbot.waitUntil(
            lambda: any(r.sweeps > resumed + 1 or r.number > point.number for r in session().mapped), timeout=PATIENCE
        )

        # abort, with confirmation
        QTest.mouseClick(window.control.abort, Qt.MouseButton.LeftButton)
        box = window.findChild(QMessageBox, "confirm-abort")
        assert isinstance(box, QMessageBox)
        agree = box.findChild(QPushButton, "agree")
        assert isinstance(agree, QPushButton)
        QTest.mouseClick(agree, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: session().outcome == "aborted", timeout=PATIENCE)
        qtbot.waitUntil(lambda: window.desk.link.state == "ended", timeout=PATIENCE)
    finally:
        feed.stop()
    assert run.wait(120) == 3
    (directory,) = list_runs(tmp_path / "runs")
    reader = RunReader(directory)
    assert reader.outcome.outcome == "aborted"
    assert [line.data["text"] for line in reader.lines("note", "run")] == ["paused from the window"]
    (drawn,) = reader.lines("region", "run")
    assert drawn.data["vertices"] == [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]]

    replay = Window(Desk(methods(), None, directory), Preferences(None))
    qtbot.addWidget(replay)
    replay.show()
    assert replay.settle(120.0)
    assert "aborted" in replay.header.title.text()
    mapped = [record.number for record in replay.desk.session.mapped if record.purpose == "odmr"]
    replay.desk.show(mapped[0])
    replay.maps.choose("b_z_err")
    assert replay.settle(120.0)
    assert replay.maps.values is not None
    assert np.isfinite(replay.maps.values).mean() > 0.2
