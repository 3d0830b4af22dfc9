"""Run a kernel over a stack of pixels, block by block, on several threads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.line_fit import LineFit
from nvscope.odmr.pair_fit import PairFit
from nvscope.odmr.parallel import blocks, for_all
from nvscope.odmr.result import ODMRFit
from nvscope.odmr.solved import Solved

__all__ = ["solve", "to_result"]

Array = NDArray[np.float64]


def solve(
    engine: PairFit | LineFit, signal: NDArray[Any], start: Array, threads: int, root: Array | None = None
) -> Solved:
    """Fit every pixel.

    Parameters
    ----------
    engine
        Kernel and setup.
    signal : (frequency, pixel)
        Any real type.
    start : (0 or pixel, parameter)
        Centres and widths in units of x; not-finite rows are guessed.
    threads
        How many to use; the result does not depend on it.
    root : (1 or pixel, frequency), optional
        Square roots of the weights, if not those of the setup.
    """
    pixels = signal.shape[1]
    solved = Solved.empty(engine.rows, pixels)
    root = engine.setup.weights.root if root is None else root

    def block(part: slice) -> None:
        own = root if root.shape[0] == 1 else root[part]
        engine.block(signal[:, part], own, start[part], part.start, solved)

    for_all(block, blocks(pixels, engine.smallest_block), threads)
    return solved


def to_result(engine: PairFit | LineFit, signal: NDArray[Any], solved: Solved) -> ODMRFit:
    """Put what was solved onto the pixel grid of `signal`, in Hz."""
    grid = signal.shape[1:]
    return ODMRFit(
        model_name=engine.setup.shape.name,
        frequency=engine.setup.frequency,
        signal=signal,
        status=solved.status.reshape(grid),
        iterations=solved.counts[0].reshape(grid),
        n_lines=solved.counts[1].astype(np.uint8).reshape(grid),
        baseline_degree=solved.counts[2].astype(np.uint8).reshape(grid),
        **engine.maps(solved.table, grid),
    )
