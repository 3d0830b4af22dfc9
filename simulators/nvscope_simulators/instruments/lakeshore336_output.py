"""One control output of a Lake Shore 336: setpoint ramp, PID law, zones, heater stage.

Control law (Model 336 manual, section 2.7): output = P [ e + (1/Ti) ∫ e dt + Td de/dt ], in percent of the range per
kelvin; Ti = 1000 s / I; Td = D percent of Ti/4. The integral is kept in percent of output and frozen while the output
is at its limit in the direction of the error, so that changing P or the zone does not step the heater.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nvscope_simulators.instruments.lakeshore336_memory import decimal, integer, six

OFF, CLOSED_LOOP, ZONE, OPEN_LOOP = 0, 1, 2, 3
PRESET_CURRENTS = {1: 0.707, 2: 1.0, 3: 1.141, 4: 2.0}  # A
_RANGE_POWER = {0: 0.0, 1: 0.01, 2: 0.1, 3: 1.0}  # fraction of full power
_RATE_FILTER = 1.0  # s, on the derivative


@dataclass
class Zone:
    """One row of a zone table; the row whose upper bound is the first not below the setpoint holds."""

    upper: float = 0.0  # K; 0: unused
    p: float = 50.0
    i: float = 20.0
    d: float = 0.0
    manual: float = 0.0  # %
    range: int = 0
    input: int = 0  # 0: the one of OUTMODE
    rate: float = 0.1  # K/min

    def __str__(self) -> str:
        return (
            f"{six(self.upper)},{self.p:+07.1f},{self.i:+07.1f},{self.d:+05.0f},{six(self.manual)},"
            f"{self.range},{self.input},{self.rate:+06.1f}"
        )


def parse_zone(arguments: Sequence[str]) -> Zone:
    """Read the eight fields of a zone."""
    limits = ((0, 2000), (0, 1000), (0, 1000), (0, 200), (-100, 100))
    upper, p, i, d, manual = (decimal(text, *limit) for text, limit in zip(arguments[:5], limits, strict=True))
    heater_range, source = integer(arguments[5], 0, 3), integer(arguments[6], 0, 4)
    return Zone(upper, p, i, d, manual, heater_range, source, round(decimal(arguments[7], 0, 100), 1))


@dataclass
class HeaterSetup:
    """What ``HTRSET`` sets."""

    resistance: int = 1  # 1: 25 ohm, 2: 50 ohm
    max_current: int = 0  # 0: user current
    user_current: float = 1.732  # A
    display: int = 2  # 1: current, 2: power

    def __str__(self) -> str:
        return f"{self.resistance},{self.max_current},{self.user_current:+.3f},{self.display}"


def parse_heater(arguments: Sequence[str]) -> HeaterSetup:
    """Read the four fields of a heater setup."""
    resistance, current = integer(arguments[0], 1, 2), integer(arguments[1], 0, 4)
    return HeaterSetup(resistance, current, decimal(arguments[2], 0, 2), integer(arguments[3], 1, 2))


class HeaterOutput:
    """Outputs 1 and 2."""

    def __init__(self, number: int, load: float, setup: HeaterSetup) -> None:
        self.number = number
        self.load = load
        self.setup = setup
        self.mode, self.input, self.powerup = CLOSED_LOOP, number, 0
        self.range = 0
        self.p, self.i, self.d = 50.0, 20.0, 0.0
        self.manual = 0.0
        self.ramp_on, self.ramp_rate = 0, 0.0
        self.zones = [Zone() for _ in range(10)]
        self._used: list[Zone] = []
        self.error = 0  # HTRST: 1 open, 2 short
        self.percent = 0.0
        self.runaway = False
        self.broken = 0
        self._setpoint = self._target = 0.0
        self._since = 0.0
        self._integral = 0.0
        self._last: float | None = None
        self._slope = 0.0

    # -- setpoint

    def set_setpoint(self, kelvin: float, now: float) -> None:
        """Set the setpoint (K); ramps there if ramping is on."""
        self.advance_setpoint(now)
        self._target = kelvin
        if not self._rate():
            self._setpoint = kelvin

    def set_ramp(self, on: int, rate: float, now: float) -> None:
        """Switch ramping; a ramp in progress stops where it is when it is switched off."""
        self.advance_setpoint(now)
        self.ramp_on, self.ramp_rate = on, rate
        if not on:
            self._target = self._setpoint

    def setpoint(self, now: float) -> float:
        """Return the setpoint (K) in force; moves during a ramp."""
        self.advance_setpoint(now)
        return self._setpoint

    def ramping(self, now: float) -> bool:
        """Whether the setpoint is moving."""
        self.advance_setpoint(now)
        return self._setpoint != self._target

    def advance_setpoint(self, now: float) -> None:
        """Move the setpoint to where it is at `now` (s)."""
        left, self._since = now - self._since, now
        if self._setpoint == self._target:
            return
        for _ in range(2 * len(self.zones)):
            distance = self._target - self._setpoint
            rate = self._rate() / 60.0
            if distance == 0 or left <= 0:
                return
            if rate == 0:
                self._setpoint = self._target
                return
            # a zone may have a rate of its own: go no further than its border at once
            border = self._border(math.copysign(1.0, distance))
            reach = min(abs(distance), abs(border - self._setpoint) if border is not None else math.inf)
            if rate * left < reach:
                self._setpoint += math.copysign(rate * left, distance)
                return
            self._setpoint = self._target if reach == abs(distance) else float(border or 0.0)
            if reach != abs(distance):
                # step over the border, downwards by the smallest amount the instrument resolves
                self._setpoint = math.nextafter(self._setpoint, math.copysign(math.inf, distance))
            left -= reach / rate

    def _rate(self) -> float:
        if not self.ramp_on:
            return 0.0
        zone = self.zone()
        return self.ramp_rate if zone is None else zone.rate

    def _border(self, direction: float) -> float | None:
        if self.mode != ZONE:
            return None
        uppers = [zone.upper for zone in self._used]
        if direction > 0:
            return next((upper for upper in uppers if upper > self._setpoint), None)
        return next((upper for upper in reversed(uppers) if upper < self._setpoint), None)

    def set_zone(self, index: int, zone: Zone) -> None:
        """Replace a row of the zone table."""
        self.zones[index] = zone
        self._used = sorted((zone for zone in self.zones if zone.upper > 0), key=lambda zone: zone.upper)

    def zone(self) -> Zone | None:
        """Return the zone the setpoint is in; None outside zone mode and above the last zone."""
        if self.mode != ZONE:
            return None
        for zone in self._used:
            if self._setpoint <= zone.upper:
                return zone
        return None

    # -- control

    @property
    def active(self) -> bool:
        """Whether the output is on and there is something to control."""
        return self.range > 0 and self.mode in (CLOSED_LOOP, ZONE, OPEN_LOOP)

    def control_input(self) -> int:
        """Return the input (1 = A …) in control; 0 for none."""
        zone = self.zone()
        return zone.input if zone is not None and zone.input else self.input

    def switch_off(self) -> None:
        """Set the range to off and forget the integral."""
        self.range = 0
        self.percent = 0.0
        self._integral = 0.0
        self._last = None

    def step(self, temperature: float | None, now: float, seconds: float) -> None:
        """Run the control law once; `temperature` (K) is None when there is no valid reading."""
        self.advance_setpoint(now)
        if not self.active:
            self.percent = 0.0
            return
        if self.broken:
            self.error = self.broken
            self.switch_off()
            return
        if self.runaway:
            self.percent = 100.0
            return
        if self.mode == OPEN_LOOP:
            self.percent = min(100.0, max(0.0, self.manual))
            return
        if temperature is None:
            self.switch_off()
            return
        p, i, d, manual = self.p, self.i, self.d, self.manual
        zone = self.zone()
        if zone is not None:
            p, i, d, manual = zone.p, zone.i, zone.d, zone.manual
            self.range = zone.range
            if not self.range:
                self.switch_off()
                return
        self.percent = self._law(temperature, seconds, p, i, d, manual)

    def _law(self, temperature: float, seconds: float, p: float, i: float, d: float, manual: float) -> float:
        error = self._setpoint - temperature
        if self._last is not None:
            weight = seconds / (seconds + _RATE_FILTER)
            self._slope += weight * ((temperature - self._last) / seconds - self._slope)
        else:
            self._slope = 0.0
        self._last = temperature
        reset = 1000.0 / i if i > 0 else math.inf
        rate = d / 100.0 * reset / 4 if math.isfinite(reset) else 0.0
        proportional = p * (error - rate * self._slope) + manual
        wanted = proportional + self._integral
        if not ((wanted >= 100 and error > 0) or (wanted <= 0 and error < 0)):
            self._integral = min(100.0, max(-100.0, self._integral + p * error / reset * seconds))
        return min(100.0, max(0.0, proportional + self._integral))

    def power(self) -> float:
        """Return the power (W) in the heater now."""
        if self.broken or not self.active:
            return 0.0
        share = self.percent / 100
        return self.full_power() * _RANGE_POWER[self.range] * (share if self.setup.display == 2 else share**2)

    def full_power(self) -> float:
        """Return the power (W) at 100 % of the highest range."""
        current = PRESET_CURRENTS.get(self.setup.max_current, self.setup.user_current)
        return float(current**2 * self.load)
