"""R(T) on cooling and on warming, at several excitations; no light, no microwaves."""

from __future__ import annotations

import numpy as np
from bluesky import plan_stubs as bps
from pydantic import Field as Described

from nvscope.config import Frozen
from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, change_temperature, resistance_point
from nvscope.plans.verbs import Plan
from nvscope.units import Amperes, Kelvin, KelvinPerSecond


class Parameters(Frozen):
    """Parameters of ``transport-rt``."""

    high_temperature: Kelvin = Described(default=120.0, description="where cooling begins and warming ends")
    base_temperature: Kelvin = Described(default=20.0, description="lowest temperature")
    step: Kelvin = Described(default=5.0, gt=0, description="temperature step")
    temperature_rate: KelvinPerSecond = Described(default=5 / 60, description="temperature ramp")
    excitations: tuple[Amperes, ...] = Described(
        default=(1e-4, 3e-4), min_length=1, description="currents measured at every temperature"
    )
    readings: int = Described(default=20, ge=2, le=10000, description="readings averaged")


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Cool and warm through the same temperatures, measuring at each excitation."""
    count = max(1, round((p.high_temperature - p.base_temperature) / p.step))
    temperatures = np.linspace(p.high_temperature, p.base_temperature, count + 1)
    yield from bps.open_run({"sequence": "transport-rt"})
    for direction, course in (("cooling", temperatures), ("warming", temperatures[::-1])):
        for temperature in course:
            yield from change_temperature(rig, float(temperature), p.temperature_rate)
            for current in p.excitations:
                yield from resistance_point(rig, "transport-rt", current, p.readings, {"direction": direction})
    yield from bps.close_run()


sequence = Sequence("transport-rt", "R(T) on cooling and warming at several excitations", Parameters, plan)
