"""V–I curves at a list of temperatures and fields, limited in power."""

from __future__ import annotations

from typing import Self

import numpy as np
from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.config import Frozen
from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, announce, change_temperature, ramp_field, resistance_point
from nvscope.plans.verbs import Plan
from nvscope.units import Amperes, Kelvin, KelvinPerSecond, Tesla, TeslaPerSecond, Watts


class Parameters(Frozen):
    """Parameters of ``transport-iv``."""

    temperatures: tuple[Kelvin, ...] = Described(default=(20.0, 60.0, 90.0), min_length=1, description="temperatures")
    fields: tuple[Tesla, ...] = Described(default=(0.0,), min_length=1, description="fields at each temperature")
    lowest: Amperes = Described(default=1e-5, gt=0, description="smallest current")
    highest: Amperes = Described(default=1e-3, gt=0, description="largest current")
    points: int = Described(default=9, ge=2, le=1000, description="currents, evenly spaced in their logarithm")
    power_limit: Watts = Described(default=1e-5, gt=0, description="a curve ends where I²R would exceed this")
    temperature_rate: KelvinPerSecond = Described(default=8 / 60, gt=0, description="temperature ramp")
    field_rate: TeslaPerSecond = Described(default=5e-4, gt=0, description="field ramp")
    readings: int = Described(default=20, ge=2, le=10000, description="readings averaged")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError(f"lowest {self.lowest:g} A must lie below highest {self.highest:g} A")
        return self


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """At each temperature and field measure with rising current until the power limit."""
    yield from bps.open_run({"sequence": "transport-iv"})
    for temperature in p.temperatures:
        yield from change_temperature(rig, temperature, p.temperature_rate)
        for field in p.fields:
            yield from ramp_field(rig, field, p.field_rate)
            resistance = 0.0
            for current in np.geomspace(p.lowest, p.highest, p.points):
                if current**2 * abs(resistance) > p.power_limit:
                    yield from announce(f"power limit reached at {current:.3g} A")
                    break
                found = yield from resistance_point(rig, "transport-iv", float(current), p.readings)
                resistance = found["resistance"]
    yield from ramp_field(rig, 0.0, p.field_rate)
    yield from bps.close_run()


sequence = Sequence("transport-iv", "V–I curves at temperatures and fields, power-limited", Parameters, plan)
