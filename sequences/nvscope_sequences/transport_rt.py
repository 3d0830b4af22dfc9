"""R(T) on cooling and on warming, at several excitations; no light, no microwaves."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.config import Frozen
from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, change_temperature, resistance_point
from nvscope.plans.verbs import Plan
from nvscope.units import Amperes, Kelvin, KelvinPerSecond

_MOST = 5000
"""Steps between the two temperatures."""


class Parameters(Frozen):
    """Parameters of ``transport-rt``."""

    high_temperature: Kelvin = Described(default=120.0, description="where cooling begins and warming ends")
    base_temperature: Kelvin = Described(default=20.0, description="lowest temperature")
    step: Kelvin = Described(default=5.0, gt=0, description="temperature step")
    temperature_rate: KelvinPerSecond = Described(default=5 / 60, gt=0, description="temperature ramp")
    excitations: tuple[Annotated[Amperes, Described(gt=0)], ...] = Described(
        default=(1e-4, 3e-4), min_length=1, description="currents measured at every temperature"
    )
    readings: int = Described(default=20, ge=2, le=10000, description="readings averaged")

    @model_validator(mode="after")
    def _downwards(self) -> Self:
        span = self.high_temperature - self.base_temperature
        if not 0 < span <= _MOST * self.step:
            raise ValueError(
                f"high_temperature {self.high_temperature:g} K must lie above base_temperature "
                f"{self.base_temperature:g} K, by at most {_MOST} times the step of {self.step:g} K"
            )
        return self


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
