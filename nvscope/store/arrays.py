"""Which arrays a point has: names, axes, chunks, units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.store.zarr3 import Node, array
from nvscope.stream.messages import PointOpened

IMAGE = ("y", "x")
BLOCK = ("block",)
COUNTS = ("block", "frequency")
SUMS = ("block", "frequency", *IMAGE)

_UNITS = (
    (("f_minus", "f_plus", "half_splitting", "center", "d_shift", "width"), "Hz"),
    (("b_",), "T"),
    (("sigma_", "tau"), "Pa"),
    (("s_ratio", "contrast", "chi2"), "1"),
)


def unit_of(name: str) -> str | None:
    """Return the SI unit of a map by its name (``f_minus_err`` has that of ``f_minus``), None if unknown."""
    stem = name.removesuffix("_err")
    for prefixes, unit in _UNITS:
        if stem.startswith(prefixes):
            return unit
    return None


def frequency_axis(frequencies: Sequence[float]) -> tuple[NDArray[np.float64], Node]:
    """Return the coordinate ``frequency`` (Hz) and its metadata."""
    return _axis("frequency", np.asarray(frequencies, np.float64), "Hz", "microwave frequency")


def image_axes(shape: Sequence[int], attrs: Mapping[str, Any]) -> dict[str, tuple[NDArray[np.float64], Node]]:
    """Return the coordinates ``y`` and ``x`` of an image with their metadata.

    They are pixel centres, in metres from the corner of the camera's image if the point's `attrs` tell the edge of a
    pixel (``pixel_size``, m), else pixel numbers. What is only a part of that image (``crop``) keeps its place in it.
    """
    pixel_size, crop = attrs.get("pixel_size"), attrs.get("crop") or (0, 0)
    pitch = float(pixel_size) if isinstance(pixel_size, int | float) and pixel_size > 0 else None
    axes = {}
    for name, length, first in zip(IMAGE, shape, (crop[1], crop[0]), strict=True):
        values = first + np.arange(length, dtype=np.float64)
        if pitch is not None:
            values = (values + 0.5) * pitch
        axes[name] = _axis(name, values, "pixel" if pitch is None else "m", f"{name} in the image")
    return axes


def _axis(name: str, values: NDArray[np.float64], unit: str, label: str) -> tuple[NDArray[np.float64], Node]:
    return values, array(values.shape, values.shape, "float64", (name,), {"units": unit, "long_name": label})


def sums_node(point: PointOpened, rows: int, kind: str) -> Node:
    """Return the metadata of ``signal`` or ``reference`` with `rows` blocks."""
    shape = (len(point.frequencies), *point.shape)
    attrs = {
        "units": "count",
        "long_name": f"sum of {kind} frames; divide by {kind}_frames",
        "ancillary_variables": f"{kind}_frames",
    }
    return array((rows, *shape), (1, *shape), "uint32", SUMS, attrs)


def counts_node(point: PointOpened, rows: int, kind: str) -> Node:
    """Return the metadata of ``signal_frames`` or ``reference_frames`` with `rows` blocks."""
    steps = len(point.frequencies)
    attrs = {"units": "1", "long_name": f"number of {kind} frames in the sum"}
    return array((rows, steps), (1, steps), "int64", COUNTS, attrs)


def shift_node(rows: int) -> Node:
    """Return the metadata of ``shift``: how far the image had moved (y, x) in each block."""
    attrs = {"units": "pixel", "long_name": "how far the image had moved along y and x"}
    return array((rows, 2), (1, 2), "float64", ("block", "direction"), attrs)


def block_node(rows: int) -> Node:
    """Return the metadata of the coordinate ``block``: the run's block numbers, in order of commitment."""
    return array((rows,), (1,), "int64", BLOCK, {"long_name": "block number"})


def map_node(name: str, shape: Sequence[int]) -> Node:
    """Return the metadata of one map, float32 (y, x)."""
    unit = unit_of(name)
    attrs: dict[str, Any] = {} if unit is None else {"units": unit}
    return array(shape, shape, "float32", IMAGE, attrs)
