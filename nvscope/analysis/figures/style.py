"""One look for every figure: type, ink, colours and colour maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

INK = "#1c2128"
MUTED = "#69717d"
FAINT = "#d9dde3"
SUPPRESSED = "#2166ac"
ENHANCED = "#b2182b"
NEUTRAL = "#4d5561"
RESISTANCE = "#8a5a00"
REGIONS = ("#b5267f", "#2f7d6b")
"""Of the regions drawn by the operator, as in the window."""

SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
TEMPERATURE = "plasma"

WIDTH = 7.2
"""Width of a full figure (inch)."""
_DPI = 160

_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 8.5,
    "errorbar.capsize": 0,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "mathtext.fontset": "dejavusans",
    "path.simplify": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "nvscope",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 8,
    "xtick.major.size": 3,
    "xtick.major.width": 0.7,
    "ytick.color": INK,
    "ytick.labelsize": 8,
    "ytick.major.size": 3,
    "ytick.major.width": 0.7,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with the house style; matplotlib's own settings come back afterwards."""
    with mpl.rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure (inch) that needs no screen and no pyplot."""
    figure = Figure(figsize=(width, height), dpi=_DPI)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write PNG and SVG; returns the path of the PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=_DPI)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return path


def bare(axes: Axes) -> None:
    """Take everything but the picture away from map axes."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def color_bar(image: AxesImage, axes: Axes, title: str, extend: str = "neither") -> Colorbar:
    """Draw a slim colour bar with its title above it."""
    figure = axes.figure
    bar = figure.colorbar(image, cax=axes, extend=extend)
    bar.outline.set_visible(False)
    axes.tick_params(length=2, width=0.6, labelsize=7.5)
    axes.set_title(title, fontsize=8, loc="left", pad=6 if extend == "neither" else 10)
    return bar


def color_range(values: NDArray[np.float64], percent: float = 0.5) -> tuple[float, float]:
    """Return limits that leave `percent` of the finite values out on either side; (0, 1) without any."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, [percent, 100 - percent])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def clipped(values: NDArray[np.float64], low: float, high: float) -> str:
    """Return matplotlib's `extend` for values outside the limits."""
    finite = values[np.isfinite(values)]
    under, over = bool((finite < low).any()), bool((finite > high).any())
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[under, over]
