"""The newest camera frame, with levels that stay where they are put and saturated pixels in red."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QToolButton

from nvscope.gui.desk import Desk
from nvscope.gui.model.selection import Region
from nvscope.gui.model.statistics import spread_limits
from nvscope.gui.widgets.histogram import Histogram
from nvscope.gui.widgets.image_plot import ImagePlot, nice_length
from nvscope.gui.widgets.plotting import Table
from nvscope.gui.widgets.theme import Theme, color_map
from nvscope.gui.widgets.view import View

_LEAST_DRIFT = 1e-3
"""Pixels below which there is no arrow to draw."""
_PACE = 0.15
"""Wall seconds between changes of numbers and histogram while frames come: nobody reads 30 a second."""
_RED = np.array([255, 40, 60, 255], np.uint8)


class CameraView(View):
    """Latest frame and its histogram."""

    name = "camera"
    title = "Camera"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.levels: tuple[float, float] | None = None
        self.readout = self.muted_label()
        self.tools.addStretch(1)
        self.auto = QToolButton()
        self.auto.setText("Auto levels")
        self.auto.setToolTip("Fit the grey levels to this frame (A); until then they stay as they are")
        self.auto.clicked.connect(self.auto_levels)
        self.outlines = QToolButton()
        self.outlines.setText("Outlines")
        self.outlines.setCheckable(True)
        self.outlines.setChecked(True)
        self.outlines.setToolTip("Sample, ruby, wire and leads as drawn in the loading file (O)")
        self.regions = QToolButton()
        self.regions.setText("Regions")
        self.regions.setToolTip(
            "<p>Draw a rectangle (R), then make it the run's region of interest, where δB has to reach its target, or "
            "its reference region. Written to the run's journal; both are followed in spectrum and s(T).</p>"
        )
        self.regions.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._fill_regions_menu()
        self.tools.addWidget(self.regions)
        self.tools.addWidget(self.outlines)
        self.tools.addWidget(self.auto)
        self.add_export()
        graphics = self.add_graphics()
        self.plot = ImagePlot(graphics, 0, 0)
        self.plot.image.setColorMap(color_map("light"))
        self.histogram = Histogram(graphics, 1, 0)
        self.histogram.dragged.connect(self._levels_dragged)
        self.readout.setToolTip(
            "<p>Counts under the cursor. Drift: how far the stress pattern, and with it the cell, has moved "
            "in the image since the reference map; the arrow is drawn larger by the factor beside it.</p>"
        )
        self.body.addWidget(self.readout)
        self.plot.hovered.connect(desk.selection.move)
        self.plot.clicked.connect(desk.selection.pin)
        self.plot.region_changed.connect(desk.selection.choose)
        self._outlined: Hashable = None
        self._image: NDArray[Any] | None = None
        self._levelled: tuple[float, float] | None = None
        self._saturated = 0
        self._counted: tuple[Any, ...] = (None,)
        self._told: Hashable = None
        self._told_at = -math.inf
        self._owed = False

    def _fill_regions_menu(self) -> None:
        menu = QMenu(self.regions)
        selection = self.desk.selection
        self._drawing = menu.addAction("Draw a rectangle (R)")
        self._drawing.triggered.connect(lambda: selection.choose(None if selection.region else self._default_region()))
        self._sending: list[QAction] = []
        kinds: tuple[tuple[Literal["roi", "reference"], str], ...] = (
            ("roi", "region of interest"),
            ("reference", "reference region"),
        )
        for kind, text in kinds:
            menu.addSeparator()
            make, remove = menu.addAction(f"Rectangle becomes the {text}"), menu.addAction(f"No {text}")
            make.triggered.connect(lambda _=False, kind=kind: self.send_region(kind))
            remove.triggered.connect(lambda _=False, kind=kind: self.send_region(kind, remove=True))
            self._sending += [make, remove]
        menu.aboutToShow.connect(self._prepare_regions_menu)
        self.regions.setMenu(menu)

    def _prepare_regions_menu(self) -> None:
        drawn, live = self.desk.selection.region is not None, self.desk.link.state == "connected"
        self._drawing.setText("Forget the rectangle (R)" if drawn else "Draw a rectangle (R)")
        for index, action in enumerate(self._sending):
            action.setEnabled(live and (drawn or index % 2 == 1))

    def _default_region(self) -> Region:
        height, width = self.plot.shape
        return Region(height // 3, width // 3, 2 * height // 3, 2 * width // 3)

    def send_region(self, kind: Literal["roi", "reference"], *, remove: bool = False) -> None:
        """Make the rectangle drawn one of the run's regions, or take that region away."""
        if remove:
            self.desk.talk.choose_region(kind)
        else:
            point, region = self.desk.point, self.desk.selection.region
            self.desk.talk.choose_region(kind, [] if point is None or region is None else region.corners(point.shape))
            self.desk.selection.choose(None)

    def key(self) -> Hashable:
        """Change with frames, selection, header."""
        revision = self.desk.session.revision
        return (
            id(self.desk.session),
            revision["frame"],
            revision["header"],
            revision["estimates"],
            revision["maps"],
            self.desk.spectrometer.revision,
            None if self.desk.point is None else self.desk.point.number,
            self.desk.shown,
            self.desk.selection_revision,
            self.outlines.isChecked(),
            self._owed and self._rested(),
        )

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        super().restyle(theme)
        self._image = None
        self.plot.restyle(theme)
        self.histogram.restyle(theme)

    def draw(self) -> None:
        """Draw the newest frame; of a finished run, the mean of what was recorded."""
        session, selection = self.desk.session, self.desk.selection
        found = self._picture()
        if found is None:
            self.readout.setText("no frame yet" if self.desk.live else "frames are not stored, their sums are")
            return
        image, text = found
        if image is not self._image or self.levels != self._levelled:
            self._image = image
            self._draw_picture(image)
        self.plot.set_pixel_size(session.pixel_size())
        self.plot.set_cursor(selection.cursor)
        self.plot.set_pins(selection.pins, self.theme)
        self.plot.set_region(selection.region)
        self._draw_outlines()
        asked = (selection.cursor, selection.region, id(session), self.levels, self.theme.mode)
        self._owed = not (self._forced or asked != self._told or self._rested())
        if not self._owed:
            self._told, self._told_at = asked, time.monotonic()
            self._tell(image, text)

    def _rectangle(self) -> str:
        """Say where the rectangle drawn is, by hand: as `crop` of a run takes it."""
        region = self.desk.selection.region
        if region is None or not self.desk.by_hand:
            return ""
        width, height = region.right - region.left, region.bottom - region.top
        return f" · crop = {region.left}, {region.top}, {width}, {height}"

    def _rested(self) -> bool:
        return time.monotonic() - self._told_at > _PACE

    def _tell(self, image: NDArray[Any], text: str) -> None:
        """Draw the histogram, and write what is beneath the picture."""
        if (counted := (self.levels, self.theme.mode)) != self._counted[1:] or image is not self._counted[0]:
            self._counted = (image, *counted)
            self.histogram.show(image, self.levels or (0.0, 1.0))
        if self._saturated:
            text += f' · <span style="color:{self.theme.error}">{self._saturated} saturated</span>'
        drift = self._draw_drift()
        cursor = self.desk.selection.cursor
        if cursor is not None and cursor[0] < image.shape[0] and cursor[1] < image.shape[1]:
            text += f" · {image[cursor]:.0f} counts at ({cursor[1]}, {cursor[0]})"
        self.readout.setText(text + self._rectangle() + drift)

    def auto_levels(self) -> None:
        """Fit the levels to the frame shown."""
        self.levels = None
        self._drawn = None

    def table(self) -> Table:
        """Return the image, one row a pixel."""
        found = self._picture()
        if found is None:
            return Table(("row", "column", "counts"), [])
        rows, columns = np.indices(found[0].shape)
        return Table.of(row=rows.ravel(), column=columns.ravel(), counts=found[0].ravel())

    def _picture(self) -> tuple[NDArray[Any], str] | None:
        """Return what to show and what it is."""
        session, point = self.desk.session, self.desk.point
        following = self.desk.live and self.desk.shown is None and not session.outcome
        if session.frame is not None and following:
            frame, image = session.frame
            record = session.points.get(frame.point)
            text = "by hand" if self.desk.by_hand else f"point {frame.point} · sweep {frame.sweep}"
            if frame.reference:
                text += " · microwaves off"
            elif record is not None and frame.step < len(record.frequencies):
                text += f" · {record.frequencies[frame.step] / 1e9:.4f} GHz"
            return image, text
        mean = None if point is None else self.desk.spectrometer.mean_image(point.number)
        if mean is None or point is None:
            return None
        return mean, f"point {point.number}, mean"

    def _draw_picture(self, image: NDArray[Any]) -> None:
        """Draw image, histogram and saturation: the costly part, only when they have changed."""
        if self.levels is None:
            few = image[:: max(1, image.shape[0] // 128), :: max(1, image.shape[1] // 128)]
            self.levels = spread_limits(few.astype(np.float64))
        self._levelled = self.levels
        self.plot.show_array(image, self.levels)
        self._saturated = self._mark_saturation(image, self.desk.session.saturation())

    def _mark_saturation(self, image: NDArray[Any], limit: float) -> int:
        saturated = image >= limit
        count = int(np.count_nonzero(saturated))
        self.plot.overlay.setVisible(count > 0)
        if count:
            marked = np.zeros((*image.shape, 4), np.uint8)
            marked[saturated] = _RED
            self.plot.overlay.setImage(marked, autoLevels=False, levels=(0, 255))
        return count

    def _draw_drift(self) -> str:
        """Draw how far the picture has moved, larger than life; returns it in words."""
        drift = self.desk.thoughts.drift(self.desk.point)
        if drift is None:
            self.plot.set_drift(0.0, 0.0, "")
            return ""
        length = math.hypot(drift.down, drift.right)
        if length < max(2 * drift.err, _LEAST_DRIFT):
            self.plot.set_drift(0.0, 0.0, "")
            return f" · drift below {max(2 * drift.err, 0.01):.2f} px"
        larger = max(1.0, nice_length(0.2 * max(self.plot.shape) / length))
        metres = self.desk.session.pixel_size()
        size = f"{length * metres * 1e6:.2f} µm" if math.isfinite(metres) else f"{length:.2f} px"
        self.plot.set_drift(drift.down * larger, drift.right * larger, f"drift {size} × {larger:g}")
        return (
            f" · drift {length:.2f} px, moved back" if drift.err == 0 else f" · drift {length:.2f} ± {drift.err:.2f} px"
        )

    def _draw_outlines(self) -> None:
        loading = self.desk.session.header.outlines if self.outlines.isChecked() else ()
        shown = (*loading, *self.run_regions())
        if (shown, self.plot.shape) != self._outlined:
            self._outlined = (shown, self.plot.shape)
            self.plot.set_outlines(shown)

    def _levels_dragged(self, low: float, high: float) -> None:
        self.levels = (low, high)
        self._drawn = None
