"""Many maps of one quantity side by side on one colour scale.

All panels are one image in one pair of axes: a hundred times faster to draw than a hundred axes, and the colour scale
cannot differ between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke
from numpy.typing import NDArray

from nvscope.analysis.figures import style
from nvscope.config import Loading

FloatArray = NDArray[np.float64]

_MAX_PANEL = 192
"""Pixels along a panel's edge beyond which maps are averaged down for display."""
_GAP_X, _GAP_Y = 0.05, 0.17
_NO_DATA = "#c9ced6"


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Where panels lie, in units of the panel's larger edge: (left, top) of each, and the panel's (width, height)."""

    corners: tuple[tuple[float, float], ...]
    panel: tuple[float, float]
    size: tuple[float, float]


def layout(count: int, shape: tuple[int, int], columns: int | None = None) -> Mosaic:
    """Lay `count` panels of `shape` (y, x) out in rows; the number of columns suits a page if not given."""
    height, width = shape[0] / max(shape), shape[1] / max(shape)
    columns = columns or _columns(count)
    rows = math.ceil(count / columns)
    step_x, step_y = width + _GAP_X, height + _GAP_Y
    corners = tuple(((i % columns) * step_x, (i // columns) * step_y + _GAP_Y) for i in range(count))
    return Mosaic(corners, (width, height), (columns * step_x - _GAP_X, rows * step_y))


def _columns(count: int) -> int:
    if count <= 4:
        return max(count, 1)
    # few empty cells, and an overall shape near 5:3
    return min(range(3, 8), key=lambda c: (abs(c / math.ceil(count / c) - 5 / 3) + 0.15 * (-count % c), c))


def draw(
    axes: Axes,
    maps: FloatArray,
    labels: Sequence[str],
    plan: Mosaic,
    *,
    cmap: str,
    limits: tuple[float, float],
    loading: Loading | None,
    outline_color: str,
    bar_color: str,
    detailed: bool = False,
) -> AxesImage:
    """Draw maps (panel, y, x) with labels, the sample's outline and a scale bar; returns the image.

    `detailed` keeps the scale bar clear of ruby, wire and leads too.
    """
    panels = np.stack([shrink(one) for one in maps])
    rows, columns = panels.shape[1:]
    per_unit = max(rows, columns)
    canvas = np.full([math.ceil(edge * per_unit) for edge in reversed(plan.size)], np.nan)
    for panel, (left, top) in zip(panels, plan.corners, strict=True):
        y, x = round(top * per_unit), round(left * per_unit)
        canvas[y : y + rows, x : x + columns] = panel
    snapped = [(round(left * per_unit) / per_unit, round(top * per_unit) / per_unit) for left, top in plan.corners]
    width, height = plan.panel
    axes.add_collection(
        PatchCollection([Rectangle(corner, width, height) for corner in snapped], facecolor=_NO_DATA, edgecolor="none")
    )
    extent = (0, canvas.shape[1] / per_unit, canvas.shape[0] / per_unit, 0)
    image = axes.imshow(
        canvas, extent=extent, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest", zorder=2
    )
    for (left, top), label in zip(snapped, labels, strict=True):
        axes.text(left, top - 0.035, label, va="bottom", fontsize=7.5)
    if loading is not None:
        lines = [outline for corner in snapped for outline in outlines(loading, ("sample",), corner, plan.panel)]
        if outline_color != style.INK:  # light lines must also show where there is no data
            axes.add_collection(LineCollection(lines, colors=style.INK, linewidths=1.3, alpha=0.35, zorder=3))
        axes.add_collection(
            LineCollection(lines, colors=outline_color, linewidths=0.7, linestyles=(0, (4, 2)), zorder=3)
        )
        kinds = tuple(p.kind for p in loading.polygons) if detailed else ("sample",)
        scale_bar(axes, snapped[0], plan.panel, loading, bar_color, outlines(loading, kinds, snapped[0], plan.panel))
    style.bare(axes)
    axes.set_xlim(0, plan.size[0])
    axes.set_ylim(plan.size[1], 0)
    return image


def shrink(image: FloatArray) -> FloatArray:
    """Average a large map down for display, leaving out what is not finite."""
    factor = math.ceil(max(image.shape) / _MAX_PANEL)
    if factor <= 1:
        return image
    rows, columns = (edge // factor for edge in image.shape)
    blocks = image[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    good = np.isfinite(blocks)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(good, blocks, 0.0).sum((1, 3)) / good.sum((1, 3)))


def outlines(
    loading: Loading, kinds: Sequence[str], corner: tuple[float, float], panel: tuple[float, float]
) -> list[FloatArray]:
    """Return the closed outlines of a loading's polygons, in the units of a panel at `corner`."""
    return [
        np.asarray([*p.vertices, p.vertices[0]]) * np.asarray(panel) + np.asarray(corner)
        for p in loading.polygons
        if p.kind in kinds
    ]


def scale_bar(
    axes: Axes,
    corner: tuple[float, float],
    panel: tuple[float, float],
    loading: Loading,
    color: str,
    avoid: Sequence[FloatArray] = (),
) -> None:
    """Draw a bar of a round length near a fifth of the field of view, in a corner of a panel clear of `avoid`."""
    micrometres = loading.field_of_view * 1e6
    length = max((b for b in (0.5, 1, 2, 5, 10, 20, 50, 100, 200) if b <= micrometres * 0.27), default=micrometres / 5)
    width, height = length / micrometres * max(panel), 0.1
    lefts = (0.06, panel[0] - 0.06 - width, (panel[0] - width) / 2)
    tops = (panel[1] - 0.06 - height, 0.06)
    spots = [(corner[0] + left, corner[1] + top) for top in tops for left in lefts]

    def free(spot: tuple[float, float]) -> bool:
        low, high = np.asarray(spot), np.asarray(spot) + np.asarray((width, height))
        return all(np.any((box.max(0) < low) | (box.min(0) > high)) for box in avoid)

    x, y = next(filter(free, spots), spots[0])
    rim = halo(color)
    axes.plot(
        [x, x + width], [y + height] * 2, color=color, linewidth=2, solid_capstyle="butt", zorder=4, path_effects=rim
    )
    axes.text(
        x + width / 2, y + height - 0.03, f"{length:g} µm", color=color, ha="center", va="bottom", fontsize=6.5,
        zorder=4, path_effects=rim,
    )  # fmt: skip


def halo(color: str) -> list[AbstractPathEffect]:
    """Return path effects that keep ink of `color` readable on any map."""
    around = "white" if color == style.INK else style.INK
    return [Stroke(linewidth=2.2, foreground=around, alpha=0.5), Normal()]
