"""Settings of a Lake Shore 336 that are only remembered: what is set is read back, within its limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from nvscope_simulators.instruments.scpi import (
    DATA_OUT_OF_RANGE,
    MISSING_PARAMETER,
    NUMERIC_DATA_ERROR,
    PARAMETER_NOT_ALLOWED,
    CommandError,
)

Read = Callable[[str], str]
"""Checks one argument and returns it as the instrument will repeat it."""

INPUTS = "ABCD"
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?")


def six(value: float) -> str:
    """Write a number with its sign and six digits, as readings are: ``+77.3500``."""
    digits = len(str(int(abs(value))))
    return f"{value:+.{max(0, 6 - digits)}f}"


def decimal(text: str, low: float, high: float) -> float:
    """Read a number within limits."""
    if not _NUMBER.fullmatch(text):
        raise CommandError(*NUMERIC_DATA_ERROR)
    value = float(text)
    if not low <= value <= high:
        raise CommandError(*DATA_OUT_OF_RANGE)
    return value


def integer(text: str, low: int, high: int) -> int:
    """Read an integer within limits."""
    value = decimal(text, low, high)
    if value != int(value):
        raise CommandError(*NUMERIC_DATA_ERROR)
    return int(value)


def input_letter(text: str) -> str:
    """Read an input's letter."""
    letter = text.upper()
    if len(letter) != 1 or letter not in INPUTS:
        raise CommandError(*DATA_OUT_OF_RANGE)
    return letter


def whole(low: int, high: int) -> Read:
    """Make the reader of an integer field."""
    return lambda text: str(integer(text, low, high))


def real(low: float, high: float) -> Read:
    """Make the reader of a decimal field."""
    return lambda text: six(decimal(text, low, high))


def words(longest: int) -> Read:
    """Make the reader of a text field, quoted or not."""
    return lambda text: text.strip("\"'")[:longest]


class Remembered:
    """One setting with its fields, separately for every key (an input, an output, a field number).

    Parameters
    ----------
    key : callable or None
        Reads the first argument; None when there is only one such setting.
    fields : sequence of callables
        One for each field.
    default : str
        What is read back before anything is set, comma separated.
    """

    def __init__(self, key: Read | None, fields: Sequence[Read], default: str) -> None:
        self._key = key
        self._fields = fields
        self._default = tuple(default.split(","))
        self._values: dict[str, tuple[str, ...]] = {}

    def get(self, arguments: tuple[str, ...]) -> str:
        """Answer the query."""
        key, rest = self._split(arguments)
        if rest:
            raise CommandError(*PARAMETER_NOT_ALLOWED)
        return ",".join(self._values.get(key, self._default))

    def set(self, arguments: tuple[str, ...]) -> None:
        """Take new values; an empty field keeps what it was."""
        key, rest = self._split(arguments)
        if len(rest) > len(self._fields):
            raise CommandError(*PARAMETER_NOT_ALLOWED)
        if len(rest) < len(self._fields):
            raise CommandError(*MISSING_PARAMETER)
        old = self._values.get(key, self._default)
        self._values[key] = tuple(
            read(text) if text else before for read, text, before in zip(self._fields, rest, old, strict=True)
        )

    def _split(self, arguments: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        if self._key is None:
            return "", arguments
        if not arguments:
            raise CommandError(*MISSING_PARAMETER)
        return self._key(arguments[0]), arguments[1:]

    def forget(self) -> None:
        """Go back to the defaults."""
        self._values.clear()


def memory() -> Mapping[str, Remembered]:
    """Return the settings that are only remembered, by mnemonic (Model 336 manual, section 6.6)."""
    flag = whole(0, 1)
    output = whole(1, 4)
    voltage_output = whole(3, 4)
    return {
        "ALARM": Remembered(
            input_letter,
            [flag, real(-1e6, 1e6), real(-1e6, 1e6), real(0, 1e6), flag, flag, flag],
            "0,+0.00000,+0.00000,+0.00000,0,0,0",
        ),
        "ANALOG": Remembered(
            voltage_output,
            [whole(0, 4), whole(1, 3), real(-1e6, 1e6), real(-1e6, 1e6), flag],
            "0,1,+100.000,+0.00000,0",
        ),
        "BRIGT": Remembered(None, [whole(1, 32)], "16"),
        "DIOCUR": Remembered(input_letter, [flag], "0"),
        "DISPFLD": Remembered(whole(1, 8), [whole(0, 4), whole(1, 6)], "1,1"),
        "DISPLAY": Remembered(None, [whole(0, 6), whole(0, 2), whole(1, 4)], "4,1,1"),
        "FILTER": Remembered(input_letter, [flag, whole(2, 64), real(0, 10)], "0,8,+2.00000"),
        "IEEE": Remembered(None, [whole(1, 30)], "12"),
        "INTSEL": Remembered(None, [whole(0, 2)], "1"),
        "LEDS": Remembered(None, [flag], "1"),
        "LOCK": Remembered(None, [flag, whole(0, 999)], "0,123"),
        "MODE": Remembered(None, [whole(0, 2)], "0"),
        "NET": Remembered(
            None, [flag, flag, *[words(15)] * 5, words(15), words(64), words(32)],
            "0,0,127.0.0.1,255.0.0.0,0.0.0.0,0.0.0.0,0.0.0.0,LSCI-336,local,Model 336",
        ),
        "POLARITY": Remembered(voltage_output, [flag], "0"),
        "RELAY": Remembered(whole(1, 2), [whole(0, 2), input_letter, whole(0, 2)], "0,A,2"),
        "WARMUP": Remembered(voltage_output, [flag, real(0, 100)], "0,+0.00000"),
        "WEBLOG": Remembered(None, [words(15), words(15)], "user,web"),
        "ATUNE": Remembered(output, [whole(0, 2)], "0"),
    }  # fmt: skip
