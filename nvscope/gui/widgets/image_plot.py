"""An image with what both camera and maps draw on it: cursor, pins, region, outlines, scale bar."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QPointF, Qt, Signal
from PySide6.QtGui import QPen
from PySide6.QtWidgets import QGraphicsRectItem

from nvscope.gui.model.header import Outline
from nvscope.gui.model.selection import Pin, Region
from nvscope.gui.widgets.plotting import brush, pen
from nvscope.gui.widgets.theme import Theme, px, ui_font

_OUTLINE_DASH: dict[str, Sequence[float] | None] = {"sample": None, "reference": [2, 3]}
_SHADOW = "#000000"


class ImagePlot(QObject):
    """One image in a graphics layout, row 0 at the top.

    Signals carry (row, column) of the pixel under the mouse.
    """

    hovered = Signal(int, int)
    clicked = Signal(int, int)
    region_changed = Signal(object)

    def __init__(self, layout: Any, row: int, column: int) -> None:
        super().__init__()
        self._shape = (0, 0)
        self.box = layout.addViewBox(row=row, col=column, lockAspect=True, invertY=True, enableMenu=False)
        self.box.setDefaultPadding(0.01)
        self._blank = QGraphicsRectItem()
        self._blank.setPen(QPen(Qt.PenStyle.NoPen))
        self._blank.setZValue(-1)
        self.box.addItem(self._blank, ignoreBounds=True)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.overlay = pg.ImageItem(axisOrder="row-major")
        self.overlay.setZValue(5)
        self._across = pg.PlotCurveItem()
        self._down = pg.PlotCurveItem()
        self._pins = pg.ScatterPlotItem(pxMode=True)
        self._labels: list[Any] = []
        self._pinned: Hashable = None
        self._outlines: list[Any] = []
        self._bar = pg.PlotCurveItem()
        self._bar_shadow = pg.PlotCurveItem()
        self._bar_text = pg.TextItem(anchor=(0.5, 1.0))
        self._arrow, self._arrow_shadow = pg.PlotCurveItem(), pg.PlotCurveItem()
        self._arrow_text = pg.TextItem(anchor=(1.0, 0.0))
        self._roi = pg.RectROI([0, 0], [4, 4], movable=True, resizable=True, rotatable=False)
        self._roi.setVisible(False)
        self._pixel = math.nan
        self._quiet = False
        self._drift: Hashable = None
        self._crossed: Hashable = None
        for order, item in enumerate(
            (self.image, self.overlay, self._bar_shadow, self._bar, self._across, self._down, self._pins)
        ):
            item.setZValue(order)
            self.box.addItem(item)
        for item in (self._arrow_shadow, self._arrow, self._arrow_text):
            item.setZValue(7)
            self.box.addItem(item, ignoreBounds=True)
        self.set_drift(0.0, 0.0, "")
        self._bar_text.setZValue(8)
        self.box.addItem(self._bar_text, ignoreBounds=True)
        self.box.addItem(self._roi, ignoreBounds=True)
        self._roi.setZValue(9)
        self._roi.sigRegionChangeFinished.connect(self._report_region)
        scene = self.box.scene()
        scene.sigMouseMoved.connect(self._moved)
        scene.sigMouseClicked.connect(self._click)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (y, x) of the image shown."""
        return self._shape

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        self._blank.setBrush(brush(theme.blank))  # what is not measured must not look like a value
        for line in (self._across, self._down):
            line.setPen(pen("#ffffff", 1.0, 0.75))
            line.setShadowPen(pen(_SHADOW, 2.6, 0.35))  # seen on white too, the middle of a diverging scale
        self._roi.setPen(pen("#ffffff", 1.6))
        self._roi.hoverPen = pen(theme.accent, 1.8)
        for handle in self._roi.getHandles():
            handle.pen = pen("#ffffff", 1.4)
            handle.currentPen = handle.pen
        self._arrow.setPen(pen("#ffffff", 2.0))
        self._arrow_shadow.setPen(pen(_SHADOW, 4.5, 0.5))
        self._bar.setPen(pen("#ffffff", 4.0))
        self._bar_shadow.setPen(pen(_SHADOW, 6.0, 0.6))

    def show_array(self, array: NDArray[Any], levels: tuple[float, float]) -> None:
        """Show an image."""
        self.image.setImage(array, autoLevels=False, levels=levels)
        shape = (int(array.shape[0]), int(array.shape[1]))
        if shape != self._shape:
            self._shape = shape
            self._blank.setRect(0, 0, shape[1], shape[0])
            self.reset()
            self._place_bar()

    def reset(self) -> None:
        """Show the whole image."""
        height, width = self._shape
        if height and width:
            self.box.setRange(xRange=(0, width), yRange=(0, height), padding=0.01)

    def set_pixel_size(self, metres: float) -> None:
        """Set the scale of the bar."""
        if metres != self._pixel and not (math.isnan(metres) and math.isnan(self._pixel)):
            self._pixel = metres
            self._place_bar()

    def set_cursor(self, cursor: tuple[int, int] | None) -> None:
        """Move the cross."""
        if (crossed := (cursor, self._shape)) == self._crossed:
            return
        self._crossed = crossed
        for line in (self._across, self._down):
            line.setVisible(cursor is not None)
        if cursor is not None:
            height, width = self._shape
            self._across.setData([0, width], [cursor[0] + 0.5] * 2)
            self._down.setData([cursor[1] + 0.5] * 2, [0, height])

    def set_pins(self, pins: Sequence[Pin], theme: Theme) -> None:
        """Draw the pins with their letters."""
        if (drawn := (tuple(pins), theme.mode, px(100))) == self._pinned:
            return
        self._pinned = drawn
        for label in self._labels:
            self.box.removeItem(label)
        self._labels.clear()
        spots = []
        for pin in pins:
            color = theme.place(pin.slot)
            spots.append(
                {
                    "pos": (pin.column + 0.5, pin.row + 0.5),
                    "size": px(11),
                    "pen": pen("#ffffff", 1.6),
                    "brush": brush(color),
                    "symbol": "o",
                }
            )
            label = pg.TextItem(pin.label, color="#ffffff", anchor=(-0.35, 0.5), fill=brush(color, 0.85))
            label.setFont(ui_font(11, bold=True))
            label.setPos(pin.column + 0.5, pin.row + 0.5)
            label.setZValue(8)
            self.box.addItem(label, ignoreBounds=True)
            self._labels.append(label)
        self._pins.setData(spots)

    def set_outlines(self, outlines: Sequence[Outline]) -> None:
        """Draw the polygons of the loading."""
        for item in self._outlines:
            self.box.removeItem(item)
        self._outlines.clear()
        height, width = self._shape
        for outline in outlines if min(self._shape) else ():
            closed = np.array([*outline.vertices, outline.vertices[0]]) * (width, height)
            ink = outline.color or "#ffffff"
            for color, thick, alpha in ((_SHADOW, 3.0, 0.35), (ink, 1.8 if outline.color else 1.2, 0.85)):
                dash = _OUTLINE_DASH.get(outline.kind, [5, 3]) if color != _SHADOW else None
                item = pg.PlotCurveItem(closed[:, 0], closed[:, 1], pen=pen(color, thick, alpha, dash))
                item.setZValue(3)
                self.box.addItem(item, ignoreBounds=True)
                self._outlines.append(item)
            own = bool(outline.color)  # the operator's regions are named at a corner: their middle is what one looks at
            middle = closed[:-1].mean(axis=0)
            # a label reaches inwards from the edge of the image, so that it is not cut off there
            anchor = tuple(0.0 if part < 0.1 else 1.0 if part > 0.9 else 0.5 for part in middle / (width, height))
            fill = brush(ink, 0.85) if own else brush(_SHADOW, 0.3)
            name = pg.TextItem(outline.name, color="#ffffff", anchor=(0, 0) if own else anchor, fill=fill)
            name.setFont(ui_font(9))
            name.textItem.document().setDocumentMargin(1)
            name.setPos(*(closed.min(axis=0) if own else middle))
            name.setZValue(4)
            self.box.addItem(name, ignoreBounds=True)
            self._outlines.append(name)

    def set_drift(self, down: float, right: float, text: str) -> None:
        """Draw an arrow from the middle, this far (pixels), with a text beside it; an empty text takes it away."""
        height, width = self._shape
        if (drift := (down, right, text, self._shape, px(100))) == self._drift:
            return
        self._drift = drift
        shown = bool(text) and min(self._shape) > 0
        for item in (self._arrow, self._arrow_shadow, self._arrow_text):
            item.setVisible(shown)
        if not shown:
            return
        y, x = height / 2, width / 2
        length = max(math.hypot(down, right), 1e-9)
        head = min(0.3 * length, 0.05 * width)
        along, across = (right / length, down / length), (-down / length, right / length)
        tip = (x + right, y + down)
        wings = [
            (tip[0] - head * (along[0] + side * 0.6 * across[0]), tip[1] - head * (along[1] + side * 0.6 * across[1]))
            for side in (1, -1)
        ]
        path = np.array([(x, y), tip, wings[0], tip, wings[1]])
        for item in (self._arrow_shadow, self._arrow):
            item.setData(path[:, 0], path[:, 1])
        self._arrow_text.setHtml(f'<span style="{_label_style()}">&nbsp;{text}&nbsp;</span>')
        self._arrow_text.setPos(0.99 * width, 0.01 * height)

    def set_region(self, region: Region | None) -> None:
        """Draw the region, or take it away."""
        self._quiet = True
        try:
            self._roi.setVisible(region is not None)
            if region is not None:
                self._roi.setPos([region.left, region.top], finish=False)
                self._roi.setSize([region.right - region.left, region.bottom - region.top], finish=False)
        finally:
            self._quiet = False

    def _report_region(self) -> None:
        if self._quiet:
            return
        corner, size = self._roi.pos(), self._roi.size()
        left, top = round(corner.x()), round(corner.y())
        self.region_changed.emit(
            Region(top, left, max(top + 1, round(corner.y() + size.y())), max(left + 1, round(corner.x() + size.x())))
        )

    def _place_bar(self) -> None:
        height, width = self._shape
        known = math.isfinite(self._pixel) and self._pixel > 0 and width > 0
        for item in (self._bar, self._bar_shadow, self._bar_text):
            item.setVisible(known)
        if not known:
            return
        length = nice_length(0.25 * width * self._pixel)
        pixels = length / self._pixel
        left, bottom = width * 0.04, height * 0.955
        for item in (self._bar, self._bar_shadow):
            item.setData([left, left + pixels], [bottom, bottom])
        self._bar_text.setHtml(f'<span style="{_label_style()}">&nbsp;{length * 1e6:g} µm&nbsp;</span>')
        self._bar_text.setPos(left + pixels / 2, bottom - 0.01 * height)

    def _pixel_at(self, position: QPointF) -> tuple[int, int] | None:
        if not self.box.sceneBoundingRect().contains(position):
            return None
        point = self.box.mapSceneToView(position)
        row, column = math.floor(point.y()), math.floor(point.x())
        inside = 0 <= row < self._shape[0] and 0 <= column < self._shape[1]
        return (row, column) if inside else None

    def _moved(self, position: QPointF) -> None:
        pixel = self._pixel_at(position)
        if pixel is not None:
            self.hovered.emit(*pixel)

    def _click(self, event: Any) -> None:
        pixel = self._pixel_at(event.scenePos())
        if pixel is not None and event.button() == Qt.MouseButton.LeftButton and not event.isAccepted():
            self.clicked.emit(*pixel)


def _label_style() -> str:
    return f"color:#ffffff;background:rgba(0,0,0,185);font-size:{px(12)}px"


def nice_length(most: float) -> float:
    """Return the longest 1, 2 or 5 times a power of ten that is at most `most`."""
    decade = 10.0 ** math.floor(math.log10(most))
    return max(step * decade for step in (1.0, 2.0, 5.0) if step * decade <= most * (1 + 1e-9))
