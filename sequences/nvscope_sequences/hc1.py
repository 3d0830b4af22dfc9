"""First penetration per pixel: zero-field cool, then map while the field is raised in steps."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

import numpy as np
from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, odmr_map, ramp_field
from nvscope.plans.verbs import Plan
from nvscope.units import Tesla
from nvscope_sequences.common import ProtocolSettings, begin_normal, redo_if_invalid, zero_field_cool


class Parameters(ProtocolSettings):
    """Parameters of ``hc1``."""

    lowest: Tesla = Described(default=60e-4, gt=0, description="first field; two lines must be resolved")
    highest: Tesla = Described(default=180e-4, gt=0, description="last field")
    points: int = Described(default=5, ge=2, le=200, description="number of fields")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError(f"lowest {self.lowest * 1e4:g} G must lie below highest {self.highest * 1e4:g} G")
        return self


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """References at every field, zero-field cool into the lowest, then only ever raise it."""
    fields = [float(field) for field in np.linspace(p.lowest, p.highest, p.points)]
    yield from bps.open_run({"sequence": "hc1"})
    windows = yield from begin_normal(rig, p, fields[0])
    above = windows
    for before, field in pairwise(fields):  # s is told against a map at the same current
        yield from ramp_field(rig, field, p.field_rate)
        above = yield from odmr_map(rig, "reference", p, above.at_field(before, field), claim=p.claim("normal", field))

    def protocol() -> Plan:
        here = yield from zero_field_cool(rig, p, windows, fields[0])
        for before, field in pairwise(fields):
            yield from ramp_field(rig, field, p.field_rate)
            here = yield from odmr_map(rig, "hc1", p, here.at_field(before, field), claim=p.claim("zfc", field))

    yield from redo_if_invalid(rig, p, protocol)
    yield from ramp_field(rig, 0.0, p.field_rate)
    yield from bps.close_run()


sequence = Sequence("hc1", "zero-field cool, then raise the field in steps and map", Parameters, plan)
