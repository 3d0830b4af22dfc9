"""What every view of the window has: a tool row, a plot, a line of text beneath, export, and redrawing when needed."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QMenu, QMessageBox, QToolButton, QVBoxLayout, QWidget

from nvscope.gui.desk import Desk
from nvscope.gui.model.curves import POLYGON_SLOTS, REGION_NAMES
from nvscope.gui.model.header import Outline
from nvscope.gui.widgets.plotting import Table, write_png, write_svg
from nvscope.gui.widgets.theme import DARK, Theme


class Canvas(pg.GraphicsLayoutWidget):
    """A canvas that knows what painting it costs.

    Attributes
    ----------
    cost : float
        Wall seconds that painting has lately taken.
    """

    cost = 0.0

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint, and take the time."""
        began = time.perf_counter()
        super().paintEvent(event)
        self.cost = max(0.8 * self.cost, time.perf_counter() - began)


class View(QWidget):
    """A view; subclasses draw.

    Parameters
    ----------
    desk : Desk
        What it shows.
    """

    name = "view"
    title = "View"
    rest = 0.0
    """Wall seconds between redraws, at least: what costs much or changes slowly need not be drawn 30 times a second."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.theme: Theme = DARK
        self._drawn: Hashable = None
        self._drawn_at = -math.inf
        self._forced = False
        outer = QVBoxLayout(self)
        outer.setContentsMargins(6, 4, 6, 4)
        outer.setSpacing(3)
        self.tools = QHBoxLayout()
        self.tools.setSpacing(4)
        outer.addLayout(self.tools)
        self.body = QVBoxLayout()
        self.body.setSpacing(3)
        outer.addLayout(self.body, 1)
        self.graphics: Any = None

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a modest size, so that docks share the window evenly."""
        return QSize(300, 240)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return a small size: docks may be made narrow."""
        return QSize(160, 120)

    def add_graphics(self) -> Any:
        """Add the canvas; returns its layout widget."""
        self.graphics = Canvas()
        self.graphics.setMinimumSize(80, 60)
        self.graphics.ci.setContentsMargins(2, 2, 2, 2)
        self.graphics.ci.setSpacing(4)
        self.body.addWidget(self.graphics, 1)
        return self.graphics

    def add_export(self) -> None:
        """Add the export button at the right of the tools."""
        button = QToolButton()
        button.setText("Export")
        button.setObjectName("quiet")
        button.setToolTip("Save this plot as PNG or SVG, or its data as CSV")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        for kind, text in (("png", "Picture (PNG) …"), ("svg", "Drawing (SVG) …"), ("csv", "Data (CSV) …")):
            menu.addAction(text).triggered.connect(lambda _=False, kind=kind: self._ask_export(kind))
        button.setMenu(menu)
        self.tools.addWidget(button)

    def muted_label(self, text: str = "") -> QLabel:
        """Return a small label for secondary text."""
        label = QLabel(text)
        label.setProperty("muted", True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        label.setMinimumWidth(10)
        return label

    def run_regions(self) -> tuple[Outline, ...]:
        """Return the run's own regions, to be drawn over an image."""
        slots = POLYGON_SLOTS
        regions = self.desk.session.regions
        return tuple(Outline(REGION_NAMES[kind], kind, v, self.theme.place(slots[kind])) for kind, v in regions.items())

    # --- what subclasses say ---------------------------------------------------------------------------------------

    def key(self) -> Hashable:
        """Return something that differs whenever the picture would."""
        raise NotImplementedError

    def draw(self) -> None:
        """Draw from the desk."""
        raise NotImplementedError

    def table(self) -> Table:
        """Return the data shown."""
        raise NotImplementedError

    def restyle(self, theme: Theme) -> None:
        """Take other colours; drawn at the next refresh."""
        self.theme = theme
        self._drawn = None
        if self.graphics is not None:
            self.graphics.setBackground(theme.panel)

    @property
    def paint_cost(self) -> float:
        """Wall seconds that painting takes once it is drawn."""
        return self.graphics.cost if isinstance(self.graphics, Canvas) else 0.0

    # --- redrawing and export --------------------------------------------------------------------------------------

    def refresh(self, *, force: bool = False) -> bool:
        """Draw if visible and anything has changed; returns whether it drew."""
        if not force and not self.isVisible():
            return False
        now = time.monotonic()
        if now - self._drawn_at < self.rest and not force:
            return False
        wanted = self.key()
        if wanted == self._drawn and not force:
            return False
        self._drawn = wanted
        self._forced = force
        self.draw()
        self._drawn_at = time.monotonic()
        return True

    def export(self, path: Path) -> None:
        """Write what is shown; the ending of `path` says how: ``.png``, ``.svg`` or ``.csv``.

        Raises
        ------
        ValueError
            If the ending is another.
        OSError
            If it cannot be written.
        """
        kind = path.suffix.lower()
        if kind == ".csv":
            self.table().write(path)
        elif kind == ".svg":
            write_svg(self.graphics, path, self.theme.panel, self.title)
        elif kind == ".png":
            write_png(self.graphics, path, self.theme.panel)
        else:
            raise ValueError(f"{path.name}: exports end in .png, .svg or .csv")

    def _ask_export(self, kind: str) -> None:
        point = self.desk.point
        stem = f"{self.desk.session.header.run or 'nvscope'}-{self.name}" + (f"-{point.number:04d}" if point else "")
        chosen, _ = QFileDialog.getSaveFileName(self, "Export", f"{stem}.{kind}", f"{kind.upper()} (*.{kind})")
        if not chosen:
            return
        path = Path(chosen)
        try:
            self.export(path if path.suffix else path.with_suffix(f".{kind}"))
        except (OSError, ValueError) as error:
            QMessageBox.warning(self, "Export", str(error))
