"""Dark and light: colours of the window, of curves, and the colour maps of images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import Any, Literal

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication

from nvscope.gui.model.traces import CURSOR

Mode = Literal["dark", "light"]


@dataclass(frozen=True)
class Theme:
    """Colours as ``#rrggbb``; `pins` are told apart by the colour-blind too."""

    mode: Mode
    window: str
    panel: str
    raised: str
    line: str
    grid: str
    text: str
    muted: str
    accent: str
    good: str
    warning: str
    error: str
    resistance: str
    region: str
    roi: str
    reference: str
    blank: str
    pins: tuple[str, ...]

    def place(self, slot: int) -> str:
        """Return the colour of a trace or curve."""
        if slot == CURSOR:
            return self.text
        if slot < 0:
            return {-3: self.roi, -4: self.reference}.get(slot, self.region)
        return self.pins[slot % len(self.pins)]

    def severity(self, name: str) -> str:
        """Return the colour of "plain", "good", "warning" or "error"."""
        return {"good": self.good, "warning": self.warning, "error": self.error}.get(name, self.text)


DARK = Theme(
    mode="dark",
    window="#12151a",
    panel="#191d24",
    raised="#242a33",
    line="#323a46",
    grid="#8a95a5",
    text="#e8ebf0",
    muted="#98a3b3",
    accent="#4ea8f5",
    good="#4cc38a",
    warning="#f0b13c",
    error="#ff6b66",
    resistance="#e0a84a",
    region="#c9d1dc",
    roi="#ff8ac6",
    reference="#9fb4c7",
    blank="#2a303a",
    pins=("#5aa9ff", "#ff7d6b", "#35c9a5", "#f2c14e", "#c792ea", "#8fd14f"),
)
LIGHT = Theme(
    mode="light",
    window="#eef0f3",
    panel="#ffffff",
    raised="#e6e9ee",
    line="#cdd3db",
    grid="#69717d",
    text="#1c2128",
    muted="#5d6673",
    accent="#1769c2",
    good="#1a7f4e",
    warning="#a86400",
    error="#c62828",
    resistance="#8a5a00",
    region="#4d5561",
    roi="#b5267f",
    reference="#55707f",
    blank="#b9c0c9",
    pins=("#2166ac", "#c0392b", "#00876c", "#b07800", "#7b3fa0", "#4f8a10"),
)
THEMES: dict[Mode, Theme] = {"dark": DARK, "light": LIGHT}

CLASS_COLORS = {
    "n_lines": ("#6b7280", "#d9a441", "#3f8fd2"),
    "status": ("#3f8fd2", "#d9a441", "#6b7280", "#c0504d", "#2b2f36"),
}


def apply(app: QApplication, theme: Theme) -> None:
    """Give the application its looks."""
    app.setStyle("Fusion")
    palette = QPalette()
    roles = QPalette.ColorRole
    for role, color in (
        (roles.Window, theme.window),
        (roles.Base, theme.panel),
        (roles.AlternateBase, theme.raised),
        (roles.Button, theme.raised),
        (roles.ToolTipBase, theme.raised),
        (roles.Highlight, theme.accent),
        (roles.Link, theme.accent),
    ):
        palette.setColor(role, QColor(color))
    for role in (roles.WindowText, roles.Text, roles.ButtonText, roles.ToolTipText):
        palette.setColor(role, QColor(theme.text))
    palette.setColor(roles.HighlightedText, QColor("#ffffff"))
    palette.setColor(roles.PlaceholderText, QColor(theme.muted))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.muted))
    app.setPalette(palette)
    arrow = (Path(__file__).parent / f"arrow-{theme.mode}.svg").as_posix()
    sizes = {f"px{size}": f"{px(size)}px" for size in (2, 3, 4, 6, 8, 9, 10, 12, 15, 20, 22, 24)}
    app.setStyleSheet(_SHEET.substitute(theme.__dict__, **sizes, arrow=arrow))


def zoom() -> float:
    """Return how much larger than on an ordinary screen text is to be."""
    app = QApplication.instance()
    found = None if app is None else app.property("zoom")
    return float(found) if isinstance(found, int | float) else 1.0


def set_zoom(factor: float) -> None:
    """Set it, between what can still be read and what still fits; followed by `apply`."""
    app = QApplication.instance()
    if app is not None:
        app.setProperty("zoom", min(max(factor, 0.75), 3.0))


def px(pixels: float) -> int:
    """Return a length of the interface at the present zoom."""
    return round(pixels * zoom())


def ui_font(pixels: int, *, bold: bool = False) -> QFont:
    """Return the interface font at a size in device-independent pixels, at the present zoom."""
    font = QFont(QApplication.font())
    font.setPixelSize(px(pixels))
    font.setBold(bold)
    return font


@lru_cache(maxsize=8)
def color_map(scheme: str) -> Any:
    """Return the colour map of a scheme: viridis, or blue-white-red with white in the middle; both even to the eye."""
    if scheme == "diverging":
        return pg.ColorMap(np.linspace(0, 1, len(_BLUE_WHITE_RED)), [QColor(c) for c in _BLUE_WHITE_RED])
    return pg.colormap.get("inferno" if scheme == "light" else "viridis")


@lru_cache(maxsize=8)
def class_map(name: str) -> Any:
    """Return a colour map with one flat colour for each class."""
    colors = CLASS_COLORS[name]
    edges: list[float] = []
    stops: list[QColor] = []
    for index, color in enumerate(colors):
        edges += [index / len(colors), (index + 1) / len(colors) - 1e-6]
        stops += [QColor(color), QColor(color)]
    return pg.ColorMap(np.array(edges), stops)


# the diverging scale of Brewer, as in the figures of the report
_BLUE_WHITE_RED = (
    "#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7",
    "#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f",
)  # fmt: skip

_SHEET = Template("""
* { font-size: $px12; }
QMainWindow, QDialog { background: $window; }
QMainWindow::separator { background: $window; width: 5px; height: 5px; }
QMainWindow::separator:hover { background: $accent; }
QDockWidget { color: $text; font-weight: 600; titlebar-close-icon: none; titlebar-normal-icon: none; }
QDockWidget::title { padding: 5px 8px 3px 10px; text-align: left; background: $window; }
QToolTip { background: $raised; color: $text; border: 1px solid $line; padding: 4px; }
QLabel#muted, QLabel[muted="true"] { color: $muted; }
QLabel[big="true"] { font-size: $px15; font-weight: 600; }
QFrame#panel { background: $panel; border: 1px solid $line; border-radius: 6px; }
QWidget#bar { background: $panel; border-bottom: 1px solid $line; }
QWidget#foot { background: $panel; border-top: 1px solid $line; }
QToolButton, QPushButton, QComboBox, QLineEdit, QSpinBox, QPlainTextEdit {
  background: $raised; color: $text; border: 1px solid $line; border-radius: 4px; padding: $px3 $px8; }
QToolButton { padding: $px2 $px6; }
QToolButton:hover, QPushButton:hover, QComboBox:hover { border-color: $accent; }
QToolButton:checked, QPushButton:checked { color: $accent; border-color: $accent; }
QToolButton:pressed, QPushButton:pressed { background: $line; }
QLineEdit:focus, QComboBox:focus { border-color: $accent; }
QToolButton:focus, QPushButton:focus { border-color: $grid; }
QToolButton:checked:focus, QPushButton:checked:focus { border-color: $accent; }
QPushButton:disabled, QToolButton:disabled, QComboBox:disabled { color: $muted; background: $panel; }
QPushButton[danger="true"] { color: $error; }
QPushButton[danger="true"]:disabled { color: $muted; }
QPushButton[primary="true"] { background: $accent; color: #ffffff; border-color: $accent; }
QPushButton[primary="true"]:disabled { background: $raised; color: $muted; border-color: $line; }
QComboBox::drop-down { border: none; width: $px20; }
QComboBox::down-arrow { image: url("$arrow"); width: $px10; height: $px6; }
QToolButton#quiet { background: transparent; border: none; padding: 2px 4px; color: $muted; }
QToolButton#quiet:hover { color: $text; }
QToolButton::menu-indicator { image: none; }
QComboBox QAbstractItemView, QMenu { background: $raised; color: $text; border: 1px solid $line;
  selection-background-color: $accent; selection-color: #ffffff; }
QMenu::item { padding: $px4 $px22 $px4 $px12; }
QMenu::separator { height: 1px; background: $line; margin: 3px 0; }
QTabBar { qproperty-drawBase: 0; }
QTabBar::tab { background: transparent; color: $muted; padding: $px4 $px8; border: none;
  border-bottom: 2px solid transparent; }
QTabBar::tab:selected { color: $text; border-bottom: 2px solid $accent; }
QTabBar::tab:hover { color: $text; }
QTabBar QToolButton { background: $panel; border: none; }
QListWidget, QTreeWidget, QTableWidget, QTextBrowser, QScrollArea {
  background: $panel; color: $text; border: none; outline: none; }
QListWidget::item { padding: 1px 2px; }
QListWidget::item:selected, QTableWidget::item:selected { background: $raised; color: $text; }
QHeaderView::section { background: $panel; color: $muted; border: none; padding: 3px 6px; }
QTableWidget { gridline-color: $line; }
QProgressBar { background: $raised; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
QSlider::groove:horizontal { height: 4px; background: $raised; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 2px; }
QSlider::sub-page:horizontal:disabled { background: $line; }
QSlider::handle:horizontal { background: $text; width: 12px; margin: -5px 0; border-radius: 6px; }
QSlider::handle:horizontal:disabled { background: $muted; }
QScrollBar:vertical { background: transparent; width: 9px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 9px; margin: 0; }
QScrollBar::handle { background: $line; border-radius: 4px; min-height: 24px; min-width: 24px; }
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {
  background: transparent; border: none; width: 0; height: 0; }
""")
