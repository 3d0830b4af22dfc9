"""Event streams: done, signal, and every N samples."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from nidaqmx.constants import EveryNSamplesEventType, Signal

from nvscope_simulators.nidaqmx_card import tables
from nvscope_simulators.nidaqmx_card.card import Card
from nvscope_simulators.nidaqmx_card.errors import Code
from nvscope_simulators.nidaqmx_card.rpc import Fields, Table, choice, task_of
from nvscope_simulators.nidaqmx_card.tasks import Task

MAX_PENDING = 4096
"""Events kept for a client that reads slowly; then the newest are lost, as a real driver's would be."""

_ACQUIRED = EveryNSamplesEventType.ACQUIRED_INTO_BUFFER.value
_TRANSFERRED = EveryNSamplesEventType.TRANSFERRED_FROM_BUFFER.value


class EventStream:
    """The events of one registration, until it is taken back."""

    def __init__(self, unregister: Callable[[], None]) -> None:
        self._queue: asyncio.Queue[Fields | None] = asyncio.Queue()
        self._unregister = unregister

    def send(self, fields: Fields) -> None:
        """Add an event."""
        if self._queue.qsize() < MAX_PENDING:
            self._queue.put_nowait(fields)

    def close(self) -> None:
        """End the stream."""
        self._unregister()
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Fields]:
        try:
            while (fields := await self._queue.get()) is not None:
                yield fields
        finally:
            self._unregister()


def _refuse_running(task: Task) -> None:
    if task.running:
        raise task.error(Code.CANNOT_REGISTER_DA_QMX_SOFTWARE_EVENT_WHILE_TASK_IS_RUNNING)


def _register(task: Task, key: str, already: Code) -> EventStream:
    _refuse_running(task)
    if key in task.streams:
        raise task.error(already)

    def forget() -> None:
        task.streams.pop(key, None)

    stream = EventStream(forget)
    task.streams[key] = stream
    return stream


def done(card: Card, request: Any) -> EventStream:
    """One event when a task finishes or fails."""
    task = task_of(card, request)
    return _register(task, "done", Code.DONE_EVENT_ALREADY_REGISTERED)


def signal(card: Card, request: Any) -> EventStream:
    """One event per edge of a hardware signal."""
    task = task_of(card, request)
    which = choice(request, "signal_id")
    possible = {Signal.COUNTER_OUTPUT_EVENT.value} if task.kind == tables.CO else set()
    if task.kind in (tables.AI, tables.AO, tables.DI, tables.DO):
        possible |= {Signal.SAMPLE_CLOCK.value, Signal.SAMPLE_COMPLETE.value}
    if which not in possible:
        raise task.error(
            Code.DA_QMX_SIGNAL_EVENT_TYPE_NOT_SUPPORTED_BY_CHAN_TYPES_OR_DEVICES_IN_TASK, Requested_Value=which
        )
    return _register(task, f"signal {which}", Code.SIGNAL_EVENT_ALREADY_REGISTERED)


def every_n_samples(card: Card, request: Any) -> EventStream:
    """One event per N samples acquired."""
    task = task_of(card, request)
    kind, interval = choice(request, "every_n_samples_event_type"), int(request.n_samples)
    if not task.channels:
        raise task.error(Code.CAN_NOT_PERFORM_OP_WHEN_NO_CHANS_IN_TASK)
    if interval == 0:
        raise task.error(Code.EVERY_N_SAMPS_EVENT_INTERVAL_ZERO_NOT_SUPPORTED)
    if kind not in (_TRANSFERRED, _ACQUIRED):
        raise task.error(Code.INVALID_ATTRIBUTE_VALUE, Requested_Value=kind)
    if kind == _TRANSFERRED and task.kind != tables.AO:
        raise task.error(Code.EVERY_N_SAMPS_TRANSFERRED_FROM_BUFFER_EVENT_NOT_SUPPORTED_BY_DEVICE)
    if kind == _ACQUIRED and task.kind in tables.OUTPUTS:
        raise task.error(Code.EVERY_N_SAMPLES_ACQ_INTO_BUFFER_EVENT_NOT_SUPPORTED_BY_DEVICE)
    already = {
        _ACQUIRED: Code.EVERY_N_SAMPS_ACQ_INTO_BUFFER_EVENT_ALREADY_REGISTERED,
        _TRANSFERRED: Code.EVERY_N_SAMPS_TRANSFERRED_FROM_BUFFER_EVENT_ALREADY_REGISTERED,
    }
    stream = _register(task, f"samples {kind}", already[kind])
    task.sample_interval = interval
    return stream


def _unregister(task: Task, key: str) -> Fields:
    if task.running:
        raise task.error(Code.CANNOT_UNREGISTER_DA_QMX_SOFTWARE_EVENT_WHILE_TASK_IS_RUNNING)
    stream = task.streams.get(key)
    if stream is not None:
        stream.close()
    return {}


STREAMS: dict[str, Callable[[Card, Any], EventStream]] = {
    "RegisterDoneEvent": done,
    "RegisterSignalEvent": signal,
    "RegisterEveryNSamplesEvent": every_n_samples,
}

HANDLERS: Table = {
    "UnregisterDoneEvent": lambda card, request: _unregister(task_of(card, request), "done"),
    "UnregisterSignalEvent": lambda card, request: _unregister(
        task_of(card, request), f"signal {choice(request, 'signal_id')}"
    ),
    "UnregisterEveryNSamplesEvent": lambda card, request: _unregister(
        task_of(card, request), f"samples {choice(request, 'every_n_samples_event_type')}"
    ),
}
