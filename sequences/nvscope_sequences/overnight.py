"""A list of other sequences as one run, across temperatures, fields or whatever they take, with conditions.

The list is a TOML file::

    [[steps]]
    sequence = "zfc-fw"
    across = { field = ["97 G", "150 G"] }      # once for each; several keys: every combination
    [[steps]]
    sequence = "flux-trap"
    parameters = { base_temperature = "30 K" }
    when = "elapsed < 9 h"                      # left out otherwise
    on_invalid = "continue"                     # an invalid history ends this step only
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal, Self

from bluesky import plan_stubs as bps
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.config import Frozen, load_toml
from nvscope.devices.rig import RigDevices
from nvscope.errors import ConfigError, HistoryInvalid
from nvscope.plans import Sequence, announce
from nvscope.plans.nesting import holds, nested, parse_condition, step_parameters
from nvscope.plans.sequence import Given
from nvscope.plans.verbs import Plan
from nvscope.units import Amperes


class Step(Frozen):
    """One entry of the list."""

    sequence: str = Described(description="name of a sequence, or path of a script")
    parameters: dict[str, Any] = Described(default_factory=dict, description="its parameters, as its own file has them")
    across: dict[str, tuple[Any, ...]] = Described(
        default_factory=dict, description="parameters that take one value after another: every combination is run"
    )
    when: str | None = Described(default=None, description='left out unless this holds, e.g. "temperature < 80 K"')
    on_invalid: Literal["stop", "continue"] = Described(
        default="stop", description="what an invalid history ends: the night, or this step only"
    )

    def cells(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what each run of it is called, and its parameters."""
        for values in product(*self.across.values()):
            chosen = dict(zip(self.across, values, strict=True))
            title = ", ".join(f"{name} {value}" for name, value in chosen.items())
            yield f"{self.sequence}{f' ({title})' if title else ''}", {**self.parameters, **chosen}

    def __str__(self) -> str:
        return "; ".join(title for title, _ in self.cells())

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.when is not None:
            parse_condition(self.when)
        if self.sequence == "overnight":
            raise ValueError("a night cannot contain a night")
        for title, parameters in self.cells():
            try:
                step_parameters(self.sequence, parameters, title)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return self


class Parameters(Frozen):
    """Parameters of ``overnight``."""

    program: str | None = Described(default=None, description="TOML file with the list of steps, in place of `steps`")
    steps: tuple[Step, ...] = Described(default=(), description="the list; see configs/sequences/overnight.toml")
    stop_when: str | None = Described(
        default=None, description='no further step begins once this holds, e.g. "elapsed > 12 h"'
    )
    excitation: Amperes = Described(default=1e-4, gt=0, description="transport current for conditions on resistance")
    readings: int = Described(default=20, ge=2, le=10000, description="transport readings for those")

    @model_validator(mode="before")
    @classmethod
    def _from_file(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not data.get("program"):
            return data
        try:
            listed = load_toml(Path(str(data["program"])))
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return {**{name: value for name, value in data.items() if name not in ("steps", "stop_when")}, **listed}

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.steps:
            raise ValueError("steps: the list is empty; give [[steps]] in a file and --set program=FILE")
        if self.stop_when is not None:
            parse_condition(self.stop_when)
        return self


def plan(rig: RigDevices, p: Parameters) -> Plan:
    """Run one step after another, each as its own sequence would be, in one run with one history."""
    yield from bps.open_run({"sequence": "overnight"})
    cells = [(step, title, parameters) for step in p.steps for title, parameters in step.cells()]
    for number, (step, title, parameters) in enumerate(cells, 1):
        if p.stop_when is not None and (yield from stops(rig, p)):
            yield from announce(f"{p.stop_when}: the remaining {len(cells) - number + 1} steps are left out")
            break
        if step.when is not None and not (yield from holds(rig, step.when, p.excitation, p.readings)):
            yield from announce(f"{title} is left out: not {step.when}")
            continue
        yield from announce(f"{number} of {len(cells)}: {title}")
        sequence, resolved = step_parameters(step.sequence, parameters, title)
        try:
            yield from nested(sequence.plan(rig, resolved))
        except HistoryInvalid as error:
            if step.on_invalid == "stop":
                raise
            yield from announce(f"{title} ends early: {error}")
    yield from bps.close_run()


def within(p: Parameters, given: Given) -> Parameters:
    """Hand what is given for all sequences on to every step; what a step says itself comes first."""
    steps = []
    for step in p.steps:
        title, first = next(step.cells())
        sequence, resolved = step_parameters(step.sequence, first, title)
        more = given(sequence, {**step.parameters, **step.across}, resolved)
        steps.append(step.model_copy(update={"parameters": {**more, **step.parameters}}))
    return p.model_copy(update={"steps": tuple(steps)})


def stops(rig: RigDevices, p: Parameters) -> Plan:
    """Return whether the night is over; not for what is not known yet."""
    assert p.stop_when is not None
    known = parse_condition(p.stop_when)[0] != "screened"
    return known and (yield from holds(rig, p.stop_when, p.excitation, p.readings))


sequence = Sequence("overnight", "a list of sequences as one run, with conditions", Parameters, plan, within)
