"""What a kernel leaves of a stack of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Solved"]


@dataclass(frozen=True, eq=False)
class Solved:
    """Tables that kernels fill, block by block.

    Attributes
    ----------
    table : (row, pixel)
        Maps.
    status : (pixel,)
        `FitStatus`.
    counts : (3, pixel)
        Iterations, significant lines, baseline degree.
    doubted : (pixel,)
        Whether there may be a better solution that was not looked for.
    """

    table: NDArray[np.float64]
    status: NDArray[np.uint8]
    counts: NDArray[np.int32]
    doubted: NDArray[np.bool_]

    @classmethod
    def empty(cls, rows: int, pixels: int) -> Solved:
        """Make room."""
        return cls(
            np.empty((rows, pixels)),
            np.empty(pixels, np.uint8),
            np.empty((3, pixels), np.int32),
            np.zeros(pixels, np.bool_),
        )

    def of(self, pixels: NDArray[np.int64]) -> Solved:
        """Return the same for a choice of pixels."""
        return Solved(self.table[:, pixels], self.status[pixels], self.counts[:, pixels], self.doubted[pixels])

    def invalidate(self, pixels: NDArray[np.bool_]) -> None:
        """Take back what was said of some pixels: their signal is none."""
        self.table[:, pixels], self.status[pixels], self.counts[:, pixels] = np.nan, 4, 0

    def put(self, pixels: NDArray[np.int64] | slice, other: Solved) -> None:
        """Replace some pixels by those of another."""
        self.table[:, pixels], self.status[pixels] = other.table, other.status
        self.counts[:, pixels], self.doubted[pixels] = other.counts, other.doubted
