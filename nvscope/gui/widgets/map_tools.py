"""The row of tools over a map: what it is compared with, region, what a place averages over, scale."""

from __future__ import annotations

from PySide6.QtWidgets import QComboBox, QHBoxLayout, QToolButton

from nvscope.gui.desk import Desk
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.selection import RADII, Region


class MapTools(QHBoxLayout):
    """Tools that act on the desk's selection and on which point is compared."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._points: tuple[int, ...] | None = None
        self.setSpacing(4)
        self.compare = QComboBox()
        self.compare.setToolTip("Another point to compare this one with")
        self.compare.setMinimumWidth(60)
        self.compare.activated.connect(self._choose_compared)
        self.mode = QComboBox()
        self.mode.addItems(["this map", "difference", "flicker"])
        self.mode.setToolTip("Show this point, its difference from the other, or both in turn (C, F)")
        self.region = QToolButton()
        self.region.setText("Region")
        self.region.setCheckable(True)
        self.region.setToolTip("A rectangle whose mean is followed and whose statistics are shown (R)")
        self.radius = QComboBox()
        self.radius.addItems(["1 pixel", "3 × 3", "⌀ 5"])
        self.radius.setToolTip("What cursor and pins average over (pixels)")
        self.radius.currentIndexChanged.connect(lambda index: desk.selection.average(RADII[index]))
        self.auto = QToolButton()
        self.auto.setText("Auto scale")
        self.auto.setToolTip("Let the colour scale of this quantity follow the data again (A); drag the bar to set it")
        self.addWidget(self.compare, 1)
        for widget in (self.mode, self.region, self.radius, self.auto):
            self.addWidget(widget)

    def refresh(self, point: PointRecord | None) -> None:
        """Offer the points there are."""
        others = [record for record in self._desk.session.mapped if point is None or record.number != point.number]
        key = tuple(record.number for record in others)
        if key != self._points:
            self._points = key
            self.compare.clear()
            self.compare.addItem("compare with …", None)
            for record in others:
                self.compare.addItem(record.title, record.number)
        index = self.compare.findData(self._desk.compared) if self._desk.compared is not None else 0
        self.compare.setCurrentIndex(max(0, index))
        self.mode.setEnabled(self._desk.compared is not None)

    def sync_region(self) -> None:
        """Show whether there is a region."""
        self.region.blockSignals(True)
        self.region.setChecked(self._desk.selection.region is not None)
        self.region.blockSignals(False)

    def toggle_region(self, on: bool, shape: tuple[int, int]) -> None:
        """Put a region about the cursor of an image of `shape`, or take it away."""
        selection = self._desk.selection
        if not on:
            selection.choose(None)
        elif selection.region is None and min(shape) > 0:
            height, width = shape
            row, column = selection.cursor or (height // 2, width // 2)
            half = max(1, min(height, width) // 12)
            selection.choose(Region(row - half, column - half, row + half + 1, column + half + 1))

    def _choose_compared(self, index: int) -> None:
        self._desk.compared = self.compare.itemData(index)
        if self._desk.compared is not None and self.mode.currentText() == "this map":
            self.mode.setCurrentText("difference")
