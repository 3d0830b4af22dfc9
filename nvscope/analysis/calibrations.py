"""What calibration runs found, ready for report and terminal: rows of text, numbers, a figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nvscope.analysis.contacts import CONTACTS, ContactCheck, measure_contacts
from nvscope.analysis.dataset import RunData
from nvscope.analysis.exposure import ExposureCalibration, measure_exposure
from nvscope.analysis.figures import calibration as figures
from nvscope.analysis.magnet_calibration import MagnetCalibration, measure_magnet
from nvscope.analysis.microwave_power import MicrowavePower, measure_power
from nvscope.analysis.rotation import Rotation, measure_rotation
from nvscope.analysis.stress_of_run import traction_points
from nvscope.analysis.traction import measure_traction
from nvscope.config.calibration import FILE, CalibrationFile, Value
from nvscope.errors import DataError
from nvscope.store.files import write_whole
from nvscope.units import Resolved, parse_quantity

GAUSS = 1e-4
Row = tuple[str, str, str]
"""What, its value, and what to know about it."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """One result of a run: rows of text, numbers in SI, how to draw it, and what of it later runs can use."""

    name: str
    title: str
    rows: tuple[Row, ...]
    numbers: Mapping[str, Any]
    caption: str
    draw: Callable[[], Figure | None]
    values: tuple[Value, ...] = ()
    """What later runs can be given, see `nvscope.config.calibration`."""


def calibrations(run: RunData) -> list[Calibration]:
    """Return everything a run calibrated; one that cannot be worked out is left out."""
    found: list[Calibration] = []
    magnet = measure_magnet(run)
    if magnet is not None:
        found.append(_magnet(magnet, _coil_settings(run)))
    power = measure_power(run)
    if power is not None:
        found.append(_power(power))
    exposure = measure_exposure(run)
    if exposure is not None:
        found.append(_exposure(exposure))
    contacts = measure_contacts(run)
    if contacts is not None:
        found.append(_contacts(contacts))
    stress = _stress(run)
    if stress is not None:
        found.append(stress)
    turns = measure_rotation(run)
    if turns:
        found.append(_rotation(turns))
    return found


def with_error(value: float, err: float, unit: str = "") -> str:
    """Write a value and its uncertainty with two digits of the latter: ``1.00320 ± 0.00013``."""
    if not (math.isfinite(err) and err > 0):
        return f"{value:.5g} {unit}".rstrip()
    digits = max(0, 1 - math.floor(math.log10(err)))
    return f"{value:.{digits}f} ± {err:.{digits}f} {unit}".rstrip()


# --- the magnet -------------------------------------------------------------------------------------------------------


def _coil_settings(run: RunData) -> dict[str, Mapping[str, Any]]:
    """Settings of each axis ("" for a magnet of one axis), as the run's rig file has them."""
    rig = run.info.get("rig") or {}
    settings = ((rig.get("instruments") or {}).get("magnet") or {}).get("settings") or {}
    return {"": settings, **{axis: settings.get(axis) or {} for axis in "xyz"}}


def _setting(settings: Mapping[str, Any], name: str, unit: str, otherwise: float) -> float:
    """Return a setting in SI, as the run's rig file has it."""
    try:
        return parse_quantity(settings.get(name, otherwise), unit)
    except ValueError:
        return otherwise


def _magnet(found: MagnetCalibration, settings: Mapping[str, Mapping[str, Any]]) -> Calibration:
    names = ("",) if len(found.gain) == 1 else ("x", "y", "z")
    rows = list(_gain_rows(found, names, settings))
    tilt = with_error(math.degrees(found.tilt), math.degrees(found.tilt_err), "°")
    rows.append(("tilt against the NV axis", tilt, ""))
    if math.isfinite(found.azimuth):
        lean = with_error(math.degrees(found.azimuth), math.degrees(found.azimuth_err), "°")
        rows.append(("the NV axis leans towards", lean, "from the magnet's x towards y"))
        pairs = zip(("x–y", "y–z", "z–x"), np.degrees(found.angles), np.degrees(found.angles_err), strict=True)
        rows += [
            (f"angle {name}", with_error(angle, err, "°"), "90° if the axes are square") for name, angle, err in pairs
        ]
    offset = with_error(found.offset / GAUSS, found.offset_err / GAUSS, "G")
    rows.append(("field at zero current", offset, "along the NV axis, beyond what the rig file has"))
    numbers = {
        "gain": found.gain.tolist(),
        "gain_err": found.gain_err.tolist(),
        "tilt": found.tilt,
        "tilt_err": found.tilt_err,
        "azimuth": found.azimuth if math.isfinite(found.azimuth) else None,
        "offset": found.offset,
        "offset_err": found.offset_err,
        "angles": found.angles.tolist(),
        "chi2_reduced": found.chi2_reduced,
    }
    caption = (
        f"Splitting and centre of the aligned pair, medians over {found.means.pixels} pixels, and what the fit leaves "
        f"(χ²/ν = {found.chi2_reduced:.2f})."
    )
    values = tuple(_magnet_values(found, names, settings))
    return Calibration(
        "magnet", "Magnet", tuple(rows), numbers, caption, lambda: figures.magnet_figure(found), values
    )  # fmt: skip


def _gain_rows(
    found: MagnetCalibration, names: tuple[str, ...], settings: Mapping[str, Mapping[str, Any]]
) -> Iterator[Row]:
    for name, gain, err in zip(names, found.gain, found.gain_err, strict=True):
        label = f"axis {name}, " if name else ""
        yield f"{label}true over nominal field", with_error(gain, err), ""
        constant = _setting(settings[name], "field_per_current", "tesla / ampere", 0.0)
        if constant:
            nominal = constant * _setting(settings[name], "gain", "", 1.0) / GAUSS
            per_ampere = with_error(gain * nominal, err * abs(nominal), "G/A")
            yield f"{label}field per current", per_ampere, f"the rig counted with {nominal:.6g} G/A"


def _magnet_values(
    found: MagnetCalibration, names: tuple[str, ...], settings: Mapping[str, Mapping[str, Any]]
) -> Iterator[Value]:
    """Gains, on top of those the run had; the field at zero current where there is one axis that it can be along."""
    for name, gain, err in zip(names, found.gain, found.gain_err, strict=True):
        before = _setting(settings[name], "gain", "", 1.0)
        key = f"instruments.magnet.settings.{name + '.' if name else ''}gain"
        yield Value(key=key, value=float(f"{gain * before:.7g}"), err=float(f"{err * before:.2g}"))
    if names == ("",):
        before = _setting(settings[""], "field_at_zero", "tesla", 0.0)
        at_zero = (found.gain[0] * before + found.offset) / GAUSS
        err = f"{found.offset_err / GAUSS:.2g} G"
        yield Value(key="instruments.magnet.settings.field_at_zero", value=f"{at_zero:.5g} G", err=err)


# --- microwave power --------------------------------------------------------------------------------------------------


def _power(found: MicrowavePower) -> Calibration:
    best, enough = found.best, found.enough
    rows: list[Row] = [
        (
            "power with the best δB",
            f"{found.power_dbm[best]:g} dBm",
            f"median δB {found.b_err[best] / GAUSS:.3f} G, contrast {100 * found.contrast[best]:.2f} %, "
            f"half width {found.width[best] / 1e6:.1f} MHz",
        )
    ]
    if enough != best:
        share = 100 * (found.b_err[enough] / found.b_err[best] - 1)
        rows.append(
            ("least power within 5 % of it", f"{found.power_dbm[enough]:g} dBm", f"δB {share:.1f} % larger, less heat")
        )
    if best in (0, len(found.power_dbm) - 1):
        rows.append(("note", "the best power is the last tried", "the optimum may lie beyond"))
    numbers = {
        "power_dbm": found.power_dbm.tolist(),
        "b_err": [v if math.isfinite(v) else None for v in found.b_err],
        "contrast": [v if math.isfinite(v) else None for v in found.contrast],
        "width": [v if math.isfinite(v) else None for v in found.width],
        "best_dbm": float(found.power_dbm[best]),
        "enough_dbm": float(found.power_dbm[enough]),
    }
    caption = f"Contrast, half width and δB against microwave power, medians over the same {found.pixels} pixels."
    chosen = Value(key="parameters.power", value=f"{found.power_dbm[best]:g} dBm", note=rows[0][2])
    return Calibration(
        "microwave-power", "Microwave power", tuple(rows), numbers, caption, lambda: figures.power_figure(found),
        (chosen,),
    )  # fmt: skip


# --- exposure and heating ---------------------------------------------------------------------------------------------


def _exposure(found: ExposureCalibration) -> Calibration:
    rows: list[Row] = [
        (
            f"exposure at {1e3 * at.laser_power:g} mW",
            f"{1e3 * at.exposure:.3g} ms",
            f"brightest pixels {100 * at.level:.1f} % full; {at.rate:.3g} electrons per second and pixel",
        )
        for at in found.exposures
    ]
    if found.camera is not None:
        camera = found.camera
        note = (
            f"offset {camera.offset:.2f} counts, read noise {camera.read_noise:.2f} electrons; detector in the rig file"
        )
        rows.append(("camera gain", with_error(camera.gain, camera.gain_err, "electrons per count"), note))
    rows += [
        (
            f"heating by {heat.light} at {1e3 * heat.power:g} mW",
            with_error(heat.warmer, heat.warmer_err, "K"),
            "from R" if heat.light == "laser" else "from R; power at the source",
        )
        for heat in found.heating
    ]
    numbers = {
        "exposures": [
            {"laser_power": e.laser_power, "exposure": e.exposure, "level": e.level, "rate": e.rate}
            for e in found.exposures
        ],
        "camera": None if found.camera is None else vars(found.camera).copy(),
        "heating": [vars(h).copy() for h in found.heating],
    }
    caption = "Photon transfer, exposure that fills the wells as asked, and how much hotter light makes the sample."
    return Calibration(
        "exposure", "Exposure and heating", tuple(rows), numbers, caption, lambda: figures.exposure_figure(found),
        tuple(_exposure_values(found)),
    )  # fmt: skip


def _exposure_values(found: ExposureCalibration) -> Iterator[Value]:
    if (camera := found.camera) is not None:
        for key in ("gain", "offset", "read_noise"):
            value, err = getattr(camera, key), getattr(camera, f"{key}_err")
            yield Value(key=f"detector.{key}", value=float(f"{value:.6g}"), err=float(f"{err:.2g}"))
    for at in found.exposures:
        note = f"brightest pixels {100 * at.level:.1f} % full"
        power = Resolved(at.laser_power)
        exposure = f"{1e3 * at.exposure:.4g} ms"
        yield Value.model_validate(
            {"key": "parameters.exposure", "value": exposure, "laser_power": power, "note": note}
        )


def write_calibration(run: RunData, found: Sequence[Calibration]) -> Path | None:
    """Write what a run calibrated for later runs into its directory; returns the file, None if it found nothing."""
    values = tuple(value for one in found for value in one.values)
    if not values:
        return None
    rig, loading = (str((run.info.get(kind) or {}).get("name", "")) for kind in ("rig", "loading"))
    path = run.path / FILE
    file = CalibrationFile(run=run.path.name, rig=rig, loading=loading, values=values)
    write_whole(path, file.toml().encode(), durable=False)
    return path


# --- field angle ------------------------------------------------------------------------------------------------------


def _rotation(turns: list[Rotation]) -> Calibration:
    rows: list[Row] = []
    for turn in turns:
        at = f"at {turn.temperature:.1f} K"
        known = np.isfinite(turn.resistance)
        if known.any():
            low, high = np.nanmin(turn.resistance), np.nanmax(turn.resistance)
            spread = f"from {low:.5g} to {high:.5g} Ω over {known.sum()} angles"
            rows.append((f"R {at}", f"{np.nanmean(turn.resistance):.5g} Ω", spread))
        if math.isfinite(turn.axis):
            axis = with_error(math.degrees(turn.axis), math.degrees(turn.axis_err), "°")
            rows.append((f"nearest to the NV axis {at}", axis, "from the magnet's z, in the plane of rotation"))
            amplitude = with_error(turn.amplitude / GAUSS, turn.amplitude_err / GAUSS, "G")
            rows.append((f"largest field along it {at}", amplitude, "median over the image"))
    numbers = [
        {
            "temperature": turn.temperature,
            "angle": turn.angle.tolist(),
            "resistance": [v if math.isfinite(v) else None for v in turn.resistance],
            "axis": turn.axis if math.isfinite(turn.axis) else None,
            "axis_err": turn.axis_err if math.isfinite(turn.axis_err) else None,
            "amplitude": turn.amplitude if math.isfinite(turn.amplitude) else None,
        }
        for turn in turns
    ]
    caption = (
        "Resistance, and half splitting of the aligned lines with the cosine law, against the direction of the field."
    )
    return Calibration(
        "rotation", "Field angle", tuple(rows), {"turns": numbers}, caption, lambda: figures.rotation_figure(turns)
    )


# --- contacts ---------------------------------------------------------------------------------------------------------


def _contacts(found: ContactCheck) -> Calibration:
    currents = f"largest deviation, {found.current.min():.2g} to {found.current.max():.2g} A"
    rows: list[Row] = [
        ("verdict", "; ".join(found.troubles) or "nothing to worry about", ""),
        (
            "R over the currents tried",
            with_error(100 * found.nonlinearity, 100 * found.nonlinearity_err, "%"),
            currents,
        ),
    ]
    if math.isfinite(found.noise):
        rows.append(("noise of the voltage", f"{found.noise * 1e9:.3g} nV", "1 σ of the mean of a point"))
    if math.isfinite(found.reciprocity):
        share = with_error(100 * found.reciprocity, 100 * found.reciprocity_err, "%")
        rows.append(("current and voltage leads exchanged", share, "largest relative change of R"))
        rows.append(("three pairings summed", f"{100 * found.sum_rule:.2g} %", "of the largest; 0 if linear"))
    known = {name: ohms for name, ohms in found.lead.items() if math.isfinite(ohms)}
    rows += [(f"lead {name}", f"{ohms:.3g} Ω", "with its contact") for name, ohms in known.items()]
    if found.leaks:
        worst = min(found.leaks, key=lambda leak: leak.resistance)
        least = f"{'more than ' if worst.bound else ''}{worst.resistance:.2g} Ω"
        rows.append(("insulation", least, f"least of all: {worst.contact} to the {worst.metal}"))
    else:
        rows.append(("not checked", "contact matrix, reciprocity, leakage", "the leads of this rig are wired for good"))
    numbers = {
        "troubles": list(found.troubles),
        "nonlinearity": found.nonlinearity if math.isfinite(found.nonlinearity) else None,
        "noise": found.noise if math.isfinite(found.noise) else None,
        "broken": list(found.broken),
        "reciprocity": found.reciprocity if math.isfinite(found.reciprocity) else None,
        "lead": known,
        "leaks": [vars(leak).copy() for leak in found.leaks],
    }
    caption = f"R against current, and two-probe resistances between {', '.join(CONTACTS)}."
    return Calibration("contacts", "Contacts", tuple(rows), numbers, caption, lambda: figures.contacts_figure(found))


# --- stress -----------------------------------------------------------------------------------------------------------


def _stress(run: RunData) -> Calibration | None:
    """Return what a traction run says in numbers; its maps are a figure of their own."""
    try:
        found = measure_traction(run)
    except DataError:  # the figure says what is missing
        return None
    if found is None or not np.isfinite(found.sigma_zz).any():
        return None
    rows: list[Row] = []
    numbers: dict[str, Any] = {}
    for name, label, value, err, other in (
        ("sigma_zz", "normal stress σ_ZZ", found.sigma_zz, found.sigma_zz_err, found.sigma_zz_systematic),
        ("tau", "shear τ", found.tau, found.tau_err, found.tau_systematic),
    ):
        low, middle, high, noise, systematic = (
            float(v) / 1e9 for v in (*np.nanpercentile(value, (5, 50, 95)), np.nanmedian(err), np.nanmedian(other))
        )
        note = f"{low:.2f} to {high:.2f} GPa in nine of ten pixels; {noise:.2f} GPa noise, {systematic:.2f} systematic"
        rows.append((f"median {label}", f"{middle:.2f} GPa", note))
        numbers[name] = 1e9 * middle
        numbers[f"{name}_err"], numbers[f"{name}_systematic"] = 1e9 * noise, 1e9 * systematic
    rows.append(("systematic", f"{found.other.name} in place of {found.constants.name}", "the other susceptibilities"))
    biases = [1e4 * float(np.linalg.norm(p.attrs["field_vector"])) for p in traction_points(run)]
    rows.append(("bias", f"{np.mean(biases):.1f} G", f"in {len(biases)} directions; noise above is at this bias"))
    return Calibration("traction", "Traction", tuple(rows), numbers, "", lambda: None)
