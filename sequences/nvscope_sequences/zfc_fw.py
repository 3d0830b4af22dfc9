"""Zero-field cool, switch on the field, map, and warm in the field: figure 2 of the target paper."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, ramp_field
from nvscope.plans.verbs import Plan
from nvscope.units import Kelvin, Tesla
from nvscope_sequences.common import ProtocolSettings, begin_normal, redo_if_invalid, warm_and_map, zero_field_cool


class Parameters(ProtocolSettings):
    """Parameters of ``zfc-fw``; defaults as in Mandyam et al. 2026, Methods and figure 2."""

    field: Tesla = Described(default=97e-4, description="field switched on at base temperature")
    temperatures: tuple[Kelvin, ...] = Described(
        default=(30.0, 40.0, 50.0, 60.0, 65.0, 70.0, 74.0, 78.0, 82.0, 86.0, 92.0, 100.0),
        min_length=1,
        description="temperatures mapped while warming in the field, after the base temperature",
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise((self.base_temperature, *self.temperatures))):
            raise ValueError("temperatures must ascend and lie above base_temperature: the sample is only ever warmed")
        if self.normal_temperature <= self.base_temperature:
            raise ValueError("normal_temperature must lie above base_temperature")
        return self


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Reference above Tc, cool at zero field, map at base, warm and map, field off."""
    yield from bps.open_run({"sequence": "zfc-fw"})
    windows = yield from begin_normal(rig, p, p.field)

    def protocol() -> Plan:
        at_base = yield from zero_field_cool(rig, p, windows, p.field)
        yield from warm_and_map(rig, p, at_base, p.temperatures, p.field)

    yield from redo_if_invalid(rig, p, protocol)
    yield from ramp_field(rig, 0.0, p.field_rate)
    yield from bps.close_run()


sequence = Sequence("zfc-fw", "zero-field cool, switch on the field, map, warm in the field", Parameters, plan)
