"""Waveform and trigger settings of a 6221: kept and given back, armed, started and aborted.

The world behind the simulated instruments knows direct currents only, so a running waveform shows there as its offset.
"""

from __future__ import annotations

from collections.abc import Callable

from nvscope_simulators.instruments.ieee488 import SETTINGS_CONFLICT, act, choice, real, whole
from nvscope_simulators.instruments.scpi import Command, CommandError, Handler

_FUNCTIONS = {"SIN": "SIN", "SINUSOID": "SIN", "SQU": "SQU", "SQUARE": "SQU", "RAMP": "RAMP"} | {
    f"ARB{n}": f"ARB{n}" for n in range(5)
}
_SOURCES = {"IMM": "IMM", "IMMEDIATE": "IMM", "TLIN": "TLIN", "TLINK": "TLIN"}
_REALS = {
    "FREQuency": (1e-3, 1e5, 1e3),
    "AMPLitude": (2e-12, 0.105, 1e-3),
    "OFFSet": (-0.105, 0.105, 0.0),
    "DCYCle": (0.0, 100.0, 50.0),
    "DURation:TIME": (1e-7, 999999.999, 999999.999),
    "DURation:CYCLes": (1e-3, 99999999900.0, 99999999900.0),
    "PMARk": (-180.0, 180.0, 180.0),
}
"""Waveform settings: lowest, highest, after reset."""


class WaveMode:
    """Arbitrary-waveform mode; `put` sets the current on the contacts, `busy` tells whether delta mode has them."""

    def __init__(self, put: Callable[[float], object], busy: Callable[[], bool]) -> None:
        self._put = put
        self._busy = busy
        self.defaults()

    def defaults(self) -> None:
        """Go to the state after ``*RST``."""
        self.values = {name: default for name, (_, _, default) in _REALS.items()}
        self.words = {"FUNC": "SIN", "RANG": "BEST", "PMAR": "0", "ASOUR": "IMM", "TSOUR": "IMM", "TOUT": "NONE"}
        self.lines = {"PMAR": 3, "AILIN": 1, "TILIN": 1, "TOLIN": 2}
        self.armed = self.running = False

    def arm(self) -> None:
        """Load the waveform; the output goes on at its offset."""
        if self._busy():
            raise CommandError(413, "Not allowed with mode arm")
        self.armed = True

    def start(self) -> None:
        """Start the armed waveform."""
        if not self.armed:
            raise CommandError(*SETTINGS_CONFLICT)
        self.running = True
        self._put(self.values["OFFSet"])

    def abort(self) -> None:
        """Stop and disarm; harmless when idle."""
        if self.armed:
            self.armed = self.running = False
            self._put(0.0)

    def commands(self) -> dict[str, Handler]:
        """Return the handlers of the waveform and trigger subsystems."""
        table: dict[str, Handler] = {
            "[SOURce]:WAVE:ARM": self._arm,
            "[SOURce]:WAVE:INITiate": act(self.start),
            "[SOURce]:WAVE:ABORt": act(self.abort),
            "[SOURce]:WAVE:FUNCtion": self._word("FUNC", _FUNCTIONS),
            "[SOURce]:WAVE:RANGing": self._word("RANG", {"BEST": "BEST", "FIX": "FIX", "FIXED": "FIX"}),
            "[SOURce]:WAVE:PMARk:STATe": self._word("PMAR", {"0": "0", "OFF": "0", "1": "1", "ON": "1"}),
            "[SOURce]:WAVE:PMARk:OLINe": self._line("PMAR", 6),
            "ARM:SOURce": self._word("ASOUR", _SOURCES | {"BUS": "BUS", "TIM": "TIM", "TIMER": "TIM"}),
            "TRIGger:SOURce": self._word("TSOUR", _SOURCES),
            "TRIGger:OUTPut": self._word("TOUT", {"SOUR": "SOUR", "DEL": "DEL", "NONE": "NONE"}),
            "ARM:ILINe": self._line("AILIN", 6),
            "TRIGger:ILINe": self._line("TILIN", 6),
            "TRIGger:OLINe": self._line("TOLIN", 6),
        }
        for name, (low, high, default) in _REALS.items():
            table[f"[SOURce]:WAVE:{name}"] = self._real(name, low, high, default)
        return table

    def _arm(self, command: Command) -> str | None:
        if command.query:
            return str(int(self.armed))
        act(self.arm)(command)
        return None

    def _real(self, name: str, low: float, high: float, default: float) -> Handler:
        plain = real(lambda: self.values[name], lambda value: self.values.update({name: value}), low, high, default)

        def handler(command: Command) -> str | None:
            infinite = name.startswith("DUR") and not command.query
            if infinite and command.arguments and command.arguments[0].upper() in ("INF", "INFINITY"):
                self.values[name] = high
                return None
            return plain(command)

        return handler

    def _word(self, name: str, options: dict[str, str]) -> Handler:
        return choice(lambda: self.words[name], lambda word: self.words.update({name: word}), options)

    def _line(self, name: str, highest: int) -> Handler:
        return whole(lambda: self.lines[name], lambda line: self.lines.update({name: line}), 1, highest)
