"""R(H), both ways, at a list of temperatures."""

from __future__ import annotations

import numpy as np
from bluesky import plan_stubs as bps
from pydantic import Field as Described

from nvscope.config import Frozen
from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, change_temperature, ramp_field, resistance_point
from nvscope.plans.verbs import Plan
from nvscope.units import Amperes, Kelvin, KelvinPerSecond, Tesla, TeslaPerSecond


class Parameters(Frozen):
    """Parameters of ``transport-rh``."""

    temperatures: tuple[Kelvin, ...] = Described(
        default=(20.0, 60.0), min_length=1, description="temperatures at which the field is swept"
    )
    field: Tesla = Described(default=150e-4, gt=0, description="the field is swept from minus to plus this and back")
    points: int = Described(default=13, ge=2, le=1000, description="fields in each direction")
    temperature_rate: KelvinPerSecond = Described(default=8 / 60, gt=0, description="temperature ramp")
    field_rate: TeslaPerSecond = Described(default=5e-4, gt=0, description="field ramp")
    excitation: Amperes = Described(default=1e-4, gt=0, description="transport current")
    readings: int = Described(default=20, ge=2, le=10000, description="readings averaged")


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """At each temperature sweep the field up and down."""
    upward = np.linspace(-p.field, p.field, p.points)
    yield from bps.open_run({"sequence": "transport-rh"})
    for temperature in p.temperatures:
        yield from change_temperature(rig, temperature, p.temperature_rate)
        for direction, course in (("up", upward), ("down", upward[::-1])):
            for field in course:
                yield from ramp_field(rig, float(field), p.field_rate)
                yield from resistance_point(rig, "transport-rh", p.excitation, p.readings, {"direction": direction})
    yield from ramp_field(rig, 0.0, p.field_rate)
    yield from bps.close_run()


sequence = Sequence("transport-rh", "R(H) both ways at a list of temperatures", Parameters, plan)
