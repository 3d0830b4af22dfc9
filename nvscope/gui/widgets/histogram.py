"""A histogram of counts with two lines to drag: the levels of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from nvscope.gui.widgets.plotting import bare, brush, dress, pen, steady
from nvscope.gui.widgets.theme import Theme, px

_BINS = 128
_MOST_PIXELS = 65536
_GIVE = 0.04
"""Part of the range of counts by which the axis is longer than it, on either side."""


class Histogram(QObject):
    """In one cell of a graphics layout; `dragged` carries the levels somebody has set, in counts."""

    dragged = Signal(float, float)

    def __init__(self, layout: Any, row: int, column: int) -> None:
        super().__init__()
        self.plot = layout.addPlot(row=row, col=column)
        bare(self.plot)
        self.plot.setMouseEnabled(x=False, y=False)
        self.plot.hideAxis("left")
        self.plot.setToolTip("Histogram of the counts; drag the lines to set the levels of the picture")
        self._curve = pg.PlotCurveItem([0, 1], [0], stepMode="center", fillLevel=0)
        self.plot.addItem(self._curve)
        self._region = pg.LinearRegionItem((0, 1), swapMode="sort")
        self._region.setZValue(10)
        self.plot.addItem(self._region, ignoreBounds=True)
        self._region.sigRegionChangeFinished.connect(self._report)
        self._quiet = False
        self._span = (0.0, 0.0)

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        self.plot.setMaximumHeight(px(60))
        dress(self.plot, theme, size=10)
        self.plot.showGrid(x=False, y=False)
        self._curve.setPen(pen(theme.muted, 1.0))
        self._curve.setBrush(brush(theme.muted, 0.45))
        self._region.setBrush(brush(theme.accent, 0.10))
        self._region.setHoverBrush(brush(theme.accent, 0.18))
        for line in self._region.lines:
            line.setPen(pen(theme.accent, 2.0))
            line.setHoverPen(pen(theme.text, 2.0))

    def show(self, image: NDArray[Any], levels: tuple[float, float]) -> None:
        """Show the histogram of an image (thinned if large) and the levels."""
        flat = image.ravel()
        few = flat[:: (flat.size // _MOST_PIXELS) | 1]  # an odd stride, which sees every column
        low, high = float(few.min()), float(few.max())
        counts, edges = np.histogram(few, _BINS, (low, high if high > low else low + 1))
        # the root shows a few bright pixels beside many dark ones
        self._curve.setData(edges, np.sqrt(counts))
        span = steady(self._span, min(low, levels[0]), max(high, levels[1]), _GIVE)
        if span != self._span:
            self._span = span
            self.plot.setXRange(*span, padding=0.0)
        self._quiet = True
        try:
            self._region.setRegion(levels)
        finally:
            self._quiet = False

    def _report(self) -> None:
        if not self._quiet:
            low, high = self._region.getRegion()
            self.dragged.emit(float(low), float(high))
