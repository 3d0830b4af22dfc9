"""Maps that belong together: one branch of the history at one field, ordered by temperature, as ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.ratio import MIN_FIELD, ratio_to_field, ratio_to_reference

FloatArray = NDArray[np.float64]

_BRANCHES = {"zfc": "ZFC, then field warming", "fw": "ZFC, then field warming", "fc": "field cooling"}
_FIELD_MATCH = 0.05
"""Relative difference within which two points count as taken at the same field."""


@dataclass(frozen=True, eq=False)
class Series:
    """Maps of one branch at one field, ascending in temperature.

    Attributes
    ----------
    title : str
        The branch.
    field : float
        Median applied field (T).
    points : tuple of MapPoint
    temperature : ndarray, shape (point,)
    b, b_err : ndarray, shape (point, y, x)
        Field along the NV axis (T) and its 1-σ uncertainty.
    s, s_err, s_point_err : ndarray, shape (point, y, x)
        The ratio, its uncertainty, and the share of it that is independent from point to point.
    reference_err : ndarray, shape (y, x)
        The share all points have in common.
    reference : MapPoint or None
        What s was normalised by; None if only the applied field was known.
    """

    title: str
    field: float
    points: tuple[MapPoint, ...]
    temperature: FloatArray
    b: FloatArray
    b_err: FloatArray
    s: FloatArray
    s_err: FloatArray
    s_point_err: FloatArray
    reference_err: FloatArray
    reference: MapPoint | None

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (y, x) of the maps."""
        return self.b.shape[1], self.b.shape[2]


_NO_SERIES = ("reference", "rotate-field", "traction")
"""Purposes of maps that are not taken in one field after another temperature."""


def find_series(run: RunData) -> tuple[Series, ...]:
    """Group the mapped points of a run into series, longest first; points at zero field form none."""
    mapped = [p for p in run.mapped() if np.isfinite(p.temperature)]
    own = [p for p in mapped if p.purpose == "reference"]
    others = [p for p in run.references if "b_z" in p.maps]
    groups: dict[str, list[list[MapPoint]]] = {}
    for point in mapped:
        if point.purpose in _NO_SERIES or not abs(point.field) > MIN_FIELD:
            continue
        same_branch = groups.setdefault(_BRANCHES.get(point.purpose, point.purpose), [])
        # whoever cools at zero field begins a history of its own, also where the protocol was redone
        latest = next((group for group in reversed(same_branch) if _alike(group[0], point)), None)
        if latest is None or point.purpose == "zfc":
            same_branch.append([point])
        else:
            latest.append(point)
    series = [_series(title, group, own, others) for title, branch in groups.items() for group in branch]
    return tuple(sorted(series, key=lambda one: -len(one.points)))


def _alike(one: MapPoint, other: MapPoint) -> bool:
    if one.maps["b_z"].shape != other.maps["b_z"].shape:
        return False
    return abs(abs(one.field) - abs(other.field)) <= _FIELD_MATCH * abs(one.field)


def _series(title: str, group: Sequence[MapPoint], own: Sequence[MapPoint], others: Sequence[MapPoint]) -> Series:
    points = tuple(sorted(group, key=lambda p: p.temperature))
    usable = [p for p in own if _alike(points[0], p)] or [p for p in others if _alike(points[0], p)]
    reference = min(usable, key=lambda p: abs(abs(p.field) - abs(points[0].field)), default=None)
    b, b_err = (np.stack([p.map(name) for p in points]) for name in ("b_z", "b_z_err"))
    if reference is None:
        ratios = [ratio_to_field(one, err, p.field) for one, err, p in zip(b, b_err, points, strict=True)]
    else:
        above, above_err = reference.map("b_z"), reference.map("b_z_err")
        ratios = []
        for one, err, p in zip(b, b_err, points, strict=True):
            # a field at zero current that one of the two cancels, and the other does not know of, was there for both
            unknown = p.residual - reference.residual
            scale = reference.field / (reference.field + unknown)
            ratios.append(ratio_to_reference(one, err, above * scale, above_err * scale, p.field, reference.field))
    return Series(
        title=title,
        field=float(np.median([abs(p.field) for p in points])),
        points=points,
        temperature=np.array([p.temperature for p in points]),
        b=b,
        b_err=b_err,
        s=np.stack([r.s for r in ratios]),
        s_err=np.stack([r.s_err for r in ratios]),
        s_point_err=np.stack([r.s_point_err for r in ratios]),
        reference_err=np.median(np.stack([r.reference_err for r in ratios]), axis=0),
        reference=reference,
    )
