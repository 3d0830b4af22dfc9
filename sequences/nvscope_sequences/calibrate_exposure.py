"""How long to expose at each laser power, and how much laser and microwaves heat the sample."""

from __future__ import annotations

import math
from typing import Annotated, Self

from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.config import Frozen
from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, change_temperature, resistance_point, set_light, take_images
from nvscope.plans.verbs import Plan
from nvscope.units import Amperes, DBm, Kelvin, KelvinPerSecond, Seconds, Watts

_ATTEMPTS = 4
_CLOSE = 0.02
"""Share of full well by which the brightest pixels may miss their target."""


class Parameters(Frozen):
    """Parameters of ``calibrate-exposure``; the field stays as it is."""

    laser_powers: tuple[Annotated[Watts, Described(gt=0)], ...] = Described(
        default=(0.02, 0.05, 0.1), min_length=1, description="laser powers to try"
    )
    exposure: Seconds = Described(default=0.02, gt=0, description="exposure to begin with, and of dark frames")
    shortest: Seconds = Described(default=1e-3, gt=0, description="shortest exposure the camera is used at")
    longest: Seconds = Described(default=0.2, gt=0, description="longest exposure worth waiting for")
    full_well: float = Described(default=0.7, gt=0.1, lt=0.95, description="how far the brightest pixels are filled")
    frames: int = Described(default=50, ge=4, le=10000, description="images in each dark and flat frame")
    power: DBm = Described(default=0.0, description="microwave power whose heating is measured")
    temperature: Kelvin = Described(
        default=100.0, description="where R is measured; R must change with temperature there"
    )
    step: Kelvin = Described(default=2.0, gt=0, description="R is also measured this much above, for its slope")
    temperature_rate: KelvinPerSecond = Described(default=8 / 60, gt=0, description="temperature ramp")
    warm_up: Seconds = Described(default=30.0, ge=0, description="time given to light and microwaves to heat")
    excitation: Amperes = Described(default=1e-3, gt=0, description="transport current")
    readings: int = Described(default=60, ge=2, le=10000, description="readings averaged")

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        if not self.shortest <= self.exposure <= self.longest:
            raise ValueError(f"exposure {self.exposure:g} s must lie between shortest and longest")
        return self


def expose(rig: RigDevices, p: Parameters, power: float) -> Plan:
    """Find the exposure that fills the brightest pixels as asked at a laser `power` (W), and take flat frames."""
    yield from set_light(rig, power)
    exposure = p.exposure
    for _ in range(_ATTEMPTS):
        level = yield from take_images(rig, "exposure", 4, exposure)
        if abs(level - p.full_well) < _CLOSE or math.isclose(level, 0):
            break
        # a full pixel does not tell by how much it is over: halve, and look again
        wanted = exposure * (0.5 if level > 0.97 else p.full_well / level)
        exposure = min(max(wanted, p.shortest), p.longest)
    yield from take_images(rig, "flat", p.frames, exposure)


def heating(rig: RigDevices, p: Parameters) -> Plan:
    """Measure R dark, at two temperatures, and with each laser power and the microwaves on."""

    def measure(light: str, power: float = 0.0) -> Plan:
        attrs = {"light": light, "light_power": power}
        yield from resistance_point(rig, "calibrate-exposure", p.excitation, p.readings, attrs)

    yield from change_temperature(rig, p.temperature + p.step, p.temperature_rate)
    yield from measure("off")
    yield from change_temperature(rig, p.temperature, p.temperature_rate)
    yield from measure("off")
    for power in p.laser_powers:
        yield from set_light(rig, power, wait=p.warm_up)
        yield from measure("laser", power)
    yield from set_light(rig, 0.0, p.power, rig.expected_center, wait=p.warm_up)
    yield from measure("microwaves", 1e-3 * 10 ** (p.power / 10))
    yield from set_light(rig, wait=p.warm_up)
    yield from measure("off")


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Dark frames, flat frames at every laser power, then the heating where there is a resistance to tell it."""
    yield from bps.open_run({"sequence": "calibrate-exposure"})
    yield from set_light(rig)
    yield from take_images(rig, "dark", p.frames, p.exposure)
    for power in p.laser_powers:
        yield from expose(rig, p, power)
    yield from set_light(rig)
    if rig.transport is not None:
        yield from heating(rig, p)
    yield from bps.close_run()


sequence = Sequence(
    "calibrate-exposure", "exposure at each laser power, dark and flat frames, heating", Parameters, plan
)
