"""Warm in the field, mapping and measuring R at each temperature; the second half of the paper's figure 2.

The sample must be cold and in the field after a zero-field cooling that this run, or the one before it, has recorded.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Self

from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.devices.base import Assumed
from nvscope.devices.rig import RigDevices
from nvscope.errors import HistoryInvalid
from nvscope.plans import Sequence, Windows, announce, certify, change_temperature, odmr_map, ramp_field, screened
from nvscope.plans.verbs import Plan, value_of
from nvscope.units import Kelvin, KelvinPerSecond, Tesla
from nvscope_sequences.common import NORMAL_MARGIN, ColdSettings, require_normal, search


class WarmingSettings(ColdSettings):
    """Settings of a protocol that has been cooled, plus the temperatures of a warming."""

    temperature_rate: KelvinPerSecond = Described(default=5 / 60, gt=0, description="temperature ramp while warming")
    temperatures: tuple[Kelvin, ...] = Described(
        default=(30.0, 40.0, 50.0, 60.0, 65.0, 70.0, 74.0, 78.0, 82.0, 86.0, 92.0, 100.0),
        min_length=1,
        description="temperatures mapped while warming in the field, after the base temperature",
    )
    until_normal: bool = Described(
        default=False, description="leave the remaining temperatures out once s = 1 everywhere within the noise"
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise((self.base_temperature, *self.temperatures))):
            raise ValueError("temperatures must ascend and lie above base_temperature: the sample is only ever warmed")
        if self.temperatures[-1] >= self.normal_temperature - NORMAL_MARGIN:
            # from there on the sample is normal, and nothing of what it remembers can be certified
            raise ValueError(
                f"temperatures must lie more than {NORMAL_MARGIN:g} K below normal_temperature "
                f"{self.normal_temperature:g} K, at which the reference is taken; {self.temperatures[-1]:g} K does not"
            )
        return self


class Parameters(WarmingSettings):
    """Parameters of ``fw``; defaults as in Mandyam et al. 2026, Methods and figure 2."""

    field: Tesla = Described(default=97e-4, description="field that is on since the zero-field cooling")


def warm_and_map(rig: RigDevices, p: WarmingSettings, windows: Windows, field: float) -> Plan:
    """Warm through the temperatures in `field` (T), mapping at each; returns `Windows`."""
    for temperature in p.temperatures:
        yield from change_temperature(rig, temperature, p.temperature_rate)
        windows = yield from odmr_map(rig, "fw", p, windows, claim=p.claim("fw", field))
        if p.until_normal and (yield from screened()) == 0:
            yield from announce(f"s = 1 everywhere at {temperature:g} K")
            break
    return windows


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Ask what the history is, find the lines, warm and map, take the reference above Tc in the same field."""
    require_normal(rig, p.normal_temperature)
    yield from bps.open_run({"sequence": "fw"})
    temperature = yield from value_of(rig.cryostat, "temperature")
    yield from value_of(rig.magnet, "field")
    history = yield from certify(p.claim("zfc", p.field))
    if history.verdict == "invalid":
        raise HistoryInvalid(
            f"at {temperature:.2f} K: {history.reason}; run zfc first, or zfc-fw, which is both; nothing was moved"
        )
    windows = yield from search(rig, p, p.field)
    windows = yield from warm_and_map(rig, p, windows, p.field)
    yield from change_temperature(rig, p.normal_temperature, p.temperature_rate)
    yield from odmr_map(rig, "reference", p, windows, claim=p.claim("normal", p.field))
    yield from ramp_field(rig, 0.0, p.field_rate)
    yield from bps.close_run()


def begins(p: Parameters) -> Assumed:
    """Cold and in the field, as the zero-field cooling left it."""
    return Assumed(temperature=p.base_temperature, field=p.field, regulated=True)


sequence = Sequence(
    "fw", "warm in the field after zero-field cooling, mapping at each temperature", Parameters, plan, begins=begins
)
