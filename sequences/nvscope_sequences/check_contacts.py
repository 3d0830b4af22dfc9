"""Whether the four-probe wiring can be trusted: linearity, contact matrix, reciprocity, leakage to gasket and wire.

With leads that are wired for good only linearity and noise can be checked; the rest needs a contact matrix.
"""

from __future__ import annotations

from itertools import combinations
from typing import Self

import numpy as np
from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.config import Frozen
from nvscope.devices.rig import RigDevices
from nvscope.devices.transport import STANDARD, Wiring
from nvscope.errors import LimitError
from nvscope.plans import Sequence, announce, change_temperature, resistance_point
from nvscope.plans.verbs import Plan, value_of
from nvscope.units import Amperes, KelvinPerSecond

CONTACTS = ("I+", "I-", "V+", "V-")
CONFIGURATIONS = (
    ("I+", "I-", "V+", "V-"),
    ("I+", "V-", "I-", "V+"),
    ("I+", "V+", "V-", "I-"),
)
"""Current and voltage pairs whose resistances sum to zero in a linear conductor; each is also measured exchanged."""

_LEAK_READINGS = 2
"""Nanovolts over a nanoampere: a leak is known to some ohms at once, and good insulation lets nothing be read."""


class Parameters(Frozen):
    """Parameters of ``check-contacts``; temperature and field stay as they are, the temperature regulated."""

    lowest: Amperes = Described(default=3e-5, gt=0, description="smallest current of the linearity check")
    highest: Amperes = Described(default=1e-3, gt=0, description="largest current of the linearity check")
    points: int = Described(default=5, ge=2, le=100, description="currents, evenly spaced in their logarithm")
    excitation: Amperes = Described(default=3e-4, gt=0, description="current of contact matrix and reciprocity")
    leakage_current: Amperes = Described(default=1e-9, gt=0, description="current of the leakage check")
    readings: int = Described(default=20, ge=2, le=10000, description="readings averaged")
    temperature_rate: KelvinPerSecond = Described(default=5 / 60, gt=0, description="for holding the temperature")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError(f"lowest {self.lowest:g} A must lie below highest {self.highest:g} A")
        return self


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Measure R at rising current; then, through a contact matrix, between every pair of contacts and to ground."""
    if rig.transport is None:
        raise LimitError(f"check-contacts: rig {rig.config.name!r} has no transport instrument")
    yield from bps.open_run({"sequence": "check-contacts"})
    temperature = yield from value_of(rig.cryostat, "temperature")
    yield from change_temperature(rig, round(temperature, 1), p.temperature_rate)
    for current in np.geomspace(p.lowest, p.highest, p.points):
        yield from measure(rig, p, "linearity", float(current))
    if rig.transport.switchable:
        yield from switched(rig, p)
    else:
        yield from announce("leads wired for good: no contact matrix, reciprocity or leakage can be measured")
    yield from bps.close_run()


def switched(rig: RigDevices, p: Parameters) -> Plan:
    """Two-probe between all contacts, four-probe both ways round, current reversed, leakage to gasket and wire."""
    for a, b in combinations(CONTACTS, 2):
        yield from measure(rig, p, "two-probe", p.excitation, (a, b, a, b))
    for a, b, c, d in CONFIGURATIONS:
        yield from measure(rig, p, "four-probe", p.excitation, (a, b, c, d))
        yield from measure(rig, p, "exchanged", p.excitation, (c, d, a, b))
    yield from measure(rig, p, "reversed", p.excitation, ("I-", "I+", "V+", "V-"))
    for contact in CONTACTS:
        for metal in ("gasket", "wire"):
            yield from measure(rig, p, "leakage", p.leakage_current, (contact, metal, contact, metal))
    # the last measurement leaves the leads as every other protocol wants them
    yield from measure(rig, p, "repeat", p.excitation)


def measure(rig: RigDevices, p: Parameters, check: str, current: float, wiring: Wiring = STANDARD) -> Plan:
    """Measure one resistance; that no current flows is a result here, for the report to name the contact."""
    readings = _LEAK_READINGS if check == "leakage" else p.readings
    yield from resistance_point(rig, "check-contacts", current, readings, {"check": check}, wiring, insulation=True)


sequence = Sequence("check-contacts", "linearity, contact matrix, reciprocity and leakage", Parameters, plan)
