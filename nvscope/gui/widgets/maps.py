"""Maps of the point looked at: one tab a quantity, on a scale that fits it or that somebody has set."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, cast

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtWidgets import QTabBar

from nvscope.gui.desk import Desk
from nvscope.gui.model.picture import MapPicture, MapRequest, Mode, counts_of
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.quantities import QUANTITIES, Quantity
from nvscope.gui.model.selection import rectangle
from nvscope.gui.model.statistics import statistics
from nvscope.gui.widgets.image_plot import ImagePlot
from nvscope.gui.widgets.map_tools import MapTools
from nvscope.gui.widgets.plotting import Table, label_axis, remember
from nvscope.gui.widgets.theme import Theme, class_map, color_map, px, ui_font
from nvscope.gui.widgets.view import View

FloatArray = NDArray[np.float64]


class MapsView(View):
    """Fitted maps, region statistics, comparison with another point.

    Attributes
    ----------
    levels : dict
        Scales somebody has set, by quantity, in the unit shown.
    values : ndarray or None
        The map shown, SI.
    """

    name = "maps"
    title = "Maps"
    rest = 0.05

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.levels: dict[str, tuple[float, float]] = {}
        self.values: FloatArray | None = None
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
        row = MapTools(desk)
        self.row, self.compare, self.mode, self.region = row, row.compare, row.mode, row.region
        row.region.toggled.connect(self._toggle_region)
        row.auto.clicked.connect(self.auto_levels)
        self.body.addLayout(row)
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
        self._picture: MapPicture | None = None
        self._pictures = 0
        self._asked: Hashable = None
        self._shown: Hashable = None
        self._counted: Hashable = None
        self._outlined: Hashable = None

    @property
    def quantity(self) -> Quantity:
        """The quantity of the tab in front."""
        return QUANTITIES[self.tabs.currentIndex()]

    def choose(self, name: str) -> None:
        """Bring a quantity to the front."""
        self.tabs.setCurrentIndex([quantity.name for quantity in QUANTITIES].index(name))

    def key(self) -> Hashable:
        """Change with what is shown and with the selection."""
        header = self.desk.session.revision["header"]
        return self._data_key(), self._picture_key(), self.desk.selection_revision, header

    def _data_key(self) -> Hashable:
        """Change with what the picture is made of."""
        desk = self.desk
        point = desk.point
        number = None if point is None else point.number
        revision = desk.session.revision
        return self._subject(number), revision["maps"], revision["points"]

    def _subject(self, number: int | None) -> Hashable:
        """Change with what is asked for, whatever comes in."""
        return id(self.desk.session), number, self.desk.compared, self.tabs.currentIndex(), self.mode.currentText()

    def _picture_key(self) -> Hashable:
        """Change with what is drawn of the picture."""
        flicker = self._phase if self.mode.currentText() == "flicker" else None
        return self._pictures, flicker, tuple(self.levels.items()), self.theme.mode

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
        self._label = ""
        self._shown = None

    def draw(self) -> None:
        """Draw the map of the point looked at; the picture only if it has changed, the cursor always."""
        desk = self.desk
        point = desk.point
        data = self._data_key()
        if data != self._asked:
            self._asked = data
            self.row.refresh(point)
            self._ask(point, now=self._forced)
        if (shown := self._picture_key()) != self._shown:
            self._shown = shown
            self._draw_picture()
        self.row.sync_region()
        if (drawn := (self.run_regions(), self.plot.shape)) != self._outlined:
            self._outlined = drawn
            self.plot.set_outlines(drawn[0])
        self.plot.set_pixel_size(desk.session.pixel_size())
        self.plot.set_cursor(desk.selection.cursor if self.values is not None else None)
        self.plot.set_pins(desk.selection.pins, self.theme)
        self.plot.set_region(desk.selection.region)
        self._write(point)
        if (shown, desk.selection.region) != self._counted:
            self._counted = (shown, desk.selection.region)
            self._write_numbers()

    def _toggle_region(self, on: bool) -> None:
        self.row.toggle_region(on, self.plot.shape)

    def _ask(self, point: PointRecord | None, *, now: bool) -> None:
        """Have the picture made."""
        desk, number = self.desk, None if point is None else point.number
        sources = None if number is None else desk.session.sources(number)
        if sources is None:
            self._picture = None
            self._pictures += 1
            return
        other = None if desk.compared is None else desk.session.sources(desk.compared)
        subject = self._subject(number)

        def made(picture: MapPicture) -> None:
            if subject == self._subject(None if desk.point is None else desk.point.number):
                self._picture = picture
                self._pictures += 1

        mode = cast(Mode, self.mode.currentText())
        desk.thoughts.picture(MapRequest(self.quantity, sources, mode, other), made, now=now)

    def auto_levels(self) -> None:
        """Let the scale of this quantity follow the data again."""
        self.levels.pop(self._scale_name(), None)
        self._reach.clear()
        self._drawn = self._shown = None

    def table(self) -> Table:
        """Return the map shown, one row a pixel, in the unit shown, with its 1-σ error where there is one."""
        self.refresh(force=True)
        quantity, picture = self.quantity, self._picture
        if self.values is None or picture is None:
            return Table(("row", "column", quantity.axis), [])
        rows, columns = (np.asarray(one) for one in np.indices(self.values.shape))
        names = ["row", "column", picture.label]
        parts: list[NDArray[Any]] = [rows, columns, self.values * quantity.scale]
        if picture.errors is not None and not self._flickers():
            names.append("1-sigma error")
            parts.append(picture.errors * quantity.scale)
        return Table(tuple(names), list(zip(*(part.ravel().tolist() for part in parts), strict=True)))

    # --- pieces ----------------------------------------------------------------------------------------------------

    def _flickers(self) -> bool:
        """Whether it is the other map's turn."""
        return self._phase and self._picture is not None and self._picture.other is not None

    def _draw_picture(self) -> None:
        picture = self._picture
        self.values = None if picture is None else (picture.other if self._flickers() else picture.values)
        self.plot.image.setVisible(self.values is not None)
        self.bar.setVisible(self.values is not None)
        if picture is None or self.values is None:
            return
        quantity, label = picture.quantity, picture.label
        if picture.scheme == "classes":
            count = len(quantity.classes)
            levels = (-0.5, count - 0.5)
            colors = class_map(quantity.name)
            ticks = [(float(index), text) for index, text in enumerate(quantity.classes)]
        else:
            levels = self.levels.get(self._scale_name(), self._comparable(picture))
            colors, ticks = color_map(picture.scheme), None
        self.plot.show_array((self.values * quantity.scale).astype(np.float32), levels)
        if self.bar.colorMap() is not colors:
            self.bar.setColorMap(colors)
        axis = self.bar.getAxis("right")
        axis.setTicks(None if ticks is None else [ticks])
        axis.setWidth(px(58 if ticks is None else 104))
        self.bar.interactive = picture.scheme != "classes"
        self.bar.region.setVisible(self.bar.interactive)
        self.bar.blockSignals(True)
        self.bar.setLevels(levels)
        self.bar.blockSignals(False)
        if label != self._label:
            self._label = label
            label_axis(axis, label, self.theme)

    def _write(self, point: PointRecord | None) -> None:
        values, picture = self.values, self._picture
        if point is None or picture is None or values is None:
            why = "" if point is None else f"{point.title}: {self._why(point, self.quantity)}"
            self.readout.setText(why or "no maps yet")
            return
        point, quantity = picture.point, picture.quantity
        state = "final" if point.final else "growing"
        text = f"{point.title} · {point.sweeps} sweep{'s' if point.sweeps != 1 else ''}, {state}"
        cursor = self.desk.selection.cursor
        if cursor is not None and cursor[0] < values.shape[0] and cursor[1] < values.shape[1]:
            errors = None if self._flickers() else picture.errors
            error = float(errors[cursor]) if errors is not None else float("nan")
            value = quantity.text(float(values[cursor]), error)
            text += f' · ({cursor[1]}, {cursor[0]}): <b style="color:{self.theme.text}">{value}</b>'
        self.readout.setText(text)

    def _write_numbers(self) -> None:
        values, picture, region = self.values, self._picture, self.desk.selection.region
        if values is None or picture is None:
            self.numbers.setText("")
            return
        q = picture.quantity
        chosen = values.ravel() if region is None else values[rectangle(region, self.plot.shape)]
        where = "image" if region is None else f"region {region.right - region.left} × {region.bottom - region.top}"
        if q.scheme == "classes":
            counts = counts_of(chosen, q.classes)
            self.numbers.setText(f"{where}: " + ", ".join(f"{count} {text}" for text, count in counts.items()))
            return
        found = picture.whole if region is None and values is picture.values else statistics(chosen)
        self._tell(
            f"{where} ({found.finite} px): mean {q.number(found.mean)} · median {q.number(found.median)} · "
            f"σ {q.number(found.scatter)} · {q.number(found.low)} … {q.text(found.high)}"
        )

    def _tell(self, text: str) -> None:
        """Write the statistics; where they are cut off the mouse shows the rest."""
        self.numbers.setText(text)
        self.numbers.setToolTip(f"<p>{text}</p><p>σ: standard deviation of the pixels; then lowest and highest.</p>")

    def _comparable(self, picture: MapPicture) -> tuple[float, float]:
        """Return a picture's limits; about a centre those that hold every map of this kind seen in this run."""
        low, high = picture.limits
        if picture.scheme != "diverging":
            return low, high
        key = (id(self.desk.session), self._scale_name())
        if key not in self._reach:
            self._reach = {k: v for k, v in self._reach.items() if k[0] == key[0]}
        reach = self._reach[key] = max(self._reach.get(key, 0.0), 0.5 * (high - low))
        return picture.center - reach, picture.center + reach

    def _why(self, point: PointRecord, quantity: Quantity) -> str:
        if self.desk.session.held(point.number) is None:
            return "no maps yet"
        if quantity.name == "s_ratio":
            return "s needs a field and, above Tc, a reference map"
        return f"this point has no {quantity.label}"

    def _scale_name(self) -> str:
        return f"{self.quantity.name}{'-difference' if self.mode.currentText() == 'difference' else ''}"

    def _levels_dragged(self) -> None:
        low, high = self.bar.levels()
        self.levels[self._scale_name()] = (float(low), float(high))
