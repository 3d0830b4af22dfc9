"""Where instruments touch the world: plain state that an instrument sets and the physics reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class MicrowavePort:
    """What leaves the microwave source."""

    frequency: float = 2.87e9  # Hz
    power_dbm: float = -20.0
    on: bool = False


@dataclass
class LaserPort:
    """What leaves the laser head, and the gate behind it."""

    power: float = 0.0  # W emitted (0 while off or faulted)
    gate_open: bool = False


@dataclass
class MagnetPort:
    """Current in each magnet axis (A), by axis name ("x", "y", "z")."""

    current: dict[str, float] = field(default_factory=lambda: {"z": 0.0})


@dataclass
class HeaterPort:
    """Heater power delivered (W), by output number."""

    power: dict[int, float] = field(default_factory=dict)


@dataclass
class CoolerPort:
    """The cold head: whether its compressor runs."""

    running: bool = True


@dataclass
class ExcitationPort:
    """Current sent through the outer contacts (A)."""

    current: float = 0.0


@dataclass
class MatrixPort:
    """Which relays of a contact matrix are closed, as (row, column) from 0; None where leads are wired for good."""

    closed: frozenset[tuple[int, int]] | None = None


@dataclass
class FocusPort:
    """Where the objective stands along the optical axis (m); None where it is fixed in focus."""

    position: float | None = None


class TriggerBus:
    """Trigger wires: counter outputs fire a line, whoever is plugged in hears it, in the order of plugging."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[tuple[object, Callable[[], None]]]] = {}

    def plug(self, line: str, listener: Callable[[], None]) -> None:
        """Connect `listener` to `line`."""
        self._listeners.setdefault(line, []).append((getattr(listener, "__self__", None), listener))

    def wrap(self, owner: object, disturb: Callable[[Callable[[], None]], Callable[[], None]]) -> int:
        """Put `disturb` between every wire and the inputs of `owner`, and return how many inputs that is.

        An input is owned by the object whose bound method is plugged in.
        """
        for listeners in self._listeners.values():
            listeners[:] = [(whose, disturb(listener) if whose is owner else listener) for whose, listener in listeners]
        return sum(whose is owner for listeners in self._listeners.values() for whose, _ in listeners)

    def fire(self, line: str) -> None:
        """One rising edge on `line`."""
        for _, listener in self._listeners.get(line, ()):
            listener()


@dataclass
class Ports:
    """Everything an instrument can touch."""

    microwave: MicrowavePort = field(default_factory=MicrowavePort)
    laser: LaserPort = field(default_factory=LaserPort)
    magnet: MagnetPort = field(default_factory=MagnetPort)
    heaters: HeaterPort = field(default_factory=HeaterPort)
    cooler: CoolerPort = field(default_factory=CoolerPort)
    excitation: ExcitationPort = field(default_factory=ExcitationPort)
    matrix: MatrixPort = field(default_factory=MatrixPort)
    focus: FocusPort = field(default_factory=FocusPort)
    triggers: TriggerBus = field(default_factory=TriggerBus)
