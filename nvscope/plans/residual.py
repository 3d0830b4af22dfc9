"""Finding the field that is there at zero current.

At H = 0 under stress ODMR cannot see it: the splitting grows with B² only. It is measured at ±bias above Tc (how, see
`residual_field`), a small one, because the remanence of a magnet is another at another field and zero has to be right.
There the lines of the off-axis groups, of the other sign under stress, lie between and on the aligned pair, and a fit
of two lines takes a wrong one in most pixels. So a map in a larger field, where the pair stands alone, comes first: it
tells every pixel's centre, depth and width, about which the pair is then fitted among other lines.
"""

from __future__ import annotations

import math

from bluesky import Msg

from nvscope.devices.magnet import Residual
from nvscope.devices.rig import RigDevices
from nvscope.history import Claim
from nvscope.plans.acquisition import odmr_map
from nvscope.plans.odmr_settings import OdmrSettings, Windows
from nvscope.plans.residual_field import ResidualField
from nvscope.plans.verbs import Plan, absolute_set, announce, ramp_field, value_of

_APART = 60e-4
"""T; from here on the pair stands alone: at 21 GPa a fit of two lines took another in no pixel, at 40 G in 3 %."""
_SIGMAS = 3.0


def cancel_residual(
    rig: RigDevices,
    settings: OdmrSettings,
    windows: Windows,
    field: float,
    bias: float,
    rate: float,
    normal_temperature: float | None = None,
) -> Plan:
    """Measure the residual field at ±`bias` and have the magnet cancel it from now on; returns what was added (T).

    Zero is approached from the side of `field`, as protocols do. What is not better known than it is large is left
    alone; what cannot be measured, or is not known well enough for H = 0, is journaled as a warning.

    Parameters
    ----------
    rig, settings : RigDevices, OdmrSettings
        Devices and how maps are taken.
    windows : Windows
        Where the lines are at `field` (T).
    bias : float
        Field (T) at which to measure, both ways.
    rate : float
        Ramp rate (T/s).
    normal_temperature : float, optional
        Temperature (K) above which the sample is normal: it must be while this is measured. Not judged if not given.
    """
    largest = math.copysign(max(abs(field), _APART), field)
    points = []
    for target in (largest, *(math.copysign(bias, field) * sign for sign in (1.0, -1.0, 1.0))):
        yield from ramp_field(rig, target, rate)
        claim = None if normal_temperature is None else Claim("normal", normal_temperature, target)
        yield from odmr_map(rig, "residual", settings, windows.at_field(field, target), claim=claim)
        points.append((yield from value_of(rig.odmr, "point")))
    found: ResidualField | None = yield Msg("residual_field", None, points[0], tuple(points[1:]))
    yield from announce("cancel the residual field")
    if found is None:  # planning
        return 0.0
    limit = rig.config.history.zero_field
    if found.complaint is not None:
        yield Msg("warn", None, found.describe())
    elif _SIGMAS * found.err > limit:
        yield Msg("warn", None, f"{found.describe()}: it is not certain that H = 0 is so to {limit * 1e4:g} G")
    if not found.trustworthy:
        return 0.0
    known = yield from value_of(rig.magnet, "residual")  # the fields above count it already
    yield from absolute_set(rig.magnet, Residual(known + found.field))
    return found.field
