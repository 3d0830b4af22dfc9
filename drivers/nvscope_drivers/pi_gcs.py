"""PI piezo controllers (E-709 and alike) speaking General Command Set 2.0 over TCP, as the focus drive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from pymeasure.instruments import Instrument

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, Value
from nvscope.errors import InstrumentError, LimitError
from nvscope_drivers.checked import CheckedInstrument, VisaSettings, number, switch
from nvscope_drivers.scpi import first_contact
from nvscope_drivers.visa import VisaAdapter

__all__ = ["PIFocus", "PIFocusSettings", "PIPiezo"]

ERRORS: Mapping[int, str] = {
    1: "parameter syntax error",
    2: "unknown command",
    3: "command too long",
    5: "a move with the servo off, or without a reference",
    7: "position out of limits",
    10: "stopped by a command",
    15: "invalid axis",
    17: "parameter out of range",
    24: "wrong number of parameters",
    25: "invalid number",
}
_MICRO = 1e-6
_SLACK = 1e-9
"""m: by how much a position may exceed the travel, whose ends are told in rounded micrometres."""


def _of_axis(reply: str) -> str:
    """Return the value in ``1=12.5``; any other reply is left as it is, and does not convert."""
    axis, _, value = reply.partition("=")
    return value if axis.strip() == "1" and value else f"not of axis 1: {reply}"


class PIPiezo(CheckedInstrument):
    """A one-axis PI piezo controller; commands are silent, and ``ERR?`` says whether the last one was obeyed."""

    model = "Physik Instrumente"

    position = Instrument.measurement("POS? 1", """Measure the position in µm.""", preprocess_reply=_of_axis)
    target = Instrument.control(
        "MOV? 1",
        "MOV 1 %.6f",
        """Control the position to go to in µm (float).""",
        preprocess_reply=_of_axis,
        check_set_errors=True,
    )
    lowest = Instrument.measurement("TMN? 1", """Get the lower end of the travel in µm.""", preprocess_reply=_of_axis)
    highest = Instrument.measurement("TMX? 1", """Get the upper end of the travel in µm.""", preprocess_reply=_of_axis)
    servo = switch(
        "SVO? 1",
        "SVO 1 %d",
        """Control whether the servo holds the position (bool).""",
        preprocess_reply=_of_axis,
        check_set_errors=True,
    )
    on_target = switch(
        "ONT? 1", None, """Get whether the position has settled at its target (bool).""", preprocess_reply=_of_axis
    )
    error = Instrument.measurement("ERR?", """Get the first error since it was last asked for (int).""", cast=int)

    def __init__(self, adapter: Any, name: str = "PI piezo controller", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    def identity(self) -> Identity:
        """Ask ``*IDN?``; raises `InstrumentError` if it is not PI that answers."""
        reply = self.ask("*IDN?")
        parts = [part.strip() for part in reply.split(",")]
        if len(parts) != 4 or self.model not in parts[0]:
            raise InstrumentError(f"expected a PI controller, but *IDN? says {reply[:80]!r}")
        return Identity("Physik Instrumente", *parts[1:])

    def check_set_errors(self) -> list[Any]:
        """Raise `InstrumentError` if the last command was refused."""
        code = int(number(self.error, "ERR?"))
        if code:
            raise InstrumentError(f"{self.name} refuses: {ERRORS.get(code, 'see its manual')} (error {code})")
        return []


class PIFocusSettings(VisaSettings):
    """Settings of a PI focus drive in a rig file."""

    servo: bool = Field(default=True, description="whether a move may switch the servo on, which moves nothing itself")


class PIFocus:
    """A PI piezo as the focus drive."""

    Settings = PIFocusSettings

    def __init__(self, instrument: PIPiezo, settings: PIFocusSettings) -> None:
        self.instrument = instrument
        self._settings = settings
        self._travel: tuple[float, float] | None = None

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> PIFocus:
        """Open the session, make sure a PI controller answers and ask its travel; moves nothing."""
        assert isinstance(settings, PIFocusSettings)
        adapter = VisaAdapter(address, "PI piezo controller", timeout=settings.timeout, read_termination="\n")
        focus = cls(PIPiezo(adapter), settings)
        first_contact(focus, settings.timeout)
        try:
            _ = focus.travel
        except BaseException:
            focus.close()
            raise
        return focus

    @property
    def travel(self) -> tuple[float, float]:
        """Lowest and highest position (m)."""
        if self._travel is None:
            piezo = self.instrument
            self._travel = _MICRO * number(piezo.lowest, "TMN?"), _MICRO * number(piezo.highest, "TMX?")
        return self._travel

    def identify(self) -> Identity:
        """Ask the controller who it is."""
        return self.instrument.identity()

    def readings(self) -> Mapping[str, Value]:
        """Read position (m), servo and whether it has settled."""
        piezo = self.instrument
        return {"position": self.position(), "servo": piezo.servo, "on_target": piezo.on_target}

    def position(self) -> float:
        """Read the position (m)."""
        return _MICRO * number(self.instrument.position, "POS?")

    def start_move(self, position: float) -> None:
        """Start moving to `position` (m) and return."""
        low, high = self.travel
        if not low - _SLACK <= position <= high + _SLACK:
            raise LimitError(
                f"{self.instrument.name}: {position * 1e6:.4g} µm is outside its travel, "
                f"{low * 1e6:.4g} to {high * 1e6:.4g} µm"
            )
        piezo = self.instrument
        _ = piezo.error  # what somebody was refused before is not this move's
        if self._settings.servo and not piezo.servo:
            piezo.servo = True
        piezo.target = min(max(position, low), high) / _MICRO

    def settled(self) -> bool:
        """Whether the last move has ended on target; raises if the servo has been lost."""
        piezo = self.instrument
        if piezo.on_target:
            return True
        if not piezo.servo:
            raise InstrumentError(f"{piezo.name}: its servo is off and holds no position; see its display for overload")
        return False

    def make_safe(self) -> None:
        """Leave it where it is: nothing about a resting objective is unsafe, and a move ends by itself in a moment."""

    def close(self) -> None:
        """Close the session; the position is held."""
        self.instrument.shutdown()
