"""Virtual channels, and what a task expects of whatever drives them."""

from __future__ import annotations

from typing import Any, Protocol

from nvscope_simulators.nidaqmx_card.properties import Property, PropertySet


class Stream(Protocol):
    """Where a client's registered events go."""

    def send(self, fields: dict[str, Any]) -> None:
        """Send one."""
        ...

    def close(self) -> None:
        """Send no more."""
        ...


class Channel:
    """A virtual channel.

    Attributes
    ----------
    kind, usage : int
        NI's numbers for the channel type and for what it measures or generates.
    physical : list of str
        Physical channels as given, ports unexpanded.
    lines : list of str
        Digital lines it spans.
    count, output_state, pulse_done
        What its counter shows now.
    """

    def __init__(
        self, name: str, kind: int, usage: int, physical: list[str], lines: list[str], table: dict[str, Property]
    ) -> None:
        self.name, self.kind, self.usage = name, kind, usage
        self.physical, self.lines = physical, lines
        self.count = 0
        self.output_state = 0
        self.pulse_done = False
        self.properties = PropertySet(table, self, {"Channel_Name": name})

    @property
    def columns(self) -> list[int]:
        """Which of its lines each column of a digital waveform is: ports come with their highest line first."""
        order: list[int] = []
        for item in self.physical:
            count = sum(line == item or line.startswith(f"{item}/") for line in self.lines)
            these = range(len(order), len(order) + count)
            order += these if "/line" in item else reversed(these)
        return order


class Engine(Protocol):
    """What a kind of channel does in each state of its task."""

    @property
    def position(self) -> int:
        """Samples written or read per channel."""
        ...

    @property
    def total(self) -> int:
        """Samples generated or acquired per channel."""
        ...

    @property
    def space(self) -> int:
        """Room in the output buffer (samples per channel)."""
        ...

    def resources(self) -> list[str]:
        """Name what has to be reserved."""
        ...

    def verify(self) -> None:
        """Refuse settings that contradict each other or the card."""
        ...

    def commit(self) -> None:
        """Program the card: routes and idle levels."""
        ...

    def release(self) -> None:
        """Undo `commit`."""
        ...

    def ready(self) -> None:
        """Refuse to start if something is missing."""
        ...

    def begin(self) -> None:
        """Begin, now that the start trigger has come."""
        ...

    def stop(self) -> None:
        """End whatever runs."""
        ...

    @property
    def endless(self) -> bool:
        """Whether the task runs until stopped and has something to be waited for."""
        ...

    @property
    def timed(self) -> bool:
        """Whether starting sets off something that takes time."""
        ...
