"""Maps fitted again, later, beside those of the run, which stay."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.errors import DataError
from nvscope.store.files import WriteLock
from nvscope.store.journal import Journal
from nvscope.store.layout import DATA, JOURNAL, point_path
from nvscope.store.reader import RunReader
from nvscope.store.writer import put_maps
from nvscope.store.zarr3 import ZarrWriter

_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")


def write_refit(
    run_dir: Path, point: int, name: str, maps: Mapping[str, NDArray[Any]], attrs: Mapping[str, Any] | None = None
) -> None:
    """Write maps into a point's ``refits/NAME/``, visible all together.

    Parameters
    ----------
    run_dir
        A run that nobody is writing.
    point
        The point's number.
    name
        Letters, digits, ``_``, ``-`` and ``.``; not used yet at this point.
    maps
        Images (y, x) of the point's shape; stored as float32.
    attrs
        What made them: model, options, versions.

    Raises
    ------
    DataError
        If the name is taken or unfit, a map has another shape, or the run is being written.
    """
    if not _NAME.match(name):
        raise DataError(f"{name!r} is no name for a refit; use letters, digits, '_', '-' and '.'")
    reader = RunReader(run_dir).point(point)
    for key, image in maps.items():
        if not _NAME.match(key) or key in ("x", "y"):
            raise DataError(f"{key!r} is no name for a map")
        if image.shape != reader.shape:
            raise DataError(f"map {key!r} has shape {image.shape}, point {point} has {reader.shape}")
    lock = WriteLock(run_dir)
    try:
        zarr = ZarrWriter(run_dir / DATA)
        path = f"{point_path(point)}/refits/{name}"
        if zarr.node(path) is not None:
            raise DataError(f"point {point} has a refit {name!r} already; refits are never overwritten")
        images = {key: np.asarray(image, np.float32) for key, image in maps.items()}
        put_maps(zarr, path, images, attrs or {}, reader.attrs)
        journal = Journal(run_dir / JOURNAL)
        journal.append("refit", {"point": point, "name": name, "attrs": dict(attrs or {})}, source="run", durable=True)
        journal.close()
    finally:
        lock.release()
