"""Keithley 7001 with a matrix card in slot 1: which contact the source drives and which the voltmeter sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, Value
from nvscope.errors import InstrumentError, LimitError
from nvscope_drivers.checked import VisaSettings
from nvscope_drivers.scpi import ScpiInstrument, first_contact
from nvscope_drivers.visa import VisaAdapter

__all__ = ["Keithley7001", "Keithley7001Settings", "KeithleyMatrix"]

ROWS = ("I+", "I-", "V+", "V-")


class Keithley7001(ScpiInstrument):
    """Keithley 7001 switch system."""

    model = "7001"

    def __init__(self, adapter: Any, name: str = "Keithley 7001", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    def closed(self) -> frozenset[tuple[int, int, int]]:
        """Return the closed relays as (card, row, column), counted from 1."""
        command = "ROUT:CLOS:STAT?"
        reply = self.ask(command).strip().replace(" ", "")
        if not (reply.startswith("(@") and reply.endswith(")")):
            raise self.nonsense(command, reply)
        try:
            items = [tuple(int(part) for part in item.split("!")) for item in reply[2:-1].split(",") if item]
        except ValueError:
            raise self.nonsense(command, reply) from None
        if any(len(item) != 3 for item in items):
            raise self.nonsense(command, reply)
        return frozenset((a, b, c) for a, b, c in items)

    def open_all(self) -> None:
        """Open every relay."""
        self.write("ROUT:OPEN ALL")
        self.check_errors()

    def close(self, relays: frozenset[tuple[int, int, int]]) -> None:
        """Close relays given as (card, row, column)."""
        self.write("ROUT:CLOS (@" + ",".join("!".join(map(str, relay)) for relay in sorted(relays)) + ")")
        self.check_errors()


class Keithley7001Settings(VisaSettings):
    """Settings of a contact matrix: rows 1 to 4 carry I+, I-, V+, V- of the transport instrument."""

    card: int = Field(default=1, ge=1, le=2, description="slot of the matrix card")
    columns: dict[str, int] = Field(
        default={"I+": 1, "I-": 2, "V+": 3, "V-": 4, "gasket": 5, "wire": 6},
        description="column of every contact, and of gasket and wire where they are wired",
    )

    @model_validator(mode="after")
    def _columns_differ(self) -> Keithley7001Settings:
        if len(set(self.columns.values())) != len(self.columns) or not set(ROWS) <= set(self.columns):
            raise ValueError("columns: every contact (I+, I-, V+, V-) needs a column of its own")
        if not all(1 <= column <= 10 for column in self.columns.values()):
            raise ValueError("columns: a card has columns 1 to 10")
        return self


class KeithleyMatrix:
    """The matrix as a `ContactMatrix`."""

    Settings: ClassVar[type[Frozen]] = Keithley7001Settings

    def __init__(self, switch: Keithley7001, settings: Keithley7001Settings) -> None:
        self._switch = switch
        self._settings = settings

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> KeithleyMatrix:
        """Open the switch at `address`; its relays stay as they are."""
        assert isinstance(settings, Keithley7001Settings)
        adapter = VisaAdapter(address, "Keithley 7001", timeout=settings.timeout, read_termination="\n")
        matrix = cls(Keithley7001(adapter), settings)
        first_contact(matrix, settings.timeout)
        return matrix

    def identify(self) -> Identity:
        """Ask the switch who it is."""
        return self._switch.identity()

    @property
    def contacts(self) -> tuple[str, ...]:
        """Names of what can be connected."""
        return tuple(self._settings.columns)

    def route(self, wiring: tuple[str, str, str, str]) -> None:
        """Connect I+, I-, V+, V- to the four names of `wiring` and nothing else; the excitation must be off.

        Raises
        ------
        LimitError
            If a name has no column, or the source would be shorted; nothing is switched.
        InstrumentError
            If the relays did not do as told.
        """
        columns = self._settings.columns
        unknown = [name for name in wiring if name not in columns]
        if unknown:
            raise LimitError(f"the contact matrix has no column for {unknown[0]!r}; it has {', '.join(columns)}")
        if wiring[0] == wiring[1]:
            raise LimitError(f"both current leads on {wiring[0]}: that shorts the source")
        wanted = frozenset((self._settings.card, row, columns[name]) for row, name in enumerate(wiring, 1))
        if self._switch.closed() == wanted:
            return
        self._switch.open_all()
        self._switch.close(wanted)
        found = self._switch.closed()
        if found != wanted:
            raise InstrumentError(f"the contact matrix was told to close {sorted(wanted)}, closed are {sorted(found)}")

    def make_safe(self) -> None:
        """Do nothing: relays carry no current of their own, and breaking one that another instrument drives arcs."""

    def readings(self) -> Mapping[str, Value]:
        """Read which relays are closed."""
        return {"closed": " ".join("!".join(map(str, relay)) for relay in sorted(self._switch.closed()))}

    def close(self) -> None:
        """Close the session; the relays stay as they are."""
        self._switch.shutdown()
