"""PyMeasure class of the Lake Shore Model 336 temperature controller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_range

from nvscope.errors import InstrumentError
from nvscope_drivers.checked import CheckedChannel, CheckedInstrument, choice, switch

__all__ = ["HEATER_FAULTS", "RANGES", "InputChannel", "LakeShore336", "OutputChannel", "Zone", "describe"]

RANGES = {"off": 0, "low": 1, "medium": 2, "high": 3}
READING_FAULTS: Mapping[int, str] = {
    1: "invalid reading",
    16: "temperature under range",
    32: "temperature over range",
    64: "sensor units zero (shorted?)",
    128: "sensor units over range (open?)",
}
HEATER_FAULTS: Mapping[int, str] = {1: "heater open", 2: "heater shorted"}


@dataclass(frozen=True)
class Zone:
    """One row of a control loop's zone table (`upper` in K, `manual` in %, `rate` in K/min)."""

    upper: float
    p: float
    i: float
    d: float
    manual: float
    range: int
    input: int
    rate: float


class InputChannel(CheckedChannel):
    """A sensor input, "A" to "D"."""

    kelvin = Instrument.measurement("KRDG? {ch}", """Measure the temperature in K; meaningless unless status is 0.""")
    sensor = Instrument.measurement("SRDG? {ch}", """Measure the sensor in its own units (V or ohm).""")
    status = Instrument.measurement("RDGST? {ch}", """Get the reading status bits (int); 0 is valid.""", cast=int)
    limit = Instrument.control(
        "TLIMIT? {ch}",
        "TLIMIT {ch},%.2f",
        """Control the temperature in K above which all outputs shut off (float from 0, which is never, to 2000).""",
        validator=strict_range,
        values=(0, 2000),
    )
    type = Instrument.measurement(
        "INTYPE? {ch}",
        """Get sensor type, autorange, range, compensation and preferred units (list of int).""",
        cast=int,
    )

    def valid_kelvin(self) -> float:
        """Read the temperature (K) with its status in one message; raises `InstrumentError` unless it is valid."""
        kelvin, status = self.parent.read_inputs([self.id])[0]
        if status:
            raise InstrumentError(f"{self.parent.name}: input {self.id} reports {describe(status, READING_FAULTS)}")
        if not kelvin > 0:
            raise InstrumentError(f"{self.parent.name}: input {self.id} reads {kelvin} K and calls it valid")
        return kelvin


class OutputChannel(CheckedChannel):
    """A heater output, 1 or 2."""

    setpoint = Instrument.control(
        "SETP? {ch}",
        "SETP {ch},%.4f",
        """Control the setpoint in K (float from 0 to 2000); while ramping it reads what is regulated to now.""",
        validator=strict_range,
        values=(0, 2000),
    )
    ramp = Instrument.control(
        "RAMP? {ch}",
        "RAMP {ch},%d,%.1f",
        """Control whether the setpoint ramps, and its rate in K/min (tuple of bool and float from 0 to 100).""",
        validator=lambda value, limits: (bool(value[0]), strict_range(value[1], limits)),
        values=(0, 100),
        get_process_list=lambda values: (bool(values[0]), float(values[1])),
    )
    ramping = switch("RAMPST? {ch}", None, """Get whether the setpoint is moving (bool).""")
    pid = Instrument.control(
        "PID? {ch}",
        "PID {ch},%.1f,%.1f,%.1f",
        """Control proportional (%/K), integral (1000/s) and derivative (% of a quarter of the integral time) terms.""",
    )
    mode = Instrument.control(
        "OUTMODE? {ch}",
        "OUTMODE {ch},%d,%d,%d",
        """Control mode (0 off, 1 closed loop, 2 zone, 3 open loop), input (0 none, 1 = A …) and power-up enable.""",
        cast=int,
    )
    range = choice(
        "RANGE? {ch}", "RANGE {ch},%d", """Control the heater range: 'off', 'low', 'medium', 'high'.""", RANGES
    )
    percent = Instrument.measurement("HTR? {ch}", """Measure the heater output in percent of its range.""")
    fault = Instrument.measurement(
        "HTRST? {ch}", """Get the heater fault and clear it (int): 0 none, 1 open, 2 shorted.""", cast=int
    )
    heater = Instrument.measurement(
        "HTRSET? {ch}", """Get heater setup: resistance code, current code, user current in A, display (list)."""
    )

    def zones(self, count: int) -> list[Zone]:
        """Read the first `count` rows of the zone table in one message."""
        rows = self.parent.chain([self.insert_id(f"ZONE? {{ch}},{index + 1}") for index in range(count)])
        return [self._zone(row) for row in rows]

    def _zone(self, row: str) -> Zone:
        try:
            upper, p, i, d, manual, heater, source, rate = (float(value) for value in row.split(","))
        except ValueError:
            raise self.parent.nonsense("ZONE?", row) from None
        return Zone(upper, p, i, d, manual, int(heater), int(source), rate)

    def set_zone(self, index: int, zone: Zone) -> None:
        """Write row `index` (from 1) of the zone table."""
        strict_range(index, (1, 10))
        upper, p, i, d, manual, heater, source, rate = astuple(zone)
        self.write(
            f"ZONE {{ch}},{index},{upper:.3f},{p:.1f},{i:.1f},{d:.0f},{manual:.2f},{heater:d},{source:d},{rate:.1f}"
        )


class LakeShore336(CheckedInstrument):
    """The Lake Shore Model 336."""

    model = "MODEL336"

    input_a = Instrument.ChannelCreator(InputChannel, "A")
    input_b = Instrument.ChannelCreator(InputChannel, "B")
    input_c = Instrument.ChannelCreator(InputChannel, "C")
    input_d = Instrument.ChannelCreator(InputChannel, "D")
    output_1 = Instrument.ChannelCreator(OutputChannel, 1)
    output_2 = Instrument.ChannelCreator(OutputChannel, 2)

    event_status = Instrument.measurement(
        "*ESR?", """Get the standard event status register and clear it (int).""", cast=int
    )

    def __init__(self, adapter: Any, name: str = "Lake Shore 336", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    def chain(self, queries: Sequence[str]) -> list[str]:
        """Ask several queries in one message and return their replies."""
        message = ";".join(queries)
        replies: list[str] = self.ask(message).split(";")
        if len(replies) != len(queries):
            raise self.nonsense(message, ";".join(replies))
        return replies

    def read_inputs(self, letters: Sequence[str]) -> list[tuple[float, int]]:
        """Read temperature (K) and status bits of several inputs at one instant."""
        replies = self.chain([f"{word}? {letter}" for letter in letters for word in ("KRDG", "RDGST")])
        try:
            return [(float(k), int(s)) for k, s in zip(replies[::2], replies[1::2], strict=True)]
        except ValueError:
            raise self.nonsense("KRDG?", ";".join(replies)) from None


def describe(bits: int, names: Mapping[int, str]) -> str:
    """Name the bits that are set."""
    return ", ".join(text for bit, text in names.items() if bits & bit) or f"unknown status {bits}"
