"""Where the views are: docks around a header and a slider, another arrangement for instruments held by hand."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow, QToolBar, QWidget

from nvscope.gui.preferences import VERSION
from nvscope.gui.widgets.view import View

_BY_HAND = ("camera", "housekeeping", "by-hand")
_FEATURES = (
    QDockWidget.DockWidgetFeature.DockWidgetMovable
    | QDockWidget.DockWidgetFeature.DockWidgetFloatable
    | QDockWidget.DockWidgetFeature.DockWidgetClosable
)


class Arrangement:
    """Docks and bars of a window.

    Parameters
    ----------
    window : QMainWindow
    views : sequence of View
        By name: camera, maps, spectrum, versus, housekeeping, control, by-hand.
    header, timeline : QWidget
        Above and below.

    Attributes
    ----------
    docks : dict
        By the name of the view in it.
    for_hands : bool
        Whether instruments held by hand are shown.
    """

    def __init__(self, window: QMainWindow, views: Sequence[View], header: QWidget, timeline: QWidget) -> None:
        self._window = window
        self._run_layout: QByteArray | None = None
        self.for_hands = False
        window.setDockOptions(
            QMainWindow.DockOption.AllowTabbedDocks
            | QMainWindow.DockOption.AllowNestedDocks
            | QMainWindow.DockOption.AnimatedDocks
        )
        self.docks = {view.name: self._dock(view) for view in views}
        self._bar("header", header, Qt.ToolBarArea.TopToolBarArea)
        self._foot = self._bar("timeline", timeline, Qt.ToolBarArea.BottomToolBarArea)
        self.lay_out()

    def lay_out(self) -> None:
        """Put the docks where they belong: camera over spectrum, maps over s(T), control over housekeeping.

        By hand there are the camera, the switches, and the readings.
        """
        window, docks = self._window, self.docks
        left, right = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
        across, down = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        for name, dock in docks.items():
            dock.setFloating(False)
            dock.setVisible(name in _BY_HAND if self.for_hands else name != "by-hand")
        camera, maps, spectrum, versus = (docks[name] for name in ("camera", "maps", "spectrum", "versus"))
        housekeeping, control, hands = (docks[name] for name in ("housekeeping", "control", "by-hand"))
        window.addDockWidget(left, camera)
        if self.for_hands:
            window.addDockWidget(right, hands)
            window.splitDockWidget(hands, housekeeping, down)
            self._share([camera, hands], (0.65, 0.35), across)
            self._share([hands, housekeeping], (0.6, 0.4), down)
            return
        window.splitDockWidget(camera, maps, across)
        window.addDockWidget(right, control)
        window.splitDockWidget(camera, spectrum, down)
        window.splitDockWidget(maps, versus, down)
        window.splitDockWidget(control, housekeeping, down)
        self._share([camera, maps, control], (0.32, 0.4, 0.28), across)
        self._share([camera, spectrum], (0.5, 0.5), down)
        self._share([maps, versus], (0.57, 0.43), down)
        self._share([control, housekeeping], (0.54, 0.46), down)

    def change_hands(self, by_hand: bool) -> None:
        """Show what belongs to instruments held by hand, or what belongs to a run as it was left."""
        self._foot.setVisible(not by_hand)
        if by_hand:
            self._run_layout = self._window.saveState(VERSION)
        self.for_hands = by_hand
        self.lay_out()
        if not by_hand and self._run_layout is not None:
            self._window.restoreState(self._run_layout, VERSION)

    def state(self) -> QByteArray:
        """Return the arrangement of a run, to be remembered."""
        return self._run_layout if self.for_hands and self._run_layout is not None else self._window.saveState(VERSION)

    def _dock(self, view: View) -> QDockWidget:
        dock = QDockWidget(view.title, self._window)
        dock.setObjectName(f"dock-{view.name}")
        dock.setWidget(view)
        dock.setFeatures(_FEATURES)
        return dock

    def _bar(self, name: str, widget: QWidget, area: Qt.ToolBarArea) -> QToolBar:
        bar = QToolBar(name, self._window)
        bar.setObjectName(name)
        bar.setMovable(False)
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        layout = bar.layout()
        if layout is not None:
            layout.setContentsMargins(0, 0, 0, 0)
        bar.setStyleSheet("QToolBar { border: none; padding: 0; spacing: 0; }")
        bar.addWidget(widget)
        self._window.addToolBar(area, bar)
        return bar

    def _share(self, docks: list[QDockWidget], parts: tuple[float, ...], along: Qt.Orientation) -> None:
        """Give docks their parts of the window."""
        whole = self._window.width() if along == Qt.Orientation.Horizontal else self._window.height()
        self._window.resizeDocks(docks, [round(part * whole) for part in parts], along)
