"""A sequence of one's own: the same map taken in every way a point can be taken, at room temperature in 97 G."""

from __future__ import annotations

from bluesky import plan_stubs as bps
from nvscope_sequences.common import SearchSettings, search

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, odmr_map, ramp_field
from nvscope.plans.verbs import Plan

WAYS = {
    "plain": {},
    "random": {"order": "random", "seed": 7, "reference": "step"},
    "sweep-reference": {"order": "alternate", "reference": "sweep", "reference_frames": 4},
}


class Parameters(SearchSettings):
    """Parameters of the sequence."""


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Map once in every way."""
    yield from bps.open_run({"sequence": "ways"})
    yield from ramp_field(rig, 97e-4, 5e-4)
    windows = yield from search(rig, p, 97e-4)
    for name, changes in WAYS.items():
        yield from odmr_map(rig, name, p.model_copy(update=changes), windows, attrs={"field_nominal": 97e-4})
    yield from bps.close_run()


sequence = Sequence("ways", "the same map in every way", Parameters, plan)
