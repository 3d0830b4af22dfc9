"""Field cool, quench the field to zero and map what stays: figure 2e of the target paper.

At H = 0 under stress the splitting of the lines is mostly stress; the field's magnitude is separable only against a
map at H = 0 taken above Tc, and its sign not at all. The maps in the field, reference and FC, also say which two of the
many lines at H = 0 are the aligned pair.
"""

from __future__ import annotations

from bluesky import plan_stubs as bps
from pydantic import Field as Described

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, change_temperature, odmr_map, ramp_field
from nvscope.plans.verbs import Plan
from nvscope.units import Tesla, TeslaPerSecond
from nvscope_sequences.common import ProtocolSettings, begin_normal, redo_if_invalid


class Parameters(ProtocolSettings):
    """Parameters of ``flux-trap``; the field is the paper's."""

    field: Tesla = Described(default=150e-4, description="field applied from above Tc")
    frames: int = Described(
        default=32, ge=1, le=1000, description="frames per frequency and sweep; at H = 0 a field moves the lines little"
    )
    quench_rate: TeslaPerSecond = Described(default=5e-4, gt=0, description="rate at which the field is taken away")


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Stress reference at H = 0 above Tc, field cool, map, quench, map the remnant field."""
    yield from bps.open_run({"sequence": "flux-trap"})
    windows = yield from begin_normal(rig, p, p.field)
    yield from ramp_field(rig, 0.0, p.field_rate)
    at_zero = windows.at_field(p.field, 0.0)
    at_zero = yield from odmr_map(rig, "reference", p, at_zero, claim=p.claim("normal", 0.0))

    def protocol() -> Plan:
        yield from ramp_field(rig, p.field, p.field_rate)
        yield from change_temperature(rig, p.base_temperature, p.cooling_rate)
        yield from odmr_map(rig, "fc", p, windows, claim=p.claim("fc", p.field))
        yield from ramp_field(rig, 0.0, p.quench_rate)
        yield from odmr_map(rig, "flux-trap", p, at_zero, claim=p.claim("flux-trap", p.field, p.quench_rate))

    yield from redo_if_invalid(rig, p, protocol)
    yield from bps.close_run()


sequence = Sequence("flux-trap", "field cool, quench the field, map the remnant field", Parameters, plan)
