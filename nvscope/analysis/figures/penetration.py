"""First penetration: the map of it, and screening against field."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from nvscope.analysis.figures import maps, style
from nvscope.analysis.penetration import Penetration
from nvscope.config import Loading

_HEIGHT = 2.9
_SIDE = 0.36


def penetration_figure(found: Penetration, loading: Loading | None) -> Figure:
    """Where flux has entered by which field, and what the places that screen at the lowest field do later."""
    figure = style.new_figure(style.WIDTH, _HEIGHT)
    axes = figure.add_axes((0.012, 0.05, _SIDE, 0.84))
    shown = np.where(np.isinf(found.first), np.nan, found.first) / maps.GAUSS
    limits = (float(found.field[0]) / maps.GAUSS, float(found.field[-1]) / maps.GAUSS)
    image = maps.single(axes, shown, loading, cmap=style.SEQUENTIAL, limits=limits)
    axes.set_title(f"first penetration at {maps.kelvin(found.temperature)}")
    style.color_bar(image, figure.add_axes((0.385, 0.07, 0.014, 0.66)), "G")
    trend = figure.add_axes((0.545, 0.17, 0.355, 0.72))
    field = found.field / maps.GAUSS
    trend.errorbar(field, 100 * found.screening, 100 * found.screening_err, fmt="o-", color=style.SUPPRESSED, lw=1)
    trend.set_ylim(bottom=0)
    trend.set_xlabel("applied field (G)")
    trend.set_ylabel("⟨1 − s⟩ (%)", color=style.SUPPRESSED)
    share = trend.twinx()
    share.plot(field, 100 * found.entered, "s--", color=style.ENHANCED, markersize=3.5, linewidth=1)
    share.set_ylim(0, 100)
    share.set_ylabel("pixels entered (%)", color=style.ENHANCED)
    return figure
