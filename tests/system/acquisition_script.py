"""A sequence of one's own: the same map taken in every way a point can be taken, at room temperature in 97 G."""

from __future__ import annotations

from bluesky import plan_stubs as bps
from nvscope_sequences.common import SearchSettings, search

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, odmr_map, ramp_field
from nvscope.plans.verbs import Plan, value_of

UNIFORM = {"frequencies": 51, "frames": 1, "sweeps": 8}
WAYS = {
    "uniform": UNIFORM,
    "random": {"order": "random", "seed": 7, "reference": "step", "drift": True},
    "sweep-reference": {"order": "alternate", "reference": "sweep", "reference_frames": 4},
    "crop": {"crop": (8, 4, 20, 24), "region": "sample", "sampling": "adaptive"},
}


class Parameters(SearchSettings):
    """Parameters of the sequence."""


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Map once in every way, last until the map is as good as the uniform one."""
    yield from bps.open_run({"sequence": "ways"})
    yield from ramp_field(rig, 97e-4, 5e-4)
    windows = yield from search(rig, p, 97e-4)
    target = None
    for name, changes in WAYS.items():
        yield from odmr_map(rig, name, p.model_copy(update={"drift": False, **changes}), windows)
        target = target or (yield from value_of(rig.odmr, "b_err"))
    until = {**UNIFORM, "sampling": "adaptive", "until": target, "drift": True}
    yield from odmr_map(rig, "adaptive", p.model_copy(update=until), windows)
    yield from bps.close_run()


sequence = Sequence("ways", "the same map in every way", Parameters, plan)
