"""Reading a run: finished, being written, or cut short. Only blocks the journal commits exist here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import xarray as xr
import zarr

from nvscope.errors import DataError
from nvscope.store.housekeeping import RIG_TIME, read_history
from nvscope.store.info import RunInfo, read_info
from nvscope.store.journal import JournalLine, read_journal
from nvscope.store.layout import DATA, HISTORY, INFO, JOURNAL, TRUTH, point_path
from nvscope.store.part import PartStore
from nvscope.store.point_reader import Commit, PointReader


@dataclass(frozen=True)
class Outcome:
    """How a run ended: "done", "failed", "aborted", and why; "unfinished" while it runs or if it was cut short."""

    outcome: str
    reason: str


class RunReader:
    """Reads one run directory; what it has read stays as it was, `refresh` looks again.

    Parameters
    ----------
    path
        The run directory.

    Raises
    ------
    DataError
        If it is none.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not any((self.path / name).exists() for name in (INFO, JOURNAL, DATA)):
            raise DataError(f"{self.path} is not a run directory: it has no {INFO}, {JOURNAL} or {DATA}")
        self.refresh()

    def refresh(self) -> None:
        """Read the journal again."""
        self._nodes: tuple[tuple[int, int, int], dict[str, dict[str, Any]]] | None = None
        self.journal, self.damaged_lines = read_journal(self.path / JOURNAL)
        self._commits: dict[int, list[Commit]] = {}
        self._opened: dict[int, JournalLine] = {}
        for line in self.journal:
            if line.source == "recorder" and line.kind == "point-opened":
                self._opened[line.data["point"]] = line
            elif line.source == "recorder" and line.kind == "commit":
                commit = msgspec.convert(line.data, Commit)
                self._commits.setdefault(commit.point, []).append(commit)

    @cached_property
    def info(self) -> RunInfo:
        """``run.json``; raises `DataError` if it is missing or damaged."""
        return read_info(self.path)

    @property
    def outcome(self) -> Outcome:
        """How the run ended."""
        for line in reversed(self.journal):
            if line.source == "recorder" and line.kind == "finish":
                return Outcome(line.data["outcome"], line.data["reason"])
        return Outcome("unfinished", "the journal has no end: the run goes on or was cut short")

    def lines(self, kind: str, source: str | None = None) -> list[JournalLine]:
        """Return the journal's lines of one kind, from "run", "recorder" or both."""
        return [line for line in self.journal if line.kind == kind and source in (None, line.source)]

    def documents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the event-model documents as (name, document), in order."""
        for line in self.lines("document", "run"):
            yield line.data["name"], line.data["doc"]

    def history(self) -> xr.Dataset:
        """Return the housekeeping on `rig_time` (s), SI, NaN where unknown."""
        columns = read_history(self.path / HISTORY)
        times = columns.pop(RIG_TIME, np.empty(0))
        return xr.Dataset(
            {name: (RIG_TIME, values) for name, values in columns.items()},
            coords={RIG_TIME: (RIG_TIME, times, {"units": "s"})},
        )

    def crop(self) -> tuple[tuple[int, int, int, int], tuple[int, int]] | None:
        """Return which part of the camera's image (x, y, width, height) its maps are, and that image's shape (y, x).

        None where they are all of it, or not all the same part.
        """
        nodes = self.nodes()
        found = [nodes.get(point_path(number), {}).get("attributes", {}) for number in self.points]
        parts = {
            (tuple(attrs.get("crop", ())), tuple(attrs.get("image_shape", ())))
            for attrs in found
            if attrs.get("kind") == "odmr"
        }
        if len(parts) != 1 or not (part := parts.pop())[0]:
            return None
        (x, y, width, height), (rows, columns) = part
        return (x, y, width, height), (rows, columns)

    @property
    def points(self) -> list[int]:
        """Numbers of the points there are, in the order they were opened."""
        return list(self._opened)

    def point(self, number: int) -> PointReader:
        """Return one point.

        Raises
        ------
        DataError
            If there is none of that number.
        """
        if number not in self._opened:
            raise DataError(f"{self.path.name} has no point {number}; it has {self.points}")
        return PointReader(self, number, tuple(self._commits.get(number, ())))

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return the metadata of every group and array of ``data.zarr`` by path, one state of all, read at once.

        Each is a Zarr 3 node: ``attributes``, and of an array ``shape``. For a quick look at many points; the data are
        read through `point`. Empty before there is any.
        """
        try:
            file = (self.path / DATA / "zarr.json").stat()
            state = file.st_mtime_ns, file.st_size, file.st_ino
            if self._nodes is None or self._nodes[0] != state:
                document = msgspec.json.decode((self.path / DATA / "zarr.json").read_bytes())
                self._nodes = state, dict(document["consolidated_metadata"]["metadata"])
        except (OSError, msgspec.DecodeError, KeyError, TypeError):
            return {}
        return self._nodes[1]

    def group(self, path: str, root: str = DATA) -> xr.Dataset | None:
        """Open a group of ``data.zarr`` lazily, None if it is not there."""
        store = self.path / root
        if not store.is_dir():
            return None
        try:
            if root == DATA:
                return xr.open_zarr(PartStore(store, path, self.nodes()), chunks=None, consolidated=True)
            # the truth is written by another program, which keeps no summary of its metadata
            return xr.open_zarr(store, group=path, chunks=None, consolidated=False)
        except (KeyError, FileNotFoundError):
            return None

    def stored_group(self, path: str) -> zarr.Group | None:
        """Return a group of ``data.zarr`` as zarr gives it, None if it is not there."""
        try:
            return zarr.open_group(PartStore(self.path / DATA, path, self.nodes()), mode="r")
        except (KeyError, FileNotFoundError):
            return None

    def truth(self, path: str = "") -> xr.Dataset | None:
        """Open a group of a simulated run's ``truth.zarr``, None if there is none."""
        return self.group(path, TRUTH)
