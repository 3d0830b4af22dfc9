"""Curves of transport protocols: R(T), R(H), V–I."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from nvscope.analysis.figures import style
from nvscope.analysis.transport_curves import TransportCurves

_HEIGHT = 3.2
_MOST_NAMED = 12
"""Families in a legend; more say nothing that colours could still tell apart."""
_AXES = {
    "transport-rt": ("temperature (K)", 1.0, "R (mΩ)", 1e3),
    "transport-rh": ("applied field (G)", 1e4, "R (mΩ)", 1e3),
    "transport-iv": ("current (mA)", 1e3, "V (µV)", 1e6),
}


def transport_figure(found: TransportCurves) -> Figure:
    """All curves of one protocol, a colour for each family; open and dashed on the second way through."""
    figure = style.new_figure(style.WIDTH, _HEIGHT)
    axes = figure.add_subplot()
    x_label, x_scale, y_label, y_scale = _AXES[found.kind]
    families = list(dict.fromkeys(curve.family for curve in found.curves))
    colors = dict(zip(families, mpl.colormaps[style.TEMPERATURE](np.linspace(0.05, 0.8, len(families))), strict=True))
    named: set[str] = set()
    for curve in found.curves:
        axes.errorbar(
            x_scale * curve.x,
            y_scale * curve.y,
            y_scale * curve.y_err,
            fmt="o--" if curve.back else "o-",
            color=colors[curve.family],
            markerfacecolor="white" if curve.back else colors[curve.family],
            markersize=4,
            linewidth=1,
            label=None if curve.family in named else curve.family,
        )
        named.add(curve.family)
    axes.axhline(0, color=style.FAINT, linewidth=0.8, zorder=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if len(families) <= _MOST_NAMED:
        axes.legend()
    figure.tight_layout()
    return figure
