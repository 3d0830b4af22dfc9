"""What a series of maps and its resistances say, in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.fraction import ScreeningFraction, screening_fraction
from nvscope.analysis.onset import Onset, resistance_onset
from nvscope.analysis.regions import Curve, Disc, extreme_discs, region_curve, weighted_mean
from nvscope.analysis.run_regions import Polygons, RegionResult, region_results
from nvscope.analysis.series import Series
from nvscope.analysis.transition import Transition, TransitionStatus, fit_transition
from nvscope.config import Loading
from nvscope.config.polygons import union_mask

FloatArray = NDArray[np.float64]

DISC_RADIUS = 1.5e-6
"""Radius (m) of the discs over which s is averaged at the chosen places; never less than 1.5 pixels."""
RIM = 4e-6
"""How far (m) outside the sample's outline the most enhanced point may lie: field lines bunch at the edge."""


@dataclass(frozen=True, eq=False)
class Place:
    """A chosen place with its curve s(T) and the transition in it."""

    label: str
    disc: Disc
    curve: Curve
    transition: Transition


@dataclass(frozen=True, eq=False)
class SeriesResult:
    """A series with everything read off it.

    Attributes
    ----------
    series : Series
    suppressed, enhanced : Place or None
        The most suppressed and the most enhanced place.
    tc_map : Transition or None
        Local transitions; None with fewer than 4 temperatures.
    median_b_err : ndarray, shape (point,)
        Median 1-σ uncertainty of B over the image (T).
    screening : ScreeningFraction or None
        How much of the sample screens at the lowest temperature; None without an outline.
    regions : tuple of RegionResult
        Regions that were drawn, or that averaging looked at.
    """

    series: Series
    suppressed: Place | None
    enhanced: Place | None
    tc_map: Transition | None
    median_b_err: FloatArray
    screening: ScreeningFraction | None
    regions: tuple[RegionResult, ...] = ()

    @property
    def tc(self) -> tuple[float, float] | None:
        """Tc of the most suppressed place and its whole uncertainty (K), if a transition was found there."""
        place = self.suppressed
        if place is None or place.transition.status != TransitionStatus.FOUND:
            return None
        return float(place.transition.tc), float(place.transition.total_err)


@dataclass(frozen=True, eq=False)
class Resistance:
    """R(T) of a run, ascending in temperature, with its onset."""

    temperature: FloatArray
    resistance: FloatArray
    err: FloatArray
    onset: Onset | None


def pixel_size(loading: Loading | None, shape: tuple[int, int]) -> float | None:
    """Return the edge of a pixel at the culet (m), None without a loading."""
    return None if loading is None else loading.field_of_view / max(shape)


def sample_mask(loading: Loading | None, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return the pixels inside the sample's outline, None if the loading has none."""
    outlines = [] if loading is None else [p.vertices for p in loading.polygons if p.kind == "sample"]
    return union_mask(outlines, shape) if outlines else None


def analyse_series(
    series: Series, loading: Loading | None, regions: Mapping[str, Polygons] | None = None
) -> SeriesResult:
    """Choose the places, average their curves and those of the run's own `regions`, and fit the transitions."""
    pixel = pixel_size(loading, series.shape)
    radius = max(1.5, DISC_RADIUS / pixel) if pixel else 1.5
    inside = sample_mask(loading, series.shape)
    allowed = None
    if inside is not None and pixel:
        rim = max(1, round(RIM / pixel))
        allowed = ndimage.binary_dilation(inside, iterations=rim)
    cold = slice(0, max(1, len(series.points) // 3))
    # several cold maps choose the places, so that the choice does not pick the noise of one
    s, s_err = weighted_mean(series.s[cold], series.s_point_err[cold])
    suppressed, enhanced = extreme_discs(s, s_err, radius, allowed)
    return SeriesResult(
        series=series,
        suppressed=_place("most suppressed", suppressed, series),
        enhanced=_place("most enhanced", enhanced, series),
        tc_map=_tc_map(series),
        median_b_err=np.array([_median(one) for one in series.b_err]),
        screening=None if inside is None else screening_fraction(series.s[0], series.s_err[0], inside),
        regions=region_results(series, regions or {}),
    )


def _place(label: str, disc: Disc | None, series: Series) -> Place | None:
    if disc is None:
        return None
    curve = region_curve(series.s, series.s_point_err, series.reference_err, disc.mask)
    transition = fit_transition(series.temperature, curve.value, curve.err, curve.common_err)
    return Place(label, disc, curve, transition)


def _tc_map(series: Series) -> Transition | None:
    if len(series.points) < 4:
        return None
    return fit_transition(series.temperature, series.s, series.s_point_err, series.reference_err, shared_shape=True)


def _median(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def median_b_err(point: MapPoint) -> float:
    """Return the median 1-σ uncertainty of B (T) over the converged pixels of a point."""
    return _median(point.map("b_z_err")) if "b_z_err" in point.maps else float("nan")


def resistance_curve(run: RunData) -> Resistance | None:
    """Return R(T) over all points of a run that measured it, None if none did."""
    points: Sequence[MapPoint] = [p for p in run.points if np.isfinite(p.resistance) and np.isfinite(p.temperature)]
    if not points:
        return None
    rows = sorted((p.temperature, p.resistance, p.resistance_err) for p in points)
    t, r, err = (np.array(column) for column in zip(*rows, strict=True))
    return Resistance(t, r, err, resistance_onset(t, r, err))
