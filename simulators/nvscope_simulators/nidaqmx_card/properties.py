"""Properties ("attributes") of tasks, channels and devices: what may be read, set and reset, and when."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nvscope_simulators.nidaqmx_card.errors import Code, DAQmxError


@dataclass(frozen=True)
class Property:
    """One property.

    Attributes
    ----------
    default : object
        Value until it is set, and after a reset.
    choices : frozenset of int, optional
        The values an enumeration supports on this card.
    low, high : float
        Limits of a number.
    writable : bool
        Whether clients may set it at all.
    while_running : bool
        Whether they may while the task runs.
    live : callable, optional
        Computes the value from the owner when it is read.
    """

    default: Any = None
    choices: frozenset[int] | None = None
    low: float = -math.inf
    high: float = math.inf
    writable: bool = True
    while_running: bool = False
    live: Callable[[Any], Any] | None = None


def constant(value: Any) -> Property:
    """Return a read-only property that never changes."""
    return Property(default=value, writable=False)


def computed(live: Callable[[Any], Any]) -> Property:
    """Return a read-only property computed from its owner."""
    return Property(writable=False, live=live)


def choice(default: int, *others: int) -> Property:
    """Return an enumeration with its supported values."""
    return Property(default=default, choices=frozenset((default, *others)))


class PropertySet:
    """The properties one object has, with their present values.

    Parameters
    ----------
    table : mapping
        Name (as in the enumerations of the gRPC interface, without prefix) to `Property`.
    owner : object
        Handed to computed properties.
    where : dict of str
        Lines that say in an error whose property it was.
    """

    def __init__(self, table: Mapping[str, Property], owner: object, where: Mapping[str, str]) -> None:
        self._table = dict(table)
        self._owner = owner
        self._where = dict(where)
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Read a property.

        Raises
        ------
        DAQmxError
            -200452 if the object has no such property.
        """
        entry = self._entry(name)
        if entry.live is not None:
            return entry.live(self._owner)
        return self._values.get(name, entry.default)

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def was_set(self, name: str) -> bool:
        """Whether the property has been set since creation or its last reset."""
        return name in self._values

    def put(self, name: str, value: Any) -> None:
        """Set a value known to be right (from a configuring call)."""
        self._values[name] = value

    def change(self, name: str, value: Any, running: bool) -> None:
        """Set a value a client asks for, checking it.

        Raises
        ------
        DAQmxError
            -200231 if read-only, -200557 while running, -200077 for an unsupported value.
        """
        entry = self._entry(name)
        if not entry.writable:
            raise DAQmxError(Code.ATTR_CANNOT_BE_SET, Property=name, **self._where)
        if running and not entry.while_running:
            raise DAQmxError(Code.CANNOT_SET_PROPERTY_WHEN_TASK_RUNNING, Property=name, **self._where)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        bad = (entry.choices is not None and value not in entry.choices) or (
            number and not (math.isfinite(value) and entry.low <= value <= entry.high)
        )
        if bad:
            raise DAQmxError(Code.INVALID_ATTRIBUTE_VALUE, Property=name, Requested_Value=value, **self._where)
        self._values[name] = value

    def reset(self, name: str, running: bool) -> None:
        """Return a property to its default."""
        entry = self._entry(name)
        if not entry.writable:
            raise DAQmxError(Code.ATTR_CANNOT_BE_RESET, Property=name, **self._where)
        if running and not entry.while_running:
            raise DAQmxError(Code.CANNOT_SET_PROPERTY_WHEN_TASK_RUNNING, Property=name, **self._where)
        self._values.pop(name, None)

    def _entry(self, name: str) -> Property:
        try:
            return self._table[name]
        except KeyError:
            raise DAQmxError(Code.ATTRIBUTE_NOT_SUPPORTED_IN_TASK_CONTEXT, Property=name, **self._where) from None
