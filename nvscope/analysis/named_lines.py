"""Which line is whose: where a free fit of eight lines starts, and which of its lines are measurements.

Eight free lines that cross and coincide have no names. The stress that all biases of a traction run together imply
says where each group's lines are. Started there, `nvscope.odmr.fit` with ``lines=8`` keeps that order; its lines and
their errors owe nothing to the stress but their names.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.dataset import RunData
from nvscope.analysis.stress_of_run import fit_stress_of_run
from nvscope.odmr import FitStatus, ODMRFit

FloatArray = NDArray[np.float64]
Start = Mapping[str, FloatArray]

_STRAY = 1.5
"""Half widths by which a free line may end beside its place: beyond, it is another's."""
_CLEAR = 4.0
"""Amplitude over its error from which a line counts."""


def named_starts(run: RunData) -> dict[int, Start]:
    """Return a start for `nvscope.odmr.fit` with ``lines=8`` for every traction point of a run, by its number.

    Maps of f∓ and of half widths (Hz), (4, y, x), groups in the order of `nvscope.nv.GROUP_AXES`. Nothing where a run
    has no loading, or fewer than three biases.
    """
    found = fit_stress_of_run(run)
    if found is None:
        return {}
    starts: dict[int, Start] = {}
    for point, place, width in zip(found.points, found.places(), found.fit.width, strict=True):
        half = width.T.reshape(4, 2, -1)
        starts[point.index] = {
            "f_minus": found.image(place[:, 0]),
            "f_plus": found.image(place[:, 1]),
            "width_minus": found.image(half[:, 0]),
            "width_plus": found.image(half[:, 1]),
        }
    return starts


def seen_lines(fit: ODMRFit, start: Start) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which of a fit's lower and upper lines, (4, *grid), are measurements: clear, and where they should be.

    Where lines of two groups coincide neither is one of its own, and a group may hardly be driven; the others are
    measured nevertheless.
    """
    ended = (fit.status != FitStatus.invalid) & (fit.status != FitStatus.not_converged)
    seen = []
    for side in ("minus", "plus"):
        f, width, f_err, amplitude, err = (
            getattr(fit, name)
            for name in (f"f_{side}", f"width_{side}", f"f_{side}_err", f"amplitude_{side}", f"amplitude_{side}_err")
        )
        with np.errstate(invalid="ignore"):
            near = np.abs(f - start[f"f_{side}"]) < _STRAY * width
            seen.append(ended & near & (np.abs(amplitude) > _CLEAR * err) & (f_err < width))
    return seen[0], seen[1]
