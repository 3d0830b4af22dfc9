"""The devices of one rig, as a sequence sees them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nvscope.clock import Clock
from nvscope.config import Loading, Rig, Sample
from nvscope.devices.cryostat import CryostatDevice
from nvscope.devices.focus import FocusDevice
from nvscope.devices.imaging import ImagingDevice
from nvscope.devices.magnet import MagnetDevice
from nvscope.devices.odmr import OdmrDevice
from nvscope.devices.transport import TransportDevice


@dataclass(frozen=True)
class RigDevices:
    """What a plan is given: devices by role, and what is known of rig, sample and loading."""

    config: Rig
    sample: Sample
    loading: Loading
    clock: Clock
    cryostat: CryostatDevice
    magnet: MagnetDevice
    odmr: OdmrDevice
    images: ImagingDevice
    transport: TransportDevice | None
    focus: FocusDevice | None
    expected_center: float
    """Rough centre of the lines (Hz) at the nominal pressure; good to 0.3 GHz."""

    async def end(self) -> None:
        """End whatever is under way on any device, bounded; see `Device.end`."""
        devices = (self.cryostat, self.magnet, self.odmr, self.images, self.transport, self.focus)
        await asyncio.gather(*(device.end() for device in devices if device is not None))
