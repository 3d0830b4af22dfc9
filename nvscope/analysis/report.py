"""The report of a run: figures, the numbers that matter, and whether to believe them, on one self-contained page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from nvscope.analysis import figures, html
from nvscope.analysis.calibrations import Calibration, calibrations, write_calibration
from nvscope.analysis.dataset import RunData
from nvscope.analysis.figures import style
from nvscope.analysis.load import load_run
from nvscope.analysis.penetration import Penetration, measure_penetration
from nvscope.analysis.report_numbers import definitions, numbers, penetration_numbers
from nvscope.analysis.report_tables import overview, parameters, point_table, region_table, tiles, warnings
from nvscope.analysis.results import (
    Resistance,
    SeriesResult,
    analyse_series,
    resistance_curve,
    sample_mask,
)
from nvscope.analysis.series import find_series
from nvscope.analysis.traction import measure_traction
from nvscope.analysis.transport_curves import transport_curves
from nvscope.analysis.zero_field import zero_field_maps
from nvscope.errors import DataError
from nvscope.store.files import need_writable, write_whole
from nvscope.store.layout import FIGURES, REPORT


@dataclass
class _Plates:
    """Figures as they are drawn; one that fails is named in the report and does not take the others along."""

    folder: Path
    parts: list[html.Markup] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, name: str, caption: html.Cell, draw: Callable[[], Figure | None]) -> None:
        try:
            figure = draw()
            if figure is not None:
                png = figures.save(figure, self.folder, name)
                self.parts.append(html.figure(png, caption, name.replace("-", " ")))
        except Exception as error:
            for suffix in (".png", ".svg"):  # an older picture must not pass for this one
                (self.folder / f"{name}{suffix}").unlink(missing_ok=True)
            self.failures.append(f"the figure {name} could not be drawn: {type(error).__name__}: {error}")


def make_report(run_dir: Path) -> Path:
    """Write ``figures/*.png``, ``figures/*.svg`` and ``report.html`` of a run, whatever state it is in.

    Parameters
    ----------
    run_dir : Path
        A run directory; finished, aborted or still being written.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    DataError
        If the directory holds no run, or cannot be written.
    """
    run = load_run(run_dir)
    need_writable(run_dir)
    try:
        return write_report(run)
    except OSError as error:
        raise DataError(f"the report of {run_dir} cannot be written: {error}") from error


def write_report(run: RunData, calibrated: Sequence[Calibration] | None = None) -> Path:
    """Write the report of a run that has been read already, and what it `calibrated` if that is known, too."""
    results = [analyse_series(series, run.loading, run.regions) for series in find_series(run)]
    resistance = resistance_curve(run)
    plates = _Plates(run.path / FIGURES)
    calibrated = calibrations(run) if calibrated is None else calibrated
    write_calibration(run, calibrated)
    with figures.house_style():
        for index, result in enumerate(results):
            _series_figures(plates, run, result, resistance if index == 0 else None, _prefix(result, len(results)))
        _stress_and_remnant(plates, run)
        _transport(plates, run)
        penetrated = measure_penetration(run)
        _penetration(plates, run, penetrated)
        for one in calibrated:
            plates.add(one.name, _caption(f"{one.title}.", one.caption), one.draw)
        if not plates.parts:
            _single_figures(plates, run)
    main = results[0] if results else None
    body = html.join(
        [
            overview(run),
            html.section("Summary", tiles(run, main, resistance)),
            *(_calibration(one) for one in calibrated),
            *([html.section("Figures", *plates.parts)] if plates.parts else []),
            *([html.section("Regions", region_table(main, run.loading))] if main and main.regions else []),
            html.section("Points", point_table(run, main)),
            *([html.section("How the numbers are defined", definitions(main))] if main is not None else []),
            warnings(run, plates.failures),
            parameters(run),
            html.tag("footer", _origin(run)),
        ],
        "\n",
    )
    path = run.path / REPORT
    data = {**numbers(run, main, resistance), **{one.name: one.numbers for one in calibrated}}
    if penetrated:
        data["penetration"] = [penetration_numbers(one) for one in penetrated]
    write_whole(path, html.page(run.path.name, body, data).encode(), durable=False)
    return path


def _penetration(plates: _Plates, run: RunData, found: Sequence[Penetration]) -> None:
    for number, one in enumerate(found):
        entered = f"{100 * one.entered[-1]:.0f} % of the pixels that screen, by {one.field[-1] * 1e4:.4g} G"
        plates.add(
            "first-penetration" if len(found) == 1 else f"first-penetration-{number}",
            _caption(
                "First field at which 1 − s is smaller than at all fields before,",
                f"by more than 4 of its errors and 10 %: {entered}. Empty: none, or no screening that could be told.",
            ),
            partial(figures.penetration_figure, one, run.loading),
        )


def _transport(plates: _Plates, run: RunData) -> None:
    captions = {
        "transport-rt": "Resistance while cooling (filled) and warming (open), one colour for each current.",
        "transport-rh": "Resistance against field, up (filled) and down (open); colours tell temperature and angle.",
        "transport-iv": "Voltage against current, one colour for each temperature and field.",
    }
    for found in transport_curves(run):
        caption = _caption(captions[found.kind], "Error bars are 1 σ of the readings averaged.")
        plates.add(found.kind, caption, partial(figures.transport_figure, found))


def _calibration(found: Calibration) -> html.Markup:
    rows = [(name, html.tag("b", value), note) for name, value, note in found.rows]
    return html.section(found.title, html.table(("", "", ""), rows))


def _prefix(result: SeriesResult, count: int) -> str:
    if count == 1:
        return ""
    branch = "".join(c if c.isalnum() else "-" for c in result.series.title.split(",")[0].lower())
    return f"{branch}-{result.series.field * 1e4:.0f}G-"


def _series_figures(
    plates: _Plates, run: RunData, result: SeriesResult, resistance: Resistance | None, prefix: str
) -> None:
    series, loading = result.series, run.loading
    title = f"{series.title} at {series.field * 1e4:.1f} G. " if prefix else ""
    with_r = " above the four-probe resistance" if resistance is not None else ""
    if len(series.points) > 1:
        plates.add(
            f"{prefix}s-and-r",
            _caption(f"{title}s(T){with_r}.", "Error bars and bands are 1 σ; a curve is the fit that defines Tc."),
            lambda: figures.transition_figure(result, resistance, loading),
        )
    plates.add(
        f"{prefix}s-maps",
        _caption(f"{title}s = B/H at every temperature,", f"one colour scale, {_normalised(result)}."),
        lambda: figures.ratio_maps(result, loading),
    )
    plates.add(
        f"{prefix}b-maps",
        _caption(
            f"{title}Field along the NV axis", "at every temperature, one colour scale. Grey: no trustworthy fit."
        ),
        lambda: figures.field_maps(result, loading),
    )
    plates.add(
        f"{prefix}tc-map",
        _caption(f"{title}Local Tc", "of every pixel in which it is known to better than 4 K."),
        lambda: figures.tc_figure(result, loading),
    )
    plates.add(
        f"{prefix}b-error",
        _caption(f"{title}1-σ uncertainty of B", "per pixel: map, distribution, and median against temperature."),
        lambda: figures.error_map(result, loading),
    )
    plates.add(
        f"{prefix}spectra",
        _caption(f"{title}Spectra of single pixels", "with the stored fit; error bars are the scatter about it."),
        lambda: _spectra(run, result),
    )


def _stress_and_remnant(plates: _Plates, run: RunData) -> None:
    zeros = zero_field_maps(run)
    for zero in zeros:
        name = "remnant-field" if len(zeros) == 1 else f"remnant-field-{zero.point.index}"
        rest = (
            f"stress splitting taken from point {zero.reference.index} at {zero.reference.temperature:.0f} K. Nine "
            "pixels in ten without any field stay below the floor (dashed)."
            if zero.reference is not None
            else "upper limit only: no zero-field map above Tc was taken, so stress splitting is still in it."
        )
        plates.add(
            name, _caption("|B| left at zero applied field,", rest), partial(figures.remnant_figure, zero, run.loading)
        )

    def draw_traction() -> Figure | None:
        found = measure_traction(run)
        return None if found is None else figures.traction_figure(found, run.loading)

    plates.add(
        "traction",
        _caption(
            "Traction on the culet", "from all four NV groups; arrows show the direction of the shear. δτ includes the "
            "difference between the two published sets of susceptibilities.",
        ),
        draw_traction,
    )  # fmt: skip


def _single_figures(plates: _Plates, run: RunData) -> None:
    """A run without a series (``odmr``, an aborted one): the last map as it is."""
    mapped = run.mapped()
    if mapped:
        point = mapped[-1]
        plates.add(
            "b-map",
            _caption("Field along the NV axis", f"and its 1-σ uncertainty, point {point.index} ({point.purpose})."),
            lambda: figures.single_map(point, run.loading),
        )


def _spectra(run: RunData, result: SeriesResult) -> Figure | None:
    if run.spectra is None:
        return None
    point, s = result.series.points[0], result.series.s[0]
    pixels = [
        (place.label, color, place.disc.row, place.disc.column)
        for place, color in ((result.suppressed, style.SUPPRESSED), (result.enhanced, style.ENHANCED))
        if place is not None
    ]
    outside = _outside(result, run)
    if outside is not None:
        pixels.append(("outside the sample", style.NEUTRAL, *outside))
    if not pixels:
        return None
    rows, columns = (np.array([p[i] for p in pixels]) for i in (2, 3))
    return figures.spectra_figure(point, run.spectra(point.index, rows, columns), pixels, s)


def _outside(result: SeriesResult, run: RunData) -> tuple[int, int] | None:
    """Return the pixel outside the sample with the best known s that is unchanged by it."""
    s, err = result.series.s[0], result.series.s_err[0]
    inside = sample_mask(run.loading, result.series.shape)
    usable = np.isfinite(s) & np.isfinite(err) & (np.abs(s - 1) < 2 * err)
    if inside is not None:
        usable &= ~inside
    if not usable.any():
        return None
    row, column = np.unravel_index(int(np.argmin(np.where(usable, err, np.inf))), err.shape)
    return int(row), int(column)


def _caption(bold: str, rest: str) -> html.Markup:
    return html.join([html.tag("b", bold), " ", rest])


def _normalised(result: SeriesResult) -> str:
    reference = result.series.reference
    if reference is None:
        return "normalised by the applied field: no reference above Tc was taken"
    whose = f" of run {reference.elsewhere.name}" if reference.elsewhere is not None else ""
    return f"normalised by the map at {reference.temperature:.0f} K{whose} taken at the same current"


def _origin(run: RunData) -> str:
    packages = (run.info.get("software") or {}).get("packages") or {}
    known = ", ".join(f"{name} {value}" for name, value in packages.items() if value)
    return f"{run.path.name} · {run.info.get('uid', 'no uid')} · {known}"
