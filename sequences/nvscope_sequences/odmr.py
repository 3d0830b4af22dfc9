"""One map as things stand: no temperature or field is changed."""

from __future__ import annotations

from bluesky import plan_stubs as bps

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, odmr_map
from nvscope.plans.verbs import Plan, value_of
from nvscope_sequences.common import SearchSettings, search


class Parameters(SearchSettings):
    """Parameters of ``odmr``."""


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Find the lines at the present field, then map."""
    yield from bps.open_run({"sequence": "odmr"})
    field = yield from value_of(rig.magnet, "field")
    windows = yield from search(rig, p, field)
    yield from odmr_map(rig, "odmr", p, windows)
    yield from bps.close_run()


sequence = Sequence("odmr", "one map as things stand", Parameters, plan)
