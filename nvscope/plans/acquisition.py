"""Verbs that take ODMR points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from bluesky import Msg
from bluesky import plan_stubs as bps

from nvscope.config.polygons import Vertices
from nvscope.devices.odmr import ClosePoint, OpenPoint, TakeBlock
from nvscope.devices.rig import RigDevices
from nvscope.errors import ConfigError, HistoryInvalid, LimitError
from nvscope.history import Certificate, Claim
from nvscope.plans.autofocus import autofocus
from nvscope.plans.odmr_settings import GAMMA, OdmrSettings, Windows
from nvscope.plans.verbs import Plan, absolute_set, announce, certify, measure_resistance, value_of

_CENTER_UNCERTAINTY = 300e6
"""Hz; how far off the centre of the lines is known before the first look (target paper: D within 300 MHz)."""

_FEWEST, _MOST = 8, 5000
"""Frequencies of a coarse sweep."""


def find_lines(
    rig: RigDevices, settings: OdmrSettings, field: float, expected_center: float, span: float, step: float, frames: int
) -> Plan:
    """Take one coarse, wide sweep and find the pair of lines in the image-mean spectrum; returns `Windows`.

    Parameters
    ----------
    rig, settings
        Devices and how points are taken.
    field : float
        Applied field (T), which fixes the expected half splitting.
    expected_center, span, step : float
        Centre, width and step of the sweep (Hz).
    frames : int
        Frames per frequency.
    """
    half = GAMMA * abs(field)
    # both lines must lie in the sweep even where the centre is off by as much as is known of it
    span = max(span, 2 * half + _CENTER_UNCERTAINTY)
    yield from announce(f"find the lines within {span / 1e6:.0f} MHz of {expected_center / 1e9:.3f} GHz")
    low = max(expected_center - span / 2, rig.config.limits.frequency_min)
    high = min(expected_center + span / 2, rig.config.limits.frequency_max)
    frequencies = max(0.0, (high - low) / step + 1)
    if not _FEWEST <= frequencies <= _MOST:
        raise LimitError(
            f"the coarse sweep of {span / 1e6:.0f} MHz about {expected_center / 1e9:.3f} GHz in steps of "
            f"{step / 1e6:g} MHz has {frequencies:.0f} frequencies within this rig's limits; "
            f"{_FEWEST} to {_MOST} will do"
        )
    axis = np.arange(low, high + step / 2, step)
    attrs = yield from _conditions(rig)
    yield from absolute_set(
        rig.odmr,
        OpenPoint(
            "find-lines",
            tuple(map(float, np.round(axis))),
            frames,
            settings.exposure,
            settings.power,
            settings.laser_power,
            crop=settings.crop,
        ),
    )
    yield from absolute_set(rig.odmr, TakeBlock())
    yield from absolute_set(rig.odmr, ClosePoint({**attrs, "field_nominal": field}, find_pair=half))
    center = yield from value_of(rig.odmr, "center")
    half = yield from value_of(rig.odmr, "half_splitting")
    yield from _record(rig)
    return Windows(center, half)


def odmr_map(
    rig: RigDevices,
    purpose: str,
    settings: OdmrSettings,
    windows: Windows,
    attrs: Mapping[str, Any] | None = None,
    claim: Claim | None = None,
) -> Plan:
    """Take one point: R, the map, and the certificate of the history that led to it; returns the recentred windows.

    Parameters
    ----------
    rig, settings, windows
        Devices, how points are taken, where the lines are expected.
    purpose : str
        ``reference``, ``zfc``, ``fw``, …; stored with the point.
    attrs : mapping, optional
        More to store with the point.
    claim : Claim, optional
        What the history is claimed to be; judged before the first frame and after the last.

    Raises
    ------
    HistoryInvalid
        If the history is not what it is claimed to be; a map already taken is kept.
    """
    settings = yield Msg("settings", None, settings)  # an operator may have changed how points are taken
    if rig.transport is not None and settings.excitation > 0:
        yield from announce(f"R at {settings.excitation:.3g} A ({purpose})")
    resistance = yield from measure_resistance(rig, settings.excitation, settings.readings, may_fail=True)
    if settings.autofocus == "point":
        yield from autofocus(rig, settings)
    yield from announce(f"map ({purpose})")
    before = yield from _conditions(rig)
    if claim is not None:
        _demand((yield from certify(claim)), f"before mapping ({purpose}) at {before['temperature']:.2f} K")
        claim = replace(claim, since=rig.clock.now())
    yield from absolute_set(
        rig.odmr,
        OpenPoint(
            purpose,
            settings.axis(windows),
            settings.frames,
            settings.exposure,
            settings.power,
            settings.laser_power,
            order=settings.order,
            seed=settings.seed,
            reference=settings.reference,
            reference_frames=settings.reference_frames,
            sampling=settings.sampling,
            region=_region(rig, settings.region),
            crop=settings.crop,
            drift=settings.drift,
            attrs={**before, **resistance, "baseline": settings.baseline, **(attrs or {})},
        ),
    )
    look = settings.until is not None or settings.sampling == "adaptive"
    sweep, skipped = 0, False
    for sweep in range(settings.most_sweeps):
        # what is decided next rests on the maps: they must show this sweep
        spare = settings.until is not None and sweep > 0
        yield from absolute_set(rig.odmr, TakeBlock(fitted=look and sweep + 1 < settings.most_sweeps, spare=spare))
        skipped = bool((yield Msg("skip_requested")))
        if skipped:
            break
        if settings.until is not None:
            error = yield from value_of(rig.odmr, "b_err")
            if error <= settings.until:
                break
    after = yield from _conditions(rig)
    mean = {key: 0.5 * (before[key] + after[key]) for key in before}
    certificate = None
    if claim is not None:
        certificate = yield from certify(claim)
    closing = {**mean, "certificate": certificate.as_dict()} if certificate is not None else mean
    yield from absolute_set(rig.odmr, ClosePoint(closing))
    if settings.until is not None and not skipped:
        yield from _judge_target(rig, purpose, settings.until, sweep + 1)
    center = yield from value_of(rig.odmr, "center")
    half = yield from value_of(rig.odmr, "half_splitting")
    yield from _record(rig)
    if certificate is not None:
        _demand(certificate, f"{purpose} at {mean['temperature']:.2f} K (the map is kept)")
    found = math.isfinite(center) and math.isfinite(half)
    return Windows(center, half) if found else windows


def _judge_target(rig: RigDevices, purpose: str, until: float, sweeps: int) -> Plan:
    """Warn where the final maps of a point miss its target for δB (T)."""
    error = yield from value_of(rig.odmr, "b_err")
    if error <= until:
        return
    reached = f"{error * 1e4:.3g} G" if math.isfinite(error) else "no pixel has a δB"
    yield Msg("warn", None, f"{purpose}: until {until * 1e4:.3g} G not reached: {reached} after {sweeps} sweeps")


def _demand(certificate: Certificate, where: str) -> None:
    if certificate.verdict == "invalid":
        at = "" if certificate.moment is None else f", at rig time {certificate.moment:.1f} s"
        raise HistoryInvalid(f"{where}: {certificate.reason}{at}")


def _region(rig: RigDevices, name: str | None) -> tuple[Vertices, ...]:
    """Return the outlines of the loading called `name`, or of that kind; raises `ConfigError` if there are none."""
    if name is None:
        return ()
    outlines = rig.loading.polygons
    found = tuple(p.vertices for p in outlines if p.name == name) or tuple(
        p.vertices for p in outlines if p.kind == name
    )
    if not found:
        known = ", ".join(sorted({p.name for p in outlines} | {p.kind for p in outlines})) or "none"
        raise ConfigError(f"region: loading {rig.loading.name!r} has no outline called {name!r} (it has: {known})")
    return found


def _conditions(rig: RigDevices) -> Plan:
    temperature = yield from value_of(rig.cryostat, "temperature")
    reading = yield from bps.read(rig.magnet)
    field, residual = (reading[f"{rig.magnet.name}_{key}"]["value"] for key in ("field", "residual"))
    return {"temperature": temperature, "field": field, "residual_field": residual}


def _record(rig: RigDevices) -> Plan:
    """Write one event with everything read at this point."""
    yield from bps.create("points")
    for device in (rig.odmr, rig.cryostat, rig.magnet, rig.transport, rig.focus):
        if device is not None:
            yield from bps.read(device)
    yield from bps.save()
