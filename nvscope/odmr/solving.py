"""Run a kernel over a stack of pixels, block by block, on several threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.line_fit import LineFit
from nvscope.odmr.pair_fit import PairFit
from nvscope.odmr.result import ODMRFit
from nvscope.odmr.solved import Solved

__all__ = ["Abandoned", "available_cores", "for_all", "only_while", "solve", "to_result"]

Array = NDArray[np.float64]
SMALLEST, LARGEST, SHARES = 504, 2040, 8  # pixels a thread takes at a time


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

    for_all(block, blocks(pixels), threads)
    return solved


def blocks(pixels: int) -> list[slice]:
    """Split pixels into blocks, the same on any number of threads."""
    size = min(LARGEST, max(SMALLEST, -(-pixels // SHARES)))
    size += 8 if size % 64 == 0 else 0  # rows a multiple of a page apart would fight for the same cache lines
    return [slice(first, min(first + size, pixels)) for first in range(0, pixels, size)]


def available_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Abandoned(Exception):
    """What was being fitted is not wanted any more."""


_wanted: ContextVar[Callable[[], bool] | None] = ContextVar("wanted", default=None)


@contextmanager
def only_while(wanted: Callable[[], bool]) -> Iterator[None]:
    """Let whatever is fitted inside end with `Abandoned` soon after `wanted` says no; it is asked from any thread."""
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def for_all(work: Callable[[slice], None], parts: Iterable[slice], threads: int) -> None:
    """Do `work` on every part, on up to `threads` threads; the kernels release the interpreter.

    Numbers that overflow or are none end in a pixel's status, not in warnings.
    """
    parts = list(parts)
    wanted = _wanted.get()

    def do(part: slice) -> None:
        if wanted is not None and not wanted():
            raise Abandoned
        with np.errstate(all="ignore"):
            work(part)

    if threads == 1 or len(parts) <= 1:
        for part in parts:
            do(part)
        return
    with ThreadPoolExecutor(min(threads, len(parts)), thread_name_prefix="odmr-fit") as pool:
        for _ in pool.map(do, parts):
            pass


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
