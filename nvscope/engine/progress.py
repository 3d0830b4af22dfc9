"""How far a run is: the plan as walked beforehand, matched against the steps as they are announced."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from nvscope.plans import PlanSummary


@dataclass
class Progress:
    """Keeps the current step and estimates the end.

    Attributes
    ----------
    planned : PlanSummary
        The plan walked without hardware.
    """

    planned: PlanSummary
    started: float = field(default_factory=time.monotonic)
    step: str = "starting"
    index: int = -1
    step_began: float = 0.0

    def announce(self, step: str, rig_time: float) -> None:
        """Take note of a step that begins."""
        self.step = step
        self.step_began = rig_time
        for index in range(self.index + 1, len(self.planned.steps)):
            if self.planned.steps[index].text == step:
                self.index = index
                return

    def replan(self, planned: PlanSummary) -> None:
        """Estimate from another walk of the same steps; a plan of other steps is left aside."""
        if [step.text for step in planned.steps] == [step.text for step in self.planned.steps]:
            self.planned = planned

    def fraction(self, rig_time: float) -> float:
        """How much of the planned rig time is behind us, 0 to 1."""
        if self.index < 0 or self.planned.duration <= 0:
            return 0.0
        step = self.planned.steps[self.index]
        inside = min(step.duration, max(0.0, rig_time - self.step_began))
        return min(1.0, (step.start + inside) / self.planned.duration)

    def eta(self, rig_time: float) -> float | None:
        """Wall seconds to go, from the pace so far; None before there is one."""
        done = self.fraction(rig_time)
        if done < 0.01:
            return None
        return (time.monotonic() - self.started) * (1 - done) / done
