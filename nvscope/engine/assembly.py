"""From connected instruments to the devices a sequence sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

from nvscope.clock import Clock
from nvscope.config import Loading, Rig, Sample
from nvscope.devices.base import Observer
from nvscope.devices.cryostat import CryostatDevice
from nvscope.devices.driver import vector_direction
from nvscope.devices.focus import FocusDevice
from nvscope.devices.imaging import Bench, ImagingDevice
from nvscope.devices.magnet import MagnetDevice
from nvscope.devices.odmr import OdmrDevice
from nvscope.devices.rig import RigDevices
from nvscope.devices.roles import (
    Camera,
    ContactMatrix,
    Cryostat,
    Focus,
    Laser,
    Magnet,
    MicrowaveSource,
    Timing,
    Transport,
)
from nvscope.devices.sink import FrameSink
from nvscope.devices.sweeper import HardwareSweeper
from nvscope.devices.transport import TransportDevice
from nvscope.devices.worker import Worker
from nvscope.engine.connect import Connected
from nvscope.engine.planning import locate_lines, nominal_center
from nvscope.errors import ConfigError
from nvscope.odmr.sampling import place_frames

RoleT = TypeVar("RoleT")


def assemble(
    rig: Rig,
    sample: Sample,
    loading: Loading,
    instruments: Mapping[str, Connected],
    sink: FrameSink | None,
    clock: Clock,
    observe: Observer,
) -> RigDevices:
    """Make the devices; raises `ConfigError` when an instrument is missing or cannot play its role.

    Without a `sink` there is nowhere to record: ODMR points are refused.
    """

    def play(name: str, role: type[RoleT]) -> tuple[RoleT, Worker]:
        if name not in instruments:
            raise ConfigError(f"rig {rig.name!r} has no instrument {name!r}; a sequence needs one")
        item = instruments[name]
        if not isinstance(item.role, role):
            raise ConfigError(
                f"rig {rig.name!r}: driver {item.spec.driver!r} cannot play the role {name!r} ({role.__name__})"
            )
        return cast(RoleT, item.role), item.worker

    camera = play("camera", Camera)  # type: ignore[type-abstract]
    readout = rig.detector.readout
    microwave, laser = play("microwave", MicrowaveSource), play("laser", Laser)  # type: ignore[type-abstract]
    timing = play("timing", Timing)  # type: ignore[type-abstract]
    sweeper = HardwareSweeper(camera, microwave, laser, timing, clock, readout)
    limits = rig.limits
    detector = rig.detector
    camera_attrs = {
        "camera_gain": detector.gain,
        "camera_offset": detector.offset,
        "read_noise": detector.read_noise,
        "saturation": camera[0].saturation,
        "pixel_size": loading.field_of_view / camera[0].shape[1],
    }
    cryostat, magnet = play("cryostat", Cryostat), play("magnet", Magnet)  # type: ignore[type-abstract]
    transport = None
    if "transport" in instruments:
        contacts = play("contacts", ContactMatrix) if "contacts" in instruments else None  # type: ignore[type-abstract]
        meter = play("transport", Transport)  # type: ignore[type-abstract]
        transport = TransportDevice(*meter, clock, limits, observe, contacts=contacts)
    focus = None
    if "focus" in instruments:
        drive = play("focus", Focus)  # type: ignore[type-abstract]
        focus = FocusDevice(*drive, clock, limits, sweeper, detector, observe)
    return RigDevices(
        config=rig,
        sample=sample,
        loading=loading,
        clock=clock,
        cryostat=CryostatDevice(*cryostat, clock, limits, rig.settling, observe),
        magnet=MagnetDevice(*magnet, clock, limits, rig.settling, observe, direction=vector_direction(rig)),
        odmr=OdmrDevice(
            sweeper,
            sink,
            clock,
            limits,
            locate_lines,
            camera[0].shape,
            readout,
            observe,
            attrs=camera_attrs,
            place=place_frames,
        ),
        images=ImagingDevice(Bench(camera, microwave, laser, timing), sink, clock, limits, detector, observe),
        transport=transport,
        focus=focus,
        expected_center=nominal_center(loading),
    )
