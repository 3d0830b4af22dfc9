"""Figures of maps: B and s at every temperature, δB, local Tc."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from nvscope.analysis.dataset import MapPoint
from nvscope.analysis.figures import mosaic, style
from nvscope.analysis.results import SeriesResult
from nvscope.analysis.run_regions import Polygons
from nvscope.analysis.transition import TransitionStatus
from nvscope.config import Loading

FloatArray = NDArray[np.float64]
GAUSS = 1e-4


def kelvin(value: float) -> str:
    """Write a temperature to 0.1 K, whole ones without decimals."""
    return f"{value:.0f} K" if abs(value - round(value)) < 0.05 else f"{value:.1f} K"


def field_maps(result: SeriesResult, loading: Loading | None) -> Figure:
    """B at every temperature on one colour scale, the reference last."""
    series = result.series
    maps, labels = list(series.b / GAUSS), [kelvin(t) for t in series.temperature]
    if series.reference is not None:
        maps.append(series.reference.map("b_z") / GAUSS)
        labels.append(f"{kelvin(series.reference.temperature)}, reference")
    stack = np.stack(maps)
    return _mosaic(stack, labels, "B (G)", style.SEQUENTIAL, style.color_range(stack), loading, "white", "white")


def ratio_maps(result: SeriesResult, loading: Loading | None) -> Figure:
    """Return s at every temperature on one colour scale centred at 1."""
    series = result.series
    labels = [kelvin(t) for t in series.temperature]
    limits = ratio_limits(series.s)
    return _mosaic(series.s, labels, "s = B/H", style.DIVERGING, limits, loading, style.INK, style.INK)


def ratio_limits(s: FloatArray) -> tuple[float, float]:
    """Return limits symmetric about 1 that hold all but the outermost 0.2 % of s."""
    finite = np.abs(s[np.isfinite(s)] - 1)
    reach = max(0.005, float(np.percentile(finite, 99.8))) if finite.size else 0.05
    return 1 - reach, 1 + reach


def _mosaic(
    maps: FloatArray,
    labels: Sequence[str],
    title: str,
    cmap: str,
    limits: tuple[float, float],
    loading: Loading | None,
    outline_color: str,
    bar_color: str,
) -> Figure:
    plan = mosaic.layout(len(maps), (maps.shape[1], maps.shape[2]))
    right, left = 0.66, 0.08  # inches for the colour bar and the margin
    unit = min((style.WIDTH - right - left) / plan.size[0], 2.6)
    width, height = plan.size[0] * unit + right + left, plan.size[1] * unit + 0.14
    figure = style.new_figure(width, height)
    axes = figure.add_axes((left / width, 0.07 / height, plan.size[0] * unit / width, plan.size[1] * unit / height))
    image = mosaic.draw(
        axes,
        maps,
        labels,
        plan,
        cmap=cmap,
        limits=limits,
        loading=loading,
        outline_color=outline_color,
        bar_color=bar_color,
    )
    tall = min(plan.size[1] * unit * 0.7, 2.4)
    cax = figure.add_axes(((width - right + 0.1) / width, (height - 0.42 - tall) / height, 0.11 / width, tall / height))
    bar = style.color_bar(image, cax, title, style.clipped(maps, *limits))
    bar.locator = MaxNLocator(6)
    bar.update_ticks()
    return figure


def single(
    axes: Axes,
    values: FloatArray,
    loading: Loading | None,
    *,
    cmap: str,
    limits: tuple[float, float],
    dark: bool = False,
    details: bool = False,
) -> AxesImage:
    """Draw one map with outline and scale bar; `details` adds ruby, wire and leads, named."""
    plan = mosaic.layout(1, (values.shape[0], values.shape[1]), 1)
    ink = "white" if dark else style.INK
    image = mosaic.draw(
        axes,
        values[None],
        [""],
        plan,
        cmap=cmap,
        limits=limits,
        loading=loading,
        outline_color=ink,
        bar_color=ink,
        detailed=details,
    )
    if details and loading is not None:
        _details(axes, loading, plan, ink)
    axes.set_ylim(plan.size[1], plan.corners[0][1])
    return image


def _details(axes: Axes, loading: Loading, plan: mosaic.Mosaic, ink: str) -> None:
    corner, panel = plan.corners[0], plan.panel
    for polygon in loading.polygons:
        if polygon.kind == "sample":
            continue
        (points,) = mosaic.outlines(loading.model_copy(update={"polygons": (polygon,)}), (polygon.kind,), corner, panel)
        axes.plot(points[:, 0], points[:, 1], color=ink, linewidth=0.6, linestyle=(0, (1, 1.5)), zorder=3, clip_on=True)
        x, y = points[:-1].mean(0)
        name = "ref." if polygon.kind == "reference" else polygon.name
        extent = np.ptp(points, axis=0)
        axes.text(
            x, y, name, color=ink, fontsize=6, ha="center", va="center", zorder=4, clip_on=True,
            rotation=90 if extent[1] > 3 * extent[0] else 0, path_effects=mosaic.halo(ink),
        )  # fmt: skip


def place_marker(axes: Axes, row: int, column: int, shape: tuple[int, int], color: str) -> None:
    """Mark a chosen place on a map drawn by `single`."""
    plan = mosaic.layout(1, shape, 1)
    x = plan.corners[0][0] + (column + 0.5) / shape[1] * plan.panel[0]
    y = plan.corners[0][1] + (row + 0.5) / shape[0] * plan.panel[1]
    axes.plot(x, y, "o", markersize=8, markerfacecolor="none", markeredgecolor="white", markeredgewidth=2.6, zorder=5)
    axes.plot(x, y, "o", markersize=8, markerfacecolor="none", markeredgecolor=color, markeredgewidth=1.5, zorder=6)


def region_outline(axes: Axes, polygons: Polygons, shape: tuple[int, int], color: str) -> None:
    """Draw the outline of a region on a map drawn by `single`."""
    plan = mosaic.layout(1, shape, 1)
    lines = [np.asarray([*one, one[0]]) * plan.panel + plan.corners[0] for one in polygons]
    for ink, width in (("white", 2.4), (color, 1.3)):
        axes.add_collection(LineCollection(lines, colors=ink, linewidths=width, zorder=5))


def error_map(result: SeriesResult, loading: Loading | None) -> Figure:
    """δB of the coldest map, its distribution, and its median at every temperature."""
    series = result.series
    err = series.b_err[0] / GAUSS
    figure = style.new_figure(style.WIDTH, 2.75)
    axes = figure.add_axes((0.012, 0.05, 0.335, 0.86))
    low, high = style.color_range(err, 1.0)
    image = single(axes, err, loading, cmap="cividis_r", limits=(low, high), dark=False, details=True)
    axes.set_title(f"δB at {kelvin(series.temperature[0])}")
    for region, color in zip(result.regions, style.REGIONS, strict=False):
        region_outline(axes, region.polygons, series.shape, color)
    cax = figure.add_axes((0.36, 0.07, 0.015, 0.62))
    style.color_bar(image, cax, "δB (G)", style.clipped(err, low, high))
    _error_histogram(figure.add_axes((0.50, 0.17, 0.20, 0.70)), err, (low, high))
    trend = figure.add_axes((0.785, 0.17, 0.205, 0.70))
    trend.plot(series.temperature, result.median_b_err / GAUSS, "o-", color=style.NEUTRAL, markersize=3.5, linewidth=1)
    for region, color in zip(result.regions, style.REGIONS, strict=False):
        trend.plot(series.temperature, region.median_b_err / GAUSS, "s-", color=color, markersize=3, linewidth=1)
    every = [result.median_b_err, *(region.median_b_err for region in result.regions)]
    trend.set_ylim(0, 1.25 * float(np.nanmax(np.concatenate(every), initial=1e-9)) / GAUSS)
    trend.set_xlabel("T (K)")
    trend.set_title("median δB (G)")
    return figure


def _error_histogram(axes: Axes, err: FloatArray, limits: tuple[float, float]) -> None:
    finite = err[np.isfinite(err)]
    counts, edges = np.histogram(finite, bins=40, range=(max(0.0, 0.9 * limits[0]), 1.1 * limits[1]))
    axes.stairs(counts, edges, fill=True, color="#c3cad3")
    if finite.size:
        median = float(np.median(finite))
        axes.axvline(median, color=style.INK, linewidth=1)
        axes.annotate(
            f"median {median:.3f} G", (median, 1), xycoords=("data", "axes fraction"), xytext=(4, -2),
            textcoords="offset points", va="top", fontsize=7.5,
        )  # fmt: skip
    axes.set_xlabel("δB (G)")
    axes.set_title("pixels")


TC_SHOWN = 4.0
"""Local Tc is shown where it is known to this (K) or better."""


def tc_figure(result: SeriesResult, loading: Loading | None) -> Figure | None:
    """Local Tc where it is known well, its uncertainty and distribution; None if it is known nowhere."""
    fit = result.tc_map
    if fit is None:
        return None
    with np.errstate(invalid="ignore"):
        shown = (fit.status == TransitionStatus.FOUND) & (fit.tc_err < TC_SHOWN)
    if shown.sum() < 5:
        return None
    tc, err = np.where(shown, fit.tc, np.nan), np.where(shown, fit.tc_err, np.nan)
    figure = style.new_figure(style.WIDTH, 2.6)
    panels = ((0.012, tc, "local Tc", style.TEMPERATURE), (0.395, err, "δTc", "cividis_r"))
    for left, values, title, cmap in panels:
        axes = figure.add_axes((left, 0.05, 0.315, 0.315 * style.WIDTH / 2.6))
        limits = style.color_range(values, 2.0)
        image = single(axes, values, loading, cmap=cmap, limits=limits)
        axes.set_title(title)
        cax = figure.add_axes((left + 0.325, 0.07, 0.013, 0.66))
        style.color_bar(image, cax, "K", style.clipped(values, *limits))
    axes = figure.add_axes((0.81, 0.17, 0.18, 0.05 + 0.315 * style.WIDTH / 2.6 - 0.17))
    counts, edges = np.histogram(tc[shown], bins=30)
    axes.stairs(counts, edges, fill=True, color="#c3cad3")
    axes.axvline(float(np.median(tc[shown])), color=style.INK, linewidth=1)
    axes.set_xlabel("local Tc (K)")
    axes.set_title(f"pixels, median {np.median(tc[shown]):.1f} K")
    return figure


def single_map(point: MapPoint, loading: Loading | None) -> Figure:
    """B and δB of one point, side by side."""
    figure = style.new_figure(style.WIDTH, 3.15)
    for left, name, title, cmap, ink_dark in (
        (0.012, "b_z", "B", style.SEQUENTIAL, True),
        (0.515, "b_z_err", "δB", "cividis_r", False),
    ):
        values = point.map(name) / GAUSS
        axes = figure.add_axes((left, 0.04, 0.39, 0.39 * style.WIDTH / 3.15))
        limits = style.color_range(values, 1.0)
        image = single(axes, values, loading, cmap=cmap, limits=limits, dark=ink_dark, details=True)
        axes.set_title(f"{title} at {kelvin(point.temperature)}" if np.isfinite(point.temperature) else title)
        cax = figure.add_axes((left + 0.40, 0.06, 0.014, 0.66))
        style.color_bar(image, cax, "G", style.clipped(values, *limits))
    return figure
