"""Finding the focus again: temperature moves the cell along the optical axis too."""

from __future__ import annotations

import math

import numpy as np
from bluesky import Msg
from bluesky import plan_stubs as bps

from nvscope.devices.focus import FocusDevice, Look, Position
from nvscope.devices.rig import RigDevices
from nvscope.devices.sharpness import sharpest
from nvscope.errors import LimitError
from nvscope.plans.odmr_settings import OdmrSettings
from nvscope.plans.verbs import Plan, absolute_set, announce, value_of

_FRAMES = 8
_SCANS = 4
"""How often a scan that is sharpest at its end is begun again around that end."""
_VISIBLE = 5.0
"""Standard errors by which the sharpest image must exceed the least sharp one."""


def require_focus(rig: RigDevices) -> FocusDevice:
    """Return the rig's focus drive; raises `LimitError` if it has none."""
    if rig.focus is None:
        raise LimitError(
            f"autofocus needs an instrument in the role focus, and rig {rig.config.name!r} has none; "
            "choose another rig, or autofocus = never"
        )
    return rig.focus


def autofocus(rig: RigDevices, settings: OdmrSettings) -> Plan:
    """Scan the focus about where it is, with laser and without microwaves, and go where the image is sharpest.

    Every position is an event of the stream ``focus``. A scan that is sharpest at its end is repeated around that end;
    where nothing sharp is found, the focus goes back to where it was and the journal has a warning. Returns the
    position (m), NaN while planning.

    Raises
    ------
    LimitError
        If the rig has no focus drive, or not enough travel.
    """
    span, steps = settings.focus_range, settings.focus_steps
    scan = f"autofocus: {steps} positions over {span * 1e6:g} um"
    yield from announce(scan)
    focus = require_focus(rig)
    low, high = focus.travel
    if span > high - low:
        raise LimitError(f"focus_range {span * 1e6:g} um is more than this rig's travel of {(high - low) * 1e6:g} um")
    look = Look(_FRAMES, settings.exposure, settings.laser_power, settings.crop)
    start = around = yield from value_of(focus, "position")
    failure = "the image is still sharpest at the end of the scan"
    for attempt in range(_SCANS):
        if attempt > 0:
            yield from announce(scan)
        first = min(max(around - span / 2, low), high - span)  # shifted rather than shortened at an end of the travel
        positions = [float(z) for z in np.clip(np.linspace(first, first + span, steps), low, high)]
        values, errors = [], []
        for position in positions:
            yield from absolute_set(focus, Position(position))
            value, error = yield from _look(focus, look)
            values.append(value)
            errors.append(error)
        around = sharpest(positions, values)
        if max(values) - min(values) < _VISIBLE * math.hypot(*errors) / math.sqrt(steps):
            failure = "no position is sharper than another; is there anything to see in the image?"
            break
        at_end = around <= positions[0] or around >= positions[-1]  # neither while planning: a plan has one scan
        if not at_end:
            yield from absolute_set(focus, Position(around))
            yield from _look(focus, look)
            if math.isfinite(around):
                yield from announce(f"focus at {around * 1e6:.2f} um, from {start * 1e6:.2f} um")
            return around
        if min(around - low, high - around) < span / steps:
            break  # it can go no further
    yield from absolute_set(focus, Position(start))
    yield Msg("warn", None, f"autofocus: {failure}; the focus is back at {start * 1e6:.2f} um")
    return start


def _look(focus: FocusDevice, look: Look) -> Plan:
    """Look, and write the event; returns sharpness and its error."""
    yield from absolute_set(focus, look)
    yield from bps.create("focus")
    reading = yield from bps.read(focus)
    yield from bps.save()
    return tuple(reading[f"{focus.name}_{key}"]["value"] for key in ("sharpness", "sharpness_err"))
