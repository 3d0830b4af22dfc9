"""Regions an operator drew, or a sequence averaged by: s, δB and Tc of each as one curve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.regions import Curve, region_curve
from nvscope.analysis.series import Series
from nvscope.analysis.transition import Transition, TransitionStatus, fit_transition
from nvscope.config.polygons import Vertices, union_mask

FloatArray = NDArray[np.float64]
Polygons = tuple[Vertices, ...]
ROI, REFERENCE = "region of interest", "reference region"
_KINDS = {"roi": ROI, "reference": REFERENCE}


@dataclass(frozen=True, eq=False)
class RegionResult:
    """A region with its curve s(T).

    Attributes
    ----------
    name : str
    polygons : tuple of polygons
        Vertices (x, y) as fractions of the maps' width and height.
    pixels : int
        Pixels whose centres lie inside.
    curve : Curve
        Weighted mean of s at every temperature of the series.
    transition : Transition
        Of that mean.
    median_b_err : ndarray, shape (point,)
        Median 1-σ uncertainty of B of its pixels (T).
    """

    name: str
    polygons: Polygons
    pixels: int
    curve: Curve
    transition: Transition
    median_b_err: FloatArray

    @property
    def tc(self) -> tuple[float, float] | None:
        """Tc and its whole uncertainty (K), None if no transition was found."""
        if self.transition.status != TransitionStatus.FOUND:
            return None
        return float(self.transition.tc), float(self.transition.total_err)


def run_regions(entries: Iterable[Mapping[str, Any]], points: Iterable[Mapping[str, Any]]) -> dict[str, Polygons]:
    """Return a run's regions by name.

    Parameters
    ----------
    entries : iterable of mapping
        Entries ``region`` of the journal, in order: the last of a kind counts; one without vertices takes it away.
    points : iterable of mapping
        Attributes of the points; the region a sequence gave them counts where no region of interest was drawn.
    """
    found: dict[str, Polygons] = {}
    for attrs in points:
        polygons = _polygons(attrs.get("region") or ())
        if polygons:
            found[ROI] = polygons
    for data in entries:
        name, polygons = _KINDS.get(str(data.get("kind"))), _polygons([data.get("vertices") or ()])
        if name is not None and polygons:
            found[name] = polygons
        elif name is not None:
            found.pop(name, None)
    return found


def _polygons(stored: Any) -> Polygons:
    """Read polygons; what is damaged, or has less than three vertices, is none."""
    try:
        read = [tuple((float(x), float(y)) for x, y in polygon) for polygon in stored]
    except (TypeError, ValueError):
        return ()
    return tuple(polygon for polygon in read if len(polygon) >= 3)


def region_results(series: Series, regions: Mapping[str, Polygons]) -> tuple[RegionResult, ...]:
    """Return s, δB and Tc of every region that has a pixel with a measured s."""
    found: list[RegionResult] = []
    for name, polygons in regions.items():
        mask = union_mask(list(polygons), series.shape)
        if not mask.any() or not np.isfinite(series.s[:, mask]).any():
            continue
        curve = region_curve(series.s, series.s_point_err, series.reference_err, mask)
        transition = fit_transition(series.temperature, curve.value, curve.err, curve.common_err)
        b_err = np.array([_median(one[mask]) for one in series.b_err])
        found.append(RegionResult(name, polygons, int(mask.sum()), curve, transition, b_err))
    return tuple(found)


def _median(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def areas(regions: Sequence[RegionResult], pixel: float | None) -> list[float]:
    """Return their areas (m²), NaN where the size of a pixel is not known."""
    return [one.pixels * pixel**2 if pixel else float("nan") for one in regions]
