"""One thread per instrument: blocking drivers, awaited with a real time-out."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from nvscope.clock import Clock
from nvscope.errors import InstrumentTimeout

P = ParamSpec("P")
R = TypeVar("R")

_PENDING = 64
"""Calls that may wait for one instrument; more means something is asking without listening."""


class Worker:
    """Runs an instrument's calls one after another in a thread of its own.

    A daemon thread rather than an executor: a call that hangs must not keep the program from ending.

    Parameters
    ----------
    name : str
        The instrument, for error messages.
    clock : Clock
        Held while a call is in flight, so that a simulated lab does not move under it.
    timeout : float
        Wall seconds one call may take; longer than the driver's own time-out, which should strike first.
    """

    def __init__(self, name: str, clock: Clock, timeout: float = 15.0) -> None:
        self.name = name
        self._clock = clock
        self._timeout = timeout
        self._calls: queue.Queue[tuple[Future[Any], Callable[[], Any]] | None] = queue.Queue(_PENDING)
        self._stuck_in: str | None = None
        self._thread = threading.Thread(target=self._serve, name=f"nvscope-{name}", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while (item := self._calls.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # handed to whoever awaits
                future.set_exception(error)
            else:
                future.set_result(result)
            self._stuck_in = None

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Queue a call from any thread."""
        if self._stuck_in is not None:
            raise InstrumentTimeout(
                f"{self.name}: still inside {self._stuck_in}, which exceeded {self._timeout:g} s; "
                "check the instrument's connection and power"
            )
        future: Future[R] = Future()
        try:
            self._calls.put_nowait((future, lambda: function(*args, **kwargs)))
        except queue.Full:
            raise InstrumentTimeout(f"{self.name}: {_PENDING} calls are waiting already") from None
        return future

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Await one bounded wire transaction.

        Raises
        ------
        InstrumentTimeout
            If it takes longer than the worker's time-out; later calls are refused until it returns.
        """
        with self._clock.hold():
            future = self.submit(function, *args, **kwargs)
            try:
                return await asyncio.wait_for(asyncio.wrap_future(future), self._timeout)
            except TimeoutError:
                self._stuck_in = getattr(function, "__name__", "a call")
                raise InstrumentTimeout(
                    f"{self.name}: {self._stuck_in} did not return within {self._timeout:g} s"
                ) from None

    def close(self) -> None:
        """Let the thread end after the calls queued so far; does not wait for it."""
        with_room = not self._calls.full()
        if with_room:
            self._calls.put_nowait(None)
