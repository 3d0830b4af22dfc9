"""Pictures of the window for the documentation: ``python docs/make_screenshots.py RUN_DIR`` of a zfc-fw run.

Writes ``docs/screenshots/*.png``: the whole window dark and light, every view, the start form. ``by-hand.png`` is
``nvscope watch --screenshot`` beside a running ``nvscope live``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QApplication, QWidget

from nvscope.cli.watch_launch import CommandLauncher
from nvscope.cli.watch_methods import methods
from nvscope.gui.app import application
from nvscope.gui.desk import Desk
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.selection import Region
from nvscope.gui.preferences import Preferences
from nvscope.gui.widgets.start import StartDialog
from nvscope.gui.window import Window

FOLDER = Path(__file__).parent / "screenshots"
PATIENCE = 120.0


def main(directory: Path) -> None:
    """Write all of them."""
    application()
    FOLDER.mkdir(exist_ok=True)
    window = Window(Desk(methods(), None, directory), Preferences(None), mode="dark")
    window.resize(1280, 800)
    window.show()
    window.lay_out()
    settle(window)
    mapped = window.desk.session.mapped
    cold = next(record for record in mapped if record.purpose == "zfc")
    warmer = min(mapped, key=lambda record: abs(record.temperature - 70) if record.purpose == "fw" else 1e9)
    window.desk.show(cold.number)
    window.maps.choose("s_ratio")
    settle(window)
    window.save_picture(FOLDER / "window-dark.png")
    each_view(window)
    compare(window, cold, warmer)
    window.set_theme("light")
    window.maps.mode.setCurrentText("this map")
    window.desk.compared = None
    window.desk.selection.choose(None)
    window.desk.show(warmer.number)
    window.maps.choose("b_z")
    window.resize(1920, 1200)
    window.lay_out()
    settle(window)
    window.save_picture(FOLDER / "window-light.png")
    window.close()
    start_form()


def settle(window: Window) -> None:
    """Wait until all is drawn."""
    if not window.settle(PATIENCE):
        raise SystemExit("the window shows nothing")


def each_view(window: Window) -> None:
    """Write every view on its own, as if its dock had been torn off, twice as fine as the screen."""
    for view in window.views:
        if view.isVisible():
            dock = window.docks[view.name]
            dock.setFloating(True)
            dock.resize(QSize(620, 520))
            settle(window)
            save(view, FOLDER / f"{view.name}.png")
            dock.setFloating(False)
    window.lay_out()


def compare(window: Window, cold: PointRecord, warmer: PointRecord) -> None:
    """Write the difference of two maps with the statistics of a region."""
    height, width = cold.shape
    window.desk.show(warmer.number)
    window.desk.compared = cold.number
    window.maps.mode.setCurrentText("difference")
    window.desk.selection.choose(Region(height // 3, width // 4, 2 * height // 3, 3 * width // 4))
    dock = window.docks["maps"]
    dock.setFloating(True)
    dock.resize(QSize(620, 520))
    settle(window)
    save(window.maps, FOLDER / "maps-difference.png")
    dock.setFloating(False)
    window.lay_out()


def start_form() -> None:
    """Write the form that starts a run."""
    window = Window(Desk(methods()), Preferences(None), mode="dark")
    dialog = StartDialog(CommandLauncher(), window.theme)
    dialog.show()
    while dialog.plan is None:
        QApplication.processEvents()
    save(dialog, FOLDER / "start.png")
    dialog.reject()
    window.close()


def save(widget: QWidget, path: Path) -> None:
    """Write a widget."""
    widget.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
    if not widget.grab().save(str(path), "PNG"):
        raise SystemExit(f"{path} could not be written")
    print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
