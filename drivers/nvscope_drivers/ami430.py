"""AMI Model 430 programmer with a superconducting magnet.

Numbers on the wire are in the programmer's present units (kilogauss or tesla, per second or per minute), which anybody
may change at any time; units are read with every value and never set. The heater of a persistent switch is never
touched: heating it while magnet and supply differ quenches the magnet.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar

from pydantic import Field
from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_range

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, MagnetState, Value
from nvscope.errors import InstrumentError, InstrumentTimeout, LimitError
from nvscope.units import Amperes, Tesla, TeslaPerAmpere, TeslaPerSecond
from nvscope_drivers.checked import VisaSettings
from nvscope_drivers.scpi import ScpiInstrument, first_contact
from nvscope_drivers.visa import VisaAdapter

__all__ = ["AMI430", "AMI430Magnet", "AMI430Settings", "RampState"]

_GREETING = "American Magnetics"
_SLOWEST = 1.0001e-4
"""Slowest ramp of the programmer (A/s), and a little more for the rounding on the wire."""


class RampState(IntEnum):
    """What ``STATE?`` reports."""

    RAMPING = 1
    HOLDING = 2
    PAUSED = 3
    MANUAL_UP = 4
    MANUAL_DOWN = 5
    ZEROING = 6
    QUENCH = 7
    AT_ZERO = 8
    HEATING_SWITCH = 9
    COOLING_SWITCH = 10


_ROLE_STATES = {
    RampState.RAMPING: MagnetState.RAMPING,
    RampState.HOLDING: MagnetState.HOLDING,
    RampState.PAUSED: MagnetState.PAUSED,
    RampState.MANUAL_UP: MagnetState.RAMPING,
    RampState.MANUAL_DOWN: MagnetState.RAMPING,
    RampState.ZEROING: MagnetState.RAMPING,
    RampState.QUENCH: MagnetState.QUENCHED,
    RampState.AT_ZERO: MagnetState.HOLDING,
    RampState.HEATING_SWITCH: MagnetState.SWITCHING,
    RampState.COOLING_SWITCH: MagnetState.SWITCHING,
}


def _ramp_state(code: int) -> RampState:
    try:
        return RampState(code)
    except ValueError:
        raise InstrumentError(f"the AMI 430 reports state {code}, which its manual does not know") from None


class AMI430(ScpiInstrument):
    """AMI Model 430 power supply programmer; properties are SI, converted with the units it uses at the moment."""

    model = "430"

    def __init__(self, adapter: Any, name: str = "AMI 430", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    tesla = Instrument.measurement(
        "FIELD:UNITS?", """Get whether fields are in tesla (True) or kilogauss (bool).""", cast=int, get_process=bool
    )

    per_minute = Instrument.measurement(
        "RAMP:RATE:UNITS?",
        """Get whether ramp rates are per minute (True) or per second (bool).""",
        cast=int,
        get_process=bool,
    )

    state = Instrument.measurement(
        "STATE?", """Get what the programmer is doing (RampState).""", cast=int, get_process=_ramp_state
    )

    quenched = Instrument.measurement("QU?", """Get whether a quench is latched (bool).""", cast=int, get_process=bool)

    persistent = Instrument.measurement(
        "PERS?", """Get whether the magnet is in persistent mode (bool).""", cast=int, get_process=bool
    )

    switch_installed = Instrument.measurement(
        "PS:INST?", """Get whether the magnet has a persistent switch (bool).""", cast=int, get_process=bool
    )

    switch_heated = Instrument.measurement(
        "PS?", """Get whether the heater of the persistent switch is on (bool).""", cast=int, get_process=bool
    )

    magnet_current = Instrument.measurement("CURR:MAG?", """Measure the current in the magnet (A).""")

    supply_current = Instrument.measurement("CURR:SUPP?", """Measure the current of the supply (A).""")

    current_limit = Instrument.measurement("CURR:LIM?", """Get the configured current limit (A).""")

    supply_voltage = Instrument.measurement("VOLT:SUPP?", """Measure the output voltage of the supply (V).""")

    ramp_segments = Instrument.control(
        "RAMP:RATE:SEG?",
        "CONF:RAMP:RATE:SEG %d",
        """Control how many ramp segments are used (int, 1 to 10).""",
        validator=strict_range,
        values=(1, 10),
        cast=int,
        check_set_errors=True,
    )

    @property
    def field(self) -> float:
        """Measure the field of the magnet (T)."""
        return self._in_tesla("FIELD:MAG?")

    @property
    def target(self) -> float:
        """Get the field aimed at (T)."""
        return self._in_tesla("FIELD:TARG?")

    @property
    def coil_constant(self) -> float:
        """Get the configured coil constant (T/A)."""
        return self._in_tesla("COIL?")

    def _in_tesla(self, query: str) -> float:
        """Ask between two looks at the units, so that a change in between cannot falsify the value by ten."""
        for _ in range(3):
            before = self.tesla
            value = float(self.values(query)[0])
            if self.tesla == before:
                return value if before else value / 10
        raise InstrumentError(f"{self._where}: its field units keep changing; another program is using it")

    def set_target(self, field: float) -> None:
        """Set the field to aim at (T); a programmer that is ramping or holding goes there at once."""
        self._write_number("CONF:FIELD:TARG {:.9g}", field if self.tesla else field * 10)

    def set_rate(self, rate: float, bound: float) -> None:
        """Set one ramp rate (T/s) for all fields up to `bound` (T)."""
        per_field = 1.0 if self.tesla else 10.0
        per_time = 60.0 if self.per_minute else 1.0
        self.ramp_segments = 1
        self.write(f"CONF:RAMP:RATE:FIELD 1,{rate * per_field * per_time:.9g},{bound * per_field:.9g}")
        self.check_errors()

    def rate(self) -> float:
        """Return the ramp rate (T/s) of the first segment."""
        value = float(self.values("RAMP:RATE:FIELD:1?")[0])
        return value / (1.0 if self.tesla else 10.0) / (60.0 if self.per_minute else 1.0)

    def _write_number(self, form: str, value: float) -> None:
        self.write(form.format(value))
        self.check_errors()

    def ramp(self) -> None:
        """Start ramping to the target."""
        self.write("RAMP")
        self.check_errors()

    def pause(self) -> None:
        """Stop ramping and stay."""
        self.write("PAUSE")
        self.check_errors()


class AMI430Settings(VisaSettings):
    """Settings of a magnet on an AMI 430."""

    field_per_current: TeslaPerAmpere = Field(gt=0, description="coil constant; must agree with the programmer's")
    current_limit: Amperes = Field(gt=0, description="largest current this rig may ask for")
    rate_limit: TeslaPerSecond = Field(default=2e-3, gt=0, description="fastest ramp this rig may ask for")
    gain: float = Field(default=1.0, gt=0, description="true field over the one so calibrated: calibrate-field")
    field_at_zero: Tesla = Field(default=0.0, description="field at zero current, from remanence or the building")

    @property
    def largest(self) -> float:
        """Field (T) at the current limit, as the programmer counts it."""
        return self.field_per_current * self.current_limit


class AMI430Magnet:
    """The magnet as a `RampingMagnet`."""

    Settings: ClassVar[type[Frozen]] = AMI430Settings

    def __init__(self, programmer: AMI430, settings: AMI430Settings) -> None:
        self._programmer = programmer
        self._settings = settings

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> AMI430Magnet:
        """Open the programmer at `address` and compare its configuration with ours; nothing moves."""
        assert isinstance(settings, AMI430Settings)
        adapter = VisaAdapter(
            address,
            "AMI 430",
            timeout=settings.timeout,
            read_termination="\r\n",
            write_termination="\r\n",
            on_open=read_greeting,
        )
        magnet = cls(AMI430(adapter), settings)
        first_contact(magnet, settings.timeout)
        try:
            magnet.check_configuration()
        except BaseException:
            magnet.close()
            raise
        return magnet

    def identify(self) -> Identity:
        """Ask the programmer who it is."""
        return self._programmer.identity()

    def check_configuration(self) -> None:
        """Raise if the programmer's coil constant or current limit contradicts this rig's."""
        constant, ours = self._programmer.coil_constant, self._settings.field_per_current
        if abs(constant - ours) > 1e-3 * ours:
            raise InstrumentError(
                f"the AMI 430 is configured with a coil constant of {constant * 1e4:.6g} G/A, this rig with "
                f"{ours * 1e4:.6g} G/A; correct the one that is wrong before any field is asked for"
            )
        limit = self._programmer.current_limit
        if limit < self._settings.current_limit * (1 - 1e-6):
            raise InstrumentError(
                f"the AMI 430's current limit of {limit:g} A is below this rig's of {self._settings.current_limit:g} A"
            )

    @property
    def field_limit(self) -> float:
        """Largest magnitude of field (T) within the current limit."""
        return self._settings.gain * self._settings.largest - abs(self._settings.field_at_zero)

    @property
    def rate_limit(self) -> float:
        """Fastest ramp (T/s)."""
        return self._settings.rate_limit

    @property
    def slowest_rate(self) -> float:
        """Slowest ramp (T/s) the programmer can do."""
        return _SLOWEST * self._settings.gain * self._settings.field_per_current

    def field(self) -> float:
        """Return the applied field (T): the magnet's, also in persistent mode."""
        s = self._settings
        field = self._programmer.field
        if abs(field) > 1.05 * s.largest:
            field = self._programmer.field  # beyond what it can be: the first reading after power-up may be nonsense
        return s.field_at_zero + s.gain * field

    def state(self) -> MagnetState:
        """Return what the magnet is doing; a latched quench is QUENCHED whatever else is reported."""
        if self._programmer.quenched:
            return MagnetState.QUENCHED
        return _ROLE_STATES[self._programmer.state]

    def start_ramp(self, field: float, rate: float) -> None:
        """Start ramping to `field` (T) at `rate` (T/s).

        Raises
        ------
        LimitError
            Outside the limits of this rig; nothing is moved.
        InstrumentError
            If the magnet has quenched, its switch is cold or switching, or the programmer refuses.
        """
        s, programmer = self._settings, self._programmer
        target = (field - s.field_at_zero) / s.gain
        if not abs(target) <= s.largest * (1 + 1e-9):
            raise LimitError(f"{field * 1e4:.5g} G is beyond the magnet's limit of ±{self.field_limit * 1e4:.5g} G")
        if not self.slowest_rate <= rate <= s.rate_limit * (1 + 1e-9):
            raise LimitError(
                f"{rate * 1e4:.4g} G/s is outside what the magnet can and may, {self.slowest_rate * 1e4:.3g} to "
                f"{s.rate_limit * 1e4:.4g} G/s"
            )
        self.check_fit()
        # paused first: a programmer that holds or ramps would leave for the new target at the old rate
        programmer.read_errors()
        programmer.pause()
        programmer.set_rate(rate / s.gain, s.largest)
        programmer.set_target(target)
        programmer.ramp()

    def check_fit(self) -> None:
        """Raise `InstrumentError` if the magnet must not be ramped: quenched, or its switch cold or switching."""
        programmer = self._programmer
        if programmer.quenched:
            raise InstrumentError(
                f"the magnet has quenched (now {programmer.field * 1e4:.4g} G); find the cause and reset the quench at "
                "the programmer: software never does"
            )
        state = programmer.state
        if state in (RampState.HEATING_SWITCH, RampState.COOLING_SWITCH):
            raise InstrumentError("the persistent switch is being heated or cooled; wait until that is over")
        if programmer.switch_installed and not programmer.switch_heated:
            raise InstrumentError(
                "the persistent switch is cold, so a ramp would not reach the magnet; match the supply's current "
                f"({programmer.supply_current:.4g} A) to the magnet's ({programmer.magnet_current:.4g} A) and heat it "
                "at the programmer: software never does"
            )

    def at_target(self) -> bool:
        """Return whether the field is the one last aimed at, within a thousandth of the limit."""
        programmer = self._programmer
        return abs(programmer.field - programmer.target) <= 1e-3 * self._settings.largest

    def pause(self) -> None:
        """Stop where it is, if it moves; a resting or quenched magnet is left alone."""
        if _ROLE_STATES[self._programmer.state] is MagnetState.RAMPING:
            self._programmer.pause()

    def make_safe(self) -> None:
        """Pause; never to zero, never heat the switch, never clear a quench."""
        self.pause()

    def readings(self) -> Mapping[str, Value]:
        """Read field (T), currents (A), voltage (V), state, quench and persistent mode."""
        programmer = self._programmer
        return {
            "field": self.field(),
            "magnet_current": programmer.magnet_current,
            "supply_current": programmer.supply_current,
            "voltage": programmer.supply_voltage,
            "state": programmer.state.name.lower(),
            "quenched": programmer.quenched,
            "persistent": programmer.persistent,
        }

    def close(self) -> None:
        """Close the session; the magnet stays as it is."""
        self._programmer.shutdown()


def read_greeting(adapter: VisaAdapter) -> None:
    """Read the two lines the programmer sends to whoever connects.

    Raises
    ------
    InstrumentError
        If something else is said; the address is probably another instrument's.
    """
    try:
        first = adapter.read()
        if _GREETING not in first:
            adapter.discard()
            raise InstrumentError(f"AMI 430 at {adapter.address}: greeted with {first[:60]!r}; is this an AMI 430?")
        adapter.read()
    except InstrumentTimeout as error:
        raise InstrumentError(
            f"AMI 430 at {adapter.address}: connected, but it does not greet; is this port 7180 of an AMI 430?"
        ) from error
