"""A cryostat regulated by a Lake Shore Model 336."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple
from typing import Literal

from pydantic import Field

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, Value
from nvscope.errors import InstrumentError, LimitError
from nvscope.units import Kelvin, KelvinPerSecond
from nvscope_drivers.checked import VisaSettings, number
from nvscope_drivers.lakeshore336_instrument import (
    HEATER_FAULTS,
    RANGES,
    InputChannel,
    LakeShore336,
    OutputChannel,
    Zone,
    describe,
)
from nvscope_drivers.scpi import first_contact
from nvscope_drivers.visa import VisaAdapter

__all__ = ["LakeShore336Cryostat", "LakeShore336Settings", "ZoneSettings"]

RATE_RANGE = (0.1, 100.0)  # K/min, in steps of 0.1


class ZoneSettings(Frozen):
    """Control terms below a setpoint."""

    up_to: Kelvin = Field(description="highest setpoint at which they hold")
    p: float = Field(ge=0, le=1000, description="proportional term, % of the range per kelvin")
    i: float = Field(default=100.0, ge=0, le=1000, description="integral term, 1000 s divided by the reset time")
    d: float = Field(default=0.0, ge=0, le=200, description="derivative term, % of a quarter of the reset time")
    range: Literal["low", "medium", "high"] = Field(default="high", description="heater range")


def _zones() -> tuple[ZoneSettings, ...]:
    # The gain follows the heat capacity of a copper stage of about 70 J/K on a 75 W heater, so that the loop is equally
    # fast everywhere (2 rad/s): the gain sets how far the temperature runs past the end of a ramp.
    table = ((15, 22), (25, 31), (35, 48), (50, 67), (70, 91), (90, 115), (120, 139), (200, 168), (400, 192))
    return tuple(
        ZoneSettings.model_construct(up_to=float(k), p=float(p), i=100.0, d=0.0, range="high") for k, p in table
    )


class LakeShore336Settings(VisaSettings):
    """Settings of a Model 336 in a rig file."""

    sensors: dict[str, Literal["A", "B", "C", "D"]] = Field(
        default={"sample": "A", "stage": "B", "platform": "C"}, description='inputs by name; "sample" is required'
    )
    control: str = Field(default="sample", description="name of the sensor the loop regulates")
    output: Literal[1, 2] = Field(default=1, description="heater output")
    zones: tuple[ZoneSettings, ...] = Field(
        default_factory=_zones,
        max_length=10,
        description="control terms by setpoint; none leaves the terms set on the instrument alone",
    )
    heater_range: Literal["low", "medium", "high"] = Field(
        default="high", description="range to switch on when there are no zones"
    )
    lowest: Kelvin = Field(default=3.0, description="lowest setpoint")
    highest: Kelvin = Field(default=320.0, description="highest setpoint")
    fastest: KelvinPerSecond = Field(default=20 / 60, description="fastest ramp")
    tracking: Kelvin = Field(
        default=1.0, description="a setpoint further than this from the temperature is moved there before a ramp"
    )


class LakeShore336Cryostat:
    """A cryostat regulated by a Model 336."""

    Settings = LakeShore336Settings

    def __init__(self, instrument: LakeShore336, settings: LakeShore336Settings) -> None:
        self.instrument = instrument
        self._settings = settings
        for name in ("sample", settings.control):
            if name not in settings.sensors:
                raise LimitError(
                    f'Lake Shore 336 settings: sensors has no "{name}" (there are {list(settings.sensors)})'
                )
        self._output: OutputChannel = instrument.output_1 if settings.output == 1 else instrument.output_2

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> LakeShore336Cryostat:
        """Open the session, make sure a Model 336 answers that works in kelvin; changes no setting."""
        assert isinstance(settings, LakeShore336Settings)
        adapter = VisaAdapter(address, "Lake Shore 336", timeout=settings.timeout)
        cryostat = cls(LakeShore336(adapter), settings)
        first_contact(cryostat, settings.timeout)
        units = cryostat._input(settings.control).type
        if not isinstance(units, list) or len(units) != 5 or units[4] != 1:
            cryostat.close()
            raise InstrumentError(
                f"Lake Shore 336 at {address}: the preferred units of input {settings.sensors[settings.control]} "
                f"are not kelvin (INTYPE? says {units}); set them at the instrument"
            )
        return cryostat

    def _input(self, name: str) -> InputChannel:
        letter = self._settings.sensors[name]
        channel: InputChannel = getattr(self.instrument, f"input_{letter.lower()}")
        return channel

    @property
    def temperature_range(self) -> tuple[float, float]:
        """Lowest and highest setpoint (K)."""
        return self._settings.lowest, self._settings.highest

    @property
    def rate_limit(self) -> float:
        """Fastest setpoint ramp (K/s)."""
        return min(self._settings.fastest, RATE_RANGE[1] / 60)

    def identify(self) -> Identity:
        """Ask the instrument who it is."""
        return self.instrument.identity()

    def temperature(self) -> float:
        """Sample temperature (K); raises if the sensor reports a fault."""
        return self._input("sample").valid_kelvin()

    def sensors(self) -> Mapping[str, float]:
        """Every configured sensor by name (K); NaN where a sensor reports a fault."""
        readings = self.instrument.read_inputs(list(self._settings.sensors.values()))
        return {
            name: math.nan if status or not kelvin > 0 else kelvin
            for name, (kelvin, status) in zip(self._settings.sensors, readings, strict=True)
        }

    def setpoint(self) -> float:
        """The setpoint regulated to now (K); moves during a ramp."""
        return number(self._output.setpoint, "SETP?")

    def readings(self) -> Mapping[str, Value]:
        """Read sensors (K), setpoint (K), heater output (%) and range."""
        output = self._output
        return {
            **self.sensors(),
            "setpoint": self.setpoint(),
            "ramping": output.ramping,
            "heater_percent": number(output.percent, "HTR?"),
            "heater_range": str(output.range),
        }

    def start_ramp(self, setpoint: float, rate: float) -> None:
        """Regulate to `setpoint` (K), moving the setpoint from the present temperature at `rate` (K/s).

        A loop that already regulates goes on from its setpoint, which is the present temperature within ``tracking``;
        any other is started at the measured temperature, so that the heater never sees a step.
        """
        per_minute = self._check(setpoint, rate)
        output, settings = self._output, self._settings
        kelvin = self._input(settings.control).valid_kelvin()
        source = "ABCD".index(settings.sensors[settings.control]) + 1
        mode = [2 if settings.zones else 1, source]
        regulating = output.range != "off" and list(output.mode)[:2] == mode
        self._write_zones(per_minute)
        if not regulating or abs(self.setpoint() - kelvin) > settings.tracking:
            output.ramp = (False, per_minute)
            output.setpoint = kelvin
        if not regulating:
            output.mode = (*mode, 0)
        output.ramp = (True, per_minute)
        output.setpoint = setpoint
        if output.range == "off":
            output.range = self._range_for(kelvin)
        self._confirm(setpoint, per_minute, mode)

    def _check(self, setpoint: float, rate: float) -> float:
        low, high = self.temperature_range
        if not low <= setpoint <= high:
            raise LimitError(f"Lake Shore 336: setpoint {setpoint:g} K is outside {low:g} … {high:g} K")
        per_minute = round(60 * rate, 1)
        if not RATE_RANGE[0] <= per_minute <= 60 * self.rate_limit * (1 + 1e-9):
            raise LimitError(
                f"Lake Shore 336: rate {60 * rate:g} K/min is outside "
                f"{RATE_RANGE[0]:g} … {60 * self.rate_limit:g} K/min"
            )
        if abs(per_minute - 60 * rate) > 0.01 * per_minute:
            raise LimitError(
                f"Lake Shore 336: rate {60 * rate:g} K/min is not a multiple of the instrument's 0.1 K/min"
            )
        return per_minute

    def _write_zones(self, per_minute: float) -> None:
        if not self._settings.zones:
            return
        wanted = [
            Zone(zone.up_to, zone.p, zone.i, zone.d, 0.0, RANGES[zone.range], 0, per_minute)
            for zone in self._settings.zones
        ]
        wanted += [Zone(0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, per_minute)] * (10 - len(wanted))
        for index, (old, new) in enumerate(zip(self._output.zones(10), wanted, strict=True), start=1):
            if not _same(old, new) and (new.upper > 0 or old.upper > 0):
                self._output.set_zone(index, new)
        for index, (old, new) in enumerate(zip(self._output.zones(10), wanted, strict=True), start=1):
            if not _same(old, new) and (new.upper > 0 or old.upper > 0):
                raise InstrumentError(f"{self.instrument.name}: zone {index} is {old} after writing {new}")

    def _range_for(self, kelvin: float) -> str:
        for zone in self._settings.zones:
            if kelvin <= zone.up_to:
                return zone.range
        return self._settings.zones[-1].range if self._settings.zones else self._settings.heater_range

    def _confirm(self, setpoint: float, per_minute: float, mode: list[int]) -> None:
        output = self._output
        if output.range == "off":
            raise InstrumentError(
                f"{self.instrument.name}: the heater does not switch on: {describe(int(output.fault), HEATER_FAULTS)}"
            )
        if list(output.mode)[:2] != mode or output.ramp != (True, per_minute):
            raise InstrumentError(f"{self.instrument.name}: output {self._settings.output} did not take its settings")
        if not output.ramping and abs(self.setpoint() - setpoint) > 1e-3:
            raise InstrumentError(f"{self.instrument.name}: the setpoint did not take {setpoint:g} K")

    def hold(self) -> None:
        """Stop the ramp where it is and keep regulating there."""
        if self._output.ramping:
            self._output.setpoint = self.setpoint()  # a ramp to where it is now ends at once, without a jump

    def make_safe(self) -> None:
        """Stop a ramp; the loop goes on regulating where it is."""
        self.hold()

    def close(self) -> None:
        """Close the session; the loop goes on."""
        self.instrument.shutdown()


def _same(old: Zone, new: Zone) -> bool:
    return all(abs(a - b) <= 1e-3 * max(1.0, abs(b)) for a, b in zip(astuple(old), astuple(new), strict=True))
