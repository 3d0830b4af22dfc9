"""Faults on purpose: what a rig file's ``[[faults]]`` and ``--fault`` may say, and when a fault strikes."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator, model_validator

from nvscope.config.files import validate
from nvscope.config.models import Frozen
from nvscope.errors import ConfigError
from nvscope.units import Seconds

HOST_KINDS: Mapping[str, Mapping[str, str]] = {
    "disk": {
        "full": "nothing can be written for `duration` (wall; without it, for good)",
        "slow": "every write takes `detail` (0.3) seconds longer for `duration` (wall; without it, for good)",
    },
    "computer": {"clock-step": "the computer's clock jumps by `detail` (3600) seconds"},
    "viewer": {"stops-reading": "a viewer connects and reads nothing for `duration` (wall; without it, for good)"},
}
"""What can go wrong around the lab, in the computer that runs the experiment, by name and kind."""


SLOWEST_WRITE = 60.0
"""s; a recorder that writes more slowly than this is a dead one."""


class FaultSpec(Frozen):
    """One entry of ``[[faults]]``.

    When it strikes is said by any of `at`, `probability` and `command`; those given must all hold.
    """

    instrument: str = Field(description="name of the instrument in this rig; or disk, computer, viewer")
    kind: str = Field(description="what goes wrong")
    at: Seconds | None = Field(default=None, ge=0, description="not before this rig time")
    probability: float | None = Field(default=None, gt=0, le=1, description="chance per occasion")
    command: str | None = Field(default=None, description="regular expression found in the message (or step)")
    skip: int = Field(default=0, ge=0, description="let this many occasions pass first")
    count: int = Field(default=1, ge=0, description="how many times; 0 is for ever")
    duration: Seconds | None = Field(
        default=None,
        ge=0,
        description="how long: wall time on a wire and of a hang, rig time in an instrument; default: for good",
    )
    detail: str = Field(default="", description="which sensor, output or fault; the text of a command")

    @field_validator("command")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _has_an_occasion(self) -> FaultSpec:
        if self.at is None and self.probability is None and self.command is None:
            raise ValueError("say when: at, probability or command")
        if self.kind == "command" and not self.detail:
            raise ValueError('a fault of kind "command" needs its text as detail')
        return self

    @property
    def timed(self) -> bool:
        """Whether it strikes at a moment, not on a message."""
        return self.probability is None and self.command is None


class Occasion:
    """Decides when one fault strikes.

    Parameters
    ----------
    spec : FaultSpec
    now : callable
        Rig time (s).
    seed : str
        Of the draws of `probability`.
    """

    def __init__(self, spec: FaultSpec, now: Callable[[], float], seed: str) -> None:
        self.spec = spec
        self._now = now
        self._rng = random.Random(seed)
        self._pattern = re.compile(spec.command or "")
        self._skipped = 0
        self._struck = 0

    @property
    def spent(self) -> bool:
        """Whether it will not strike again."""
        return bool(self.spec.count) and self._struck >= self.spec.count

    def strikes(self, message: str = "") -> bool:
        """Whether it strikes on this message (or trigger, or step)."""
        spec = self.spec
        if self.spent or (spec.at is not None and self._now() < spec.at):
            return False
        if spec.command is not None and not self._pattern.search(message):
            return False
        if spec.probability is not None and self._rng.random() >= spec.probability:
            return False
        if self._skipped < spec.skip:
            self._skipped += 1
            return False
        self._struck += 1
        return True

    def garbled(self, data: bytes) -> bytes:
        """Return `data` with some of its bytes replaced, its terminator kept."""
        body = data.rstrip(b"\r\n")
        wrong = bytearray(body)
        for _ in range(max(1, len(body) // 8)):
            if wrong:
                wrong[self._rng.randrange(len(wrong))] = self._rng.choice(b"#@~\x7f\xff?")
        return bytes(wrong) + data[len(body) :]


def fault_specs(faults: Sequence[Mapping[str, Any]], source: str) -> list[FaultSpec]:
    """Check every fault of a rig; in their order.

    Raises
    ------
    ConfigError
        For an unknown key, a missing occasion, or a kind that disk, computer or viewer cannot have.
    """
    specs = [validate(FaultSpec, fault, source, prefix=f"faults[{place}]") for place, fault in enumerate(faults)]
    for place, spec in enumerate(specs):
        kinds = HOST_KINDS.get(spec.instrument)
        if kinds is None:
            continue
        if spec.kind not in kinds:
            raise ConfigError(
                f"{source}: faults[{place}].kind: a {spec.instrument} cannot have {spec.kind!r}; "
                f"possible: {', '.join(kinds)}"
            )
        if spec.detail and not _is_number(spec.detail):
            raise ConfigError(f"{source}: faults[{place}].detail: give seconds as a number, not {spec.detail!r}")
        if spec.kind == "slow" and spec.detail and not 0 <= float(spec.detail) <= SLOWEST_WRITE:
            raise ConfigError(
                f"{source}: faults[{place}].detail: a write takes 0 to {SLOWEST_WRITE:g} s longer, not {spec.detail}"
            )
    return specs


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
