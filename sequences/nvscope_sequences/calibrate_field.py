"""What the magnet really does, from the lines of the aligned NV group: gain, offset, tilt against the NV axis.

Above every Tc, at several currents of both signs. On a vector magnet also with a field across, both ways along x and y:
then all three axes, and the angles between them, are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, change_temperature, odmr_map, ramp_field, ramp_vector, windows_across
from nvscope.plans.verbs import Plan
from nvscope.units import Kelvin, KelvinPerSecond, Tesla, TeslaPerSecond
from nvscope_sequences.common import SearchSettings, require_normal, search


class Parameters(SearchSettings):
    """Parameters of ``calibrate-field``."""

    normal_temperature: Kelvin = Described(default=110.0, description="above every Tc: the sample must not screen")
    temperature_rate: KelvinPerSecond = Described(default=8 / 60, gt=0, description="temperature ramp")
    lowest: Tesla = Described(default=97e-4, gt=0, description="smallest field, taken both ways")
    highest: Tesla = Described(default=180e-4, gt=0, description="largest field, taken both ways")
    across: Tesla = Described(default=40e-4, ge=0, description="field across, on a vector magnet; 0 leaves it out")
    field_rate: TeslaPerSecond = Described(default=2e-4, gt=0, description="field ramp")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError(f"lowest {self.lowest * 1e4:g} G must lie below highest {self.highest * 1e4:g} G")
        return self


def courses(rig: RigDevices, p: Parameters) -> Iterator[tuple[float, float, float]]:
    """Yield the fields (T) to go through, across (x, y) and along the magnet's ordinary direction."""
    middle = (p.lowest + p.highest) / 2
    for along in (p.lowest, middle, p.highest, -p.highest, -middle, -p.lowest):
        yield 0.0, 0.0, along
    if rig.magnet.direction is not None and p.across > 0:
        # the last three tell an offset across from axes that are not at right angles
        for x, y, along in ((1, 0, 1), (-1, 0, 1), (0, 1, 1), (0, -1, 1), (1, 1, 1), (1, 0, -1), (0, 1, -1)):
            yield x * p.across, y * p.across, along * p.highest


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Go above Tc, find the lines, map at every field."""
    require_normal(rig, p.normal_temperature)
    yield from bps.open_run({"sequence": "calibrate-field"})
    yield from change_temperature(rig, p.normal_temperature, p.temperature_rate)
    yield from ramp_field(rig, p.lowest, p.field_rate)
    windows = yield from search(rig, p, p.lowest)
    for x, y, along in courses(rig, p):
        if rig.magnet.direction is None:
            yield from ramp_field(rig, along, p.field_rate)
        else:
            yield from ramp_vector(rig, (x, y, along), p.field_rate)
        expected = windows_across(windows, p.lowest, along, (x**2 + y**2) ** 0.5)
        yield from odmr_map(rig, "calibrate-field", p, expected, {"field_asked": [x, y, along]})
    yield from ramp_field(rig, 0.0, p.field_rate)
    yield from bps.close_run()


sequence = Sequence("calibrate-field", "gain, offset and tilt of the magnet against the NV axis", Parameters, plan)
