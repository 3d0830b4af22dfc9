"""Maps that are shown but not published: s, the D shift, means over the two lines; and their 1-σ maps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nvscope.gui.model.maps import PointMaps, masked
from nvscope.gui.model.methods import Methods, RatioMap
from nvscope.gui.model.points import PointRecord

FloatArray = NDArray[np.float64]

SAME_FIELD = 0.05
"""Relative difference of applied fields within which a reference map fits a point."""


def find_reference(point: PointRecord, points: dict[int, PointRecord]) -> PointRecord | None:
    """Return the reference point nearest in field among those taken at about the field of `point`."""
    if not abs(point.field) > 0:
        return None
    usable = [
        other
        for other in points.values()
        if other.purpose == "reference"
        and other.shape == point.shape
        and abs(abs(other.field) - abs(point.field)) <= SAME_FIELD * abs(point.field)
    ]
    return min(usable, key=lambda other: abs(abs(other.field) - abs(point.field)), default=None)


def ratio_map(
    methods: Methods,
    point: PointRecord,
    maps: PointMaps,
    reference: PointRecord | None,
    reference_maps: PointMaps | None,
) -> RatioMap | None:
    """Return s of a point; None if B or the field is not known, or the reference's maps are still to come."""
    b, b_err = masked(maps, "b_z"), masked(maps, "b_z_err")
    if b is None or b_err is None or not math.isfinite(point.field):
        return None
    if reference is None:
        return methods.ratio(b, b_err, None, None, point.field, math.nan)
    if reference_maps is None:
        return None
    above, above_err = masked(reference_maps, "b_z"), masked(reference_maps, "b_z_err")
    if above is None or above_err is None or above.shape != b.shape:
        return None
    return methods.ratio(b, b_err, above, above_err, point.field, reference.field)


def plain_map(methods: Methods, name: str, point: PointRecord, maps: PointMaps) -> FloatArray | None:
    """Return a map other than s by its name in `nvscope.gui.model.quantities`, or an error map; None if unknown."""
    if name == "d_shift":
        center = masked(maps, "center")
        if center is None or not math.isfinite(point.temperature):
            return None
        return center - methods.zero_field_splitting(max(0.0, point.temperature))
    if name in ("contrast", "width"):
        minus, plus = masked(maps, f"{name}_minus"), masked(maps, f"{name}_plus")
        return None if minus is None or plus is None else 0.5 * (minus + plus)
    return masked(maps, name)
