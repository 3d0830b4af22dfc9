"""How a rig file's instrument becomes a role: the driver entry points."""

from __future__ import annotations

import math
from importlib.metadata import entry_points
from typing import ClassVar, Protocol

from nvscope.config import Frozen, Rig, validate
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


def vector_direction(rig: Rig) -> tuple[float, float, float] | None:
    """Return the unit vector along which a rig's vector magnet serves as an ordinary one; None if it has one axis.

    A driver that can ramp a vector (`start_vector_ramp`) says so by its settings' ``direction``; nothing is connected.
    """
    spec = rig.instruments.get("magnet")
    driver = None if spec is None else find_driver(spec.driver)
    if spec is None or not hasattr(driver, "start_vector_ramp") or driver is None:
        return None
    settings = validate(driver.Settings, spec.settings, f"rig {rig.name}", prefix="instruments.magnet.settings")
    x, y, z = getattr(settings, "direction", (0.0, 0.0, 1.0))
    length = math.hypot(x, y, z)
    return x / length, y / length, z / length
