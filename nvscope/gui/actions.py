"""What the keys of the window do; `nvscope.gui.widgets.shortcuts` lists them for people."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtGui import QKeySequence, QShortcut

from nvscope.gui.widgets import theme as themes
from nvscope.gui.widgets.shortcuts import SHORTCUTS

if TYPE_CHECKING:
    from nvscope.gui.window import Window

ZOOM_STEP = 1.125


def bind_keys(window: Window) -> None:
    """Give the window its keyboard shortcuts."""
    actions = actions_of(window)
    for shortcut in SHORTCUTS:
        if shortcut.action in actions:
            QShortcut(QKeySequence(shortcut.keys), window, actions[shortcut.action])
    for index in range(window.maps.tabs.count()):
        QShortcut(QKeySequence(f"{(index + 1) % 10}"), window, partial(window.maps.tabs.setCurrentIndex, index))


def actions_of(window: Window) -> dict[str, Callable[[], Any]]:
    """Return every action by its name in `SHORTCUTS`."""
    desk, control = window.desk, window.control
    return {
        "earlier": lambda: desk.look(-1),
        "later": lambda: desk.look(+1),
        "newest": lambda: desk.show(None),
        "play": window.timeline.play.click,
        "pin": lambda: pin_cursor(window),
        "unpin": desk.selection.unpin_all,
        "extremes": lambda: desk.pin_extremes(),
        "region": window.maps.region.toggle,
        "compare": lambda: compare(window, "difference"),
        "flicker": lambda: compare(window, "flicker"),
        "levels": lambda: auto_levels(window),
        "outlines": window.camera.outlines.toggle,
        "theme": window.toggle_theme,
        "larger": lambda: window.set_zoom(themes.zoom() * ZOOM_STEP),
        "smaller": lambda: window.set_zoom(themes.zoom() / ZOOM_STEP),
        "layout": window.lay_out,
        "pause": lambda: pause(window),
        "skip": control.skip.click,
        "abort": control.abort.click,
        "next": control.next.click,
        "note": control.note.setFocus,
        "start": window.start_run,
        "picture": window.ask_picture,
        "help": window.show_help,
    }


def pin_cursor(window: Window) -> None:
    """Pin the pixel under the cursor, or take its pin away."""
    selection = window.desk.selection
    if selection.cursor is not None:
        selection.pin(*selection.cursor)


def auto_levels(window: Window) -> None:
    """Let the levels of camera and map follow the data again."""
    window.camera.auto_levels()
    window.maps.auto_levels()


def pause(window: Window) -> None:
    """Pause the run, or go on with it; by hand, stop the ramps."""
    if window.desk.by_hand:
        window.by_hand.halt.click()
    else:
        window.control.toggle_pause()


def compare(window: Window, mode: str) -> None:
    """Compare with the point before, or stop comparing if this is what is shown."""
    desk, shown = window.desk, window.maps.mode
    if desk.compared is not None and shown.currentText() == mode:
        desk.compared = None
        shown.setCurrentText("this map")
        return
    point = desk.point
    if desk.compared is None and point is not None:
        earlier = [record.number for record in desk.session.mapped if record.number < point.number]
        desk.compared = earlier[-1] if earlier else None
    if desk.compared is not None:
        shown.setCurrentText(mode)
