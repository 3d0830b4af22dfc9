"""s(T) at the chosen places with R(T) beneath, on one temperature axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nvscope.analysis.figures import maps, style
from nvscope.analysis.regions import Curve
from nvscope.analysis.results import Resistance, SeriesResult
from nvscope.analysis.transition import Transition, TransitionStatus
from nvscope.config import Loading

_TALL, _SHORT = 4.7, 3.75
"""Height with and without R(T) (inch)."""


def transition_figure(result: SeriesResult, resistance: Resistance | None, loading: Loading | None) -> Figure:
    """The coldest s map with its places, s(T) there, and R(T) beneath, Tc marked on both."""
    series = result.series
    with_r = resistance is not None
    figure = style.new_figure(style.WIDTH, _TALL if with_r or result.regions else _SHORT)
    top = figure.add_axes((0.085, 0.445, 0.56, 0.525) if with_r else (0.085, 0.13, 0.56, 0.84))
    axes = [top]
    _ratio_axes(top, result)
    if resistance is not None:
        bottom = figure.add_axes((0.085, 0.10, 0.56, 0.31), sharex=top)
        _resistance_axes(bottom, resistance)
        top.tick_params(labelbottom=False)
        axes.append(bottom)
    axes[-1].set_xlabel("temperature (K)")
    _temperature_range(top, result, resistance)
    _mark(axes, result, resistance)
    _place_map(figure, result, loading)
    top.set_ylabel(f"s = B/H at {series.field / maps.GAUSS:.0f} G")
    return figure


@dataclass(frozen=True, eq=False)
class _Line:
    """A curve s(T) with its name, colour and mark."""

    name: str
    note: str
    color: str
    marker: str
    curve: Curve
    transition: Transition


def _lines(result: SeriesResult) -> list[_Line]:
    pairs = ((result.suppressed, style.SUPPRESSED), (result.enhanced, style.ENHANCED))
    found = [
        _Line(p.label, f"disc of {int(p.disc.mask.sum())} pixels", color, "o", p.curve, p.transition)
        for p, color in pairs
        if p is not None
    ]
    return found + [
        _Line(one.name, f"{one.pixels} pixels", color, "s", one.curve, one.transition)
        for one, color in zip(result.regions, style.REGIONS, strict=False)
    ]


def _ratio_axes(axes: Axes, result: SeriesResult) -> None:
    axes.axhline(1, color=style.FAINT, linewidth=1, zorder=0)
    temperature = result.series.temperature
    for line in _lines(result):
        size = 3.5 if line.marker == "s" else 4.5
        axes.errorbar(
            temperature, line.curve.value, line.curve.err, fmt=line.marker, color=line.color, markersize=size,
            label=line.name, elinewidth=1,
        )  # fmt: skip
        if line.transition.status == TransitionStatus.FOUND:
            fine = np.linspace(temperature[0], temperature[-1], 200)
            axes.plot(fine, line.transition.curve(fine), color=line.color, linewidth=1, alpha=0.7)
    axes.margins(y=0.12)


def _resistance_axes(axes: Axes, resistance: Resistance) -> None:
    milliohm = np.nanmax(np.abs(resistance.resistance)) < 0.5
    scale, unit = (1e3, "mΩ") if milliohm else (1.0, "Ω")
    err = np.where(np.isfinite(resistance.err), resistance.err, 0.0)
    axes.errorbar(
        resistance.temperature,
        resistance.resistance * scale,
        err * scale,
        fmt="o-",
        color=style.RESISTANCE,
        markersize=3.5,
        linewidth=1,
    )
    if resistance.onset is not None:
        onset = resistance.onset
        span = np.linspace(onset.temperature - 12, resistance.temperature[-1], 60)
        axes.plot(span, onset.normal_resistance(span) * scale, color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 2)))
    axes.set_ylabel(f"R ({unit})")
    if np.nanmin(resistance.resistance) >= 0:
        axes.set_ylim(bottom=0)
    axes.margins(y=0.08)


def _temperature_range(axes: Axes, result: SeriesResult, resistance: Resistance | None) -> None:
    every = [result.series.temperature] + ([resistance.temperature] if resistance is not None else [])
    low, high = min(t.min() for t in every), max(t.max() for t in every)
    margin = max(1.0, 0.03 * (high - low))
    axes.set_xlim(low - margin, high + margin)


def _mark(axes: list[Axes], result: SeriesResult, resistance: Resistance | None) -> None:
    """Mark both critical temperatures on both axes; each is named where it was read, in the empty corner above Tc."""
    marks = []
    if result.tc is not None:
        marks.append((axes[0], *result.tc, "c", style.SUPPRESSED, "solid"))
    if resistance is not None and resistance.onset is not None:
        onset = resistance.onset
        marks.append((axes[-1], onset.temperature, onset.temperature_err, "c,onset", style.RESISTANCE, "dashed"))
    low, high = axes[0].get_xlim()
    rightmost = max((mark[1] + mark[2] for mark in marks), default=low)
    for home, tc, err, subscript, color, line in marks:
        for one in axes:
            one.axvspan(tc - err, tc + err, color=color, alpha=0.14, linewidth=0)
            one.axvline(tc, color=color, linewidth=0.9, linestyle=line)
        right = (rightmost - low) / (high - low) < 0.70
        home.annotate(
            rf"$T_\mathrm{{{subscript}}}$ = {tc:.1f} ± {err:.1f} K",
            (rightmost if right else min(mark[1] - mark[2] for mark in marks), 0.05),
            xycoords=("data", "axes fraction"), xytext=(5 if right else -5, 0), textcoords="offset points",
            ha="left" if right else "right", va="bottom", color=color, fontsize=8,
        )  # fmt: skip


def _place_map(figure: Figure, result: SeriesResult, loading: Loading | None) -> None:
    """Draw the coldest s map with the places, its colour bar and the legend beneath, spaced in inches."""
    series = result.series
    height = figure.get_figheight()
    edge = 2.27
    axes = figure.add_axes((0.675, (height - 0.22 - edge) / height, edge / style.WIDTH, edge / height), anchor="N")
    limits = maps.ratio_limits(series.s)
    image = maps.single(axes, series.s[0], loading, cmap=style.DIVERGING, limits=limits)
    axes.set_title(f"s at {maps.kelvin(series.temperature[0])}")
    below = figure.add_axes((0.70, (height - 0.42 - edge) / height, 0.265, 0.075 / height))
    bar = figure.colorbar(image, cax=below, orientation="horizontal", extend=style.clipped(series.s, *limits))
    bar.outline.set_visible(False)
    below.tick_params(length=2, width=0.6, labelsize=7.5)
    for place, color in ((result.suppressed, style.SUPPRESSED), (result.enhanced, style.ENHANCED)):
        if place is not None:
            maps.place_marker(axes, place.disc.row, place.disc.column, series.shape, color)
    for region, color in zip(result.regions, style.REGIONS, strict=False):
        maps.region_outline(axes, region.polygons, series.shape, color)
    for index, line in enumerate(_lines(result)):
        y = (height - 0.86 - edge - 0.4 * index) / height
        mark = "●" if line.marker == "o" else "■"
        figure.text(0.70, y, mark, color=line.color, va="center", ha="center", fontsize=8)
        figure.text(0.72, y, line.name, color=line.color, va="center")
        cold = f"s = {line.curve.value[0]:.4f} ± {line.curve.err[0]:.4f}, {line.note}"
        figure.text(0.72, y - 0.16 / height, cold, va="center", fontsize=7, color=style.MUTED)
