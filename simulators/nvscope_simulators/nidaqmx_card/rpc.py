"""How gRPC calls find their handlers, and what handlers need to read requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nvscope_simulators.nidaqmx_card.card import Card
from nvscope_simulators.nidaqmx_card.errors import Code, DAQmxError
from nvscope_simulators.nidaqmx_card.tasks import Task

Fields = dict[str, Any]
"""The fields of a response by name."""

Handler = Callable[[Card, Any], Fields | Awaitable[Fields]]
"""Takes the card and a request; raises `DAQmxError` to refuse."""

Table = Mapping[str, Handler]


def choice(request: Any, name: str) -> int:
    """Return an enumeration argument, given as a named value or as a raw number."""
    which = request.WhichOneof(f"{name}_enum")
    return int(getattr(request, which)) if which is not None else 0


def one_of(request: Any, name: str, *allowed: int) -> int:
    """Return an enumeration argument that must be one of some values.

    Raises
    ------
    DAQmxError
        -200077 for any other.
    """
    value = choice(request, name)
    if value not in allowed:
        raise DAQmxError(Code.INVALID_ATTRIBUTE_VALUE, Property=name, Requested_Value=value)
    return value


def task_of(card: Card, request: Any) -> Task:
    """Return the task a request is about."""
    return card.task(request.task.name)


def missing(what: str) -> DAQmxError:
    """Return the refusal of something this card does not model, naming it."""
    return DAQmxError(Code.FUNCTION_NOT_SUPPORTED_FOR_DEVICE, Missing=what)
