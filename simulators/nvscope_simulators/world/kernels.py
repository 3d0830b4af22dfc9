"""Compiled functions, kept between runs where there is a place to keep them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a module-level function at its first call; the machine code is kept beside the module or in the home.

    A kernel calls only kernels of its own module: numba looks at that module's age alone when it loads what it kept.
    Division by zero gives infinity, as in numpy.
    """
    try:
        compiled: Function = njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # neither place can be written: compile in every process
        compiled = njit(error_model="numpy")(function)
    return compiled
