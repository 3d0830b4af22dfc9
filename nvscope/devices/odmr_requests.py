"""What a plan asks of an ODMR device, and what the rig's limits say to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from nvscope.config import Limits
from nvscope.config.polygons import Crop, Vertices
from nvscope.devices.base import check_exposure
from nvscope.devices.sweep_order import ORDERS, REFERENCES, Order, Reference, frames_per_sweep
from nvscope.errors import LimitError

_SCOUTING = 4
"""The first sweep of an adaptive point takes this many times fewer frames: it only has to show the lines."""


@dataclass(frozen=True)
class OpenPoint:
    """Start a point: its purpose, frequency axis (Hz, ascending), frames per step and sweep, and how they are taken.

    With ``sampling="adaptive"`` the first sweep looks at every frequency briefly; those that follow take as many
    frames as a uniform one, placed where they tell most about the lines in `region` (outlines as fractions of the
    image; none: all of it). `crop` is the part of the image to read out. With `drift` every block is told how far its
    image has moved against the first that was taken this way in the run.
    """

    purpose: str
    frequencies: tuple[float, ...]
    frames: int
    exposure: float
    power_dbm: float
    laser_power: float
    order: Order = "alternate"
    seed: int = 0
    reference: Reference = "none"
    reference_frames: int = 1
    sampling: Literal["uniform", "adaptive"] = "uniform"
    region: tuple[Vertices, ...] = ()
    crop: Crop | None = None
    drift: bool = False
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scouting_frames(self) -> int:
        """Frames per frequency of the first sweep."""
        return max(1, self.frames // _SCOUTING) if self.sampling == "adaptive" else self.frames

    def frames_of(self, sweep: int) -> int:
        """Return how many frames a sweep takes; where they are placed, at most."""
        each = self.scouting_frames if sweep == 0 else self.frames
        return frames_per_sweep(each, len(self.frequencies), self.reference, self.reference_frames)

    def stored(self) -> dict[str, Any]:
        """Return how the point is taken, as it is stored with it."""
        found: dict[str, Any] = {
            "purpose": self.purpose,
            "exposure": self.exposure,
            "frames_per_step": self.frames,
            "microwave_power_dbm": self.power_dbm,
            "laser_power": self.laser_power,
            "order": self.order,
            "reference": self.reference,
            "sampling": self.sampling,
        }
        if self.drift:
            found["drift"] = True
        if self.order == "random":
            found["seed"] = self.seed
        if self.reference != "none":
            found["reference_frames"] = self.reference_frames
        return found


@dataclass(frozen=True)
class TakeBlock:
    """Take one block of `sweeps` whole sweeps of the open point; with `fitted` wait for maps that show it.

    One that is `spare` is taken only where a target has not been reached; estimates count it apart.
    """

    sweeps: int = 1
    fitted: bool = False
    spare: bool = False


@dataclass(frozen=True)
class ClosePoint:
    """Close the open point; with `find_pair` (Hz) a pair that far from its centre is sought in the mean spectrum."""

    attrs: Mapping[str, Any] = field(default_factory=dict)
    find_pair: float | None = None


Request = OpenPoint | TakeBlock | ClosePoint


def check_point(point: OpenPoint, limits: Limits, shape: tuple[int, int] | None) -> None:
    """Raise `LimitError` for a point that the rig's limits or its camera of `shape` (y, x; None: not known) forbid."""
    f = np.asarray(point.frequencies)
    if f.size < 8 or np.any(np.diff(f) <= 0):
        found = f"{f.size}" if f.size < 8 else "some that do not rise: their steps are too small"
        raise LimitError(f"an ODMR point needs at least 8 ascending frequencies, got {found}")
    if f[0] < limits.frequency_min or f[-1] > limits.frequency_max:
        raise LimitError(
            f"frequencies {f[0] / 1e9:.4g} to {f[-1] / 1e9:.4g} GHz leave this rig's "
            f"{limits.frequency_min / 1e9:.4g} to {limits.frequency_max / 1e9:.4g} GHz"
        )
    if point.power_dbm > limits.microwave_power_dbm:
        raise LimitError(
            f"microwave power {point.power_dbm:g} dBm exceeds the limit of {limits.microwave_power_dbm:g} dBm"
        )
    if not 0 < point.laser_power <= limits.laser_power:
        raise LimitError(f"laser power {point.laser_power:g} W is outside the limit of {limits.laser_power:g} W")
    if point.frames < 1:
        raise LimitError("an ODMR point needs at least one frame per step")
    check_exposure(point.exposure, limits)
    if point.order not in ORDERS:
        raise LimitError(f"sweep order {point.order!r} is not one of {', '.join(ORDERS)}")
    if point.reference not in REFERENCES or point.reference_frames < 1:
        raise LimitError(
            f"reference {point.reference!r} of {point.reference_frames} frames: choose one of "
            f"{', '.join(REFERENCES)} and at least one frame"
        )
    if point.crop is not None and shape is not None:
        x, y, width, height = point.crop
        if min(x, y) < 0 or min(width, height) < 1 or x + width > shape[1] or y + height > shape[0]:
            raise LimitError(
                f"crop {x}, {y}, {width}, {height} leaves the camera's image of {shape[1]} x {shape[0]} pixels"
            )
