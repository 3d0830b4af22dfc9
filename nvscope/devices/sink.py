"""Where an ODMR device sends its frames, and what it hears back; the engine provides one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nvscope.errors import DataError


class BlockRefused(DataError):
    """A block that was sent will not be on disk; its sweeps can be taken again as another block."""


@dataclass(frozen=True)
class FrameTag:
    """Which frame this is: indices into point, block, sweep and frequency axis, and its number in the train."""

    point: int
    block: int
    sweep: int
    step: int
    number: int
    reference: bool
    rig_time: float


@dataclass(frozen=True)
class MapSummary:
    """What the newest maps say: medians over fitted pixels (Hz, T) and how many pixels were fitted.

    `b_err`, `region_fraction` and `chi2_reduced` are of the region that matters, the whole image where none was chosen;
    `lines` are the maps of the two lines in some of its pixels, by name, each of shape (pixel,).
    """

    center: float
    half_splitting: float
    b_err: float
    fitted_fraction: float
    extra: Mapping[str, float] = field(default_factory=dict)
    region_fraction: float = 0.0
    chi2_reduced: float = float("nan")
    lines: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


class FrameSink(Protocol):
    """Lossless way out for frames; every await is bounded and raises when its far side has gone."""

    async def open_point(
        self, kind: str, frequencies: Sequence[float], shape: tuple[int, int], attrs: Mapping[str, Any]
    ) -> int:
        """Announce a point; returns its number."""
        ...

    async def frame(self, tag: FrameTag, image: NDArray[np.uint16]) -> None:
        """Send one frame; waits while the readers are behind."""
        ...

    async def close_block(
        self,
        point: int,
        block: int,
        frames: int,
        sweeps: int,
        valid: bool,
        reason: str = "",
        shift: tuple[float, float] | None = None,
    ) -> None:
        """Close a block, its image moved by `shift` (y, x; pixels); returns once a valid one is on disk.

        Raises
        ------
        BlockRefused
            If a valid one does not get there, because frames of it were lost on the way.
        """
        ...

    async def close_point(self, point: int, attrs: Mapping[str, Any], *, maps: bool = True) -> MapSummary | None:
        """Close a point; returns the summary of its final maps, None if there are none or none are expected."""
        ...

    async def fitted(self, point: int, blocks: int) -> MapSummary | None:
        """Wait, bounded, for maps that show the first `blocks` blocks of a point; returns the newest there are."""
        ...

    def latest(self, point: int) -> MapSummary | None:
        """Return the summary of the newest maps of a point, without waiting."""
        ...
