"""Which threads go first on a busy computer: frames, then final maps, then everything that can wait."""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["step_back"]

NICE = 5


def step_back() -> None:
    """Let this thread, and those it starts, have less of a busy computer than others.

    Only Linux can say so of a thread; elsewhere nothing is changed.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + NICE)
