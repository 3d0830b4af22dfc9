"""The window: its views, the timers that feed and draw them, pictures of it, and what is remembered."""

from __future__ import annotations

import math
import time
from collections import deque
from pathlib import Path

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QMainWindow,
    QMessageBox,
)

from nvscope.gui.actions import bind_keys
from nvscope.gui.arrangement import Arrangement
from nvscope.gui.desk import Desk
from nvscope.gui.launch import Launcher
from nvscope.gui.preferences import VERSION, Preferences
from nvscope.gui.widgets import theme as themes
from nvscope.gui.widgets.by_hand import ByHandView
from nvscope.gui.widgets.camera import CameraView
from nvscope.gui.widgets.control import ControlView
from nvscope.gui.widgets.header import Header
from nvscope.gui.widgets.housekeeping import HousekeepingView
from nvscope.gui.widgets.maps import MapsView
from nvscope.gui.widgets.shortcuts import shortcuts_html
from nvscope.gui.widgets.spectrum import SpectrumView
from nvscope.gui.widgets.timeline import PLAY_INTERVAL, Timeline
from nvscope.gui.widgets.versus import VersusView
from nvscope.gui.widgets.view import View

DATA_INTERVAL = 15
"""Milliseconds between looks at what has come."""
REDRAW_INTERVAL = 24
"""Milliseconds between looks whether anything is to be redrawn: frames come 30 times a second, and none is to wait."""
DRAW_BUDGET = 0.018
"""Wall seconds drawing and painting may take before the rest waits: keys and mouse come in between."""
FLICKER_INTERVAL = 500
SIZE = QSize(1280, 800)


class Window(QMainWindow):
    """The live preview and run control.

    Parameters
    ----------
    desk : Desk
        What it shows; closed with the window.
    preferences : Preferences
        What it remembers.
    launcher : Launcher or None
        What it can start; None cannot start anything.
    mode : str or None
        "dark" or "light"; None: as it was left.
    zoom : float or None
        How large text is; None: as it was left, at first by the height of the screen.
    """

    def __init__(
        self,
        desk: Desk,
        preferences: Preferences,
        launcher: Launcher | None = None,
        mode: themes.Mode | None = None,
        zoom: float | None = None,
    ) -> None:
        super().__init__()
        self.desk = desk
        self.preferences = preferences
        self.launcher = launcher
        self.redraws = 0
        self.setWindowTitle("nvscope")
        self.setObjectName("nvscope")
        self.header = Header(desk)
        self.timeline = Timeline(desk)
        self.camera = CameraView(desk)
        self.maps = MapsView(desk)
        self.spectrum = SpectrumView(desk)
        self.versus = VersusView(desk)
        self.housekeeping = HousekeepingView(desk)
        self.control = ControlView(desk)
        self.by_hand = ByHandView(desk)
        self.views: tuple[View, ...] = (
            self.camera,
            self.maps,
            self.spectrum,
            self.versus,
            self.housekeeping,
            self.control,
            self.by_hand,
        )
        self._turn = deque(self.views)
        self.arrangement = Arrangement(self, self.views, self.header, self.timeline)
        self.docks, self.lay_out = self.arrangement.docks, self.arrangement.lay_out
        self._connect()
        themes.set_zoom(zoom or _number(preferences.text("zoom", "")) or natural_zoom(_screen_height()))
        remembered = preferences.text("theme", "dark")
        self.theme = themes.THEMES[mode or ("light" if remembered == "light" else "dark")]
        self._restore()
        self.set_theme(self.theme.mode)
        self._timers = [
            self._every(DATA_INTERVAL, desk.step),
            self._every(REDRAW_INTERVAL, self.redraw),
            self._every(FLICKER_INTERVAL, self.maps.flick),
            self._every(PLAY_INTERVAL, self.timeline.advance),
        ]

    # --- building --------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self.header.theme_button.clicked.connect(self.toggle_theme)
        self.header.help.clicked.connect(self.show_help)
        self.header.start.clicked.connect(self.start_run)
        self.header.start.setVisible(self.launcher is not None)
        self.timeline.play.clicked.connect(self.timeline.start_playing)
        bind_keys(self)

    def _every(self, milliseconds: int, call: object) -> QTimer:
        timer = QTimer(self)
        timer.setInterval(milliseconds)
        timer.timeout.connect(call)
        timer.start()
        return timer

    # --- drawing ---------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw what has changed since the last time."""
        if self.desk.by_hand != self.arrangement.for_hands and self.desk.link.state == "connected":
            self.arrangement.change_hands(self.desk.by_hand)
        self.header.refresh(self.theme)
        self.timeline.refresh()
        spent, drawn = 0.0, False
        for _ in self.views:
            # the one drawn longest ago comes first, so that what does not fit now is drawn next
            view = self._turn[0]
            self._turn.rotate(-1)
            began = time.perf_counter()
            if view.refresh():
                drawn = True
                spent += view.paint_cost  # all that is drawn in a turn is painted at once, after it
            spent += time.perf_counter() - began
            if spent > DRAW_BUDGET:
                break
        self.redraws += drawn

    def set_theme(self, mode: themes.Mode) -> None:
        """Change colours."""
        self.theme = themes.THEMES[mode]
        app = QApplication.instance()
        if isinstance(app, QApplication):
            themes.apply(app, self.theme)
        for view in self.views:
            view.restyle(self.theme)
        self.preferences.set("theme", mode)

    def set_zoom(self, factor: float) -> None:
        """Make text larger or smaller."""
        themes.set_zoom(factor)
        self.preferences.set("zoom", str(themes.zoom()))
        self.set_theme(self.theme.mode)

    def toggle_theme(self) -> None:
        """Dark to light and back."""
        self.set_theme("light" if self.theme.mode == "dark" else "dark")

    def settle(self, timeout: float, rush: float | None = None) -> bool:
        """Work until everything asked for has come and is drawn, or `timeout` wall seconds; returns whether it has.

        With `rush`, what has come that many seconds after there was something to look at is enough.
        """
        deadline = time.monotonic() + timeout
        quiet = 0
        enough = math.inf
        while time.monotonic() < deadline:
            self.desk.step()
            QApplication.processEvents()
            quiet = quiet + 1 if self.desk.idle and self._complete() else 0
            if quiet > 5:
                self.draw_all()
                if self.desk.idle:  # drawing may have asked for more: a Tc, maps of earlier points
                    return True
            if rush is not None and enough == math.inf and self._complete():
                enough = time.monotonic() + rush
            if time.monotonic() > enough:
                self.draw_all()
                return True
            time.sleep(0.01)
        self.draw_all()
        return False

    def _complete(self) -> bool:
        """Whether there is something to look at."""
        if not self.desk.by_hand:
            return self.desk.point is not None
        self.redraw()
        readings = self.desk.session.history.get("temperature", ())
        return self.desk.session.frame is not None and bool(self.by_hand.edits) and len(readings) > 2

    def draw_all(self) -> None:
        """Draw everything now, however short ago it was drawn."""
        for view in self.views:
            view.refresh(force=True)
        self.header.refresh(self.theme)
        self.timeline.refresh()

    def save_picture(self, path: Path) -> None:
        """Write the window as PNG.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        self.draw_all()
        if not self.grab().save(str(path), "PNG"):
            raise OSError(f"{path} could not be written as PNG")

    # --- actions ---------------------------------------------------------------------------------------------------

    def show_help(self) -> None:
        """Show the shortcuts."""
        box = QMessageBox(self)
        box.setObjectName("help")
        box.setWindowTitle("Keyboard shortcuts")
        box.setTextFormat(Qt.TextFormat.RichText)
        box.setText(shortcuts_html(self.theme.muted))
        box.open()

    def start_run(self) -> None:
        """Open the form that starts a run."""
        if self.launcher is None:
            return
        from nvscope.gui.widgets.start import StartDialog

        StartDialog(self.launcher, self.theme, self, before=self.desk.talk.let_go).open()

    def ask_picture(self) -> None:
        """Ask where to, and write a picture."""
        chosen, _ = QFileDialog.getSaveFileName(self, "Picture of the window", "nvscope.png", "PNG (*.png)")
        if chosen:
            try:
                self.save_picture(Path(chosen))
            except OSError as error:
                QMessageBox.warning(self, "Picture", str(error))

    # --- memory ----------------------------------------------------------------------------------------------------

    def _restore(self) -> None:
        geometry, state = self.preferences.blob("geometry"), self.preferences.blob("state")
        if geometry is None or not self.restoreGeometry(geometry):
            self.resize(SIZE)
        if state is not None:
            self.restoreState(state, VERSION)
        levels = self.preferences.numbers("camera-levels")
        if len(levels) == 2 and levels[1] > levels[0] and all(map(math.isfinite, levels)):
            self.camera.levels = (levels[0], levels[1])

    def remember(self) -> None:
        """Write down layout, theme and levels."""
        self.preferences.set("geometry", self.saveGeometry())
        self.preferences.set("state", self.arrangement.state())
        self.preferences.set_numbers("camera-levels", self.camera.levels or ())
        self.preferences.save()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Remember, stop the timers and the threads."""
        for timer in self._timers:
            timer.stop()
        self.remember()
        self.desk.close()
        super().closeEvent(event)


def natural_zoom(height: int) -> float:
    """Return the zoom for a screen of this height in device-independent pixels: 1 as usual, 1.75 for an unscaled 4K."""
    return min(2.5, max(1.0, height / 1235))


def _screen_height() -> int:
    screen = QApplication.primaryScreen()
    return 800 if screen is None else int(screen.availableGeometry().height())


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
