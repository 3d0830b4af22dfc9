"""Instruments moved by hand: what may be set, within the rig's limits, and how it reaches them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field as Described

from nvscope.clock import Clock
from nvscope.config import Frozen, Limits, Loading, Rig, Sample
from nvscope.devices.cryostat import Temperature
from nvscope.devices.focus import FocusDevice, Position
from nvscope.devices.magnet import Field
from nvscope.devices.rig import RigDevices
from nvscope.devices.roles import Camera, Laser, MicrowaveSource, Timing
from nvscope.devices.status import TaskStatus
from nvscope.engine.assembly import assemble
from nvscope.engine.connect import Connected
from nvscope.engine.touched import mark
from nvscope.errors import ConfigError, DataError, InstrumentTimeout, LimitError
from nvscope.units import DBm, Hertz, Kelvin, KelvinPerSecond, Metres, Seconds, Tesla, TeslaPerSecond, Watts

_STOP_PATIENCE = 10.0
"""Wall seconds a ramp may take to stop where it is."""


class ByHand(Frozen):
    """Everything that can be set; nothing is sent to an instrument before it is."""

    camera: bool = Described(default=True, description="camera running")
    exposure: Seconds = Described(default=0.02, gt=0, description="camera exposure")
    gain: float = Described(default=1.0, gt=0, description="camera gain, where the camera has one; 1 in every run")
    laser: bool = Described(default=False, description="laser emitting and its gate open")
    laser_power: Watts = Described(default=0.05, gt=0, description="laser power while it emits")
    microwave: bool = Described(default=False, description="microwaves on")
    frequency: Hertz = Described(default=2.87e9, description="microwave frequency")
    microwave_power: DBm = Described(default=0.0, description="microwave power")
    temperature: Kelvin | None = Described(default=None, description="temperature to go to; empty leaves it alone")
    temperature_rate: KelvinPerSecond = Described(default=5 / 60, gt=0, description="temperature ramp")
    field: Tesla | None = Described(default=None, description="field to go to; empty leaves it alone")
    field_rate: TeslaPerSecond = Described(default=2e-4, gt=0, description="field ramp")
    focus: Metres | None = Described(default=None, description="focus position to go to; empty leaves it alone")


class Hands:
    """Takes `ByHand` settings to the instruments; every method runs on the event loop.

    Parameters
    ----------
    rig, sample, loading
        Configuration; the rig's limits hold here as in a run.
    instruments : mapping
        Connected instruments.
    clock : Clock
        Rig time.
    observe : callable
        Told every value read.

    Attributes
    ----------
    settings : ByHand
        What has been set.
    """

    def __init__(
        self,
        rig: Rig,
        sample: Sample,
        loading: Loading,
        instruments: Mapping[str, Connected],
        clock: Clock,
        observe: Callable[[Mapping[str, float]], None],
    ) -> None:
        self.settings = ByHand()
        self._limits = rig.limits
        self._instruments = instruments
        self._moves: dict[str, TaskStatus] = {}
        self.devices: RigDevices = assemble(rig, sample, loading, instruments, None, clock, observe)
        self.camera: Camera = instruments["camera"].role  # type: ignore[assignment]
        self.shape, self.saturation = self.camera.shape, self.camera.saturation
        self.laser: Laser = instruments["laser"].role  # type: ignore[assignment]
        self._source: MicrowaveSource = instruments["microwave"].role  # type: ignore[assignment]
        self._timing: Timing = instruments["timing"].role  # type: ignore[assignment]

    @property
    def names(self) -> list[str]:
        """What can be set on this rig."""
        return [name for name in ByHand.model_fields if name != "focus" or self.devices.focus is not None]

    async def call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Make one call to an instrument in its own thread."""
        return await self._instruments[name].worker.call(function, *arguments)

    async def change(self, wanted: ByHand) -> None:
        """Send what differs from what was set; all of it is checked first, so that a refusal moves nothing.

        Raises
        ------
        LimitError
            If the rig's limits forbid any of it.
        InstrumentError
            If an instrument refuses; what was sent before stays as sent.
        """
        before = self.settings
        changed = {name for name in ByHand.model_fields if getattr(wanted, name) != getattr(before, name)}
        check(wanted, self._limits)
        if wanted.gain != before.gain and not hasattr(self.camera, "set_gain"):
            raise ConfigError("gain: this camera has none to set")
        temperature, field = _moves(wanted)
        if temperature is not None:
            self.devices.cryostat.check(temperature)
        if field is not None:
            self.devices.magnet.check(field)
        position = None if wanted.focus is None or "focus" not in changed else Position(wanted.focus)
        if position is not None:
            self._drive().check(position)

        if changed & {"temperature", "temperature_rate", "field", "field_rate"} and (temperature or field):
            self._mark()
        if wanted.gain != before.gain:
            await self.call("camera", self.camera.set_gain, wanted.gain)  # type: ignore[attr-defined]
        if changed & {"laser", "laser_power"}:
            await self._light(wanted)
        if changed & {"microwave", "frequency", "microwave_power"}:
            await self._microwaves(wanted, before)
        if changed & {"temperature", "temperature_rate"}:
            await self._stop(self.devices.cryostat)
            if temperature is not None:
                self._moves["cryostat"] = self.devices.cryostat.set(temperature)
        if changed & {"field", "field_rate"}:
            await self._stop(self.devices.magnet)
            if field is not None:
                self._moves["magnet"] = self.devices.magnet.set(field)
        if position is not None:
            await self._stop(self._drive())
            self._moves["focus"] = self._drive().set(position)
        self.settings = wanted

    def _drive(self) -> FocusDevice:
        if self.devices.focus is None:
            raise ConfigError("focus: this rig has no focus drive")
        return self.devices.focus

    def _mark(self) -> None:
        """Write down that the sample has been moved by hand; without that nothing is moved."""
        try:
            mark(item.address for item in self._instruments.values())
        except OSError as error:
            raise DataError(f"cannot note that the sample is moved by hand, so it is not: {error}") from error

    async def rest(self) -> None:
        """Stop both ramps where they are; they are not taken up again by other settings."""
        if self.moving():
            self._mark()
        for device in (self.devices.cryostat, self.devices.magnet):
            await self._stop(device)
        self.settings = self.settings.model_copy(update={"temperature": None, "field": None})

    def moving(self) -> list[str]:
        """Return the names of the ramps that are on their way."""
        return [name for name, move in self._moves.items() if not move.done and name != "focus"]

    def failed(self) -> list[str]:
        """Return what went wrong with moves that have ended since the last call, in words."""
        found = []
        for name, move in list(self._moves.items()):
            if move.done:
                del self._moves[name]
                error = move.exception()
                if error is not None:
                    found.append(f"{name}: {error}")
        return found

    async def _light(self, wanted: ByHand) -> None:
        if wanted.laser:
            await self.call("laser", self.laser.set_power, wanted.laser_power)
        await self.call("laser", self.laser.set_emission, wanted.laser)
        await self.call("timing", self._timing.set_gate, wanted.laser)

    async def _microwaves(self, wanted: ByHand, before: ByHand) -> None:
        if wanted.microwave:
            await self.call("microwave", self._source.set_frequency, wanted.frequency)
            await self.call("microwave", self._source.set_power_dbm, wanted.microwave_power)
        if wanted.microwave != before.microwave:
            await self.call("microwave", self._source.set_output, wanted.microwave)

    async def _stop(self, device: Any) -> None:
        move = self._moves.get(device.name)
        if move is None or move.done:
            return
        device.stop()
        for _ in range(round(_STOP_PATIENCE / 0.02)):
            if move.done:
                return
            await asyncio.sleep(0.02)
        raise InstrumentTimeout(f"{device.name}: the ramp did not stop within {_STOP_PATIENCE:g} s")


def check(wanted: ByHand, limits: Limits) -> None:
    """Refuse light and microwaves beyond the rig's limits; raises `LimitError`."""
    if wanted.laser_power > limits.laser_power:
        raise LimitError(
            f"laser_power {wanted.laser_power * 1e3:g} mW exceeds this rig's limit of {limits.laser_power * 1e3:g} mW"
        )
    if wanted.microwave_power > limits.microwave_power_dbm:
        raise LimitError(
            f"microwave_power {wanted.microwave_power:g} dBm exceeds this rig's limit of "
            f"{limits.microwave_power_dbm:g} dBm"
        )
    if not limits.frequency_min <= wanted.frequency <= limits.frequency_max:
        raise LimitError(
            f"frequency {wanted.frequency / 1e9:g} GHz is outside this rig's {limits.frequency_min / 1e9:g} to "
            f"{limits.frequency_max / 1e9:g} GHz"
        )


def _moves(wanted: ByHand) -> tuple[Temperature | None, Field | None]:
    temperature = None if wanted.temperature is None else Temperature(wanted.temperature, wanted.temperature_rate)
    return temperature, None if wanted.field is None else Field(wanted.field, wanted.field_rate)
