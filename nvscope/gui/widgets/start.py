"""Starting a run: choose, fill in, look at the plan, start. The run is a process of its own."""

from __future__ import annotations

import html
from collections.abc import Callable
from datetime import datetime, timedelta

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from nvscope.errors import NvscopeError
from nvscope.gui.errands import Errands, Outcome
from nvscope.gui.launch import Launcher, Plan, Request
from nvscope.gui.widgets.form import Editor, ParameterForm
from nvscope.gui.widgets.text import clock_text
from nvscope.gui.widgets.theme import Theme

_REST = 350
"""Milliseconds after the last keystroke before the plan is walked again."""
_COLUMNS = ("start", "takes", "step", "T (K)", "H (G)")


class StartDialog(QDialog):
    """The form on the left, its plan on the right; only a plan within the limits can be started.

    Parameters
    ----------
    launcher : Launcher
        What can be started.
    theme : Theme
        Colours.
    before : callable
        Frees the instruments before anything is started; called in a background thread.
    """

    def __init__(
        self,
        launcher: Launcher,
        theme: Theme,
        parent: QWidget | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(parent)
        self._before = before
        self.setObjectName("start")
        self.setWindowTitle("Start a run")
        self.resize(1000, 640)
        self.launcher = launcher
        self.theme = theme
        self.plan: Plan | None = None
        self.log = ""
        self._planned: Request | None = None
        self._errands = Errands("start")
        self._build()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REST)
        self._timer.timeout.connect(self._walk)
        self._delivery = QTimer(self)
        self._delivery.setInterval(30)
        self._delivery.timeout.connect(self._errands.deliver)
        self._delivery.start()
        self._load_choices()

    # --- building --------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        columns = QHBoxLayout(self)
        columns.setContentsMargins(14, 14, 14, 14)
        columns.setSpacing(14)
        left = QVBoxLayout()
        columns.addLayout(left, 2)
        head = QFormLayout()
        head.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        self.sequence, self.rig, self.sample = QComboBox(), QComboBox(), QComboBox()
        self.note = QLineEdit()
        self.note.setPlaceholderText("kept with the run")
        for text, widget in (("Sequence", self.sequence), ("Rig", self.rig), ("Sample", self.sample)):
            head.addRow(text, widget)
        head.addRow("Note", self.note)
        left.addLayout(head)
        self.summary = QLabel()
        self.summary.setProperty("muted", True)
        self.summary.setWordWrap(True)
        left.addWidget(self.summary)
        self.form = ParameterForm(self.theme)
        self.form.edited.connect(self._changed)
        left.addWidget(self.form, 1)
        right = QVBoxLayout()
        columns.addLayout(right, 3)
        self.verdict = QLabel()
        self.verdict.setWordWrap(True)
        right.addWidget(self.verdict)
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignRight)
        step = QTableWidgetItem(_COLUMNS[2])
        step.setTextAlignment(Qt.AlignmentFlag.AlignLeft)
        self.table.setHorizontalHeaderItem(2, step)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        right.addWidget(self.table, 1)
        buttons = QHBoxLayout()
        self.start = QPushButton("Start")
        self.start.setProperty("primary", True)
        self.start.setEnabled(False)
        self.start.clicked.connect(self._start)
        cancel = QPushButton("Cancel")
        cancel.clicked.connect(self.reject)
        self.live = QPushButton("By hand …")
        self.live.setToolTip(
            "<p>Hold this rig's instruments without a run: camera, laser, microwaves, temperature and field by hand. "
            "Closing the window makes the rig safe.</p>"
        )
        self.live.clicked.connect(self._hold)
        buttons.addWidget(self.live)
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(self.start)
        right.addLayout(buttons)

    def _load_choices(self) -> None:
        try:
            sequences = self.launcher.sequences()
            for combo, names, first in (
                (self.sequence, sequences, "zfc-fw"),
                (self.rig, self.launcher.rigs(), "simulated"),
                (self.sample, self.launcher.samples(), "s1"),
            ):
                combo.addItems(list(names))
                combo.setCurrentText(first)
        except NvscopeError as error:
            self._refuse(str(error))
            return
        self._summaries = sequences
        self.sequence.currentTextChanged.connect(self._load_fields)
        for combo in (self.rig, self.sample):
            combo.currentTextChanged.connect(self._changed)
        self._load_fields(self.sequence.currentText())

    def _load_fields(self, sequence: str) -> None:
        self.summary.setText(self._summaries.get(sequence, ""))
        try:
            self.form.fill(self.launcher.fields(sequence))
        except NvscopeError as error:
            self.form.fill(())
            self._refuse(str(error))
        self._changed()

    @property
    def edits(self) -> dict[str, Editor]:
        """The editors by the name of their parameter."""
        return self.form.edits

    # --- working ---------------------------------------------------------------------------------------------------

    def request(self) -> Request:
        """Return what the form says; parameters left as they were are left to the sequence."""
        settings = {name: text for name, text in self.form.changes().items() if text}
        return Request(
            self.sequence.currentText(), self.rig.currentText(), self.sample.currentText(), settings, self.note.text()
        )

    def _changed(self) -> None:
        self.start.setEnabled(False)
        self._timer.start()

    def _walk(self) -> None:
        request = self.request()
        self.verdict.setText("walking the plan …")

        def walked(outcome: Outcome) -> None:
            if request != self.request():
                return
            if isinstance(outcome.result, Plan):
                self._planned = request
                self._show(outcome.result)
            else:
                known = isinstance(outcome.error, NvscopeError)
                self._refuse(str(outcome.error) if known else f"{type(outcome.error).__name__}: {outcome.error}")

        self._errands.ask("plan", lambda: self.launcher.plan(request), walked)

    def _show(self, plan: Plan) -> None:
        self.plan = plan
        end = datetime.now() + timedelta(seconds=plan.duration)
        self.verdict.setText(
            f"<b>takes {clock_text(plan.duration)}, ends {end:%a %H:%M}</b> &nbsp; "
            f'<span style="color:{self.theme.muted}">{html.escape(plan.summary)}</span>'
        )
        self.table.setRowCount(len(plan.steps))
        for row, step in enumerate(plan.steps):
            texts = (
                clock_text(step.start),
                clock_text(step.duration),
                step.text,
                f"{step.temperature:.4g}",
                f"{step.field * 1e4:.4g}",
            )
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if column != 2:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, item)
        self.start.setEnabled(True)

    def _refuse(self, why: str) -> None:
        self.plan = None
        self.start.setEnabled(False)
        self.table.setRowCount(0)
        text = html.escape(why).replace("\n", "<br>")
        self.verdict.setText(f'<span style="color:{self.theme.error}">{text}</span>')

    def _start(self) -> None:
        request = self.request()
        self._launch(lambda: self.launcher.start(request))

    def _hold(self) -> None:
        rig, sample = self.rig.currentText(), self.sample.currentText()
        self._launch(lambda: self.launcher.live(rig, sample))

    def _launch(self, work: Callable[[], str]) -> None:
        """Free the instruments, start, close; or say what is wrong."""
        for button in (self.start, self.live):
            button.setEnabled(False)
        self.verdict.setText("starting …")

        def freed() -> str:
            self._before()
            return work()

        def started(outcome: Outcome) -> None:
            if outcome.error is not None:
                self._refuse(str(outcome.error))
                self.live.setEnabled(True)
                return
            self.log = str(outcome.result)
            self.accept()

        self._errands.ask("start", freed, started)

    def done(self, result: int) -> None:
        """Close; the thread ends with the dialog."""
        self._timer.stop()
        self._delivery.stop()
        self._errands.stop()
        super().done(result)
