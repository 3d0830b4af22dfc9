"""The readings of a Keithley 2400: which elements are reported, the buffer, and statistics over it."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from nvscope_simulators.instruments.ieee488 import ILLEGAL_VALUE, Register, act, ask, choice, whole
from nvscope_simulators.instruments.keithley2400_smu import (
    BUFFER_AVAILABLE,
    BUFFER_FULL,
    BUFFER_HALF,
    MAX_TRIGGERS,
    NOT_A_NUMBER,
    Measurement,
)
from nvscope_simulators.instruments.scpi import MISSING_PARAMETER, UNDEFINED_HEADER, Command, CommandError, Handler

STALE = (-230, "Data corrupt or stale")
_ELEMENTS = {"VOLT": "VOLTAGE", "CURR": "CURRENT", "RES": "RESISTANCE", "TIME": "TIME", "STAT": "STATUS"}
_SENSES = {
    "VOLT": "VOLT",
    "VOLTAGE": "VOLT",
    "CURR": "CURR",
    "CURRENT": "CURR",
    "RES": "RES",
    "RESISTANCE": "RES",
}
_STATISTICS: dict[str, Callable[[list[float]], float]] = {
    "MEAN": statistics.fmean,
    "SDEV": statistics.stdev,
    "MAX": max,
    "MIN": min,
}
_STATISTIC_NAMES = {
    "MEAN": "MEAN",
    "SDEV": "SDEV",
    "SDEVIATION": "SDEV",
    "MAX": "MAX",
    "MAXIMUM": "MAX",
    "MIN": "MIN",
    "MINIMUM": "MIN",
}


class Readings:
    """The latest run's readings and the buffer; `mode` tells what is sourced.

    Attributes
    ----------
    sensed : set of str
        Functions measured (``"VOLT"``, ``"CURR"``, ``"RES"``).
    """

    def __init__(self, measurement: Register, mode: Callable[[], str]) -> None:
        self._measurement = measurement
        self._mode = mode
        self.buffer: list[Measurement] = []
        self.latest: list[Measurement] = []
        self.points, self.feeding = 100, False
        self.elements: tuple[str, ...] = tuple(_ELEMENTS)
        self.sensed = {"CURR"}
        self.statistic = "MEAN"

    def sense(self, command: Command) -> str | None:
        """Handle ``SENSe:FUNCtion``."""
        if command.query:
            names = {"VOLT": '"VOLT:DC"', "CURR": '"CURR:DC"', "RES": '"RES"'}
            return ",".join(text for name, text in names.items() if name in self.sensed)
        self.sensed |= _named_functions(command)
        return None

    def stop_sensing(self, command: Command) -> str | None:
        """Handle ``SENSe:FUNCtion:OFF``."""
        if command.query:
            raise CommandError(*UNDEFINED_HEADER)
        self.sensed -= _named_functions(command)
        return None

    def take(self, measurement: Measurement) -> None:
        """Keep a measurement, in the buffer too while it is being fed."""
        self.latest.append(measurement)
        if self.feeding and len(self.buffer) < self.points:
            self.buffer.append(measurement)
            filled = len(self.buffer) / self.points
            self._measurement.hold(BUFFER_AVAILABLE, len(self.buffer) >= 2)
            self._measurement.hold(BUFFER_HALF, filled >= 0.5)
            self._measurement.hold(BUFFER_FULL, filled >= 1.0)
            self.feeding = filled < 1.0

    def fetch(self) -> str:
        """Return the latest run's readings once more."""
        if not self.latest:
            raise CommandError(*STALE)
        return self.formatted(self.latest)

    def feed(self, word: str) -> None:
        """Start (``NEXT``: from an empty buffer) or stop feeding the buffer."""
        self.feeding = word == "NEXT"
        if self.feeding:
            self.clear()

    def clear(self) -> None:
        """Empty the buffer."""
        self.buffer = []
        self._measurement.hold(BUFFER_AVAILABLE | BUFFER_HALF | BUFFER_FULL, False)

    def _values(self, reading: Measurement) -> dict[str, float]:
        ohms = reading.voltage / reading.current if reading.current else NOT_A_NUMBER
        # what is neither sourced nor sensed is not a number
        known = self.sensed | {self._mode()}
        return {
            "VOLT": reading.voltage if "VOLT" in known else NOT_A_NUMBER,
            "CURR": reading.current if "CURR" in known else NOT_A_NUMBER,
            "RES": ohms if "RES" in self.sensed and abs(ohms) < NOT_A_NUMBER else NOT_A_NUMBER,
            "TIME": reading.time,
            "STAT": float(reading.status),
        }

    def formatted(self, readings: list[Measurement]) -> str:
        """Return readings as text, the chosen elements of each in the instrument's order."""
        if not readings:
            raise CommandError(*STALE)
        fields = [self._values(reading) for reading in readings]
        return ",".join(scientific(values[name]) for values in fields for name in self.elements)

    def statistics(self) -> str:
        """Return the chosen statistic of voltage, current and resistance over the buffer."""
        if len(self.buffer) < 2:
            raise CommandError(*STALE)
        work = _STATISTICS[self.statistic]
        fields = [self._values(reading) for reading in self.buffer]
        names = [name for name in self.elements if name in ("VOLT", "CURR", "RES")]
        return ",".join(scientific(work([values[name] for values in fields])) for name in names)

    def format_elements(self, command: Command) -> str | None:
        """Handle ``FORMat:ELEMents``."""
        if command.query:
            return ",".join(self.elements)
        if not command.arguments:
            raise CommandError(*MISSING_PARAMETER)
        words = {argument.upper() for argument in command.arguments}
        if not words <= {*_ELEMENTS, *_ELEMENTS.values()}:
            raise CommandError(*ILLEGAL_VALUE)
        self.elements = tuple(short for short, full in _ELEMENTS.items() if {short, full} & words)
        return None


def readings_commands(readings: Callable[[], Readings]) -> dict[str, Handler]:
    """Return the handlers of everything that concerns readings; `readings` changes at a reset."""
    return {
        "[SENSe]:FUNCtion[:ON]": lambda command: readings().sense(command),
        "[SENSe]:FUNCtion:OFF": lambda command: readings().stop_sensing(command),
        "[SENSe]:FUNCtion:ON:ALL": act(lambda: readings().sensed.update(("VOLT", "CURR", "RES"))),
        "[SENSe]:FUNCtion:ALL": act(lambda: readings().sensed.update(("VOLT", "CURR", "RES"))),
        "[SENSe]:FUNCtion:OFF:ALL": act(lambda: readings().sensed.clear()),
        "FETCh": ask(lambda: readings().fetch()),
        "TRACe:CLEar": act(lambda: readings().clear()),
        "TRACe:POINts": whole(lambda: readings().points, lambda n: setattr(readings(), "points", n), 1, MAX_TRIGGERS),
        "TRACe:POINts:ACTual": ask(lambda: str(len(readings().buffer))),
        "TRACe:FEED": choice(lambda: "SENS1", lambda _: None, {"SENS": "", "SENS1": "", "SENSE": ""}),
        "TRACe:FEED:CONTrol": choice(
            lambda: "NEXT" if readings().feeding else "NEV",
            lambda word: readings().feed(word),
            {"NEXT": "NEXT", "NEV": "NEV", "NEVER": "NEV"},
        ),
        "TRACe:DATA": ask(lambda: readings().formatted(readings().buffer)),
        "CALCulate:FORMat": choice(
            lambda: readings().statistic, lambda word: setattr(readings(), "statistic", word), _STATISTIC_NAMES
        ),
        "CALCulate:DATA": ask(lambda: readings().statistics()),
        "FORMat:ELEMents": lambda command: readings().format_elements(command),
        "FORMat[:DATA]": choice(lambda: "ASC", lambda _: None, {"ASC": "", "ASCII": ""}),
    }


def scientific(value: float) -> str:
    """Write a number as the instrument does."""
    return f"{value:+.6E}"


def _named_functions(command: Command) -> set[str]:
    words = [argument.strip("'\"").upper().removesuffix(":DC") for argument in command.arguments]
    if not words:
        raise CommandError(*MISSING_PARAMETER)
    if not set(words) <= set(_SENSES):
        raise CommandError(*ILLEGAL_VALUE)
    return {_SENSES[word] for word in words}
