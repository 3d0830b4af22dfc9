"""What a window must be given to start runs: names to choose from, fields to fill in, plans to look at. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nvscope.stream.control import Parameter


@dataclass(frozen=True)
class PlanStep:
    """A planned step: start and duration (s), temperature (K) and field (T) it leaves behind."""

    text: str
    start: float
    duration: float
    temperature: float
    field: float


@dataclass(frozen=True)
class Plan:
    """A plan as walked without hardware; `summary` says its size in words."""

    steps: tuple[PlanStep, ...]
    duration: float
    summary: str


@dataclass(frozen=True)
class Request:
    """What is to be run; `settings` holds the parameters that differ from the sequence's own, as text."""

    sequence: str
    rig: str
    sample: str
    settings: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


class Launcher(Protocol):
    """Provided by the command line, which knows sequences and rigs. Methods raise `NvscopeError` with what to mend."""

    def sequences(self) -> dict[str, str]:
        """Return the sequences there are, with a line about each."""
        ...

    def rigs(self) -> list[str]:
        """Return the names of the rig files."""
        ...

    def samples(self) -> list[str]:
        """Return the names of the sample files."""
        ...

    def fields(self, sequence: str) -> list[Parameter]:
        """Return the parameters of a sequence."""
        ...

    def plan(self, request: Request) -> Plan:
        """Walk the plan; nothing is touched."""
        ...

    def start(self, request: Request) -> str:
        """Start the run as a process of its own; returns where its output goes."""
        ...

    def live(self, rig: str, sample: str) -> str:
        """Hold a rig's instruments in a process that ends safely with this one; returns where its output goes."""
        ...
