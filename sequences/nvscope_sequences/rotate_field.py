"""R against the direction of a field of fixed magnitude, and maps where the aligned lines are still apart."""

from __future__ import annotations

import math
from typing import Self

import numpy as np
from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.devices.rig import RigDevices
from nvscope.plans import (
    Sequence,
    change_temperature,
    odmr_map,
    ramp_field,
    ramp_vector,
    require_vector,
    resistance_point,
    turned,
    windows_across,
)
from nvscope.plans.verbs import Plan
from nvscope.units import Kelvin, KelvinPerSecond, Radians, Tesla, TeslaPerSecond
from nvscope_sequences.common import SearchSettings, search


class Parameters(SearchSettings):
    """Parameters of ``rotate-field``; angles count from the magnet's z axis."""

    temperatures: tuple[Kelvin, ...] = Described(
        default=(20.0, 75.0), min_length=1, description="temperatures at which the field is turned"
    )
    temperature_rate: KelvinPerSecond = Described(default=8 / 60, gt=0, description="temperature ramp")
    field: Tesla = Described(default=97e-4, gt=0, description="magnitude of the field")
    field_rate: TeslaPerSecond = Described(default=5e-4, gt=0, description="field ramp")
    first_angle: Radians = Described(default=-math.pi / 2, description="first angle")
    last_angle: Radians = Described(default=math.pi / 2, description="last angle")
    points: int = Described(default=13, ge=2, le=1000, description="number of angles")
    azimuth: Radians = Described(default=0.0, description="plane of rotation: its angle from the magnet's x towards y")
    maps_below: Radians = Described(
        default=math.pi / 3, ge=0, description="largest angle at which maps are taken; 0 takes none"
    )

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        if self.maps_below > math.radians(60.001):
            raise ValueError("maps_below: beyond 60 degree the aligned lines can no longer be told from the others")
        if self.first_angle >= self.last_angle:
            raise ValueError("first_angle must lie below last_angle")
        return self


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """At each temperature find the lines and turn the field: R at all angles, maps where the lines are apart."""
    require_vector(rig, "rotate-field")
    angles = [float(angle) for angle in np.linspace(p.first_angle, p.last_angle, p.points)]
    yield from bps.open_run({"sequence": "rotate-field"})
    for temperature in p.temperatures:
        yield from change_temperature(rig, temperature, p.temperature_rate)
        if p.maps_below > 0:
            yield from ramp_field(rig, p.field, p.field_rate)
            windows = yield from search(rig, p, p.field)
        for angle in angles:
            yield from ramp_vector(rig, turned(p.field, angle, p.azimuth), p.field_rate)
            attrs = {"angle": angle, "azimuth": p.azimuth, "magnitude": p.field}
            if abs(angle) <= p.maps_below + 1e-6:
                along, across = p.field * math.cos(angle), p.field * math.sin(angle)
                yield from odmr_map(rig, "rotate-field", p, windows_across(windows, p.field, along, across), attrs)
            elif rig.transport is not None:
                yield from resistance_point(rig, "rotate-field", p.excitation, p.readings, attrs)
    yield from ramp_field(rig, 0.0, p.field_rate)
    yield from bps.close_run()


sequence = Sequence("rotate-field", "R and maps against the direction of the field", Parameters, plan)
