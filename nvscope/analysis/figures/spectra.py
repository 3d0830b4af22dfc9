"""Spectra of single pixels with the stored fit drawn through them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nvscope.analysis.dataset import MapPoint
from nvscope.analysis.figures import style
from nvscope.analysis.figures.maps import GAUSS, kelvin
from nvscope.store.spectra import Spectra

FloatArray = NDArray[np.float64]


def split_windows(frequency: FloatArray) -> list[slice]:
    """Return the contiguous windows of a frequency axis: it is cut where a step exceeds five median steps."""
    if len(frequency) < 3:
        return [slice(0, len(frequency))]
    steps = np.diff(frequency)
    cuts = [0, *(np.nonzero(steps > 5 * np.median(steps))[0] + 1).tolist(), len(frequency)]
    return [slice(a, b) for a, b in pairwise(cuts)]


def line_model(frequency: FloatArray, point: MapPoint, row: int, column: int) -> FloatArray:
    """Return the fitted spectrum of a pixel over its baseline, from the stored maps."""
    total = np.ones_like(frequency)
    for side in ("minus", "plus"):
        center, width, contrast = (float(point.maps[f"{n}_{side}"][row, column]) for n in ("f", "width", "contrast"))
        if np.isfinite(center) and np.isfinite(contrast):
            total = total + contrast / (1 + ((frequency - center) / width) ** 2)
    return total


def spectra_figure(
    point: MapPoint, spectra: Spectra, pixels: Sequence[tuple[str, str, int, int]], s: FloatArray | None
) -> Figure:
    """Draw the spectra of a few pixels.

    Parameters
    ----------
    point : MapPoint
        The point, with its maps.
    spectra : Spectra
        Columns in the order of `pixels`.
    pixels : sequence of (label, color, row, column)
    s : ndarray, shape (y, x), optional
        Ratio map for the captions.
    """
    windows = split_windows(spectra.frequency)
    rows = len(pixels)
    figure = style.new_figure(style.WIDTH, 0.62 + 1.22 * rows)
    grid = figure.add_gridspec(
        rows, len(windows), left=0.085, right=0.80, top=1 - 0.22 / (0.62 + 1.22 * rows),
        bottom=0.42 / (0.62 + 1.22 * rows), hspace=0.16, wspace=0.05,
        width_ratios=[spectra.frequency[w][-1] - spectra.frequency[w][0] for w in windows],
    )  # fmt: skip
    for index, (label, color, row, column) in enumerate(pixels):
        axes = [figure.add_subplot(grid[index, i]) for i in range(len(windows))]
        fit = line_model(spectra.frequency, point, row, column)
        level = _baseline(spectra, fit, index)
        _draw_pixel(axes, windows, spectra, index, point, (row, column), level, color)
        _join(axes, index == rows - 1)
        _caption(axes[-1], label, color, point, row, column, s)
    figure.text(0.44, 0.06 / (0.62 + 1.22 * rows), "microwave frequency (GHz)", ha="center", fontsize=8.5)
    figure.text(0.012, 0.5, "fluorescence, relative", rotation=90, va="center", fontsize=8.5)
    figure.text(0.085, 1 - 0.16 / (0.62 + 1.22 * rows), f"{kelvin(point.temperature)}, {point.field / GAUSS:.1f} G")
    return figure


def _baseline(spectra: Spectra, fit: FloatArray, index: int) -> FloatArray:
    """Fit the baseline (up to quadratic) that the stored maps leave open; returns it on the frequency axis."""
    x = spectra.frequency - spectra.frequency.mean()
    x = x / max(float(np.abs(x).max()), 1.0)
    design = np.vander(x, 3) * fit[:, None]
    weight = 1 / spectra.noise[:, index]
    solution, *_ = np.linalg.lstsq(design * weight[:, None], spectra.signal[:, index] * weight, rcond=None)
    return np.asarray(np.vander(x, 3) @ solution)


def _draw_pixel(
    axes: Sequence[Axes],
    windows: Sequence[slice],
    spectra: Spectra,
    index: int,
    point: MapPoint,
    pixel: tuple[int, int],
    level: FloatArray,
    color: str,
) -> None:
    relative, noise = spectra.signal[:, index] / level, spectra.noise[:, index] / level
    fits = []
    for one, window in zip(axes, windows, strict=True):
        f = spectra.frequency[window]
        fine = np.linspace(f[0], f[-1], 300)
        curve = line_model(fine, point, *pixel)
        fits.append(curve)
        one.errorbar(f / 1e9, relative[window], noise[window], fmt=".", color=style.MUTED, markersize=3, elinewidth=0.6)
        one.plot(fine / 1e9, curve, color=color, linewidth=1.4)
        margin = (f[-1] - f[0]) / max(len(f) - 1, 1)
        one.set_xlim((f[0] - margin) / 1e9, (f[-1] + margin) / 1e9)
    every = np.concatenate([relative, *fits])
    low, high = np.nanpercentile(every, [0.5, 99.5])
    for one in axes:
        one.set_ylim(low - 0.25 * (high - low), high + 0.25 * (high - low))


def _join(axes: Sequence[Axes], bottom: bool) -> None:
    for i, one in enumerate(axes):
        one.tick_params(labelbottom=bottom)
        one.locator_params(axis="y", nbins=3)
        one.locator_params(axis="x", nbins=4)
        if i > 0:  # the second window continues the first
            one.tick_params(left=False, labelleft=False)
            one.spines["left"].set_visible(False)
            one.plot(0, 0, marker=[(-0.6, -1), (0.6, 1)], transform=one.transAxes, color=style.INK, clip_on=False,
                     markersize=6, linestyle="none")  # fmt: skip
        if i < len(axes) - 1:
            one.plot(1, 0, marker=[(-0.6, -1), (0.6, 1)], transform=one.transAxes, color=style.INK, clip_on=False,
                     markersize=6, linestyle="none")  # fmt: skip


def _caption(axes: Axes, label: str, color: str, point: MapPoint, row: int, column: int, s: FloatArray | None) -> None:
    b, b_err = float(point.maps["b_z"][row, column]), float(point.maps["b_z_err"][row, column])
    lines = [f"B = {b / GAUSS:.2f} ± {b_err / GAUSS:.2f} G"]
    if s is not None:
        lines.append(f"s = {s[row, column]:.4f}")
    if "chi2_reduced" in point.maps:
        lines.append(f"χ²/ν = {float(point.maps['chi2_reduced'][row, column]):.2f}")
    lines.append(f"pixel ({column}, {row})")
    axes.text(1.04, 0.92, label, transform=axes.transAxes, color=color, va="top")
    axes.text(1.04, 0.74, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=7, color=style.MUTED,
              linespacing=1.5)  # fmt: skip
