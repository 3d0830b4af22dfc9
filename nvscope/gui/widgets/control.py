"""Run control: where the run is, what its history is worth so far, and what an operator may ask of it."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Hashable
from datetime import datetime, timedelta

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QSplitter,
    QToolButton,
)

from nvscope.gui.desk import Desk
from nvscope.gui.widgets.log import AnswerLabel, LogBrowser
from nvscope.gui.widgets.parameters import ParametersDialog
from nvscope.gui.widgets.plotting import Table
from nvscope.gui.widgets.text import clock_text
from nvscope.gui.widgets.view import View
from nvscope.stream.control import Verb

_VERDICT_INK = {"valid": "good", "degraded": "warning", "invalid": "error"}


class ControlView(View):
    """Steps, progress, certificate, buttons, notes."""

    name = "control"
    title = "Run control"
    rest = 0.1

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setRange(0, 1000)
        self.progress.setToolTip("Share of the planned rig time that is over")
        self.times = self.muted_label()
        self.times.setToolTip("Wall time to go at the pace so far, and when that will be")
        self.certificate = QLabel()
        self.certificate.setWordWrap(True)
        self.certificate.setToolTip(
            "<p>What the recorded temperatures and fields say about the sample's history: whether it is what the "
            "protocol claims. Computed from what was measured, never from what was commanded.</p>"
        )
        self.steps = QListWidget()
        self.steps.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.steps.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.steps.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.steps.setToolTip("Steps of the sequence, with the rig time each was planned to take")
        self.log = LogBrowser()
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.addWidget(self.steps)
        self.split.addWidget(self.log)
        self.split.setStretchFactor(0, 3)
        self.split.setStretchFactor(1, 2)
        for widget in (self.progress, self.times, self.certificate):
            self.body.addWidget(widget)
        self.body.addWidget(self.split, 1)
        self._build_buttons()
        self.answer = AnswerLabel()
        self.body.addWidget(self.answer)
        self._built: Hashable = None
        self._scrolled: Hashable = None

    def _build_buttons(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(4)
        self.pause = _button("Pause", "Pause at once: ramps stop where they are, nothing is moved; the block being "
                             "taken is repeated on resuming (Ctrl+P)")  # fmt: skip
        self.resume = _button("Resume", "Go on from the last checkpoint (Ctrl+P)")
        self.skip = _button("Skip", "Stop averaging the present point and go on with the next (Ctrl+K)")
        self.abort = _button("Abort", "Make the rig safe and end the run; what was measured is kept (Ctrl+Shift+A)")
        self.abort.setProperty("danger", True)
        self.pause.clicked.connect(lambda: self.desk.talk.say("pause"))
        self.resume.clicked.connect(lambda: self.desk.talk.say("resume"))
        self.skip.clicked.connect(self.ask_skip)
        self.abort.clicked.connect(self.ask_abort)
        self.next = _button("Next …", "How the points to come are taken: frames, sweeps, power, the target of δB "
                            "(Ctrl+E)")  # fmt: skip
        self.next.clicked.connect(self.edit_next)
        for button in (self.pause, self.resume, self.next, self.skip, self.abort):
            row.addWidget(button)
        self.body.addLayout(row)
        notes = QHBoxLayout()
        notes.setSpacing(4)
        self.note = QLineEdit()
        self.note.setPlaceholderText("note for the journal")
        self.note.setMaxLength(2000)
        self.note.setToolTip("Written into the run's journal with the rig time (Ctrl+N)")
        self.note.returnPressed.connect(self.send_note)
        self.send = QToolButton()
        self.send.setText("Write")
        self.send.clicked.connect(self.send_note)
        notes.addWidget(self.note, 1)
        notes.addWidget(self.send)
        self.body.addLayout(notes)

    # --- what the operator does ------------------------------------------------------------------------------------

    def toggle_pause(self) -> None:
        """Pause a running run, resume a paused one."""
        status = self.desk.session.status
        if status is not None and status.state in ("running", "paused"):
            self.desk.talk.say("resume" if status.state == "paused" else "pause")

    def edit_next(self) -> None:
        """Open the form with the settings of the next point."""
        ParametersDialog(self.desk, self.theme, self.window()).open()

    def ask_skip(self) -> None:
        """Skip, after asking: the point keeps a larger error for good."""
        self._confirm(
            "skip",
            "Stop averaging this point?",
            "The point is closed with the blocks it has, at a larger uncertainty than planned. This cannot be undone.",
            "Skip the rest",
        )

    def ask_abort(self) -> None:
        """Abort, after asking: a thermal history cannot be taken up again."""
        self._confirm(
            "abort",
            "Abort the run?",
            "The rig is made safe (microwaves and laser off, ramps stopped) and the run ends. What was measured is "
            "kept, but the sample's history cannot be continued.",
            "Abort the run",
        )

    def send_note(self) -> None:
        """Write the note into the journal."""
        text = self.note.text().strip()
        if text:
            self.desk.talk.say("note", text)
            self.note.clear()

    def _confirm(self, verb: Verb, question: str, cost: str, button: str) -> None:
        box = QMessageBox(self.window())
        box.setObjectName(f"confirm-{verb}")
        box.setIcon(QMessageBox.Icon.Warning)
        box.setText(question)
        box.setInformativeText(cost)
        agree = box.addButton(button, QMessageBox.ButtonRole.DestructiveRole)
        agree.setObjectName("agree")
        keep = box.addButton("Go on measuring", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)

        def answered() -> None:
            if box.clickedButton() is agree:
                self.desk.talk.say(verb, "from the window" if verb == "abort" else "")

        box.finished.connect(answered)
        # not exec(): the window must go on drawing while the operator thinks
        box.open()

    # --- drawing ---------------------------------------------------------------------------------------------------

    def key(self) -> Hashable:
        """Change with status, steps, log, points, and once a second for the clocks."""
        revision = self.desk.session.revision
        topics = tuple(revision[topic] for topic in ("status", "steps", "log", "points", "header"))
        return id(self.desk.session), topics, self.desk.talk.answer, self.desk.link.state, int(time.monotonic())

    def draw(self) -> None:
        """Draw everything."""
        session = self.desk.session
        status = session.status
        live = self.desk.link.state in ("connected", "silent", "garbage") and status is not None
        state = status.state if status is not None else ""
        self.pause.setVisible(state != "paused")
        self.resume.setVisible(state == "paused")
        self.pause.setEnabled(live and state == "running")
        self.resume.setEnabled(live and state == "paused")
        for control in (self.next, self.skip, self.abort, self.note, self.send):
            control.setEnabled(live and state in ("running", "paused"))
        over = session.outcome in ("done", "failed", "aborted")
        share = 1.0 if session.outcome == "done" else status.progress if status is not None else 0.0
        self.progress.setValue(round(1000 * share))
        self._write_times(over)
        self._write_certificate()
        self._fill_steps()
        self._show_current()
        self.log.refresh(self.desk, self.theme)
        self.answer.refresh(self.desk, self.theme)

    def table(self) -> Table:
        """Return the log."""
        rows = [(entry.rig_time, entry.kind, entry.text) for entry in self.desk.session.log]
        return Table(("rig time (s)", "kind", "text"), rows)

    def _write_times(self, over: bool) -> None:
        session, status = self.desk.session, self.desk.session.status
        if over:
            reason = f": {session.reason}" if session.reason else ""
            self.times.setText(f"{session.outcome}{reason}")
            return
        if status is None:
            self.times.setText("")
            return
        text = f"{status.progress:.0%}"
        if status.eta is not None and math.isfinite(status.eta):
            end = datetime.now() + timedelta(seconds=status.eta)
            text += f" · {clock_text(status.eta)} to go · ends {end:%H:%M}"
        self.times.setText(text)

    def _write_certificate(self) -> None:
        found = [record.certificate for record in self.desk.session.points.values() if record.certificate]
        if not found:
            self.certificate.setText("")
            self.certificate.setVisible(False)
            return
        rank = {"valid": 0, "degraded": 1, "invalid": 2}
        worst = max(found, key=lambda one: rank.get(str(one.get("verdict")), 0))
        newest = found[-1]
        shown = worst if worst.get("verdict") != "valid" else newest
        verdict = str(shown.get("verdict", "?"))
        ink = self.theme.severity(_VERDICT_INK.get(verdict, "plain"))
        protocol = html.escape(str(shown.get("protocol", "")))
        reason = html.escape(str(shown.get("reason", "")))
        count = f" ({len(found)} judged)" if len(found) > 1 else ""
        self.certificate.setVisible(True)
        self.certificate.setText(
            f'<b style="color:{ink}">History {html.escape(verdict)}</b>{count}: {protocol}, {reason}'
        )

    def _show_current(self) -> None:
        """Scroll to the step under way, again when the list has another height."""
        current = self.desk.session.steps.current
        if (looked := (self._built, self.steps.height())) != self._scrolled:
            self._scrolled = looked
            if 0 <= current < self.steps.count():
                self.steps.scrollToItem(self.steps.item(current), QAbstractItemView.ScrollHint.PositionAtCenter)

    def _fill_steps(self) -> None:
        steps = self.desk.session.steps
        key = (id(self.desk.session), self.desk.session.revision["steps"], self.theme.mode, self.desk.session.outcome)
        if key == self._built:
            return
        self._built = key
        self.steps.clear()
        over = self.desk.session.outcome == "done"
        for index, step in enumerate(steps.steps):
            current = index == steps.current and not over
            mark = "▸" if current else "✓" if index <= steps.current else "·"
            takes = f"   {clock_text(step.duration)}" if math.isfinite(step.duration) else ""
            item = QListWidgetItem(f"{mark}  {step.text}{takes}")
            item.setForeground(QColor(self.theme.text if current else self.theme.muted))
            if current:
                font = item.font()
                font.setBold(True)
                item.setFont(font)
                item.setBackground(QColor(self.theme.raised))
            item.setToolTip(step.text)
            self.steps.addItem(item)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(f"<p>{tip}</p>")
    return button
