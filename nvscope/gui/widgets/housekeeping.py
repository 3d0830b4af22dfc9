"""Readings of the rig against rig time, stacked on one axis."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QToolButton

from nvscope.gui.desk import Desk
from nvscope.gui.widgets.plotting import Table, bare, dress, label_axis, pen
from nvscope.gui.widgets.theme import Theme, px
from nvscope.gui.widgets.view import View


@dataclass(frozen=True)
class Channel:
    """A column of the history and how it is shown."""

    column: str
    label: str
    unit: str
    scale: float
    meaning: str

    @property
    def axis(self) -> str:
        """Label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


CHANNELS = (
    Channel("temperature", "T", "K", 1.0, "sample temperature"),
    Channel("field", "H", "G", 1e4, "applied field as the magnet reports it"),
    Channel("resistance", "R", "mΩ", 1e3, "four-probe resistance"),
    Channel("median_b_err", "δB", "G", 1e4, "median uncertainty of B over the image; the line is the target"),
    Channel("laser_power", "laser", "mW", 1e3, "laser power"),
    Channel("microwave_power_dbm", "MW", "dBm", 1.0, "microwave power"),
    Channel("helium_level", "He", "%", 100.0, "helium level"),
    Channel("focus_position", "focus", "µm", 1e6, "position of the focus drive"),
    Channel("focus_sharpness", "sharp", "10⁻³", 1e3, "sharpness of the image (Brenner's gradient): largest in focus"),
    Channel("frames_per_second", "fps", "", 1.0, "frames from the camera per second of wall time"),
    Channel("lost_frames", "lost", "", 1.0, "frames of the point that blocks were closed without"),
)
_FIRST = ("temperature", "field", "median_b_err", "frames_per_second")


class HousekeepingView(View):
    """T, H, δB, frame rate, lost frames and whatever else is recorded."""

    name = "housekeeping"
    title = "Housekeeping"
    rest = 0.3

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.state = self.muted_label()
        self.tools.addWidget(self.state, 1)
        self._buttons: dict[str, QToolButton] = {}
        for channel in CHANNELS:
            button = QToolButton()
            button.setText(channel.label)
            button.setCheckable(True)
            button.setChecked(channel.column in _FIRST)
            button.setVisible(False)
            button.setToolTip(f"Show {channel.meaning}" + (f" ({channel.unit})" if channel.unit else ""))
            self.tools.addWidget(button)
            self._buttons[channel.column] = button
        self.add_export()
        self.add_graphics()
        self._rows: list[tuple[Channel, Any, Any]] = []
        self._layout: tuple[str, ...] = ()
        self._alarmed = self._by_hand = False
        self._unit = ""

    def key(self) -> Hashable:
        """Change with readings and buttons."""
        desk = self.desk
        chosen = tuple(button.isChecked() for button in self._buttons.values())
        return id(desk.session), desk.session.revision["history"], desk.session.revision["header"], chosen

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        super().restyle(theme)
        self._layout = ()

    def draw(self) -> None:
        """Draw the series that are chosen and known."""
        history = self.desk.session.history
        known = [channel for channel in CHANNELS if len(history.get(channel.column, ())) > 0]
        for channel in CHANNELS:
            self._buttons[channel.column].setVisible(channel in known)
        lost = history.get("lost_frames")
        if not self._alarmed and lost is not None and len(lost) and lost.values.max() > 0:
            self._alarmed = True
            self._buttons["lost_frames"].setChecked(True)
        if self.desk.by_hand and not self._by_hand:
            self._by_hand = True  # by hand one looks for the focus
            self._buttons["focus_sharpness"].setChecked(True)
        chosen = [channel for channel in known if self._buttons[channel.column].isChecked()]
        self._lay_out(chosen)
        starts = [history[channel.column].times[0] for channel in chosen]
        begin = min(starts) if starts else 0.0
        ends = [history[channel.column].times[-1] for channel in chosen]
        unit, seconds = time_unit(max(ends) - begin if ends else 0.0)
        self.state.setText("" if known else "no readings yet")
        target = self.desk.session.header.target_b_err
        for index, (channel, plot, curve) in enumerate(self._rows):
            series = history[channel.column]
            curve.setData((series.times - begin) / seconds, series.values * channel.scale)
            if index == len(self._rows) - 1 and unit != self._unit:
                self._unit = unit
                label_axis(plot.getAxis("bottom"), f"rig time ({unit})", self.theme, 10)
            if plot.target is not None:
                plot.target.setVisible(math.isfinite(target))
                plot.target.setValue(target * 1e4 if math.isfinite(target) else 0.0)

    def table(self) -> Table:
        """Return every reading, one row a reading."""
        rows = []
        for channel in CHANNELS:
            series = self.desk.session.history.get(channel.column)
            if series is not None:
                shown = series.values * channel.scale
                rows += [(channel.axis, float(t), float(v)) for t, v in zip(series.times, shown, strict=True)]
        return Table(("quantity", "rig time (s)", "value"), rows)

    def _lay_out(self, chosen: list[Channel]) -> None:
        wanted = tuple(channel.column for channel in chosen)
        if wanted == self._layout:
            return
        self._layout = wanted
        self._unit = ""
        self.graphics.clear()
        self._rows = []
        for row, channel in enumerate(chosen):
            plot = self.graphics.addPlot(row=row, col=0)
            plot.target = None
            if channel.column == "median_b_err":
                plot.target = pg.InfiniteLine(angle=0, pen=pen(self.theme.good, 1.4, 0.9, [5, 3]))
                plot.addItem(plot.target)
            bare(plot)
            last = row == len(chosen) - 1
            dress(plot, self.theme, left=channel.axis, bottom="rig time (min)" if last else None, size=10)
            plot.getAxis("bottom").setStyle(showValues=last)
            plot.getAxis("left").setWidth(px(52))
            plot.getAxis("left").setTickDensity(0.6)  # low plots: few numbers, none upon another
            plot.setToolTip(f"{channel.meaning} ({channel.unit})" if channel.unit else channel.meaning)
            plot.getViewBox().setLimits(minYRange=1.0 if channel.column == "lost_frames" else 1e-6)
            if self._rows:
                plot.setXLink(self._rows[0][1])
            step = {"stepMode": "right"} if channel.column == "lost_frames" else {}
            color = self.theme.resistance if channel.column == "resistance" else self.theme.accent
            curve = pg.PlotDataItem(pen=pen(color, 1.6), connect="finite", antialias=True, **step)
            curve.setDownsampling(auto=True, method="peak")
            plot.addItem(curve)
            self._rows.append((channel, plot, curve))


def time_unit(span: float) -> tuple[str, float]:
    """Return the unit a span of seconds is best shown in, and its length in seconds."""
    if span > 3 * 3600:
        return "h", 3600.0
    return ("min", 60.0) if span > 180 else ("s", 1.0)


def newest(desk: Desk, column: str) -> float:
    """Return the newest reading of a column, NaN without any."""
    series = desk.session.history.get(column)
    return series.last if series is not None and len(series) else float(np.nan)
