"""Writing down what the sample really did; written by the lab, read by tests and validation only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

_UNITS = {
    "tc": "K",
    "sigma_zz": "Pa",
    "tau": "Pa",
    "sigma_xz": "Pa",
    "sigma_yz": "Pa",
    "la_ni_ratio": "",
    "mask": "",
    "b_z": "T",
    "s": "",
    "f_minus": "Hz",
    "f_plus": "Hz",
    "temperature": "K",
    "h": "T",
    "shift_x": "m",
    "shift_y": "m",
    "rig_time": "s",
    "resistance": "ohm",
}


class TruthWriter:
    """Appends snapshots to a Zarr group: ``static/NAME`` (y, x) and ``snapshots/NAME`` (snapshot[, y, x]).

    Parameters
    ----------
    path : Path
        The group's folder, by custom ``truth.zarr``; created, an existing one is refused.
    static : mapping
        Maps that do not change, by name, shape (y, x).
    attributes : mapping
        Written to the group.
    """

    def __init__(
        self,
        path: Path,
        static: Mapping[str, NDArray[np.float64]],
        attributes: Mapping[str, str | float | int] | None = None,
    ) -> None:
        if path.exists():
            raise FileExistsError(f"{path}: exists already; every run writes a truth of its own")
        self._group = zarr.open_group(str(path), mode="w-")
        self._group.attrs.update(dict(attributes or {}))
        fixed = self._group.create_group("static")
        for name, values in static.items():
            array = fixed.create_array(
                name, shape=values.shape, dtype="float32", chunks=values.shape, dimension_names=("y", "x")
            )
            array[...] = values.astype(np.float32)
            array.attrs["units"] = _UNITS.get(name, "")
        self._snapshots = self._group.create_group("snapshots")
        self.count = 0

    def append(self, snapshot: Mapping[str, NDArray[np.float64] | float]) -> None:
        """Append one snapshot; every snapshot must have the names and shapes of the first."""
        for name, value in snapshot.items():
            values = np.asarray(value)
            # positions to the hertz and times to the microsecond need more than single precision
            dtype = "float32" if values.ndim and name in ("b_z", "s") else "float64"
            if self.count == 0:
                array = self._snapshots.create_array(
                    name,
                    shape=(0, *values.shape),
                    dtype=dtype,
                    chunks=(1, *values.shape),
                    dimension_names=("snapshot", "y", "x")[: values.ndim + 1],
                )
                array.attrs["units"] = _UNITS.get(name, "")
            array = self._snapshots[name]
            array.resize((self.count + 1, *values.shape))
            array[self.count] = values
        self.count += 1
