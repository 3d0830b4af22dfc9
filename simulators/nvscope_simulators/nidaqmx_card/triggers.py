"""Arm-start and start triggers, and the pause trigger, of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nidaqmx.constants import Edge, Level, TriggerType

from nvscope_simulators.nidaqmx_card.errors import Code

if TYPE_CHECKING:
    from nvscope_simulators.nidaqmx_card.tasks import Task


class StartTrigger:
    """Waits for the edges a task is to start on.

    Parameters
    ----------
    task : Task
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._unwatch: Callable[[], None] | None = None
        self._begin: Callable[[], None] = lambda: None
        self._armed = False
        self._retriggerable = False

    def verify(self) -> None:
        """Refuse a trigger without a valid source, and retriggering of what never ends."""
        properties = self._task.properties("trigger")
        for name in ("START", "ARM_START"):
            if self._task.digital_edge(name):
                source = properties[f"DIG_EDGE_{name}_TRIG_SRC"]
                if not source:
                    raise self._task.error(Code.EMPTY_STRING_TERM_NAME_NOT_SUPPORTED, Property=f"{name}_TRIG_SRC")
                self._task.card.model.source(source)
        retriggerable = bool(properties["START_TRIG_RETRIGGERABLE"])
        if retriggerable and (self._task.continuous or not self._task.digital_edge("START")):
            raise self._task.error(Code.RETRIGGERING_INVALID_FOR_GIVEN_SETTINGS)
        self._retriggerable = retriggerable

    def arm(self, begin: Callable[[], None]) -> None:
        """Call `begin` once armed and triggered; at once if neither is asked for."""
        self._begin, self._armed = begin, True
        if self._task.digital_edge("ARM_START"):
            self._watch("ARM_START", self._wait_for_start)
        else:
            self._wait_for_start()

    def _wait_for_start(self) -> None:
        if self._task.digital_edge("START"):
            self._watch("START", self._begin)
        else:
            self._begin()

    def _watch(self, name: str, then: Callable[[], None]) -> None:
        properties = self._task.properties("trigger")
        terminal = self._task.card.model.source(properties[f"DIG_EDGE_{name}_TRIG_SRC"])
        rising = properties[f"DIG_EDGE_{name}_TRIG_EDGE"] == Edge.RISING.value

        def heard(_: int) -> None:
            self._stop_watching()
            then()

        self._unwatch = self._task.card.wiring.watch(terminal, rising, heard)

    def rearm(self) -> bool:
        """After a finite generation: wait for the next trigger if the task is retriggerable."""
        if not (self._retriggerable and self._armed):
            return False
        self._watch("START", self._begin)
        return True

    def disarm(self) -> None:
        """Stop waiting."""
        self._armed = False
        self._stop_watching()

    def _stop_watching(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None


def watch_pause(task: Task, pause: Callable[[], None], resume: Callable[[], None]) -> Callable[[], None]:
    """Follow a digital-level pause trigger, if the task has one; returns what ends it."""
    properties = task.properties("trigger")
    if properties["PAUSE_TRIG_TYPE"] != TriggerType.DIGITAL_LEVEL.value:
        return lambda: None
    terminal = task.card.model.source(properties["DIG_LVL_PAUSE_TRIG_SRC"])
    high = properties["DIG_LVL_PAUSE_TRIG_WHEN"] == Level.HIGH.value
    stops = (
        task.card.wiring.watch(terminal, high, lambda _: pause()),
        task.card.wiring.watch(terminal, not high, lambda _: resume()),
    )
    if task.card.wiring.level(terminal) == high:
        pause()

    def end() -> None:
        for stop in stops:
            stop()

    return end
