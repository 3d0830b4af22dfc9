"""The s = 1 maps: well above Tc, at every field in use."""

from __future__ import annotations

from typing import Self

from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, change_temperature, odmr_map, ramp_field
from nvscope.plans.verbs import Plan
from nvscope.units import Kelvin, KelvinPerSecond, Tesla
from nvscope_sequences.common import NormalSettings, require_normal, search


class Parameters(NormalSettings):
    """Parameters of ``reference``."""

    normal_temperature: Kelvin = Described(default=150.0, description="well above every Tc")
    cooling_rate: KelvinPerSecond = Described(default=8 / 60, gt=0, description="temperature ramp")
    fields: tuple[Tesla, ...] = Described(
        default=(97e-4, 150e-4), min_length=1, description="fields to take a reference at"
    )

    @model_validator(mode="after")
    def _some_field(self) -> Self:
        if not any(self.fields):
            raise ValueError("fields: the lines are looked for in a field; list one that is not 0 G as well")
        return self


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Go well above Tc and map at every field."""
    require_normal(rig, p.normal_temperature)
    before = next(field for field in p.fields if field)
    yield from bps.open_run({"sequence": "reference"})
    yield from change_temperature(rig, p.normal_temperature, p.cooling_rate)
    yield from ramp_field(rig, before, p.field_rate)
    windows = yield from search(rig, p, before)
    for field in p.fields:
        yield from ramp_field(rig, field, p.field_rate)
        windows = yield from odmr_map(
            rig, "reference", p, windows.at_field(before, field), claim=p.claim("normal", field)
        )
        before = field
    yield from bps.close_run()


sequence = Sequence("reference", "s = 1 maps well above Tc at every field in use", Parameters, plan)
