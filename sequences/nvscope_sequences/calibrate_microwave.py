"""Contrast and width of the lines against microwave power; the report names the power with the best δB."""

from __future__ import annotations

from typing import Self

from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, change_temperature, odmr_map, ramp_field
from nvscope.plans.verbs import Plan
from nvscope.units import DBm, Kelvin, KelvinPerSecond, Tesla, TeslaPerSecond
from nvscope_sequences.common import SearchSettings, require_normal, search


class Parameters(SearchSettings):
    """Parameters of ``calibrate-microwave``."""

    normal_temperature: Kelvin = Described(default=110.0, description="where to measure, regulated and above every Tc")
    temperature_rate: KelvinPerSecond = Described(default=8 / 60, gt=0, description="temperature ramp")
    field: Tesla = Described(default=97e-4, gt=0, description="field at which to measure; both lines must be resolved")
    field_rate: TeslaPerSecond = Described(default=2e-4, gt=0, description="field ramp")
    powers: tuple[DBm, ...] = Described(
        default=(-12.0, -9.0, -6.0, -3.0, 0.0, 3.0, 6.0, 9.0),
        min_length=3,
        description="microwave powers to try, at the source",
    )

    @model_validator(mode="after")
    def _different(self) -> Self:
        if len(set(self.powers)) < len(self.powers):
            raise ValueError("powers: the same power is listed twice")
        return self


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Go above Tc, find the lines, then take the same map at every power, in the same windows."""
    require_normal(rig, p.normal_temperature)
    yield from bps.open_run({"sequence": "calibrate-microwave"})
    yield from change_temperature(rig, p.normal_temperature, p.temperature_rate)
    yield from ramp_field(rig, p.field, p.field_rate)
    windows = yield from search(rig, p, p.field)
    for power in p.powers:
        yield from odmr_map(rig, "calibrate-microwave", p.model_copy(update={"power": power}), windows)
    yield from bps.close_run()


sequence = Sequence("calibrate-microwave", "contrast, width and δB against microwave power", Parameters, plan)
