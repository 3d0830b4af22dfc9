"""Maps of the point looked at: one tab a quantity, on a scale that fits it or that somebody has set."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QTabBar, QToolButton

from nvscope.gui.desk import Desk
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.quantities import QUANTITIES, Quantity
from nvscope.gui.model.selection import RADII, Region, rectangle
from nvscope.gui.model.statistics import centered_limits, spread_limits, statistics
from nvscope.gui.widgets.image_plot import ImagePlot
from nvscope.gui.widgets.plotting import Table, remember
from nvscope.gui.widgets.theme import Theme, class_map, color_map, px, ui_font
from nvscope.gui.widgets.view import View

FloatArray = NDArray[np.float64]
_MODES = ("map", "difference", "flicker")
_SMALLEST = 0.004  # half range of s below which colours would show noise only


class MapsView(View):
    """Fitted maps, region statistics, comparison with another point."""

    name = "maps"
    title = "Maps"
    rest = 0.05

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.levels: dict[str, tuple[float, float]] = {}
        self._reach: dict[tuple[int, str], float] = {}
        self._phase = False
        self._label = ""
        self.tabs = QTabBar()
        self.tabs.setExpanding(False)
        self.tabs.setUsesScrollButtons(True)
        for index, quantity in enumerate(QUANTITIES):
            self.tabs.addTab(quantity.title)
            unit = f" Unit: {quantity.unit}." if quantity.unit else ""
            self.tabs.setTabToolTip(index, f"<p><b>{quantity.axis}</b>: {quantity.meaning}{unit}</p>")
        self.tabs.setCurrentIndex(1)
        self.tools.addWidget(self.tabs, 1)
        self._build_row()
        graphics = self.add_graphics()
        self.plot = ImagePlot(graphics, 0, 0)
        self.bar = pg.ColorBarItem(width=14, interactive=True, colorMapMenu=False, colorMap=color_map("sequential"))
        self.bar.setImageItem(self.plot.image)
        self.bar.sigLevelsChangeFinished.connect(self._levels_dragged)
        graphics.addItem(self.bar, row=0, col=1)
        self.readout = self.muted_label()
        self.body.addWidget(self.readout)
        self.numbers = self.muted_label()
        self.body.addWidget(self.numbers)
        self.plot.hovered.connect(desk.selection.move)
        self.plot.clicked.connect(desk.selection.pin)
        self.plot.region_changed.connect(desk.selection.choose)
        self._values: FloatArray | None = None
        self._errors: FloatArray | None = None
        self._data: Hashable = None
        self._counted: Hashable = None
        self._outlined: Hashable = None
        self._points: tuple[int, ...] = ()

    def _build_row(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(4)
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
        self.region.toggled.connect(self._toggle_region)
        self.radius = QComboBox()
        self.radius.addItems(["1 pixel", "3 × 3", "⌀ 5"])
        self.radius.setToolTip("What cursor and pins average over (pixels)")
        self.radius.currentIndexChanged.connect(lambda index: self.desk.selection.average(RADII[index]))
        self.auto = QToolButton()
        self.auto.setText("Auto scale")
        self.auto.setToolTip("Let the colour scale of this quantity follow the data again (A); drag the bar to set it")
        self.auto.clicked.connect(self.auto_levels)
        row.addWidget(self.compare, 1)
        row.addWidget(self.mode)
        row.addWidget(self.region)
        row.addWidget(self.radius)
        row.addWidget(self.auto)
        self.body.addLayout(row)

    @property
    def quantity(self) -> Quantity:
        """The quantity of the tab in front."""
        return QUANTITIES[self.tabs.currentIndex()]

    def choose(self, name: str) -> None:
        """Bring a quantity to the front."""
        self.tabs.setCurrentIndex([quantity.name for quantity in QUANTITIES].index(name))

    def key(self) -> Hashable:
        """Change with what is shown and with the selection."""
        return self._data_key(), self.desk.selection_revision, self.desk.session.revision["header"]

    def _data_key(self) -> Hashable:
        """Change with what is shown, whatever the cursor does."""
        desk = self.desk
        point = desk.point
        flicker = self._phase if self.mode.currentText() == "flicker" else None
        return (
            id(desk.session),
            desk.session.revision["maps"],
            desk.session.revision["points"],
            None if point is None else point.number,
            desk.compared,
            self.tabs.currentIndex(),
            self.mode.currentIndex(),
            flicker,
            tuple(self.levels.items()),
            self.theme.mode,
        )

    def flick(self) -> None:
        """Change sides while flickering."""
        self._phase = not self._phase

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        super().restyle(theme)
        self.plot.restyle(theme)
        for name in ("left", "right", "top", "bottom"):
            axis = self.bar.getAxis(name)
            axis.setPen(pg.mkPen(theme.line))
            axis.setTextPen(pg.mkPen(theme.muted))
            axis.setTickFont(ui_font(11))
            remember(axis)
        self.bar.getAxis("right").setWidth(px(58))
        self.bar.getAxis("right").enableAutoSIPrefix(False)
        self._label = ""

    def draw(self) -> None:
        """Draw the map of the point looked at; the picture only if it has changed, the cursor always."""
        desk = self.desk
        point = desk.point
        data = self._data_key()
        if data != self._data:
            self._data = data
            self._fill_compare(point)
            self._draw_picture(point)
        self._sync_region()
        if (drawn := (self.run_regions(), self.plot.shape)) != self._outlined:
            self._outlined = drawn
            self.plot.set_outlines(drawn[0])
        self.plot.set_pixel_size(desk.session.pixel_size())
        self.plot.set_cursor(desk.selection.cursor if self._values is not None else None)
        self.plot.set_pins(desk.selection.pins, self.theme)
        self.plot.set_region(desk.selection.region)
        self._write(point)
        if (data, desk.selection.region) != self._counted:
            self._counted = (data, desk.selection.region)
            self._write_numbers()

    def _draw_picture(self, point: PointRecord | None) -> None:
        desk, quantity = self.desk, self.quantity
        values = None if point is None else desk.session.map(point.number, quantity.name)
        compared = self._compared(quantity)
        mode = self.mode.currentText()
        label, scheme, center = quantity.axis, quantity.scheme, quantity.center
        if compared is not None and values is not None and compared.shape == values.shape:
            if mode == "difference":
                values, scheme, center = values - compared, "diverging", 0.0
                unit = f" ({quantity.unit})" if quantity.unit else ""
                label = f"Δ{quantity.label.split(' = ')[0]}{unit}"
            elif mode == "flicker" and self._phase:
                values = compared
        self._values = values
        named = quantity.error if point is not None and values is not None else ""
        self._errors = desk.session.map(point.number, named) if named and point is not None else None
        self._show(values, quantity, label, scheme, center)

    def auto_levels(self) -> None:
        """Let the scale of this quantity follow the data again."""
        self.levels.pop(self._scale_name(), None)
        self._reach.clear()
        self._drawn = self._data = None

    def table(self) -> Table:
        """Return the map shown, one row a pixel, in the unit shown."""
        quantity = self.quantity
        if self._values is None:
            return Table(("row", "column", quantity.axis), [])
        rows, columns = np.indices(self._values.shape)
        shown = self._values * quantity.scale
        body = zip(rows.ravel().tolist(), columns.ravel().tolist(), shown.ravel().tolist(), strict=True)
        return Table(("row", "column", self._label or quantity.axis), list(body))

    # --- pieces ----------------------------------------------------------------------------------------------------

    def _show(self, values: FloatArray | None, quantity: Quantity, label: str, scheme: str, center: float) -> None:
        self.plot.image.setVisible(values is not None)
        self.bar.setVisible(values is not None)
        if values is None:
            return
        shown = values * quantity.scale
        if scheme == "classes":
            count = len(quantity.classes)
            levels = (-0.5, count - 0.5)
            colors = class_map(quantity.name)
            ticks = [(float(index), f"{index}") for index in range(count)]
            label = f"{label}: " + ", ".join(f"{index} {text}" for index, text in enumerate(quantity.classes))
        else:
            automatic = spread_limits(shown)
            if scheme == "diverging":
                automatic = self._centered(shown, center * quantity.scale)
            levels = self.levels.get(self._scale_name(), automatic)
            colors, ticks = color_map(scheme), None
        self.plot.show_array(shown, levels)
        if self.bar.colorMap() is not colors:
            self.bar.setColorMap(colors)
        self.bar.getAxis("right").setTicks(None if ticks is None else [ticks])
        self.bar.interactive = scheme != "classes"
        self.bar.blockSignals(True)
        self.bar.setLevels(levels)
        self.bar.blockSignals(False)
        if label != self._label:
            self._label = label
            self.bar.getAxis("right").setLabel(
                "" if scheme == "classes" else label, **{"color": self.theme.text, "font-size": f"{px(11)}px"}
            )

    def _write(self, point: PointRecord | None) -> None:
        values, quantity = self._values, self.quantity
        if point is None or values is None:
            self.readout.setText("no maps yet" if point is None else f"{point.title}: {self._why(point, quantity)}")
            return
        state = "final" if point.final else "growing"
        text = f"{point.title} · {point.sweeps} sweep{'s' if point.sweeps != 1 else ''}, {state}"
        cursor = self.desk.selection.cursor
        if cursor is not None and cursor[0] < values.shape[0] and cursor[1] < values.shape[1]:
            error = float(self._errors[cursor]) if self._errors is not None else float("nan")
            value = quantity.text(float(values[cursor]), error)
            text += f' · ({cursor[1]}, {cursor[0]}): <b style="color:{self.theme.text}">{value}</b>'
        self.readout.setText(text)

    def _write_numbers(self) -> None:
        values, q, region = self._values, self.quantity, self.desk.selection.region
        if values is None:
            self.numbers.setText("")
            return
        chosen = values.ravel() if region is None else values[rectangle(region, self.plot.shape)]
        found = statistics(chosen)
        where = "image" if region is None else f"region {region.right - region.left} × {region.bottom - region.top}"
        if q.scheme == "classes":
            counts = [(text, int(np.count_nonzero(chosen == index))) for index, text in enumerate(q.classes)]
            self.numbers.setText(f"{where}: " + ", ".join(f"{count} {text}" for text, count in counts if count))
            return
        self.numbers.setText(
            f"{where} ({found.finite} px): mean {q.number(found.mean)} · median {q.number(found.median)} · "
            f"σ {q.number(found.scatter)} · {q.number(found.low)} … {q.text(found.high)}"
        )

    def _centered(self, shown: FloatArray, center: float) -> tuple[float, float]:
        """Return limits about the centre that hold every map of this kind seen in this run: maps stay comparable."""
        low, high = centered_limits(shown, center, _SMALLEST)
        key = (id(self.desk.session), self._scale_name())
        if key not in self._reach:
            self._reach = {k: v for k, v in self._reach.items() if k[0] == key[0]}
        reach = self._reach[key] = max(self._reach.get(key, 0.0), 0.5 * (high - low))
        return center - reach, center + reach

    def _why(self, point: PointRecord, quantity: Quantity) -> str:
        if self.desk.session.held(point.number) is None:
            return "no maps yet"
        if quantity.name == "s_ratio":
            return "s needs a field and, above Tc, a reference map"
        return f"this point has no {quantity.label}"

    def _compared(self, quantity: Quantity) -> FloatArray | None:
        number = self.desk.compared
        return None if number is None else self.desk.session.map(number, quantity.name)

    def _scale_name(self) -> str:
        return f"{self.quantity.name}{'-difference' if self.mode.currentText() == 'difference' else ''}"

    def _levels_dragged(self) -> None:
        low, high = self.bar.levels()
        self.levels[self._scale_name()] = (float(low), float(high))

    def _fill_compare(self, point: PointRecord | None) -> None:
        others = [record for record in self.desk.session.mapped if point is None or record.number != point.number]
        key = tuple(record.number for record in others)
        if key != self._points:
            self._points = key
            self.compare.clear()
            self.compare.addItem("compare with …", None)
            for record in others:
                self.compare.addItem(record.title, record.number)
        index = self.compare.findData(self.desk.compared) if self.desk.compared is not None else 0
        self.compare.setCurrentIndex(max(0, index))
        self.mode.setEnabled(self.desk.compared is not None)

    def _choose_compared(self, index: int) -> None:
        self.desk.compared = self.compare.itemData(index)
        if self.desk.compared is not None and self.mode.currentText() == "this map":
            self.mode.setCurrentText("difference")

    def _toggle_region(self, on: bool) -> None:
        selection = self.desk.selection
        if not on:
            selection.choose(None)
        elif selection.region is None and min(self.plot.shape) > 0:
            height, width = self.plot.shape
            row, column = selection.cursor or (height // 2, width // 2)
            half = max(1, min(height, width) // 12)
            selection.choose(Region(row - half, column - half, row + half + 1, column + half + 1))

    def _sync_region(self) -> None:
        self.region.blockSignals(True)
        self.region.setChecked(self.desk.selection.region is not None)
        self.region.blockSignals(False)
