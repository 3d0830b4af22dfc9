"""Maps taken at zero applied field, with the stress splitting they need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.ratio import MIN_FIELD
from nvscope.analysis.remnant import Remnant, remnant_field

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ZeroFieldMap:
    """A remnant-field map: the point, the zero-field reference above Tc (if any), and |B|."""

    point: MapPoint
    reference: MapPoint | None
    remnant: Remnant


def zero_field_maps(run: RunData) -> tuple[ZeroFieldMap, ...]:
    """Return the remnant field of every point mapped at zero field, each with the nearest zero-field reference.

    Points whose field was not recorded are left out. Without a reference the result is an upper limit, and says so.
    """
    zero = [p for p in run.mapped() if np.isfinite(p.field) and abs(p.field) <= MIN_FIELD]
    references = [p for p in zero if p.purpose == "reference"]
    return tuple(_map(point, references) for point in zero if point.purpose != "reference")


def _map(point: MapPoint, references: list[MapPoint]) -> ZeroFieldMap:
    shape = point.maps["half_splitting"].shape
    usable = [r for r in references if r.maps["half_splitting"].shape == shape]
    reference = min(usable, key=lambda r: abs(r.index - point.index), default=None)
    stress = (None, 0.0) if reference is None else _half(reference)
    return ZeroFieldMap(point, reference, remnant_field(*_half(point), *stress))


def _half(point: MapPoint) -> tuple[FloatArray, FloatArray]:
    return point.map("half_splitting"), point.map("half_splitting_err")
