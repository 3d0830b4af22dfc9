"""How a rig file's instrument becomes a role: the driver entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import ClassVar, Protocol

from nvscope.config import Frozen
from nvscope.devices.roles import Instrument
from nvscope.errors import ConfigError


class Driver(Protocol):
    """A class registered in the entry-point group ``nvscope.drivers``.

    ``Settings`` is what the rig file may say under ``[instruments.NAME.settings]``; ``connect`` opens the session at
    `address` and returns the role, changing no output.
    """

    Settings: ClassVar[type[Frozen]]

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> Instrument:
        """Open the instrument at `address`."""
        ...


def find_driver(name: str) -> Driver:
    """Load the driver registered as `name`; the error lists what there is."""
    available = entry_points(group="nvscope.drivers")
    for entry in available:
        if entry.name == name:
            return entry.load()
    known = ", ".join(sorted(entry.name for entry in available)) or "none installed"
    raise ConfigError(f"no driver called {name!r}; installed drivers: {known}")
