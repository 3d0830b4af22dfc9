"""PyMeasure instruments that take no nonsense: a reply that is not what was asked for is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pymeasure.instruments import Channel, Instrument
from pymeasure.instruments.validators import strict_discrete_set

from nvscope.config import Frozen
from nvscope.devices.roles import Identity
from nvscope.errors import InstrumentError
from nvscope.units import Seconds

__all__ = ["CheckedChannel", "CheckedInstrument", "VisaSettings", "choice", "number", "switch"]


class VisaSettings(Frozen):
    """What every VISA driver's settings may say."""

    timeout: Seconds = 2.0


class CheckedInstrument(Instrument):
    """A PyMeasure `Instrument` whose conversions do not fail silently.

    PyMeasure keeps a value it cannot convert as text; here that is an `InstrumentError`, and the session (if there is
    one) is discarded, because garbage once means that the conversation may be out of step.
    """

    model = "instrument"
    """What ``*IDN?`` has to contain."""

    def __init__(self, adapter: Any, name: str, **kwargs: Any) -> None:
        super().__init__(adapter, name, includeSCPI=False, **kwargs)

    def values(
        self, command: str, separator: str = ",", cast: Callable[[str], Any] = float, **kwargs: Any
    ) -> list[Any]:
        """Ask `command` and return its values; raises `InstrumentError` if one does not convert."""
        values = super().values(command, separator=separator, cast=cast, **kwargs)
        if cast is not str and any(isinstance(value, str) for value in values):
            raise self.nonsense(command, separator.join(str(value) for value in values))
        return values

    def nonsense(self, command: str, reply: str) -> InstrumentError:
        """Discard the session and return the error to raise when `reply` makes no sense."""
        discard = getattr(self.adapter, "discard", None)
        if discard is not None:
            discard()
        where = getattr(self.adapter, "address", "")
        return InstrumentError(f"{self.name} at {where}: nonsense in reply to {command!r}: {reply[:60]!r}")

    def identity(self) -> Identity:
        """Ask ``*IDN?``; raises `InstrumentError` if another model answers."""
        reply = self.ask("*IDN?")
        parts = [part.strip() for part in reply.split(",")]
        if len(parts) < 2 or self.model.upper() not in parts[1].upper():
            where = getattr(self.adapter, "address", "the address")
            raise InstrumentError(f"expected a {self.model} at {where}, but *IDN? says {reply[:80]!r}")
        parts += ["", ""]
        return Identity(parts[0], parts[1], parts[2], parts[3])

    def shutdown(self) -> None:
        """Close the session; outputs stay as they are."""
        self.adapter.close()
        super().shutdown()


class CheckedChannel(Channel):
    """A channel of a `CheckedInstrument`; its conversions do not fail silently either."""

    def values(self, command: str, **kwargs: Any) -> list[Any]:
        """Ask `command`, with the channel's name put in, and return its values."""
        values: list[Any] = self.parent.values(self.insert_id(command), **kwargs)
        return values


def choice(get_command: str, set_command: str | None, doc: str, values: Mapping[Any, int], **options: Any) -> Any:
    """Make a property out of a numbered choice; a number that is none of them is an `InstrumentError`.

    Parameters
    ----------
    get_command, set_command : str
        As for ``Instrument.control``; the set command formats an integer, None if it can only be read.
    doc : str
        Starts with "Control", or "Get" if it can only be read.
    values : mapping
        What Python says, to the number on the wire.
    """
    meanings = {number: value for value, number in values.items()}

    def understand(number: Any) -> Any:
        if number not in meanings:
            raise InstrumentError(f"{get_command!r} was answered with {number!r}, expected one of {sorted(meanings)}")
        return meanings[number]

    return Instrument.control(
        get_command,
        set_command,
        doc,
        validator=strict_discrete_set,
        values=list(values),
        set_process=lambda value: values[value],
        get_process=understand,
        maxsplit=0,  # one number, or it is nonsense
        **options,
    )


def switch(get_command: str, set_command: str | None, doc: str, **options: Any) -> Any:
    """Make a property out of something that is on (1) or off (0)."""
    return choice(get_command, set_command, doc, {True: 1, False: 0}, **options)


def number(value: Any, what: str) -> float:
    """Return a property's value as a float; raises `InstrumentError` if the reply was not one number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InstrumentError(f"expected one number for {what}, got {value!r}")
    return float(value)
