"""s(T) of pinned places above R(T) on one temperature axis, with running estimates of Tc: figure 2c,d of the paper."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtWidgets import QLabel, QToolButton

from nvscope.gui.desk import Desk
from nvscope.gui.model.curves import RatioCurve
from nvscope.gui.model.methods import CriticalTemperature
from nvscope.gui.widgets.plotting import Table, add_bars, add_dots, add_line, bare, brush, dress, pen
from nvscope.gui.widgets.theme import Theme, px
from nvscope.gui.widgets.view import View

FloatArray = NDArray[np.float64]


class VersusView(View):
    """s(T) and R(T), growing as points come."""

    name = "versus"
    title = "Versus T"
    rest = 0.3

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.state = self.muted_label()
        self.tools.addWidget(self.state, 1)
        self.extremes = QToolButton()
        self.extremes.setText("Pin extremes")
        self.extremes.setToolTip("Pin the most suppressed and the most enhanced place of the map shown (E)")
        self.extremes.clicked.connect(lambda: desk.pin_extremes())
        self.tools.addWidget(self.extremes)
        self.add_export()
        graphics = self.add_graphics()
        self.above = graphics.addPlot(row=0, col=0)
        self.below = graphics.addPlot(row=1, col=0)
        self.below.setXLink(self.above)
        for plot in (self.above, self.below):
            bare(plot)
        graphics.ci.layout.setRowStretchFactor(0, 3)
        graphics.ci.layout.setRowStretchFactor(1, 2)
        self.summary = QLabel()
        self.summary.setProperty("muted", True)
        self.summary.setWordWrap(True)
        self.summary.setToolTip(
            "<p>Tc is where s(T) merges with 1, fitted as in the report and refined with every point; the onset is "
            "where R(T) leaves its normal state. Error bars are 1 σ and scatter from point to point; the reference "
            "adds a share common to all of them.</p>"
        )
        self.body.addWidget(self.summary)
        self._curves: list[RatioCurve] = []
        self._resistance: tuple[FloatArray, FloatArray, FloatArray] = (np.empty(0),) * 3

    def key(self) -> Hashable:
        """Change with points, maps, selection."""
        desk = self.desk
        revision = desk.session.revision
        point = desk.point
        return (
            id(desk.session),
            revision["points"],
            revision["maps"],
            revision["estimates"],
            desk.selection_revision,
            None if point is None else point.number,
        )

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        super().restyle(theme)
        for plot in (self.above, self.below):
            plot.getAxis("left").setWidth(px(58))
        dress(self.above, theme, left="s = B / B(T > Tc)")
        self.above.getAxis("bottom").setStyle(showValues=False)
        dress(self.below, theme, left="R (mΩ)", bottom="temperature (K)")

    def draw(self) -> None:
        """Draw what there is."""
        desk = self.desk
        self._curves = [desk.curves.ratio(place) for place in desk.places()]
        self._resistance = desk.curves.resistance()
        self.above.clear()
        self.below.clear()
        one = pg.InfiniteLine(1.0, angle=0, pen=pen(self.theme.muted, 1.0, 0.7, [4, 4]))
        self.above.addItem(one, ignoreBounds=True)
        self._mark_point()
        parts = []
        for curve in self._curves:
            text = self._draw_curve(curve)
            color = self.theme.place(curve.place.slot)
            parts.append(f'<b style="color:{color}">{curve.place.label}</b> {text}')
        parts.append(self._draw_resistance())
        self.summary.setText(" &nbsp;·&nbsp; ".join(part for part in parts if part))
        count = len({number for curve in self._curves for number in curve.points})
        if not self._curves:
            self.state.setText("click a map to pin a place")
        else:
            self.state.setText(f"{count} temperature{'s' if count != 1 else ''}")

    def table(self) -> Table:
        """Return every curve, one row a temperature and place."""
        rows: list[tuple[object, ...]] = []
        for curve in self._curves:
            values = zip(curve.points, curve.temperature, curve.s, curve.err, strict=True)
            rows += [(curve.place.label, n, float(t), float(s), float(e), curve.common_err) for n, t, s, e in values]
        t, r, err = self._resistance
        rows += [("R", "", float(a), float(b), float(c), "") for a, b, c in zip(t, r, err, strict=True)]
        columns = ("place", "point", "T (K)", "s, or R (ohm)", "1-sigma error", "error common to the curve")
        return Table(columns, rows)

    # --- pieces ----------------------------------------------------------------------------------------------------

    def _draw_curve(self, curve: RatioCurve) -> str:
        color = self.theme.place(curve.place.slot)
        good = np.isfinite(curve.s) & np.isfinite(curve.err)
        t, s, err = curve.temperature[good], curve.s[good], curve.err[good]
        if not t.size:
            return "no temperature yet"
        add_bars(self.above, t, s, err, color)
        add_dots(self.above, t, s, color, 7, edge=self.theme.panel)
        transition = self.desk.session.methods.transition
        found = self.desk.thoughts.estimate(
            ("tc", curve.place.key),
            (curve.points, s.tobytes(), err.tobytes()),
            lambda: transition(t.copy(), s.copy(), err.copy(), curve.common_err),
        )
        if found is None:
            add_line(self.above, t, s, pen(color, 1.0, 0.4))
            return "…"
        if found.curve.size:
            add_line(self.above, found.temperature, found.curve, pen(color, 1.8))
        else:
            add_line(self.above, t, s, pen(color, 1.0, 0.5))
        self._mark_tc(self.above, found, color)
        return found.note

    def _draw_resistance(self) -> str:
        t, r, err = self._resistance
        if not t.size:
            return ""
        color = self.theme.resistance
        shown, shown_err = 1e3 * r, 1e3 * err
        add_bars(self.below, t, shown, shown_err, color)
        add_line(self.below, t, shown, pen(color, 1.2, 0.7))
        add_dots(self.below, t, shown, color, 6, edge=self.theme.panel)
        onset = self.desk.session.methods.onset
        found = self.desk.thoughts.estimate(
            "onset", (t.tobytes(), r.tobytes()), lambda: onset(t.copy(), r.copy(), err.copy())
        )
        if found is None:
            return ""
        self._mark_tc(self.below, found, color)
        return f'<b style="color:{color}">R</b> {found.note}'

    def _mark_tc(self, plot: Any, found: CriticalTemperature, color: str) -> None:
        if not np.isfinite(found.tc):
            return
        line = pg.InfiniteLine(found.tc, angle=90, pen=pen(color, 1.2, 0.8, [5, 4]))
        plot.addItem(line, ignoreBounds=True)
        if np.isfinite(found.tc_err):
            span = (found.tc - found.tc_err, found.tc + found.tc_err)
            band = pg.LinearRegionItem(span, movable=False, brush=brush(color, 0.12), pen=pen(color, 0.0, 0.0))
            band.setZValue(-10)
            plot.addItem(band, ignoreBounds=True)

    def _mark_point(self) -> None:
        point = self.desk.point
        if point is None or not np.isfinite(point.temperature):
            return
        for plot in (self.above, self.below):
            line = pg.InfiniteLine(point.temperature, angle=90, pen=pen(self.theme.muted, 6.0, 0.18))
            line.setZValue(-20)
            plot.addItem(line, ignoreBounds=True)
