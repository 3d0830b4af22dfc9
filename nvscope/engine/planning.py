"""Devices without hardware, for walking a plan."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nvscope.clock import WallClock
from nvscope.config import Loading, Rig, Sample
from nvscope.devices.base import USUAL_SHAPE
from nvscope.devices.cryostat import CryostatDevice
from nvscope.devices.driver import vector_direction
from nvscope.devices.focus import FocusDevice
from nvscope.devices.imaging import ImagingDevice
from nvscope.devices.magnet import MagnetDevice
from nvscope.devices.odmr import OdmrDevice
from nvscope.devices.rig import RigDevices
from nvscope.devices.transport import TransportDevice
from nvscope.nv import expected_center
from nvscope.odmr.windows import find_pair


def planning_rig(rig: Rig, sample: Sample, loading: Loading, shape: tuple[int, int] | None) -> RigDevices:
    """Return the rig's devices with nothing behind them; the camera's image has `shape` (y, x; None: not known)."""
    clock = WallClock()
    transport = None
    if "transport" in rig.instruments:
        transport = TransportDevice(None, None, clock, rig.limits, switchable="contacts" in rig.instruments)
    focus = None
    if "focus" in rig.instruments:
        focus = FocusDevice(None, None, clock, rig.limits, None, rig.detector)
    return RigDevices(
        config=rig,
        sample=sample,
        loading=loading,
        clock=clock,
        cryostat=CryostatDevice(None, None, clock, rig.limits, rig.settling),
        magnet=MagnetDevice(None, None, clock, rig.limits, rig.settling, direction=vector_direction(rig)),
        odmr=OdmrDevice(None, None, clock, rig.limits, locate_lines, shape, rig.detector.readout),
        images=ImagingDevice(None, None, clock, rig.limits, rig.detector, shape=shape or USUAL_SHAPE),
        transport=transport,
        focus=focus,
        expected_center=nominal_center(loading),
    )


def nominal_center(loading: Loading) -> float:
    """Rough centre of the lines (Hz) for a loading, at 100 K."""
    return float(expected_center(loading.nominal_pressure, 100.0))


def locate_lines(
    frequency: NDArray[np.float64], spectrum: NDArray[np.float64], half_splitting: float
) -> tuple[float, float]:
    """Find the pair in a coarse spectrum; returns centre and half splitting (Hz), NaN where there is none."""
    pair = find_pair(frequency, spectrum, half_splitting)
    if not pair.found:
        return math.nan, math.nan
    return pair.center, pair.half_splitting
