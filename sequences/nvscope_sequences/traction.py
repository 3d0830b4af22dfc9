"""Low bias along each of the four NV axes, well above Tc: the stress under the culet, and with it the traction.

The magnet's axes are the culet frame's: x along the image's x, z along the culet normal; how the crystal lies in it the
loading says.
"""

from __future__ import annotations

from bluesky import plan_stubs as bps
from pydantic import Field as Described

from nvscope.devices.rig import RigDevices
from nvscope.plans import Sequence, change_temperature, odmr_map, ramp_field, ramp_vector, require_vector
from nvscope.plans.crystal import bias_along
from nvscope.plans.verbs import Plan
from nvscope.units import Hertz, Kelvin, KelvinPerSecond, Tesla, TeslaPerSecond
from nvscope_sequences.common import SearchSettings, search


class Parameters(SearchSettings):
    """Parameters of ``traction``; defaults as in Mandyam et al. 2026, Methods."""

    temperature: Kelvin = Described(default=150.0, description="well above every Tc")
    temperature_rate: KelvinPerSecond = Described(default=8 / 60, gt=0, description="temperature ramp")
    bias: Tesla = Described(default=20e-4, gt=0, description="bias along each of the four NV axes")
    field: Tesla = Described(
        default=97e-4, gt=0, description="field along z at which the aligned lines are found first"
    )
    field_rate: TeslaPerSecond = Described(default=5e-4, gt=0, description="field ramp")
    below: Hertz = Described(default=110e6, gt=0, description="how far below the aligned group's centre is swept")
    above: Hertz = Described(default=190e6, gt=0, description="how far above it: the other groups lie higher")
    step: Hertz = Described(default=2.5e6, gt=0, description="step of the sweep")
    frames: int = Described(default=32, ge=1, le=1000, description="frames per frequency and sweep")


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Find the aligned lines, then sweep over the lines of all groups with the bias along each axis in turn."""
    require_vector(rig, "traction")
    yield from bps.open_run({"sequence": "traction"})
    yield from change_temperature(rig, p.temperature, p.temperature_rate)
    yield from ramp_field(rig, p.field, p.field_rate)
    windows = yield from search(rig, p, p.field)
    swept = p.model_copy(
        update={"frequency_range": (windows.center - p.below, windows.center + p.above, p.step), "frequency_list": None}
    )
    for group in range(4):
        bias = bias_along(rig.loading, group, p.bias)
        yield from ramp_vector(rig, bias, p.field_rate)
        yield from odmr_map(rig, "traction", swept, windows, {"field_vector": list(bias), "axis": group})
    yield from ramp_field(rig, 0.0, p.field_rate)
    yield from bps.close_run()


sequence = Sequence("traction", "low bias along each NV axis: stress and traction under the culet", Parameters, plan)
