"""Verbs of calibrations: light, plain images, fields in any direction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from bluesky import plan_stubs as bps

from nvscope.devices.imaging import Images, Light
from nvscope.devices.magnet import FieldVector
from nvscope.devices.rig import RigDevices
from nvscope.errors import LimitError
from nvscope.plans.odmr_settings import GAMMA, Windows
from nvscope.plans.verbs import Plan, absolute_set, announce, value_of


def set_light(
    rig: RigDevices,
    laser_power: float = 0.0,
    microwave_dbm: float | None = None,
    frequency: float = 2.87e9,
    wait: float = 0.0,
) -> Plan:
    """Leave laser (W, 0 is off) and microwaves (dBm, None is off) like this from now on; `wait` rig s for the heat."""
    laser = f"laser {laser_power * 1e3:g} mW" if laser_power > 0 else "laser off"
    microwaves = "microwaves off" if microwave_dbm is None else f"microwaves {microwave_dbm:g} dBm"
    yield from announce(f"light: {laser}, {microwaves}")
    yield from absolute_set(rig.images, Light(laser_power, microwave_dbm, frequency, wait))


def take_images(
    rig: RigDevices, purpose: str, frames: int, exposure: float, attrs: Mapping[str, Any] | None = None
) -> Plan:
    """Take images as a point; returns how far the brightest pixels fill their wells (1 is full)."""
    yield from announce(f"{frames} images of {exposure * 1e3:.3g} ms ({purpose})")
    temperature = yield from value_of(rig.cryostat, "temperature")
    field = yield from value_of(rig.magnet, "field")
    known = {"temperature": temperature, "field": field, **(attrs or {})}
    yield from absolute_set(rig.images, Images(purpose, frames, exposure, known))
    yield from bps.create("images")
    yield from bps.read(rig.images)
    yield from bps.save()
    return (yield from value_of(rig.images, "level"))


def require_vector(rig: RigDevices, what: str) -> None:
    """Refuse `what` on a rig whose magnet has one axis only."""
    if rig.magnet.direction is None:
        raise LimitError(f"{what} needs a vector magnet, and rig {rig.config.name!r} has one axis; choose another rig")


def ramp_vector(rig: RigDevices, target: tuple[float, float, float], rate: float) -> Plan:
    """Ramp in a straight line to `target` (T, the magnet's axes x, y, z) at `rate` (T/s) and settle."""
    parts = ", ".join(f"{part * 1e4:.4g}" for part in target)
    yield from announce(f"field to ({parts}) G at {rate * 1e4:g} G/s")
    yield from absolute_set(rig.magnet, FieldVector(target, rate))


def windows_across(windows: Windows, field: float, along: float, across: float) -> Windows:
    """Return where the lines of `field` (T, along the axis) go when it is `along` and `across` the axis instead.

    A field across the axis raises the centre by 3 (γB⊥)²/2D, to second order (physics.md, section 2).
    """
    moved = windows.at_field(field, along)
    return Windows(moved.center + 1.5 * (GAMMA * across) ** 2 / moved.center, moved.half_splitting)


def turned(magnitude: float, angle: float, azimuth: float) -> tuple[float, float, float]:
    """Return the field (T) of `magnitude` at `angle` from z towards `azimuth` from x (rad)."""
    across = magnitude * math.sin(angle)
    vector = np.array([across * math.cos(azimuth), across * math.sin(azimuth), magnitude * math.cos(angle)])
    x, y, z = (float(part) + 0.0 for part in np.round(vector, 12))  # no -0 in what people read
    return x, y, z
