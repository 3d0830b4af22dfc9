"""R(H), both ways, at a list of temperatures and, with a vector magnet, of field angles."""

from __future__ import annotations

import numpy as np
from bluesky import plan_stubs as bps
from pydantic import Field as Described

from nvscope.config import Frozen
from nvscope.devices.rig import RigDevices
from nvscope.plans import (
    Sequence,
    change_temperature,
    ramp_field,
    ramp_vector,
    require_vector,
    resistance_point,
    turned,
)
from nvscope.plans.verbs import Plan
from nvscope.units import Amperes, Kelvin, KelvinPerSecond, Radians, Tesla, TeslaPerSecond


class Parameters(Frozen):
    """Parameters of ``transport-rh``; angles count from the magnet's z axis."""

    temperatures: tuple[Kelvin, ...] = Described(
        default=(20.0, 60.0), min_length=1, description="temperatures at which the field is swept"
    )
    field: Tesla = Described(default=150e-4, gt=0, description="the field is swept from minus to plus this and back")
    points: int = Described(default=13, ge=2, le=1000, description="fields in each direction")
    angles: tuple[Radians, ...] = Described(
        default=(),
        description="angles of the field at each temperature, for a vector magnet; along its axis if not given",
    )
    azimuth: Radians = Described(
        default=0.0, description="plane of the angles: its angle from the magnet's x towards y"
    )
    temperature_rate: KelvinPerSecond = Described(default=8 / 60, gt=0, description="temperature ramp")
    field_rate: TeslaPerSecond = Described(default=5e-4, gt=0, description="field ramp")
    excitation: Amperes = Described(default=1e-4, gt=0, description="transport current")
    readings: int = Described(default=20, ge=2, le=10000, description="readings averaged")


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """At each temperature, and in each direction of the field, sweep the field up and down."""
    if p.angles:
        require_vector(rig, "transport-rh with angles")
    upward = np.linspace(-p.field, p.field, p.points)
    yield from bps.open_run({"sequence": "transport-rh"})
    for temperature in p.temperatures:
        yield from change_temperature(rig, temperature, p.temperature_rate)
        for angle in p.angles or (None,):
            for course, fields in (("up", upward), ("down", upward[::-1])):
                for field in fields:
                    yield from measure(rig, p, float(field), angle, course)
    yield from ramp_field(rig, 0.0, p.field_rate)
    yield from bps.close_run()


def measure(rig: RigDevices, p: Parameters, field: float, angle: float | None, course: str) -> Plan:
    """Go to a `field` (T), at an `angle` (rad) if there is one, and measure R on the way `course`."""
    attrs: dict[str, str | float] = {"direction": course}
    if angle is None:
        yield from ramp_field(rig, field, p.field_rate)
    else:
        yield from ramp_vector(rig, turned(field, angle, p.azimuth), p.field_rate)
        # `field` of a point is what lies along the magnet's ordinary direction
        attrs |= {"angle": angle, "azimuth": p.azimuth, "magnitude": field}
    yield from resistance_point(rig, "transport-rh", p.excitation, p.readings, attrs)


sequence = Sequence("transport-rh", "R(H) both ways at a list of temperatures and field angles", Parameters, plan)
