"""Slow work (disk, fits, questions to a run) away from the thread that draws; the newest request of a kind wins."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from nvscope.errors import NvscopeError


@dataclass(frozen=True)
class Outcome:
    """What an errand brought: a result, or the error it ended with."""

    result: Any = None
    error: Exception | None = None


def complaint(error: Exception | None) -> str:
    """Say for people what went wrong."""
    return str(error) if isinstance(error, NvscopeError) else f"{type(error).__name__}: {error}"


class Errands:
    """One worker thread; results come back through `deliver`, called by the thread that draws.

    Parameters
    ----------
    name : str
        Of the thread.
    most : int
        Requests that may wait; beyond these the oldest is forgotten.
    """

    def __init__(self, name: str, most: int = 256) -> None:
        self._most = most
        self._waiting: OrderedDict[Hashable, tuple[Callable[[], Any], Callable[[Outcome], None]]] = OrderedDict()
        self._done: deque[tuple[Callable[[Outcome], None], Outcome]] = deque()
        self._running: Hashable | None = None
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name=f"nvscope-{name}", daemon=True)
        self._thread.start()

    def ask(self, key: Hashable, work: Callable[[], Any], then: Callable[[Outcome], None]) -> None:
        """Do `work` in the background and call ``then(outcome)`` later; replaces a waiting request with this key."""
        with self._changed:
            self._waiting.pop(key, None)
            self._waiting[key] = (work, then)
            while len(self._waiting) > self._most:
                self._waiting.popitem(last=False)
            self._changed.notify()

    def pending(self, key: Hashable) -> bool:
        """Whether a request with this key waits or is being worked on."""
        with self._changed:
            return key in self._waiting or (self._running is not None and self._running == key)

    @property
    def idle(self) -> bool:
        """Whether nothing waits, runs, or is to be delivered."""
        with self._changed:
            return not self._waiting and self._running is None and not self._done

    def deliver(self) -> None:
        """Hand over what is done; call it from the thread that draws."""
        while True:
            with self._changed:
                if not self._done:
                    return
                then, outcome = self._done.popleft()
            then(outcome)

    def stop(self) -> None:
        """Forget what waits; the thread ends after what it is doing."""
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify()
        self._thread.join(5.0)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or bool(self._waiting))
                if self._stopping:
                    return
                self._running, (work, then) = self._waiting.popitem(last=False)
            try:
                outcome = Outcome(result=work())
            except Exception as error:  # told to whoever asked
                outcome = Outcome(error=error)
            with self._changed:
                self._running = None
                self._done.append((then, outcome))
