"""Changing how the points to come are taken, while the run goes on."""

from __future__ import annotations

import html

from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from nvscope.gui.desk import Desk
from nvscope.gui.widgets.form import ParameterForm
from nvscope.gui.widgets.theme import Theme
from nvscope.stream.control import Control, Reply


class ParametersDialog(QDialog):
    """The settings of the next point, asked of the run and sent back to it; the run refuses what its limits forbid.

    Parameters
    ----------
    desk : Desk
        Talks to the run.
    theme : Theme
        Colours.
    """

    def __init__(self, desk: Desk, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("parameters")
        self.setWindowTitle("Next point")
        self.resize(420, 520)
        self._desk = desk
        self._theme = theme
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 14, 14, 14)
        told = QLabel(
            "How points are taken from the next one on. The point being taken ends as it began; temperatures and "
            "fields belong to the protocol and stay."
        )
        told.setWordWrap(True)
        told.setProperty("muted", True)
        column.addWidget(told)
        self.form = ParameterForm(theme)
        self.form.edited.connect(self._edited)
        column.addWidget(self.form, 1)
        self.verdict = QLabel("asking the run …")
        self.verdict.setWordWrap(True)
        column.addWidget(self.verdict)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        cancel = QPushButton("Cancel")
        cancel.clicked.connect(self.reject)
        self.apply = QPushButton("Apply from the next point")
        self.apply.setProperty("primary", True)
        self.apply.setEnabled(False)
        self.apply.clicked.connect(self._apply)
        buttons.addWidget(cancel)
        buttons.addWidget(self.apply)
        column.addLayout(buttons)
        desk.talk.ask(Control("parameters"), self._fill)

    def _fill(self, reply: Reply) -> None:
        if not reply.ok:
            self._complain(reply.text)
            return
        self.verdict.setText("" if reply.parameters else "this sequence takes no points whose settings could change")
        self.form.fill(reply.parameters)

    def _edited(self) -> None:
        self.verdict.setText("")
        self.apply.setEnabled(bool(self.form.changes()))

    def _apply(self) -> None:
        self.apply.setEnabled(False)
        self._desk.talk.ask(Control("set", settings=self.form.changes()), self._applied)

    def _applied(self, reply: Reply) -> None:
        if reply.ok:
            self.accept()
        else:
            self._complain(reply.text)

    def _complain(self, why: str) -> None:
        text = html.escape(why).replace("\n", "<br>")
        self.verdict.setText(f'<span style="color:{self._theme.error}">{text}</span>')
