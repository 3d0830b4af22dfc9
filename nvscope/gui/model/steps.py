"""The steps of a run: those planned, matched with those announced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST = 2000


@dataclass(frozen=True)
class Step:
    """A step; `duration` is what was planned (rig s), NaN for one that was not."""

    text: str
    duration: float = float("nan")


class Steps:
    """Steps in order, at most `MOST`, and which is current (-1 before the first)."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.current = -1
        self._latest = float("-inf")

    def begin(self, planned: Sequence[Step], announced: Iterable[tuple[float, str]]) -> None:
        """Start over with a plan and what was announced of it, as (rig time, text)."""
        self.steps = list(planned[:MOST])
        self.current = -1
        self._latest = float("-inf")
        for rig_time, text in announced:
            self.announce(rig_time, text)

    def announce(self, rig_time: float, text: str) -> None:
        """A step begins; one that was not planned is put in, one heard of before is left out."""
        here = self.steps[self.current].text if 0 <= self.current < len(self.steps) else None
        if rig_time < self._latest or (rig_time == self._latest and text == here):
            return
        self._latest = rig_time
        for index in range(self.current + 1, len(self.steps)):
            if self.steps[index].text == text:
                self.current = index
                return
        self.current += 1
        self.steps.insert(self.current, Step(text))
        if len(self.steps) > MOST:
            del self.steps[0]
            self.current -= 1
