"""Starting runs from the window: forms, plans, and the process that comes of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QLineEdit
from pytestqt.qtbot import QtBot

from nvscope.cli.watch_launch import CommandLauncher
from nvscope.errors import NvscopeError
from nvscope.gui.launch import Request
from nvscope.gui.widgets.start import StartDialog
from nvscope.gui.widgets.theme import DARK
from nvscope.store.layout import list_runs
from nvscope.store.reader import RunReader

PATIENCE = 60_000


@pytest.fixture
def dialog(qtbot: QtBot) -> Iterator[StartDialog]:
    made = StartDialog(CommandLauncher(), DARK)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(made.start.isEnabled, timeout=PATIENCE)
    yield made
    made.reject()


def test_the_form_is_that_of_the_sequence(dialog: StartDialog) -> None:
    assert dialog.sequence.currentText() == "zfc-fw"
    field = dialog.edits["field"]
    assert isinstance(field, QLineEdit)
    assert field.text() == "97 G"
    assert "in G" in field.toolTip()
    names = [dialog.sequence.itemText(i) for i in range(dialog.sequence.count())]
    assert {"odmr", "find-lines", "zfc-fw"} <= set(names)
    assert dialog.rig.findText("simulated") >= 0
    assert dialog.request().settings == {}


def test_the_plan_follows_what_is_written(dialog: StartDialog, qtbot: QtBot) -> None:
    before = dialog.plan
    assert before is not None
    assert dialog.table.rowCount() == len(before.steps)
    field, temperatures = dialog.edits["field"], dialog.edits["temperatures"]
    assert isinstance(field, QLineEdit)
    assert isinstance(temperatures, QLineEdit)
    field.setText("120 G")
    temperatures.setText("40 K, 90 K")
    assert not dialog.start.isEnabled()  # nothing starts on an outdated plan
    qtbot.waitUntil(dialog.start.isEnabled, timeout=PATIENCE)
    after = dialog.plan
    assert after is not None
    assert len(after.steps) < len(before.steps)
    assert max(step.field for step in after.steps) == pytest.approx(120e-4)
    assert dialog.request().settings == {"field": "120 G", "temperatures": "40 K, 90 K"}


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("field", "97", "has no unit"),
        ("field", "9 T", "limit"),
        ("frames", "0", "frames"),
        ("base_temperature", "5 G", "K"),
    ],
)
def test_what_cannot_be_run_cannot_be_started(
    dialog: StartDialog, qtbot: QtBot, name: str, text: str, complaint: str
) -> None:
    edit = dialog.edits[name]
    assert isinstance(edit, QLineEdit)
    edit.setText(text)
    qtbot.waitUntil(lambda: dialog.plan is None and complaint in dialog.verdict.text(), timeout=PATIENCE)
    assert not dialog.start.isEnabled()
    assert dialog.table.rowCount() == 0


def test_another_sequence_has_another_form(dialog: StartDialog, qtbot: QtBot) -> None:
    dialog.sequence.setCurrentText("odmr")
    assert "field" not in dialog.edits
    assert "sweeps" in dialog.edits
    qtbot.waitUntil(dialog.start.isEnabled, timeout=PATIENCE)
    assert dialog.plan is not None
    assert len(dialog.plan.steps) == 3  # the lines, R, the map
    assert not any(isinstance(edit, QComboBox) and edit.count() == 0 for edit in dialog.edits.values())


def test_a_refused_request_starts_no_process(tmp_path: Path) -> None:
    launcher = CommandLauncher(["--runs", str(tmp_path)])
    with pytest.raises(NvscopeError, match="frames"):
        launcher.start(Request("odmr", "simulated", "s1", {"frames": "-1"}))
    assert list_runs(tmp_path) == []


@pytest.mark.timeout(300)
def test_a_run_started_from_the_form_runs(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVSCOPE_STATE", str(tmp_path / "state"))
    launcher = CommandLauncher(["--runs", str(tmp_path / "runs"), "--pixels", "16x16"])
    dialog = StartDialog(launcher, DARK)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.sequence.setCurrentText("find-lines")
    frames = dialog.edits["search_frames"]
    assert isinstance(frames, QLineEdit)
    frames.setText("1")
    dialog.note.setText("from the form")
    qtbot.waitUntil(dialog.start.isEnabled, timeout=PATIENCE)
    QTest.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(dialog.log), timeout=PATIENCE)
    assert not dialog.isVisible()
    log = Path(dialog.log)

    (process,) = launcher.processes
    qtbot.waitUntil(lambda: process.poll() is not None, timeout=3 * PATIENCE)
    assert process.returncode == 0, log.read_text(errors="replace")
    reader = RunReader(list_runs(tmp_path / "runs")[0])
    assert (reader.outcome.outcome, reader.info.sequence, reader.info.note) == ("done", "find-lines", "from the form")
    assert "done" in log.read_text(errors="replace")
    log.unlink()


def test_a_run_opens_its_own_window(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, os\n"
        "from nvscope.cli import watch_launch\n"
        "window = watch_launch.open_window()\n"
        "print(window.args[-3:], flush=True)\n"
        "try:\n"
        "    window.wait(5)\n"
        "    print('gone', window.returncode)\n"
        "except subprocess.TimeoutExpired:\n"
        "    print('open')\n"
        "    window.kill()\n"
        "    window.wait()\n"
    )
    environment = {**os.environ, "NVSCOPE_STATE": str(tmp_path), "NVSCOPE_WINDOW": str(tmp_path / "window.ini")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment)
    lines = done.stdout.splitlines()
    assert "'watch', '--process'" in lines[0]
    assert lines[1] == "open", done.stderr
