"""Cool from above Tc in a field, mapping at base and, if asked, on the way."""

from __future__ import annotations

from typing import Self

from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, change_temperature, odmr_map, ramp_field
from nvscope.plans.verbs import Plan
from nvscope.units import Kelvin, Tesla
from nvscope_sequences.common import ProtocolSettings, begin_normal, redo_if_invalid


class Parameters(ProtocolSettings):
    """Parameters of ``fc``; the field is the paper's for field cooling."""

    field: Tesla = Described(default=150e-4, description="field applied from above Tc")
    temperatures: tuple[Kelvin, ...] = Described(default=(), description="temperatures mapped while cooling")

    @model_validator(mode="after")
    def _on_the_way(self) -> Self:
        low, high = self.base_temperature, self.normal_temperature
        if any(not low < t < high for t in self.temperatures) or len(set(self.temperatures)) < len(self.temperatures):
            raise ValueError(
                f"temperatures must differ and lie between base_temperature {low:g} K and normal_temperature {high:g} K"
            )
        return self


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Reference above Tc, cool in the field, map; the field stays on."""
    yield from bps.open_run({"sequence": "fc"})
    windows = yield from begin_normal(rig, p, p.field)

    def protocol() -> Plan:
        here = windows
        yield from ramp_field(rig, p.field, p.field_rate)
        for temperature in (*sorted(p.temperatures, reverse=True), p.base_temperature):
            yield from change_temperature(rig, temperature, p.cooling_rate)
            here = yield from odmr_map(rig, "fc", p, here, claim=p.claim("fc", p.field))

    yield from redo_if_invalid(rig, p, protocol)
    yield from bps.close_run()


sequence = Sequence("fc", "cool in a field, map", Parameters, plan)
