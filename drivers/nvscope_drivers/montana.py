"""Montana Instruments Cryostation (counted messages over TCP)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_range

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, Value
from nvscope.errors import InstrumentError, LimitError
from nvscope.units import Kelvin, KelvinPerSecond
from nvscope_drivers.checked import CheckedInstrument, VisaSettings, number
from nvscope_drivers.scpi import first_contact
from nvscope_drivers.visa import VisaAdapter

__all__ = ["Cryostation", "MontanaCryostat", "MontanaSettings"]

_SETPOINT_RANGE = (2.0, 350.0)


class Cryostation(CheckedInstrument):
    """A Cryostation; every message is counted, and every command is answered."""

    model = "Cryostation"

    setpoint = Instrument.control(
        "GTSP",
        "STSP%.2f",
        """Control the target temperature of the platform in K (float strictly from 2 to 350).""",
        validator=strict_range,
        values=_SETPOINT_RANGE,
        check_set_errors=True,
    )
    platform_temperature = Instrument.measurement("GPT", """Measure the platform's temperature in K.""")
    sample_temperature = Instrument.measurement(
        "GST", """Measure the sample's temperature in K; negative if there is no reading."""
    )
    sample_stability = Instrument.measurement("GSS", """Get the sample's stability in K; negative if not known.""")
    stage1_temperature = Instrument.measurement("GS1T", """Measure the cooler's stage 1 in K.""")
    stage2_temperature = Instrument.measurement("GS2T", """Measure the cooler's stage 2 in K.""")
    heater_power = Instrument.measurement("GPHP", """Measure the platform heater's power in W.""")
    chamber_pressure = Instrument.measurement("GCP", """Measure the chamber pressure in mTorr.""")

    def __init__(self, adapter: Any, name: str = "Montana Cryostation", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    def write(self, command: str, **kwargs: Any) -> None:
        """Send a message with its length in front."""
        if not 0 < len(command) < 100:
            raise InstrumentError(f"{self.name}: a message has 1 to 99 characters, not {len(command)}")
        super().write(f"{len(command):02d}{command}", **kwargs)

    def read(self, **kwargs: Any) -> str:
        """Read a counted reply."""
        head = self.read_bytes(2)
        if not head.isdigit():
            raise self.nonsense("the length of a reply", head.decode("latin-1"))
        text = self.read_bytes(int(head)).decode("latin-1")
        if not text.isascii():
            raise self.nonsense("a reply", text)
        return text

    def check_set_errors(self) -> list[str]:
        """Read the answer to a command; raises `InstrumentError` unless it is OK."""
        reply = self.read().strip()
        if not reply.startswith("OK"):
            raise InstrumentError(f"{self.name} refused a command: {reply[:80]!r}")
        return []

    def command(self, command: str) -> None:
        """Send a command and make sure it is taken."""
        self.write(command)
        self.check_set_errors()

    @property
    def alarm(self) -> bool:
        """Get whether the system reports an alarm (bool)."""
        reply = self.ask("GAS").strip()
        if reply not in ("T", "F"):
            raise self.nonsense("GAS", reply)
        return reply == "T"

    def identity(self) -> Identity:
        """Make sure a Cryostation answers: its alarm is asked, as not every software version has an identity query."""
        _ = self.alarm
        reply = self.ask("*IDN?")
        parts = [part.strip() for part in reply.split(":")]
        if len(parts) < 4:
            return Identity("Montana Instruments", self.model, "", "")
        return Identity(*parts[:4])


class MontanaSettings(VisaSettings):
    """Settings of a Cryostation in a rig file."""

    lowest: Kelvin = Field(default=3.2, description="lowest setpoint")
    highest: Kelvin = Field(default=350.0, description="highest setpoint")
    fastest: KelvinPerSecond = Field(default=20 / 60, description="fastest ramp a sequence may ask for")
    step: Kelvin = Field(
        default=5.0, description="largest change of temperature made in one step: this instrument cannot ramp"
    )


class MontanaCryostat:
    """A Cryostation as a cryostat.

    The instrument has no setpoint ramp: a change no larger than ``step`` is made at once, a larger one is refused, so
    that nobody mistakes a jump for a ramp. Cooling down and warming up are the automation's: `cool_down`, `warm_up`.
    """

    Settings = MontanaSettings

    def __init__(self, instrument: Cryostation, settings: MontanaSettings) -> None:
        self.instrument = instrument
        self._settings = settings

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> MontanaCryostat:
        """Open the session and make sure a Cryostation answers; changes nothing."""
        assert isinstance(settings, MontanaSettings)
        adapter = VisaAdapter(
            address, "Cryostation", timeout=settings.timeout, read_termination="", write_termination=""
        )
        cryostat = cls(Cryostation(adapter), settings)
        first_contact(cryostat, settings.timeout)
        return cryostat

    @property
    def temperature_range(self) -> tuple[float, float]:
        """Lowest and highest setpoint (K)."""
        return self._settings.lowest, self._settings.highest

    @property
    def rate_limit(self) -> float:
        """Fastest ramp (K/s) that may be asked for."""
        return self._settings.fastest

    def identify(self) -> Identity:
        """Ask the instrument who it is."""
        return self.instrument.identity()

    def temperature(self) -> float:
        """Sample temperature (K); raises if there is no reading."""
        kelvin = number(self.instrument.sample_temperature, "GST")
        if kelvin <= 0:
            raise InstrumentError(f"{self.instrument.name}: no sample reading (GST answers {kelvin:g})")
        return kelvin

    def sensors(self) -> Mapping[str, float]:
        """Sample, platform and cooler stages (K); NaN where there is no reading."""
        cryostat = self.instrument
        raw = {
            "sample": number(cryostat.sample_temperature, "GST"),
            "stage": number(cryostat.platform_temperature, "GPT"),
            "cooler_1": number(cryostat.stage1_temperature, "GS1T"),
            "cooler_2": number(cryostat.stage2_temperature, "GS2T"),
        }
        return {name: kelvin if kelvin > 0 else float("nan") for name, kelvin in raw.items()}

    def setpoint(self) -> float:
        """The setpoint (K)."""
        return number(self.instrument.setpoint, "GTSP")

    def readings(self) -> Mapping[str, Value]:
        """Read sensors (K), setpoint (K), heater power (W), pressure (Pa) and alarm."""
        cryostat = self.instrument
        return {
            **self.sensors(),
            "setpoint": self.setpoint(),
            "heater_power": number(cryostat.heater_power, "GPHP"),
            "pressure": 0.133322 * number(cryostat.chamber_pressure, "GCP"),
            "alarm": cryostat.alarm,
        }

    def start_ramp(self, setpoint: float, rate: float) -> None:
        """Regulate to `setpoint` (K) in one step, if it is no further than ``step`` from the present temperature."""
        low, high = self.temperature_range
        if not low <= setpoint <= high:
            raise LimitError(f"Cryostation: setpoint {setpoint:g} K is outside {low:g} … {high:g} K")
        if not 0 < rate <= self.rate_limit * (1 + 1e-9):
            raise LimitError(f"Cryostation: rate {60 * rate:g} K/min is outside 0 … {60 * self.rate_limit:g} K/min")
        distance = abs(setpoint - self.temperature())
        if distance > self._settings.step:
            raise LimitError(
                f"Cryostation: {setpoint:g} K is {distance:.3g} K away and this instrument cannot ramp; "
                f"go there in steps of at most {self._settings.step:g} K, or allow larger ones (setting step)"
            )
        self._regulate(setpoint)

    def hold(self) -> None:
        """Keep regulating; without a ramp there is nothing to stop."""

    def cool_down(self) -> None:
        """Start the automation's cooldown and return."""
        self.instrument.command("SCD")

    def warm_up(self) -> None:
        """Start the automation's warm-up, which ends with venting, and return."""
        self.instrument.command("SWU")

    def make_safe(self) -> None:
        """Leave the temperature regulated."""

    def close(self) -> None:
        """Close the session; the cryostat goes on."""
        self.instrument.shutdown()

    def _regulate(self, setpoint: float) -> None:
        self.instrument.setpoint = setpoint
        if abs(self.setpoint() - setpoint) > 0.006:  # it keeps two decimals
            raise InstrumentError(f"{self.instrument.name}: the setpoint did not take {setpoint:g} K")
