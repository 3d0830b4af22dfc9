"""Figures of the remnant field at H = 0 and of the traction on the culet."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nvscope.analysis.figures import style
from nvscope.analysis.figures.maps import GAUSS, kelvin, single
from nvscope.analysis.figures.mosaic import layout
from nvscope.analysis.results import sample_mask
from nvscope.analysis.traction import Traction
from nvscope.analysis.zero_field import ZeroFieldMap
from nvscope.config import Loading

FloatArray = NDArray[np.float64]
GIGAPASCAL = 1e9

_EDGE = 0.255
_HEIGHT = 2.3


def _panel(
    figure: Figure, left: float, values: FloatArray, title: str, unit: str, cmap: str, loading: Loading | None,
    *, dark: bool, limits: tuple[float, float] | None = None,
) -> None:  # fmt: skip
    axes = figure.add_axes((left, 0.05, _EDGE, _EDGE * style.WIDTH / _HEIGHT))
    shown = style.color_range(values, 0.5) if limits is None else limits
    image = single(axes, values, loading, cmap=cmap, limits=shown, dark=dark)
    axes.set_title(title)
    cax = figure.add_axes((left + _EDGE + 0.008, 0.07, 0.011, 0.62))
    style.color_bar(image, cax, unit, style.clipped(values, *shown))


def remnant_figure(zero: ZeroFieldMap, loading: Loading | None) -> Figure:
    """|B| at zero field, its floor, and how both are distributed inside and outside the sample."""
    remnant = zero.remnant
    figure = style.new_figure(style.WIDTH, _HEIGHT)
    b = remnant.b / GAUSS
    top = style.color_range(b, 0.5)[1]
    _panel(
        figure, 0.012, b, f"|B| at H = 0, {kelvin(zero.point.temperature)}", "G", style.SEQUENTIAL, loading,
        dark=True, limits=(0.0, max(top, 1.0)),
    )  # fmt: skip
    if remnant.separable:
        _panel(figure, 0.337, remnant.floor / GAUSS, "floor of |B|", "G", "cividis_r", loading, dark=False)
    axes = figure.add_axes((0.735, 0.21, 0.25, 0.05 + _EDGE * style.WIDTH / _HEIGHT - 0.21))
    inside = sample_mask(loading, (b.shape[0], b.shape[1]))
    edges = np.linspace(0, max(top, 1.0) * 1.15, 40)
    groups = [("all pixels", np.ones(b.shape, dtype=bool), style.NEUTRAL)]
    if inside is not None:
        groups = [("outside", ~inside, style.NEUTRAL), ("sample", inside, style.ENHANCED)]
    for label, mask, color in groups:
        values = b[mask & np.isfinite(b)]
        if values.size:
            axes.hist(values, edges.tolist(), density=True, histtype="step", color=color, label=label, linewidth=1.2)
    if remnant.separable:
        axes.axvline(
            float(np.nanmedian(remnant.floor)) / GAUSS, color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 2))
        )
    axes.legend(loc="upper right", fontsize=7.5, handlelength=1.2)
    axes.set_xlabel("|B| (G)")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return figure


def traction_figure(found: Traction, loading: Loading | None) -> Figure:
    """Normal stress, shear with its direction, and the uncertainty of the shear, systematic included."""
    figure = style.new_figure(style.WIDTH, _HEIGHT)
    _panel(figure, 0.012, found.sigma_zz / GIGAPASCAL, "normal stress σ_ZZ", "GPa", "viridis", loading, dark=True)
    tau = found.tau / GIGAPASCAL
    _panel(figure, 0.337, tau, "shear τ", "GPa", "magma", loading, dark=True)
    _arrows(figure.axes[-2], found, loading)
    total = np.hypot(found.tau_err, found.tau_systematic) / GIGAPASCAL
    _panel(figure, 0.662, total, "δτ with systematic", "GPa", "cividis_r", loading, dark=False)
    return figure


def _arrows(axes: Axes, found: Traction, loading: Loading | None) -> None:
    """Draw the direction of the shear on a coarse lattice, where it is well above its uncertainty."""
    rows, columns = found.tau.shape
    step = max(1, max(rows, columns) // 12)
    mirror = -1.0 if loading is not None and loading.mirrored else 1.0
    plan = layout(1, (rows, columns), 1)
    y, x = np.mgrid[step // 2 : rows : step, step // 2 : columns : step]
    with np.errstate(invalid="ignore"):
        clear = found.tau[y, x] > 3 * found.tau_err[y, x]
    clear &= ~((y > 0.8 * rows) & (x < 0.4 * columns))  # the scale bar is there
    y, x = y[clear], x[clear]
    if not y.size:
        return
    size = found.tau[y, x]
    axes.quiver(
        plan.corners[0][0] + (x + 0.5) / columns * plan.panel[0],
        plan.corners[0][1] + (y + 0.5) / rows * plan.panel[1],
        found.sigma_xz[y, x] / size,
        mirror * found.sigma_yz[y, x] / size,
        angles="xy", scale_units="xy", scale=15, color="white", width=0.006, headwidth=3.5, pivot="mid", zorder=5,
    )  # fmt: skip
