"""Maps fitted again, later, beside those of the run, which stay."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.errors import DataError
from nvscope.store.files import PARTIAL, WriteLock, need_writable
from nvscope.store.journal import Journal
from nvscope.store.layout import DATA, JOURNAL, point_path
from nvscope.store.reader import RunReader
from nvscope.store.writer import put_maps
from nvscope.store.zarr3 import ZarrWriter

_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
_PATIENCE = 30.0
"""Wall seconds to wait for other refits, each of which writes for a moment, and for the recorder of an ended run."""


def check_refit(reader: RunReader, name: str) -> None:
    """Refuse beforehand what `write_refit` would refuse at any point.

    Raises
    ------
    DataError
        If the name is unfit, the run is being written, or its folder cannot be.
    """
    _need_name(name)
    with _sole_writer(reader):
        need_writable(reader.path / DATA)


def _need_name(name: str) -> None:
    if not _is_name(name):
        raise DataError(
            f"{name!r} is no name for a refit; use letters, digits, '_', '-' and '.', not beginning with '__', '-' or "
            f"'.', not ending in {PARTIAL!r}, and not 'zarr.json'"
        )


def _is_name(name: str) -> bool:
    """Whether a group or array may be called so: Zarr keeps some names, and we one ending, for files of their own."""
    lower = name.lower()  # some file systems do not tell cases apart
    return bool(_NAME.match(name)) and not (lower == "zarr.json" or lower.startswith("__") or lower.endswith(PARTIAL))


@contextmanager
def _sole_writer(reader: RunReader) -> Iterator[None]:
    """Hold the right to write a run, after other refits; its recorder is waited for only once the run has ended."""
    # refits take turns: whoever keeps the run from the one whose turn it is, is no refit
    turn = WriteLock(reader.path, _PATIENCE, ".refit")
    try:
        ended = reader.outcome.outcome != "unfinished"
        lock = WriteLock(reader.path, _PATIENCE if ended else 0.0)
        try:
            yield
        finally:
            lock.release()
    finally:
        turn.release()


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
        As `check_refit` has it; not used yet at this point.
    maps
        Images (y, x) of the point's shape; stored as float32.
    attrs
        What made them: model, options, versions.

    Raises
    ------
    DataError
        If the name is taken or unfit, a map has another shape, the run is being written, or cannot be.
    """
    run = RunReader(run_dir)
    _need_name(name)
    reader = run.point(point)
    for key, image in maps.items():
        if not _is_name(key) or key in ("x", "y"):
            raise DataError(f"{key!r} is no name for a map")
        if image.shape != reader.shape:
            raise DataError(f"map {key!r} has shape {image.shape}, point {point} has {reader.shape}")
    with _sole_writer(run):
        try:
            _write(run_dir, point, name, maps, dict(attrs or {}), reader.attrs)
        except OSError as error:
            raise DataError(f"the refit {name!r} of point {point} cannot be written: {error}") from error


def _write(
    run_dir: Path,
    point: int,
    name: str,
    maps: Mapping[str, NDArray[Any]],
    attrs: dict[str, Any],
    point_attrs: Mapping[str, Any],
) -> None:
    zarr = ZarrWriter(run_dir / DATA)
    path = f"{point_path(point)}/refits/{name}"
    if zarr.node(path) is not None:
        raise DataError(f"point {point} has a refit {name!r} already; refits are never overwritten")
    images = {key: np.asarray(image, np.float32) for key, image in maps.items()}
    put_maps(zarr, path, images, attrs, point_attrs)
    journal = Journal(run_dir / JOURNAL)
    journal.append("refit", {"point": point, "name": name, "attrs": attrs}, source="run", durable=True)
    journal.close()
