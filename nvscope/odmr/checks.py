"""Refuse what cannot be fitted, saying what to change."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["check_axis", "check_signal", "saturated"]

SATURATED = 0.05  # share of a pixel's points that may be cut off at the top


def check_axis(frequency: ArrayLike, parameters: int) -> NDArray[np.float64]:
    """Return the frequency axis as float64, ascending and long enough.

    Raises
    ------
    ValueError
        If it is not one-dimensional, finite, strictly ascending, or shorter than `parameters` + 1.
    """
    axis = np.asarray(frequency)
    if axis.dtype.kind not in "uif":
        raise ValueError(f"frequency must be real numbers in Hz, got {axis.dtype}")
    axis = np.ascontiguousarray(axis, dtype=np.float64)
    if axis.ndim != 1:
        raise ValueError(f"frequency must have one axis, got shape {axis.shape}")
    if axis.size <= parameters:
        raise ValueError(
            f"{axis.size} frequencies cannot determine {parameters} parameters; "
            f"measure at least {parameters + 1}, or fit fewer lines or a simpler baseline"
        )
    if not np.all(np.isfinite(axis)):
        raise ValueError(f"frequency[{int(np.argmin(np.isfinite(axis)))}] is not finite")
    steps = np.diff(axis)
    if np.any(steps == 0):
        where = int(np.argmin(steps != 0))
        raise ValueError(
            f"frequency {axis[where]:.6g} Hz occurs more than once (at index {where}); "
            "average the signal over repeated frequencies first"
        )
    if np.any(steps < 0):
        raise ValueError(
            "frequency must ascend; sort it and the signal: order = np.argsort(frequency); "
            "fit(frequency[order], signal[order])"
        )
    return axis


def saturated(signal: NDArray[Any]) -> NDArray[np.bool_]:
    """Which pixels of raw counts, (frequency, …), stand at the top of their type in more than one point of twenty."""
    if signal.dtype not in (np.uint8, np.uint16) or signal.max() < np.iinfo(signal.dtype).max:
        return np.zeros(signal.shape[1:], np.bool_)
    result: NDArray[np.bool_] = (signal == np.iinfo(signal.dtype).max).mean(axis=0) > SATURATED
    return result


def check_signal(signal: ArrayLike, points: int) -> NDArray[Any]:
    """Return the signal as an array of shape (frequency, y, x) or (frequency, pixel), in the machine's byte order.

    Masked points become NaN. Nothing is copied where none is masked and the order is the machine's.

    Raises
    ------
    ValueError
        If it is not real, or its axes are not those, or there is no pixel.
    """
    array = np.asarray(signal)
    if isinstance(signal, np.ma.MaskedArray) and array.dtype.kind in "uif" and np.ma.is_masked(signal):
        array = np.where(np.ma.getmaskarray(signal), np.nan, array)
    if array.dtype.kind == "b" or array.dtype.kind not in "uif":
        raise ValueError(f"signal must be real numbers, got {array.dtype}")
    if array.ndim not in (2, 3):
        raise ValueError(
            f"signal has shape {array.shape}; expected (frequency, y, x) or (frequency, pixel); "
            "a single spectrum goes in as signal[:, None]"
        )
    if array.shape[0] != points:
        raise ValueError(
            f"signal's first axis has {array.shape[0]} points but frequency has {points}; "
            "the frequency axis comes first: signal.transpose(2, 0, 1) for (y, x, frequency)"
        )
    if array.size == 0:
        raise ValueError(f"signal has shape {array.shape}: there is no pixel to fit")
    # images of FITS and many TIFF files come in the other order, which kernels do not take
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
