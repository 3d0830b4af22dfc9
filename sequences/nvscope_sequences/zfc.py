"""Zero-field cool, switch on the field and map."""

from __future__ import annotations

from bluesky import plan_stubs as bps
from pydantic import Field as Described

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence
from nvscope.plans.verbs import Plan
from nvscope.units import Tesla
from nvscope_sequences.common import ProtocolSettings, begin_normal, redo_if_invalid, zero_field_cool


class Parameters(ProtocolSettings):
    """Parameters of ``zfc``."""

    field: Tesla = Described(default=97e-4, description="field switched on at base temperature")
    frames: int = Described(
        default=32, ge=1, le=1000, description="frames per frequency and sweep; others are compared with this one map"
    )


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Reference above Tc, residual cancelled, cool at zero field, switch on, map; the field stays on."""
    yield from bps.open_run({"sequence": "zfc"})
    windows = yield from begin_normal(rig, p, p.field)
    yield from redo_if_invalid(rig, p, lambda: zero_field_cool(rig, p, windows, p.field))
    yield from bps.close_run()


sequence = Sequence("zfc", "zero-field cool, switch on the field, map", Parameters, plan)
