"""What the report says in numbers, as plain data, and how each number is defined."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nvscope.analysis import html
from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.penetration import Penetration
from nvscope.analysis.results import Resistance, SeriesResult, median_b_err
from nvscope.analysis.run_regions import RegionResult


def definitions(result: SeriesResult) -> html.Markup:
    """Return how B, s, the places and the critical temperatures are defined, as a list."""
    lines = [
        "B is the field along the NV axis from half the splitting of the two lines. The stress splitting is not "
        "subtracted: it raises B, and in s, where the reference has it too, 20 MHz of it at 97 G shrink 1 − s by 0.5 % "
        "of its value.",
        "s = B/H is the map divided by the reference map taken above Tc at the same coil current; its uncertainty "
        "includes the reference's.",
        "The most suppressed and most enhanced places are the extremes of disc averages over the coldest third of the "
        "maps, inside the sample's outline and its rim; error bars leave out the reference's share, which moves a "
        "whole curve.",
        "A region is what the operator drew while the run went on, or the outline by which the sequence averaged; its "
        "s is the weighted mean over its pixels, with the same weights at every temperature.",
        "Tc of s(T) is where s merges with its value above the transition, fitted with a form that is flat at low "
        "temperature and linear, rounded, towards Tc. Its uncertainty joins that of the fit, over all forms tried, "
        "with the interval between the temperatures around Tc over √12. A local Tc is that of the field above a pixel, "
        "which carries the screening of its neighbours.",
        "Screening is the mean of 1 − s over the sample's outline at the lowest temperature, a lower bound on the "
        "shielding volume fraction, and beside it the share of the area where 1 − s exceeds both 0.01 and three "
        "uncertainties.",
        "Tc,onset of R(T) is where R leaves its normal state, extrapolated from the nearest points above, by more than "
        "5 σ and 0.5 %; its uncertainty is the spacing of the points.",
    ]
    if not result.regions:
        lines = [line for line in lines if not line.startswith("A region is")]
    if result.series.reference is None:
        lines[1] = (
            "s = B/H is the map divided by the applied field: calibration and tilt of the magnet bias it as a whole."
        )
    return html.tag("ul", html.join(html.tag("li", line) for line in lines))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def penetration_numbers(found: Penetration) -> Mapping[str, Any]:
    """Return what raising the field showed, SI."""
    return {
        "temperature": found.temperature,
        "field": found.field.tolist(),
        "screening": [_finite(v) for v in found.screening],
        "screening_err": [_finite(v) for v in found.screening_err],
        "entered": found.entered.tolist() if found.screens.any() else None,
        "pixels": int(found.screens.sum()),
    }


def numbers(run: RunData, result: SeriesResult | None, resistance: Resistance | None) -> Mapping[str, Any]:
    """Return what the page says as plain data, SI."""
    found: dict[str, Any] = {
        "run": run.path.name,
        "outcome": run.outcome,
        "duration": _finite(run.duration),
        "points": [_point_numbers(p) for p in run.points],
    }
    if result is not None:
        found["tc"], found["tc_err"] = result.tc if result.tc is not None else (None, None)
        for key, place in (("suppressed", result.suppressed), ("enhanced", result.enhanced)):
            if place is not None:
                found[key] = {
                    "row": place.disc.row,
                    "column": place.disc.column,
                    "temperature": [float(t) for t in result.series.temperature],
                    "s": [_finite(v) for v in place.curve.value],
                    "s_err": [_finite(v) for v in place.curve.err],
                    "reference_err": _finite(place.curve.common_err),
                    "tc": _finite(float(place.transition.tc)),
                    "tc_err": _finite(float(place.transition.tc_err)),
                    "tc_sampling": _finite(float(place.transition.sampling)),
                }
        if result.regions:
            found["regions"] = {region.name: _region_numbers(region) for region in result.regions}
        if result.screening is not None:
            found["mean_suppression"] = _finite(result.screening.mean_suppression)
            found["suppressed_area"] = _finite(result.screening.suppressed_area)
    if resistance is not None:
        onset = resistance.onset
        found["tc_onset"] = None if onset is None else onset.temperature
        found["tc_onset_err"] = None if onset is None else onset.temperature_err
    return found


def _region_numbers(region: RegionResult) -> dict[str, Any]:
    return {
        "polygons": [[list(vertex) for vertex in polygon] for polygon in region.polygons],
        "pixels": region.pixels,
        "s": [_finite(value) for value in region.curve.value],
        "s_err": [_finite(value) for value in region.curve.err],
        "reference_err": _finite(region.curve.common_err),
        "median_b_err": [_finite(value) for value in region.median_b_err],
        "tc": None if region.tc is None else region.tc[0],
        "tc_err": None if region.tc is None else region.tc[1],
    }


def _point_numbers(point: MapPoint) -> dict[str, Any]:
    certificate = point.attrs.get("certificate")
    return {
        "point": point.index,
        "purpose": point.purpose,
        "temperature": _finite(point.temperature),
        "field": _finite(point.field),
        "resistance": _finite(point.resistance),
        "median_b_err": _finite(median_b_err(point)),
        "verdict": certificate.get("verdict") if isinstance(certificate, Mapping) else None,
        "frames": point.frames,
    }
