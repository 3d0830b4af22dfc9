"""One coarse, wide sweep as things stand: where the two lines are."""

from __future__ import annotations

from bluesky import plan_stubs as bps

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, announce
from nvscope.plans.verbs import Plan, value_of
from nvscope_sequences.common import SearchSettings, search


class Parameters(SearchSettings):
    """Parameters of ``find-lines``."""


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Sweep and say where the lines are."""
    yield from bps.open_run({"sequence": "find-lines"})
    field = yield from value_of(rig.magnet, "field")
    windows = yield from search(rig, p, field)
    low, high = windows.center - windows.half_splitting, windows.center + windows.half_splitting
    yield from announce(f"lines at {low / 1e9:.4f} and {high / 1e9:.4f} GHz")
    yield from bps.close_run()


sequence = Sequence("find-lines", "coarse, wide sweep that finds the lines", Parameters, plan)
