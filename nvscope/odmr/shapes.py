"""Line shapes: value and slopes of one line of unit amplitude, as numba kernels.

A *line* is one microwave transition of one NV group. With hyperfine structure it is the mean of equal sub-lines at
fixed offsets: three for ¹⁴N (A∥ = 2.16 MHz), two for ¹⁵N (A∥ = 3.03 MHz; Felton et al., PRB 79, 075203, 2009). `width`
is always the half width at half maximum of one (sub-)line.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["LINE_MODELS", "LineModel", "evaluate_line", "line_columns"]

A_N14 = 2.16e6
A_N15 = 3.03e6
LORENTZIAN, GAUSSIAN = 0, 1
# exact reordering and fused multiply-add only: nothing here lets the compiler assume finite numbers
SAFE_FAST = {"reassoc", "contract", "nsz", "arcp"}


@dataclass(frozen=True)
class LineModel:
    """A line shape by name.

    Attributes
    ----------
    name : str
        What `fit(model=...)` calls it.
    kind : int
        `LORENTZIAN` or `GAUSSIAN`.
    offsets : tuple of float
        Sub-line offsets from the line's centre, Hz.
    """

    name: str
    kind: int
    offsets: tuple[float, ...] = (0.0,)


LINE_MODELS = {
    model.name: model
    for model in (
        LineModel("lorentzian", LORENTZIAN),
        LineModel("gaussian", GAUSSIAN),
        LineModel("n14", LORENTZIAN, (-A_N14, 0.0, A_N14)),
        LineModel("n15", LORENTZIAN, (-A_N15 / 2, A_N15 / 2)),
    )
}


def evaluate_line(
    model: LineModel, frequency: NDArray[np.float64], centre: NDArray[np.float64], width: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Evaluate lines of unit amplitude in numpy.

    Parameters
    ----------
    model : LineModel
        The shape.
    frequency, centre, width : ndarray
        Hz; broadcast against each other. `width` is the half width at half maximum of one sub-line.

    Returns
    -------
    ndarray
        The line, 1 at the centre of a line without hyperfine structure.
    """
    total: NDArray[np.float64] = np.zeros(np.broadcast_shapes(frequency.shape, centre.shape, width.shape))
    for offset in model.offsets:
        u2 = ((frequency - centre - offset) / width) ** 2
        total += 1.0 / (1.0 + u2) if model.kind == LORENTZIAN else np.exp(-math.log(2.0) * u2)
    return total / len(model.offsets)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def line_columns(x, root_weight, kind, offsets, centre, width, value, by_centre, by_width):
    """Fill the weighted value of a line and its slopes against centre and width; rows of length `x.size`."""
    for i in range(x.size):
        value[i] = 0.0
        by_centre[i] = 0.0
        by_width[i] = 0.0
    inverse = 1.0 / width
    share = 1.0 / offsets.size
    for m in range(offsets.size):
        middle = centre + offsets[m]
        if kind == 0:
            for i in range(x.size):
                u = (x[i] - middle) * inverse
                h = 1.0 / (1.0 + u * u)
                s = share * root_weight[i]
                slope = 2.0 * u * h * h * inverse * s
                value[i] += h * s
                by_centre[i] += slope
                by_width[i] += slope * u
        else:
            for i in range(x.size):
                u = (x[i] - middle) * inverse
                h = math.exp(-0.6931471805599453 * u * u)
                s = share * root_weight[i]
                slope = 1.3862943611198906 * u * h * inverse * s
                value[i] += h * s
                by_centre[i] += slope
                by_width[i] += slope * u
