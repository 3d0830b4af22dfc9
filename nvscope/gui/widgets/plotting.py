"""Plots in the window's style, and what they export."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QRectF, QSize
from PySide6.QtGui import QColor, QImage, QPaintDevice, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QGraphicsItem

from nvscope.gui.widgets.theme import Theme, px, ui_font, zoom

_FILLED = 0.6
"""Part of an axis that data must fill for it to stay."""


@dataclass(frozen=True)
class Table:
    """Data behind a plot: one column a header, with its unit in brackets."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]

    @staticmethod
    def of(**columns: Any) -> Table:
        """Return a table of arrays of one length."""
        names = tuple(name.replace("__", " (") + (")" if "__" in name else "") for name in columns)
        return Table(names, list(zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True)))

    def write(self, path: Path) -> None:
        """Write it as CSV."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            writer.writerows(self.rows)


def axis_text(label: str, unit: str = "") -> str:
    """Return an axis label with its unit."""
    return f"{label} ({unit})" if unit else label


def dress(plot: Any, theme: Theme, *, left: str | None = None, bottom: str | None = None, size: int = 11) -> None:
    """Give a PlotItem the theme's ink; labels are set where given."""
    font = ui_font(size)
    for name, text in (("left", left), ("bottom", bottom), ("right", None), ("top", None)):
        axis = plot.getAxis(name)
        axis.setPen(pg.mkPen(theme.line, width=1))
        axis.setTextPen(pg.mkPen(theme.muted))
        axis.setTickFont(font)
        axis.setStyle(tickLength=-5, tickTextOffset=4, autoExpandTextSpace=True)
        if text is not None:
            label_axis(axis, text, theme, size)
        remember(axis)
    plot.showGrid(x=True, y=True, alpha=0.10)
    plot.getViewBox().setBackgroundColor(None)


def label_axis(axis: Any, text: str, theme: Theme, size: int = 11) -> None:
    """Label an axis with its quantity and unit; its numbers are in that unit."""
    # pyqtgraph would go over to thousandths where numbers are below 1, even with its prefixes switched off
    axis.setSIPrefixEnableRanges(())
    axis.enableAutoSIPrefix(False)
    axis.setLabel(text, **{"color": theme.text, "font-size": f"{px(size)}px"})


def remember(axis: Any) -> None:
    """Keep an axis as pixels until it changes: its text, laid out again for every frame, cost more than the frame."""
    for item in (axis, axis.label):
        item.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)


def bare(plot: Any) -> None:
    """Take away pyqtgraph's own buttons and menus: the window has its own."""
    plot.hideButtons()
    plot.setMenuEnabled(False)


def steady(shown: tuple[float, float], low: float, high: float, give: float = 0.05) -> tuple[float, float]:
    """Return the range to show for data from `low` to `high`: `shown` while they fit and fill most of it.

    So no axis trembles with the noise, or is drawn anew for it. A new one is longer than the data by `give` of their
    range on either side.
    """
    span = high - low if high > low else 1.0
    left, right = shown
    if left <= low and high <= right and span >= _FILLED * (right - left):
        return shown
    return low - give * span, low + span + give * span


def pen(color: str, width: float = 1.5, alpha: float = 1.0, dash: Sequence[float] | None = None) -> Any:
    """Return a pen."""
    ink = QColor(color)
    ink.setAlphaF(alpha)
    made = pg.mkPen(ink, width=width * zoom())
    if dash is not None:
        made.setDashPattern(list(dash))
    return made


def brush(color: str, alpha: float = 1.0) -> Any:
    """Return a brush."""
    ink = QColor(color)
    ink.setAlphaF(alpha)
    return pg.mkBrush(ink)


def add_dots(
    plot: Any, x: NDArray[Any], y: NDArray[Any], color: str, size: float, *, alpha: float = 1.0, edge: str | None = None
) -> None:
    """Draw dots where both numbers are finite; pyqtgraph must not be given others."""
    good = np.isfinite(x) & np.isfinite(y)
    if good.any():
        around = None if edge is None else pen(edge, 1.0)
        plot.addItem(
            pg.ScatterPlotItem(x[good], y[good], size=size * zoom(), pen=around, brush=brush(color, alpha), symbol="o")
        )


def add_line(plot: Any, x: NDArray[Any], y: NDArray[Any], ink: Any) -> None:
    """Draw a line through what is finite."""
    good = np.isfinite(x) & np.isfinite(y)
    if np.count_nonzero(good) > 1:
        plot.addItem(pg.PlotCurveItem(x[good], y[good], pen=ink))


def add_bars(plot: Any, x: NDArray[Any], y: NDArray[Any], err: NDArray[Any], color: str) -> None:
    """Draw error bars of ± `err` where everything is finite."""
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(err)
    if good.any():
        ink = pen(color, 1.2, 0.7)
        plot.addItem(pg.ErrorBarItem(x=x[good], y=y[good], height=2 * err[good], beam=0.0, pen=ink))


def write_png(view: Any, path: Path, background: str, scale: float = 2.0) -> None:
    """Write a graphics view as a PNG, drawn `scale` times finer than the screen.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    image = QImage(round(view.width() * scale), round(view.height() * scale), QImage.Format.Format_RGB32)
    image.fill(QColor(background))
    _render(view, image, QRectF(image.rect()))
    if not image.save(str(path), "PNG"):  # type: ignore[call-overload]
        raise OSError(f"{path} could not be written as PNG")


def write_svg(view: Any, path: Path, background: str, title: str) -> None:
    """Write a graphics view as SVG: lines and text stay lines and text, images stay images.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setSize(QSize(view.width(), view.height()))
    generator.setViewBox(QRectF(0, 0, view.width(), view.height()))
    generator.setTitle(title)
    _render(view, generator, QRectF(0, 0, view.width(), view.height()), background)
    buffer.close()
    path.write_bytes(bytes(data.data()))


def _render(view: Any, device: QPaintDevice, target: QRectF, background: str | None = None) -> None:
    # what is kept as pixels for the screen would be pixels in a drawing too
    kept = [(item, item.cacheMode()) for item in view.scene().items()]
    for item, _ in kept:
        item.setCacheMode(QGraphicsItem.CacheMode.NoCache)
    painter = QPainter(device)
    try:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if background is not None:
            painter.fillRect(target, QColor(background))
        view.render(painter, target, view.viewport().rect())
    finally:
        painter.end()
        for item, mode in kept:
            item.setCacheMode(mode)
