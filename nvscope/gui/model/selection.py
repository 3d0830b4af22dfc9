"""What the eye is on: the cursor, pinned places, and a rectangle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_PINS = 6
RADII = (0.0, 1.5, 2.5)
"""Radii (pixels) over which a place may be averaged: one pixel, 3 × 3, and 21 pixels."""


@dataclass(frozen=True)
class Pin:
    """A place somebody wants to follow; `slot` chooses its colour."""

    slot: int
    row: int
    column: int

    @property
    def label(self) -> str:
        """Letter on map and curve."""
        return "ABCDEFGH"[self.slot]


@dataclass(frozen=True)
class Region:
    """A rectangle of pixels, `top` ≤ row < `bottom`, `left` ≤ column < `right`."""

    top: int
    left: int
    bottom: int
    right: int

    def within(self, shape: tuple[int, int]) -> Region | None:
        """Return the part inside an image, None if there is none."""
        top, left = max(0, self.top), max(0, self.left)
        bottom, right = min(shape[0], self.bottom), min(shape[1], self.right)
        return Region(top, left, bottom, right) if bottom > top and right > left else None

    def corners(self, shape: tuple[int, int]) -> list[tuple[float, float]]:
        """Return the corners (x, y) of the part inside an image as fractions of its width and height."""
        part = self.within(shape)
        if part is None:
            return []
        left, right = part.left / shape[1], part.right / shape[1]
        top, bottom = part.top / shape[0], part.bottom / shape[0]
        return [(left, top), (right, top), (right, bottom), (left, bottom)]


Pixels = tuple[NDArray[np.intp], NDArray[np.intp]]
Vertices = tuple[tuple[float, float], ...]


def disc(row: int, column: int, radius: float, shape: tuple[int, int]) -> Pixels:
    """Return rows and columns of the pixels of an image within `radius` of one of them."""
    reach = int(radius)
    rows, columns = np.mgrid[row - reach : row + reach + 1, column - reach : column + reach + 1]
    inside = (
        ((rows - row) ** 2 + (columns - column) ** 2 <= radius**2)
        & (rows >= 0)
        & (rows < shape[0])
        & (columns >= 0)
        & (columns < shape[1])
    )
    return rows[inside], columns[inside]


def rectangle(region: Region, shape: tuple[int, int]) -> Pixels:
    """Return rows and columns of a region's pixels inside an image."""
    part = region.within(shape)
    if part is None:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    rows, columns = np.mgrid[part.top : part.bottom, part.left : part.right]
    return rows.ravel(), columns.ravel()


class Selection:
    """Cursor, pins, region, the run's regions and averaging radius; tells `listeners` when any of them changes."""

    def __init__(self) -> None:
        self.cursor: tuple[int, int] | None = None
        self.pins: list[Pin] = []
        self.region: Region | None = None
        self.radius = RADII[0]
        self.polygons: Mapping[str, Vertices] = {}
        self.listeners: list[Callable[[], None]] = []

    def move(self, row: int, column: int) -> None:
        """Put the cursor somewhere."""
        if self.cursor != (row, column):
            self.cursor = (row, column)
            self._changed()

    def pin(self, row: int, column: int) -> None:
        """Pin a place, or unpin it if it is pinned; with all colours in use the oldest pin goes."""
        for pin in self.pins:
            if (pin.row, pin.column) == (row, column):
                self.pins.remove(pin)
                self._changed()
                return
        if len(self.pins) == MOST_PINS:
            self.pins.pop(0)
        used = {pin.slot for pin in self.pins}
        slot = next(slot for slot in range(MOST_PINS) if slot not in used)
        self.pins.append(Pin(slot, row, column))
        self._changed()

    def unpin_all(self) -> None:
        """Forget every pin."""
        if self.pins:
            self.pins.clear()
            self._changed()

    def choose(self, region: Region | None) -> None:
        """Set or clear the region."""
        if region != self.region:
            self.region = region
            self._changed()

    def follow(self, polygons: Mapping[str, Vertices]) -> None:
        """Take the run's own regions by kind: "roi", "reference"."""
        if polygons != self.polygons:
            self.polygons = dict(polygons)
            self._changed()

    def average(self, radius: float) -> None:
        """Average places over `radius` (pixels)."""
        if radius != self.radius:
            self.radius = radius
            self._changed()

    def forget(self, shape: tuple[int, int]) -> None:
        """Drop what lies outside an image of `shape`."""
        height, width = shape
        inside = [pin for pin in self.pins if pin.row < height and pin.column < width]
        cursor = self.cursor
        if cursor is not None and (cursor[0] >= height or cursor[1] >= width):
            cursor = None
        if len(inside) != len(self.pins) or cursor != self.cursor:
            self.pins, self.cursor = inside, cursor
            self._changed()

    def _changed(self) -> None:
        for listener in self.listeners:
            listener()
