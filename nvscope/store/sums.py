"""Frames of one block, summed in integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.errors import DataError
from nvscope.store.zarr3 import MAX_CHUNK
from nvscope.stream.messages import Frame, PointOpened

MOST_FRAMES = (2**32 - 1) // (2**16 - 1)
"""Most frames of one frequency in one block: more could overflow a uint32 sum of uint16 frames."""


@dataclass(frozen=True, eq=False)
class Sums:
    """One block: sums of frames, uint32 (frequency, y, x), and how many frames are in each, int64 (frequency,).

    `reference` is None if the block has no reference frames.
    """

    signal: NDArray[np.uint32]
    signal_frames: NDArray[np.int64]
    reference: NDArray[np.uint32] | None
    reference_frames: NDArray[np.int64]

    @property
    def frames(self) -> int:
        """How many frames there are in all."""
        return int(self.signal_frames.sum() + self.reference_frames.sum())


class BlockSums:
    """Sums the frames of one block after another of one point."""

    def __init__(self, point: PointOpened) -> None:
        self._shape = (len(point.frequencies), *point.shape)
        size = 4 * int(np.prod(self._shape, dtype=object))
        if size > MAX_CHUNK:
            raise DataError(
                f"point {point.point}: a block of {self._shape} takes {size} bytes, the store takes {MAX_CHUNK}; "
                "use fewer frequencies or a smaller image"
            )
        self._reset()

    def _reset(self) -> None:
        self._sums: dict[bool, NDArray[np.uint32]] = {}
        self._frames = {kind: np.zeros(self._shape[0], np.int64) for kind in (False, True)}

    def add(self, frame: Frame, image: NDArray[Any]) -> None:
        """Add one frame, uint16 of shape (y, x).

        Raises
        ------
        DataError
            If it does not belong into this point's sums; nothing was added.
        """
        steps, *shape = self._shape
        if list(frame.shape) != shape:
            raise DataError(f"a frame of shape {frame.shape} in a point of {tuple(shape)}")
        if frame.step >= steps:
            raise DataError(f"a frame of step {frame.step} in a point of {steps} frequencies")
        counts = self._frames[frame.reference]
        if counts[frame.step] >= MOST_FRAMES:
            raise DataError(f"more than {MOST_FRAMES} frames of step {frame.step} in one block; close blocks sooner")
        if frame.reference not in self._sums:
            self._sums[frame.reference] = np.zeros(self._shape, np.uint32)
        total = self._sums[frame.reference][frame.step]
        np.add(total, image, out=total)
        counts[frame.step] += 1

    def take(self) -> Sums:
        """Return the block and start the next."""
        signal = self._sums.get(False)
        sums = Sums(
            np.zeros(self._shape, np.uint32) if signal is None else signal,
            self._frames[False],
            self._sums.get(True),
            self._frames[True],
        )
        self._reset()
        return sums

    def forget(self) -> None:
        """Drop the block at hand."""
        self._reset()
