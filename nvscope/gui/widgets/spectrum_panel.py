"""One window of a sweep: spectra above, residuals beneath; what is drawn stays and takes new data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from nvscope.gui.model.traces import CURSOR, Trace
from nvscope.gui.widgets.plotting import bare, brush, dress, pen, steady
from nvscope.gui.widgets.theme import Theme, px, zoom

FloatArray = NDArray[np.float64]
_RESIDUAL_SIZE = 3.5


class SpectrumPanel:
    """Two plots in a column of a graphics layout.

    Parameters
    ----------
    layout : GraphicsLayoutWidget
    column : int
    window : tuple of float
        Lowest and highest frequency shown (Hz).
    theme : Theme
    """

    def __init__(self, layout: Any, column: int, window: tuple[float, float], theme: Theme) -> None:
        self._theme = theme
        self.window = window
        self._items: dict[tuple[Any, ...], Any] = {}
        self._used: set[tuple[Any, ...]] = set()
        self._ranges = [(0.0, 0.0), (0.0, 0.0)]
        self.upper = layout.addPlot(row=0, col=column)
        self.lower = layout.addPlot(row=1, col=column)
        self.lower.setXLink(self.upper)
        for plot, label in ((self.upper, "PL (%)"), (self.lower, "resid. (%)")):
            bare(plot)
            dress(plot, theme, left=None if column else label)
            plot.getAxis("left").setWidth(8 if column else px(52))
            if column:
                plot.getAxis("left").setStyle(showValues=False)
        self.upper.getAxis("bottom").setStyle(showValues=False)
        zero = pg.InfiniteLine(0.0, angle=0, pen=pen(theme.muted, 1.0, 0.6))
        self.lower.addItem(zero, ignoreBounds=True)
        self.move(window)

    def move(self, window: tuple[float, float]) -> None:
        """Show another stretch of frequencies (Hz)."""
        self.window = window
        self.upper.setXRange(window[0] / 1e9, window[1] / 1e9, padding=0.03)

    def show(self, traces: list[Trace], *, components: bool) -> None:
        """Draw spectra; the first is on top."""
        self._used.clear()
        for order, trace in enumerate(traces):
            self._draw(trace, len(traces) - order, components=components)
        for key in self._items.keys() - self._used:
            plot, item = self._items.pop(key)
            plot.removeItem(item)

    def reach(self, which: int, low: float, high: float) -> None:
        """Make room for values (%) in the upper (0) or lower (1) plot."""
        wanted = steady(self._ranges[which], low, high, 0.06)
        if wanted != self._ranges[which]:
            self._ranges[which] = wanted
            (self.upper, self.lower)[which].setYRange(*wanted, padding=0.0)

    def _draw(self, trace: Trace, order: int, *, components: bool) -> None:
        theme, main, level = self._theme, trace.slot == CURSOR, trace.level
        color, who, (low, high) = theme.place(trace.slot), (trace.slot, trace.label), self.window
        inside = (trace.frequencies >= low) & (trace.frequencies <= high)
        f = trace.frequencies[inside] / 1e9
        self._dots(("dots", *who), self.upper, f, 100 * trace.signal[inside] / level, color, main, order)
        fit = trace.fit
        if fit is None:
            return
        fine = (fit.frequency >= low) & (fit.frequency <= high)
        x = fit.frequency[fine] / 1e9
        for index, part in enumerate(fit.components if components and main else ()):
            self._line(("part", index), x, 100 * part[fine] / level, pen(color, 1.0, 0.6, [4, 3]), order)
        trusted = fit.status == "converged"
        ink = pen(color, 2.0 if main else 1.4) if trusted else pen(color, 1.0, 0.6, [2, 3])
        self._line(("fit", *who), x, 100 * fit.model[fine] / level, ink, order)
        if main:
            residual = 100 * (trace.signal - fit.at_data)[inside] / level
            self._dots(("residual",), self.lower, f, residual, color, False, order)

    def _dots(
        self, key: tuple[Any, ...], plot: Any, x: FloatArray, y: FloatArray, color: str, main: bool, order: int
    ) -> None:
        good = np.isfinite(x) & np.isfinite(y)  # pyqtgraph must not be given others
        item = self._item(key, plot, lambda: pg.ScatterPlotItem(pen=None, symbol="o"))
        size = (4.5 if main else _RESIDUAL_SIZE) * zoom()
        item.setData(x[good], y[good], size=size, brush=brush(color, 0.9 if main else 0.6), pen=None)
        item.setZValue(order)

    def _line(self, key: tuple[Any, ...], x: FloatArray, y: FloatArray, ink: Any, order: int) -> None:
        good = np.isfinite(x) & np.isfinite(y)
        item = self._item(key, self.upper, pg.PlotCurveItem)
        item.setData(x[good], y[good], pen=ink)
        item.setZValue(order)

    def _item(self, key: tuple[Any, ...], plot: Any, make: Any) -> Any:
        self._used.add(key)
        if key not in self._items:
            self._items[key] = plot, make()
            plot.addItem(self._items[key][1], ignoreBounds=True)  # ranges are set, not found
        return self._items[key][1]
