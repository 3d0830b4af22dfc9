"""Finding the field that is there at zero current.

At H = 0 under stress ODMR cannot see it: the splitting grows with B² only. Measured at ±bias above Tc the two half
splittings w± obey w±² = (γ(aH ± r))² + Π⊥², so that r = (w₊² − w₋²)/(4 γ² a H) whatever the stress, with a the true
over the nominal calibration; a cancels in the current that nulls the field.
"""

from __future__ import annotations

from nvscope.devices.magnet import Residual
from nvscope.devices.rig import RigDevices
from nvscope.history import Claim
from nvscope.plans.acquisition import odmr_map
from nvscope.plans.odmr_settings import GAMMA, OdmrSettings, Windows
from nvscope.plans.verbs import Plan, absolute_set, announce, ramp_field


def cancel_residual(
    rig: RigDevices,
    settings: OdmrSettings,
    windows: Windows,
    field: float,
    bias: float,
    rate: float,
    normal_temperature: float | None = None,
) -> Plan:
    """Measure the residual field at ±`bias` and have the magnet cancel it from now on; returns it (T).

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
    squares = []
    for sign in (1.0, -1.0):
        yield from ramp_field(rig, sign * bias, rate)
        claim = None if normal_temperature is None else Claim("normal", normal_temperature, sign * bias)
        found = yield from odmr_map(rig, "residual", settings, windows.at_field(field, bias), claim=claim)
        squares.append(found.half_splitting**2)
    residual = (squares[0] - squares[1]) / (4 * GAMMA**2 * bias)
    yield from announce(f"cancel a residual field of {residual * 1e4:.2f} G")
    yield from absolute_set(rig.magnet, Residual(residual))
    return residual
