"""Do work on many pixels, block by block, on several threads; it can be abandoned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["SMALLEST", "Abandoned", "as_slice", "available_cores", "blocks", "for_all", "only_while"]

SMALLEST, LARGEST, SHARES = 504, 4088, 8  # pixels a thread takes at a time


def blocks(pixels: int, smallest: int = SMALLEST) -> list[slice]:
    """Split pixels, or what else there is many of, into blocks, the same on any number of threads."""
    size = min(LARGEST, max(smallest, -(-pixels // SHARES)))
    size += 8 if size % 64 == 0 else 0  # rows a multiple of a page apart would fight for the same cache lines
    return [slice(first, min(first + size, pixels)) for first in range(0, pixels, size)]


def as_slice(pixels: NDArray[np.int64]) -> NDArray[np.int64] | slice:
    """Return ascending indices as a slice where they follow each other: what it chooses need not be copied."""
    if pixels.size and pixels[-1] - pixels[0] + 1 == pixels.size:
        return slice(int(pixels[0]), int(pixels[-1]) + 1)
    return pixels


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
