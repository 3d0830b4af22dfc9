"""Keithley 7001 switch system with a 4 × 10 matrix card (7012) in slot 1: source and voltmeter onto any contact.

Commands, channel lists and error numbers: Keithley Model 7001 instruction manual, section 5. Rows are I+, I-, V+, V- of
the transport instrument; columns 1 to 6 the sample's I+, I-, V+, V-, the gasket and the microwave wire.
"""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field

from nvscope.config import Frozen
from nvscope_simulators.instruments.base import Session
from nvscope_simulators.instruments.ieee488 import Register, ScpiCore, act, ask
from nvscope_simulators.instruments.scpi import MISSING_PARAMETER, Command, CommandError, LineSession
from nvscope_simulators.world.interface import World
from nvscope_simulators.world.wiring import COLUMNS

_ROWS, _CARD_COLUMNS = 4, 10
_CHANNEL = re.compile(r"^1!([0-9]{1,2})!([0-9]{1,2})$")
INVALID_LIST = (-171, "Invalid expression")
OUT_OF_RANGE = (-222, "Parameter data out of range")


class Keithley7001Settings(Frozen):
    """One 7001."""

    serial: str = "0555666"
    connections: int = Field(default=2, ge=1, description="simultaneous connections accepted")


class SimulatedKeithley7001:
    """The relays of one matrix card; all open when it is switched on."""

    model: ClassVar[str] = "7001"

    def __init__(self, world: World, settings: Keithley7001Settings | None = None) -> None:
        self.settings = settings or Keithley7001Settings()
        self.max_connections = self.settings.connections
        self._world = world
        self._closed: set[tuple[int, int]] = set()
        self._apply()
        self.core = ScpiCore(
            {
                "[ROUTe]:CLOSe": self._close,
                "[ROUTe]:CLOSe:STATe": ask(self._state),
                "[ROUTe]:OPEN": self._open,
                "[ROUTe]:OPEN:ALL": act(self._open_all),
            },
            f"KEITHLEY INSTRUMENTS INC., MODEL 7001, {self.settings.serial}, A09  /A03",
            self._open_all,
            {"OPERation": (Register(), 128), "QUEStionable": (Register(), 8)},
        )

    def open_session(self) -> tuple[bytes, Session]:
        """Accept a connection; no banner."""
        return b"", LineSession(
            self.core.execute, terminator=b"\n", on_overflow=lambda: self.core.fail(-363, "Input buffer overrun")
        )

    def _apply(self) -> None:
        self._world.ports.matrix.closed = frozenset((r, c) for r, c in self._closed if c < len(COLUMNS))

    def _open_all(self) -> None:
        self._closed.clear()
        self._apply()

    def _state(self) -> str:
        return "(@" + ",".join(f"1!{row + 1}!{column + 1}" for row, column in sorted(self._closed)) + ")"

    def _close(self, command: Command) -> str | None:
        channels = _channels(command)
        if command.query:
            return ",".join("1" if channel in self._closed else "0" for channel in channels)
        self._closed.update(channels)
        self._apply()
        return None

    def _open(self, command: Command) -> str | None:
        if not command.query and [a.upper() for a in command.arguments] == ["ALL"]:
            self._open_all()
            return None
        channels = _channels(command)
        if command.query:
            return ",".join("0" if channel in self._closed else "1" for channel in channels)
        self._closed.difference_update(channels)
        self._apply()
        return None


def _channels(command: Command) -> list[tuple[int, int]]:
    """Read a channel list such as ``(@1!1!2,1!4!6)``: card, row, column, counted from 1."""
    text = ",".join(command.arguments).replace(" ", "")
    if not text:
        raise CommandError(*MISSING_PARAMETER)
    if not (text.startswith("(@") and text.endswith(")")):
        raise CommandError(*INVALID_LIST)
    found = []
    for item in text[2:-1].split(","):
        match = _CHANNEL.match(item)
        if match is None:
            raise CommandError(*INVALID_LIST)
        row, column = int(match[1]), int(match[2])
        if not (1 <= row <= _ROWS and 1 <= column <= _CARD_COLUMNS):
            raise CommandError(*OUT_OF_RANGE)
        found.append((row - 1, column - 1))
    return found
