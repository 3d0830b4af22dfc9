"""The slider over the points of a run: replay of a finished one, a look back in one that goes on."""

from __future__ import annotations

from collections.abc import Hashable

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from nvscope.gui.desk import Desk

PLAY_INTERVAL = 600
"""Milliseconds each point is shown while playing."""


class Timeline(QWidget):
    """Slider, steps, play, and following the newest."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.setObjectName("foot")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 4, 10, 4)
        row.setSpacing(6)
        self.back = _tool("◂", "Earlier point (Left)")
        self.play = _tool("Play", "Show one point after another (Space)")
        self.play.setCheckable(True)
        self.forward = _tool("▸", "Later point (Right)")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setToolTip("Points of the run, in the order they were taken")
        self.label = QLabel()
        self.label.setMinimumWidth(230)
        self.newest = _tool("Newest", "Follow the newest point (End)")
        self.newest.setCheckable(True)
        for widget in (self.back, self.play, self.forward):
            row.addWidget(widget)
        row.addWidget(self.slider, 1)
        row.addWidget(self.label)
        row.addWidget(self.newest)
        self.back.clicked.connect(lambda: desk.look(-1))
        self.forward.clicked.connect(lambda: desk.look(+1))
        self.slider.valueChanged.connect(self._slid)
        self.newest.clicked.connect(lambda: desk.show(None))
        self._numbers: list[int] = []
        self._drawn: Hashable = None

    def advance(self) -> None:
        """Show the next point while playing; the last one ends it."""
        if not self.play.isChecked() or len(self._numbers) < 2:
            return
        point = self.desk.point
        if point is not None and point.number == self._numbers[-1]:
            self.play.setChecked(False)
            return
        self.desk.look(+1)

    def start_playing(self) -> None:
        """Play from the first point if the last is shown."""
        point = self.desk.point
        if self.play.isChecked() and self._numbers and point is not None and point.number == self._numbers[-1]:
            self.desk.show(self._numbers[0])

    def refresh(self) -> None:
        """Draw what has changed."""
        desk = self.desk
        point = desk.point
        key = (id(desk.session), desk.session.revision["points"], None if point is None else point.number, desk.shown)
        if key == self._drawn:
            return
        self._drawn = key
        self._numbers = [record.number for record in desk.session.mapped]
        for widget in (self.back, self.play, self.forward, self.slider):
            widget.setEnabled(len(self._numbers) > 1)
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, max(0, len(self._numbers) - 1))
            if point is not None and point.number in self._numbers:
                self.slider.setValue(self._numbers.index(point.number))
        self.newest.setChecked(desk.shown is None)
        self.newest.setVisible(desk.live)
        self.label.setText("no points yet" if point is None else point.title)

    def _slid(self, value: int) -> None:
        if 0 <= value < len(self._numbers):
            last = value == len(self._numbers) - 1
            self.desk.show(None if last and self.desk.live else self._numbers[value])


def _tool(text: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    return button
