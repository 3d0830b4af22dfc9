"""The words and tables of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from nvscope.analysis import html
from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.html import Cell, Markup
from nvscope.analysis.results import Resistance, SeriesResult, median_b_err, pixel_size
from nvscope.analysis.run_regions import areas
from nvscope.analysis.transition import TransitionStatus
from nvscope.config import Loading, Sample
from nvscope.config.stored import texts, value_text
from nvscope.errors import ConfigError
from nvscope.plans.sequence import find_sequence

GAUSS = 1e-4
_OUTCOMES = {"done": "good", "aborted": "warn", "failed": "bad", "unfinished": "warn"}
_VERDICTS = {"valid": "good", "degraded": "warn", "invalid": "bad"}
_DASH = "–"


def seconds(value: float) -> str:
    """Write a duration: ``3 h 50 min``, ``4 min 10 s``, ``12 s``."""
    if not math.isfinite(value):
        return "unknown"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _name(part: object) -> str:
    return str(part.get("name", "")) if isinstance(part, Mapping) else str(part or "")


def _pressure(run: RunData) -> float | None:
    value = run.info.get("nominal_pressure")
    if value is None and run.loading is not None:
        value = run.loading.nominal_pressure
    return float(value) if isinstance(value, int | float) else None


def _simulated(run: RunData) -> bool:
    rig = run.info.get("rig")
    return isinstance(rig, Mapping) and rig.get("simulator") is not None


def overview(run: RunData) -> Markup:
    """Return the head of the page: what was run, on what, when, and how it ended."""
    pressure = _pressure(run)
    title = " · ".join(
        part
        for part in (
            str(run.info.get("sequence", "run")),
            _name(run.info.get("sample")),
            f"{pressure / 1e9:g} GPa" if pressure is not None else "",
        )
        if part
    )
    started = str(run.info.get("started") or "")
    line = " · ".join(
        part
        for part in (
            run.path.name,
            started[:16].replace("T", " "),
            str(run.info.get("operator") or ""),
            f"rig {_name(run.info.get('rig'))}" if run.info.get("rig") else "",
            "simulated lab" if _simulated(run) else "",
        )
        if part
    )
    badge = html.tag("span", run.outcome, class_=f"badge {_OUTCOMES.get(run.outcome, 'soft')}")
    parts: list[Cell] = [html.tag("h1", title), html.tag("p", html.join([badge, line]), class_="sub")]
    note = run.info.get("note")
    if note:
        parts.append(html.tag("p", f"Note: {note}", class_="sub"))
    if run.reason and run.outcome != "done":
        parts.append(html.tag("p", run.reason, class_=_OUTCOMES.get(run.outcome, "")))
    return html.tag("header", html.join(parts, "\n"))


def tiles(run: RunData, result: SeriesResult | None, resistance: Resistance | None) -> Markup:
    """Return the numbers one wants first."""
    shown: list[tuple[str, str, str]] = []
    if result is not None:
        shown.append(_tc_tile(result))
    if resistance is not None:
        shown.append(_onset_tile(resistance))
    if result is not None:
        for place in (result.suppressed, result.enhanced):
            if place is not None:
                value = f"{place.curve.value[0]:.4f} ± {math.hypot(place.curve.err[0], place.curve.common_err):.4f}"
                where = f"at {result.series.temperature[0]:.1f} K, pixel ({place.disc.column}, {place.disc.row})"
                shown.append((f"s, {place.label}", value, where))
    if result is not None and result.screening is not None and result.screening.pixels:
        part = result.screening
        value = f"{100 * part.mean_suppression:.2f} ± {100 * part.mean_suppression_err:.2f} %"
        shown.append(("screening, ⟨1 − s⟩", value, f"of the sample; {100 * part.suppressed_area:.0f} % of its area"))
    mapped = run.mapped()
    if mapped:
        err = np.array([median_b_err(p) for p in mapped])
        fields = sorted({round(abs(p.field) / GAUSS) for p in mapped if math.isfinite(p.field)})
        if np.isfinite(err).any():  # a point whose blocks were all discarded has none
            shown.append(("median δB", f"{np.nanmedian(err) / GAUSS:.3f} G", "per pixel, 1 σ"))
        shown.append(("maps", str(len(mapped)), f"{_range(mapped)}, {', '.join(f'{f} G' for f in fields)}"))
    shown.append(_certificates(run))
    frames = sum(p.frames for p in run.points)
    shown.append(("duration", seconds(run.duration), f"rig time, {_thousands(frames)} frames"))
    content = (
        html.tag(
            "div",
            html.join([html.tag("span", a), html.tag("b", b, class_=_VERDICTS.get(b, "")), html.tag("span", c)]),
            class_="tile",
        )
        for a, b, c in shown
    )
    return html.tag("div", html.join(content, "\n"), class_="tiles")


def _tc_tile(result: SeriesResult) -> tuple[str, str, str]:
    label = "Tc, from s(T)"
    place = result.suppressed
    if result.tc is not None:
        tc, err = result.tc
        parts = (
            ""
            if place is None
            else f"fit ± {place.transition.tc_err:.1f}, sampling ± {place.transition.sampling:.1f} K"
        )
        return label, f"{tc:.1f} ± {err:.1f} K", f"most suppressed place; {parts}"
    if len(result.series.points) < 4:
        return label, _DASH, f"{len(result.series.points)} temperatures are too few"
    status = TransitionStatus.NO_DATA if place is None else TransitionStatus(int(place.transition.status))
    if place is not None and status == TransitionStatus.ABOVE_RANGE:
        return label, f"> {result.series.temperature[-1]:.1f} K", "still screening at the highest temperature"
    if place is not None and status == TransitionStatus.BELOW_RANGE:
        return label, f"< {result.series.temperature[1]:.1f} K", "gone at the second temperature"
    return label, _DASH, "no transition within the noise"


def _onset_tile(resistance: Resistance) -> tuple[str, str, str]:
    onset = resistance.onset
    if onset is None:
        count = len(resistance.temperature)
        return "Tc,onset, from R(T)", _DASH, f"no drop in {count} resistance{'s' if count > 1 else ''}"
    value = f"{onset.temperature:.1f} ± {onset.temperature_err:.1f} K"
    return "Tc,onset, from R(T)", value, f"R falls by {100 * onset.drop:.0f} % at {resistance.temperature[0]:.1f} K"


def _range(points: Sequence[MapPoint]) -> str:
    kelvin = [p.temperature for p in points if math.isfinite(p.temperature)]
    if not kelvin:
        return "temperatures unknown"
    low, high = f"{min(kelvin):.0f}", f"{max(kelvin):.0f}"
    return f"{low} K" if low == high else f"{low}–{high} K"


def _certificates(run: RunData) -> tuple[str, str, str]:
    verdicts = [c["verdict"] for p in run.points if isinstance(c := p.attrs.get("certificate"), Mapping)]
    if not verdicts:
        return "history", _DASH, "no certificates were issued"
    counts = {verdict: verdicts.count(verdict) for verdict in ("invalid", "degraded", "valid") if verdict in verdicts}
    worst = next(iter(counts))
    return "history", worst, ", ".join(f"{n} {verdict}" for verdict, n in reversed(counts.items()))


def region_table(result: SeriesResult, loading: Loading | None) -> Markup:
    """Return one row per region drawn: its size, s and δB at the lowest temperature, its own Tc."""
    pixel = pixel_size(loading, result.series.shape)
    cold = f"{result.series.temperature[0]:.1f} K"
    rows: list[list[Cell]] = []
    for region, area in zip(result.regions, areas(result.regions, pixel), strict=True):
        err = math.hypot(float(region.curve.err[0]), region.curve.common_err)
        rows.append(
            [
                region.name,
                str(region.pixels),
                _number(area * 1e12, ".1f"),
                with_error(float(region.curve.value[0]), err),
                _number(float(region.median_b_err[0]) / GAUSS, ".3f"),
                _DASH if region.tc is None else f"{region.tc[0]:.1f} ± {region.tc[1]:.1f}",
            ]
        )
    header = ("region", "pixels", "area (µm²)", f"s at {cold}", f"median δB at {cold} (G)", "Tc (K)")
    return html.table(header, rows, numeric=[1, 2, 3, 4, 5])


def point_table(run: RunData, result: SeriesResult | None) -> Markup:
    """Return one row per point: conditions, quality, certificate."""
    if not run.points:
        return html.tag("p", "No point was completed.", class_="soft")
    header = ("point", "purpose", "T (K)", "H (G)", "R (Ω)", "median δB (G)", "fitted", "χ²/ν", "frames", "history")
    rows = [_row(p) for p in run.points]
    used = [i for i in range(len(header)) if i < 2 or any(row[i] != _DASH for row in rows)]
    return html.table(
        [header[i] for i in used],
        [[row[i] for i in used] for row in rows],
        numeric=[k for k, i in enumerate(used) if 2 <= i <= 8 or i == 0],
    )


def _row(point: MapPoint) -> list[Cell]:
    status = point.maps.get("status")
    fitted = f"{100 * float(np.mean(np.asarray(status) == 0)):.1f} %" if status is not None else _DASH
    chi2 = _DASH
    if "chi2_reduced" in point.maps and np.isfinite(point.map("chi2_reduced")).any():
        chi2 = f"{np.nanmedian(point.map('chi2_reduced')):.2f}"
    return [
        str(point.index),
        point.purpose + ("" if point.final or not point.maps else " (partial)") + _way(point),
        _number(point.temperature, ".2f"),
        _number(point.field / GAUSS, ".2f"),
        with_error(point.resistance, point.resistance_err),
        _number(median_b_err(point) / GAUSS, ".3f"),
        fitted,
        chi2,
        _thousands(point.frames) if point.frames else _DASH,
        _verdict(point.attrs.get("certificate")),
    ]


def _way(point: MapPoint) -> str:
    """What else tells one transport point from another: current, direction of the sweep, angle of the field."""
    if not point.purpose.startswith("transport"):
        return ""
    attrs = point.attrs
    parts = [f"{1e3 * float(attrs['current']):.3g} mA"] if "current" in attrs else []
    parts += [str(attrs["direction"])] if "direction" in attrs else []
    if "angle" in attrs:
        parts.append(f"{float(attrs['magnitude']) / GAUSS:.4g} G at {math.degrees(float(attrs['angle'])):.3g}°")
    return f" ({', '.join(parts)})" if parts else ""


def with_error(value: float, err: float) -> str:
    """Write a value to the digit at which its uncertainty starts: ``0.06208 ± 0.00002``."""
    if not math.isfinite(value):
        return _DASH
    if not (math.isfinite(err) and err > 0):
        return f"{value:.5g}"
    digits = max(0, -math.floor(math.log10(err)))
    return f"{value:.{digits}f} ± {err:.{digits}f}"


def _thousands(count: int) -> str:
    return f"{count:,}".replace(",", "\u202f")


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else _DASH


def _verdict(certificate: object) -> Cell:
    if not isinstance(certificate, Mapping):
        return _DASH
    verdict, reason = str(certificate.get("verdict", "")), str(certificate.get("reason", ""))
    shown = html.tag("span", verdict, class_=_VERDICTS.get(verdict, "soft"))
    if verdict == "valid":
        return html.join([shown, html.tag("span", f" {certificate.get('protocol', '')}", class_="soft", title=reason)])
    return html.join([shown, f": {reason}"])


def warnings(run: RunData, failures: Sequence[str]) -> Markup:
    """Return warnings of the run and of this report; a section that says so if there are none."""
    lines = [(f"{seconds(when - run.start)}: {what}" if when is not None else what) for when, what in run.warnings]
    lines += failures
    if not lines:
        return html.section("Warnings", html.tag("p", "None.", class_="soft"))
    return html.section("Warnings", html.tag("ul", html.join(html.tag("li", line) for line in lines)))


def parameters(run: RunData) -> Markup:
    """Return what the run was told: sequence parameters, sample, loading, computer."""
    blocks: list[tuple[str, Mapping[str, str]]] = [("Sequence", _sequence_parameters(run))]
    for title, model in (("Sample", Sample), ("Loading", Loading)):
        stored = run.info.get(title.lower())
        if isinstance(stored, Mapping):
            told = {k: v for k, v in stored.items() if k != "polygons" and v not in (None, "", [], {})}
            blocks.append((title, texts(model, told)))
    blocks.append(("Computer", _computer(run)))
    columns = (html.join([html.tag("h3", title), html.pairs(rows.items())]) for title, rows in blocks if rows)
    return html.section(
        "Parameters", html.tag("div", html.join((html.tag("div", c) for c in columns), "\n"), class_="columns")
    )


def _sequence_parameters(run: RunData) -> dict[str, str]:
    told = run.info.get("parameters") or {}
    try:
        model = find_sequence(str(run.info.get("sequence"))).parameters
    except ConfigError:  # a user's own script, not installed here: SI numbers without their units' names
        return {str(name): value_text(value) for name, value in told.items()}
    return texts(model, told)


def _computer(run: RunData) -> dict[str, str]:
    software = run.info.get("software") or {}
    found = {"host": run.info.get("host"), "system": software.get("system"), "python": software.get("python")}
    git = software.get("git")
    if isinstance(git, Mapping):
        found["commit"] = f"{str(git.get('commit', ''))[:12]}{' with local changes' if git.get('modified') else ''}"
    return {name: str(value) for name, value in found.items() if value}
