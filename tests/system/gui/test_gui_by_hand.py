"""Instruments by hand: the window on `nvscope live`, which holds a simulated lab that outlives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pyvisa
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from nvscope.cli.watch_launch import CommandLauncher
from nvscope.cli.watch_methods import methods
from nvscope.gui.desk import Desk
from nvscope.gui.feed import Feed
from nvscope.gui.mailbox import Mailbox
from nvscope.gui.preferences import Preferences
from nvscope.gui.window import Window

PATIENCE = 60_000


def ask(lab: Any, name: str, query: str) -> str:
    """Ask a simulated instrument directly, as somebody else's program would."""
    manager = pyvisa.ResourceManager("@py")
    address = lab.addresses[name]["address"]
    session: Any = manager.open_resource(address, read_termination="\n", write_termination="\n", timeout=5000)
    try:
        return str(session.query(query)).strip()
    finally:
        session.close()
        manager.close()


@pytest.mark.timeout(300)
def test_instruments_are_moved_by_hand_and_left_safe(
    lab: Callable[..., Any], qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVSCOPE_STATE", str(tmp_path / "state"))
    served = lab("--rig", "simulated-focus", "--pixels", "32x32")
    launcher = CommandLauncher(live_arguments=["--lab", str(served.addresses_file)])
    mailbox = Mailbox()
    window = Window(Desk(methods(), mailbox), Preferences(None), launcher)
    qtbot.addWidget(window)
    feed = Feed(mailbox)
    feed.start()
    window.show()
    log = Path(launcher.live("simulated-focus", "s1"))
    (process,) = launcher.processes
    hands, session = window.by_hand, lambda: window.desk.session
    try:
        qtbot.waitUntil(lambda: "field" in hands.edits and session().frame is not None, timeout=PATIENCE)
        assert window.docks["by-hand"].isVisible()
        assert not window.docks["maps"].isVisible()
        qtbot.waitUntil(lambda: "by hand" in window.camera.readout.text(), timeout=PATIENCE)

        def light() -> float:
            return float(session().frame[1].mean())

        def typed(name: str, text: str) -> None:
            edit = hands.edits[name]
            assert isinstance(edit, QLineEdit)
            edit.selectAll()
            QTest.keyClicks(edit, text)
            QTest.keyClick(edit, Qt.Key.Key_Return)

        dark = light()
        QTest.mouseClick(hands.switches["laser"], Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: light() > dark + 500, timeout=PATIENCE)
        bright = light()
        typed("gain", "2")
        qtbot.waitUntil(lambda: light() > 1.7 * bright, timeout=PATIENCE)
        QTest.mouseClick(hands.switches["microwave"], Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: hands.switches["microwave"].text() == "on", timeout=PATIENCE)
        assert ask(served, "microwave", "ENBR?") == "1"

        # beyond the limit nothing moves, and what was typed stays to be mended
        typed("field", "5 kG")
        qtbot.waitUntil(lambda: "limit" in hands.answer.text(), timeout=PATIENCE)
        assert hands.edits["field"].text() == "5 kG"  # type: ignore[union-attr]
        assert abs(float(ask(served, "magnet", "MEAS:CURR?"))) < 0.1
        hands.edits["field_rate"].setText("10 G/s")  # type: ignore[union-attr]
        typed("field", "150 G")
        qtbot.waitUntil(
            lambda: "field" in session().history and session().history["field"].last > 20e-4, timeout=PATIENCE
        )
        QTest.mouseClick(hands.halt, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: "stopped" in hands.answer.text(), timeout=PATIENCE)
        held = float(ask(served, "magnet", "MEAS:CURR?"))
        assert 1.5 < held < 14  # 10 G/A: stopped on the way

        # the focus: from where it is, and not beyond the rig file's limits
        typed("focus", "95 um")
        qtbot.waitUntil(lambda: "90 um" in hands.answer.text(), timeout=PATIENCE)
        typed("focus", "50 um")
        qtbot.waitUntil(lambda: "focus 50 um" in hands.answer.text(), timeout=PATIENCE)
        QTest.mouseClick(hands.nudges[1], Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: abs(session().history["focus_position"].last - 51e-6) < 0.1e-6, timeout=PATIENCE)
        assert session().history["focus_sharpness"].last > 0

        process.stdin.close()  # the window is killed: nothing is left that could say goodbye
        qtbot.waitUntil(lambda: window.desk.link.state == "ended", timeout=PATIENCE)
    finally:
        feed.stop()
        process.stdin.close()
    assert process.wait(30) == 0, log.read_text(errors="replace")
    assert "the rig is safe" in log.read_text(errors="replace")
    log.unlink()
    assert ask(served, "microwave", "ENBR?") == "0"
    assert ask(served, "laser", "l?") == "0"
    assert float(ask(served, "magnet", "MEAS:CURR?")) == pytest.approx(held, abs=0.05)
