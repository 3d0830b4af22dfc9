"""Walking a plan without hardware: every request is checked against the limits and costed; nothing moves.

The same generator that runs the experiment is walked, so the estimate cannot drift from the sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nvscope.devices.base import Assumed
from nvscope.errors import LimitError
from nvscope.history import Certificate
from nvscope.plans.verbs import Plan

MAX_MESSAGES = 500_000


@dataclass(frozen=True)
class PlannedStep:
    """One announced step: its text, when it starts and how long it takes (rig s), and what it leaves behind.

    Up to `spare` of that (s) is not needed where averaging reaches its target before.
    """

    text: str
    start: float
    duration: float
    temperature: float
    field: float
    spare: float = 0.0


@dataclass(frozen=True)
class PlanSummary:
    """A walked plan.

    Attributes
    ----------
    duration : float
        Of all steps (rig s); nothing is left out, and averaging goes on to its end.
    spare : float
        How much of that is not needed where averaging reaches its target with the first sweep.
    conditional : bool
        Whether steps are left out where a measurement says so.
    """

    steps: tuple[PlannedStep, ...]
    duration: float
    points: int
    frames: int
    bytes: int
    spare: float = 0.0
    conditional: bool = False


def dry_run(plan: Plan, start: Assumed | None = None, limit: int = MAX_MESSAGES) -> PlanSummary:
    """Walk `plan`; raises `LimitError` naming the step that a limit forbids.

    Parameters
    ----------
    plan : generator
        A plan over planning devices (no hardware behind them).
    start : Assumed, optional
        Where the rig is assumed to be.
    limit : int
        Messages after which a plan counts as endless.
    """
    state = begun = start or Assumed()
    steps: list[PlannedStep] = []
    text: str | None = None
    answer: Any = None
    conditional = False

    def finish() -> None:
        if text is not None:
            took, spare = state.time - begun.time, state.spare - begun.spare
            steps.append(PlannedStep(text, begun.time, took, state.temperature, state.field, spare))

    for _ in range(limit):
        try:
            message = plan.send(answer)
        except StopIteration:
            finish()
            return PlanSummary(
                tuple(steps), state.time, state.points, state.frames, state.bytes, state.spare, conditional
            )
        except LimitError as error:
            if text is None:
                raise
            raise LimitError(f"step {len(steps) + 1} ({text}): {error}") from None
        answer = None
        match message.command:
            case "announce":
                finish()
                text, begun = message.args[0], state
            case "set":
                try:
                    message.obj.check(message.args[0])
                except LimitError as error:
                    where = f"step {len(steps) + 1} ({text})" if text else "first step"
                    raise LimitError(f"{where}: {error}") from None
                state = message.obj.estimate(message.args[0], state)
            case "read":
                answer = message.obj.predict(state)
            case "settings":
                answer = message.args[0]
            case "elapsed":
                answer = state.time
            case "screened":
                conditional = True
            case "certify":
                answer = Certificate(message.args[0].protocol, "valid", "assumed while planning")
    raise LimitError(f"the plan has more than {limit} messages; is there a loop that never ends?")
