"""Zero-field cool, switch on the field, map, and warm in the field: figure 2 of the target paper."""

from __future__ import annotations

from bluesky import plan_stubs as bps
from pydantic import Field as Described

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, ramp_field
from nvscope.plans.verbs import Plan
from nvscope.units import Tesla
from nvscope_sequences.common import ProtocolSettings, begin_normal, redo_if_invalid, zero_field_cool
from nvscope_sequences.fw import WarmingSettings, warm_and_map


class Parameters(WarmingSettings, ProtocolSettings):
    """Parameters of ``zfc-fw``; defaults as in Mandyam et al. 2026, Methods and figure 2."""

    field: Tesla = Described(default=97e-4, description="field switched on at base temperature")


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Reference above Tc, cool at zero field, map at base, warm and map, field off."""
    yield from bps.open_run({"sequence": "zfc-fw"})
    windows = yield from begin_normal(rig, p, p.field)

    def protocol() -> Plan:
        at_base = yield from zero_field_cool(rig, p, windows, p.field)
        yield from warm_and_map(rig, p, at_base, p.field)

    yield from redo_if_invalid(rig, p, protocol)
    yield from ramp_field(rig, 0.0, p.field_rate)
    yield from bps.close_run()


sequence = Sequence("zfc-fw", "zero-field cool, switch on the field, map, warm in the field", Parameters, plan)
