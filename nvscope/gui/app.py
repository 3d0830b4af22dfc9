"""Opening the window: live, on a finished run, or only long enough to take its picture."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QMessageLogContext, Qt, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from nvscope.errors import NvscopeError
from nvscope.gui.desk import Desk
from nvscope.gui.feed import Feed
from nvscope.gui.launch import Launcher
from nvscope.gui.mailbox import Mailbox
from nvscope.gui.model.methods import Methods
from nvscope.gui.preferences import Preferences, default_path
from nvscope.gui.widgets.theme import Mode
from nvscope.gui.window import Window, natural_zoom
from nvscope.stream.control import RunInfo, whereabouts
from nvscope.stream.security import Curve

PICTURE_PATIENCE = 60.0
"""Wall seconds a picture may wait for data."""
PICTURE_RUSH = 8.0
"""Wall seconds it waits for everything once there is something: a running run always asks for more."""


@dataclass(frozen=True)
class Watch:
    """What to look at.

    Attributes
    ----------
    directory : Path or None
        A run to replay; None listens to whatever is running.
    wanted : callable
        Which running runs to look at.
    elsewhere : tuple or None
        Control socket and key of a run on another computer; None looks on this one.
    mode : str or None
        "dark", "light", or as it was left.
    size : tuple of int or None
        Width and height of a picture.
    point : int or None
        Point to begin with, None for the last.
    tab : str
        Map to begin with, by its name in `nvscope.gui.model.quantities`.
    """

    directory: Path | None = None
    wanted: Callable[[RunInfo], bool] = lambda info: True
    elsewhere: tuple[str, Curve] | None = None
    mode: Mode | None = None
    size: tuple[int, int] | None = None
    point: int | None = None
    tab: str = "s_ratio"


def watch(watched: Watch, methods: Methods, launcher: Launcher | None = None) -> int:
    """Open the window; returns its exit code when it is closed."""
    app = application()
    desk, feed = make_desk(watched, methods)
    window = Window(desk, Preferences(default_path()), launcher, mode=watched.mode)
    _begin(window, watched)
    if feed is not None:
        feed.start()
    window.show()
    try:
        return app.exec()
    finally:
        if feed is not None:
            feed.stop()


def take_picture(watched: Watch, methods: Methods, path: Path) -> None:
    """Write a PNG of the window without showing it.

    Raises
    ------
    NvscopeError
        If there is nothing to show in time, or the file cannot be written.
    """
    if QApplication.instance() is None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    qInstallMessageHandler(_only_what_matters)
    application()
    desk, feed = make_desk(watched, methods)
    size = watched.size or (1280, 800)
    window = Window(desk, Preferences(None), None, mode=watched.mode, zoom=natural_zoom(size[1]))
    # laid out and polished as if on a screen, without taking one
    window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    window.resize(*size)
    _begin(window, watched)
    window.show()
    window.lay_out()
    if feed is not None:
        feed.start()
    try:
        if not window.settle(PICTURE_PATIENCE, rush=PICTURE_RUSH if watched.directory is None else None):
            what = "no run is running" if watched.directory is None else f"{watched.directory} shows no points"
            raise NvscopeError(f"nothing to take a picture of within {PICTURE_PATIENCE:g} s: {what}")
        window.save_picture(path)
    except OSError as error:
        raise NvscopeError(str(error)) from error
    finally:
        if feed is not None:
            feed.stop()
        window.close()
        qInstallMessageHandler(None)


def application() -> QApplication:
    """Return the application, made on the first call."""
    app = QApplication.instance()
    if isinstance(app, QApplication):
        return app
    made = QApplication(sys.argv[:1])
    made.setApplicationName("nvscope")
    return made


def make_desk(watched: Watch, methods: Methods) -> tuple[Desk, Feed | None]:
    """Return a desk and, unless it replays, what feeds it."""
    if watched.directory is not None:
        return Desk(methods, None, watched.directory), None
    mailbox = Mailbox()
    if watched.elsewhere is None:
        return Desk(methods, mailbox), Feed(mailbox, watched.wanted)
    endpoint, curve = watched.elsewhere
    return Desk(methods, mailbox, curve=curve), Feed(mailbox, watched.wanted, partial(_found, endpoint, curve), curve)


def _found(endpoint: str, curve: Curve) -> list[RunInfo]:
    """Return the run at `endpoint` if it answers."""
    try:
        return [whereabouts(endpoint, curve)]
    except NvscopeError:
        return []


def _only_what_matters(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
    """Print what Qt has to say, except that there is no screen."""
    if "propagateSizeHints" not in text:
        print(text, file=sys.stderr)


def _begin(window: Window, watched: Watch) -> None:
    window.desk.show(watched.point)
    window.maps.choose(watched.tab)
