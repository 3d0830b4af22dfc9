"""Reading a run: finished, being written, or cut short. Only blocks the journal commits exist here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from nvscope.errors import DataError
from nvscope.store.housekeeping import RIG_TIME, read_history
from nvscope.store.info import RunInfo, read_info
from nvscope.store.journal import JournalLine, read_journal
from nvscope.store.layout import DATA, HISTORY, INFO, JOURNAL, TRUTH, point_path
from nvscope.stream.light import block_light, relative_light
from nvscope.stream.registration import halo, noise_gain, registered


@dataclass(frozen=True)
class Outcome:
    """How a run ended: "done", "failed", "aborted", and why; "unfinished" while it runs or if it was cut short."""

    outcome: str
    reason: str


class Commit(msgspec.Struct, frozen=True):
    """One committed block: its row in the arrays, and how many frames of each frequency it sums."""

    point: int
    block: int
    row: int
    sweeps: int
    frames: int
    signal_frames: list[int]
    reference_frames: list[int]
    bytes: int
    shift: tuple[float, float] | None = None


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
        self.__dict__.pop("_root", None)
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
            document = msgspec.json.decode((self.path / DATA / "zarr.json").read_bytes())
            found = document["consolidated_metadata"]["metadata"]
        except (OSError, msgspec.DecodeError, KeyError, TypeError):
            return {}
        return dict(found)

    def group(self, path: str, root: str = DATA) -> xr.Dataset | None:
        """Open a group of ``data.zarr`` lazily, None if it is not there."""
        store = self.path / root
        if not store.is_dir():
            return None
        try:
            # the truth is written by another program, which keeps no summary of its metadata
            return xr.open_zarr(store, group=path, chunks=None, consolidated=None if root == DATA else False)
        except (KeyError, FileNotFoundError):
            return None

    @cached_property
    def _root(self) -> zarr.Group | None:
        """The whole of ``data.zarr``, its metadata parsed once: opening group by group costs 70 ms each."""
        try:
            return zarr.open_group(self.path / DATA, mode="r")
        except (KeyError, FileNotFoundError):
            return None

    def stored_group(self, path: str) -> zarr.Group | None:
        """Return a group of ``data.zarr`` as zarr gives it, None if it is not there; fast, for many points."""
        found = None if self._root is None else self._root.get(path)
        return found if isinstance(found, zarr.Group) else None

    def truth(self, path: str = "") -> xr.Dataset | None:
        """Open a group of a simulated run's ``truth.zarr``, None if there is none."""
        return self.group(path, TRUTH)


class PointReader:
    """One point of a run. Made by `RunReader.point`.

    Attributes
    ----------
    number : int
        Its number.
    commits : tuple of Commit
        Its committed blocks, in order.
    """

    def __init__(self, run: RunReader, number: int, commits: tuple[Commit, ...]) -> None:
        self.number = number
        self.commits = commits
        self._run = run
        self._path = point_path(number)

    @cached_property
    def _stored(self) -> xr.Dataset:
        stored = self._run.group(self._path)
        if stored is None:
            raise DataError(f"{self._run.path.name}: point {self.number} is in the journal but not in {DATA}")
        return stored

    @property
    def attrs(self) -> dict[str, Any]:
        """What is known of the point: kind, rig_time, T, H, certificate …."""
        group = self._run.stored_group(self._path)
        return dict(self._stored.attrs if group is None else group.attrs.asdict())

    @property
    def kind(self) -> str:
        """What is measured there: "odmr" or "transport"."""
        return str(self.attrs["kind"])

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Microwave frequencies (Hz); empty for a transport point."""
        if "frequency" not in self._stored.coords:
            return np.empty(0)
        return np.asarray(self._stored.coords["frequency"].values, np.float64)

    @property
    def shape(self) -> tuple[int, int]:
        """Image shape (y, x); (0, 0) for a transport point."""
        return self._stored.sizes.get("y", 0), self._stored.sizes.get("x", 0)

    @property
    def sweeps(self) -> int:
        """How many whole sweeps are committed."""
        return sum(commit.sweeps for commit in self.commits)

    @property
    def frames(self) -> int:
        """How many frames are committed."""
        return sum(commit.frames for commit in self.commits)

    @property
    def shifts(self) -> NDArray[np.float64] | None:
        """How far the image had moved (y, x; pixels) in each committed block, None where nobody looked."""
        if not any(commit.shift is not None for commit in self.commits):
            return None
        return np.array([commit.shift or (0.0, 0.0) for commit in self.commits], np.float64)

    def dataset(self) -> xr.Dataset:
        """Return sums and numbers of frames of committed blocks as stored, lazily: ``.chunk()`` it for dask.

        ``signal`` and, if there are any, ``reference`` are uint32 (block, frequency, y, x), each with ``…_frames``
        (block, frequency).
        """
        if "block" not in self._stored.dims:
            return self._stored
        return self._stored.isel(block=[commit.row for commit in self.commits])

    def frame_counts(self, kind: str = "signal") -> NDArray[np.int64]:
        """Return the journal's numbers of frames, int64 (block, frequency), of "signal" or "reference" frames."""
        steps = len(self.frequencies)
        rows = [getattr(commit, f"{kind}_frames") or [0] * steps for commit in self.commits]
        return np.array(rows, np.int64).reshape(len(rows), steps)

    def total(
        self, kind: str = "signal", blocks: slice | None = None, rows: slice | None = None
    ) -> NDArray[np.uint64] | NDArray[np.float32]:
        """Return the sum of the frames of each frequency, shape (frequency, y, x).

        Where the blocks' images had moved they are moved back (float32, NaN where the image then ends): all blocks show
        the same place in a pixel. One block at a time is in memory besides.

        Parameters
        ----------
        kind
            "signal" or "reference"; the latter is light, which does not move with the sample.
        blocks
            Which of `commits`; all by default.
        rows
            Which rows of the image; all by default.

        Raises
        ------
        DataError
            If the stored numbers of frames contradict the journal.
        """
        counts = self.frame_counts(kind)
        height, width = self.shape
        part = rows or slice(0, height)
        moved = kind == "signal" and self.shifts is not None
        shape = (len(self.frequencies), len(range(*part.indices(height))), width)
        total: Any = np.zeros(shape, np.float32 if moved else np.uint64)
        for index, commit in list(enumerate(self.commits))[blocks or slice(None)]:
            row = self._stored.isel(block=commit.row)
            if not np.array_equal(row[f"{kind}_frames"].values, counts[index]):
                raise DataError(
                    f"{self._run.path.name}: point {self.number} block {commit.block}: "
                    "the stored numbers of frames are not those the journal committed"
                )
            if moved:
                shift = commit.shift or (0.0, 0.0)
                needed, own = halo(part, height, shift)
                total += registered(row[kind].isel(y=needed).values, shift)[:, own]
            else:
                total += row[kind].isel(y=part).values
        return total

    def worth(self) -> NDArray[np.float64]:
        """Return how many frames as they come from the camera have the noise of the mean, shape (frequency,).

        More than there are where images were moved back: interpolation averages a little.
        """
        counts = self.frame_counts().astype(np.float64)
        gains = np.array([1.0 if c.shift is None else noise_gain(c.shift) for c in self.commits])
        frames, noise = counts.sum(axis=0), gains @ counts
        return np.asarray(frames**2 / np.where(noise > 0, noise, 1.0))

    def mean(self, kind: str = "signal", blocks: slice | None = None) -> xr.DataArray:
        """Return the mean frame of each frequency.

        Parameters
        ----------
        kind
            "signal" or "reference".
        blocks
            Which of `commits`; all by default.

        Returns
        -------
        xr.DataArray
            float64 (frequency, y, x) in counts, NaN where no frame was taken; coordinate ``frames`` (frequency,) is how
            many frames are in each. One block at a time is in memory besides.

        Raises
        ------
        DataError
            If no such frames are committed, or the stored numbers of frames contradict the journal.
        """
        chosen = range(len(self.commits))[blocks or slice(None)]
        counts = self.frame_counts(kind)
        if kind not in self._stored or not counts[chosen].any():
            raise DataError(f"{self._run.path.name}: point {self.number} has no committed {kind} frames")
        total = self.total(kind, blocks)
        frames = counts[chosen].sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / frames[:, None, None].astype(np.float64)
        coords = {name: self._stored.coords[name] for name in ("frequency", "y", "x")}
        return xr.DataArray(
            mean,
            dims=("frequency", "y", "x"),
            coords={**coords, "frames": ("frequency", frames)},
            name=kind,
            attrs={"units": "count", "long_name": f"mean {kind} frame"},
        )

    def relative_light(self) -> NDArray[np.float64] | None:
        """Return the light at each frequency over its mean, shape (frequency, 6) (`nvscope.stream.light`).

        None if no frames were taken with microwaves off. One block at a time is in memory.
        """
        on, off = self.frame_counts(), self.frame_counts("reference")
        if not off.any():
            return None
        total: float | NDArray[np.float64] = 0.0
        frames = np.zeros(len(self.frequencies), np.int64)
        for commit, lit, dark in zip(self.commits, on, off, strict=True):
            light = block_light(self._stored["reference"].isel(block=commit.row).values, dark, lit)
            if light is not None:
                total, frames = total + light, frames + lit
        return relative_light(np.asarray(total), frames, float(self.attrs.get("camera_offset", 0.0)))

    def maps(self) -> xr.Dataset | None:
        """Return the point's maps, float32 (y, x) by name with units, None if there are none yet.

        Attributes: ``sweeps``, ``final``, ``rig_time`` and the fit's summary.
        """
        return self._run.group(f"{self._path}/maps")

    def map_arrays(self) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """Return the maps as named zarr arrays, read when indexed (``[...]``), and their attributes; empty if none."""
        group = self._run.stored_group(f"{self._path}/maps")
        if group is None:
            return {}, {}
        return {name: node for name, node in group.arrays() if name not in ("y", "x")}, group.attrs.asdict()

    def map_images(self) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]] | None:
        """Return what `maps` does as plain arrays by name, and its attributes; for many points, several times faster.

        None if there are none yet.
        """
        path = f"{self._path}/maps"
        nodes = self._run.nodes()
        if path not in nodes:
            return None
        names = [key.removeprefix(f"{path}/") for key in nodes if key.startswith(f"{path}/")]
        group = zarr.open_group(self._run.path / DATA / path, mode="r", use_consolidated=False)
        images = {name: np.asarray(group[name][...], np.float32) for name in names if name not in ("y", "x")}
        return images, dict(nodes[path].get("attributes", {}))

    def refits(self) -> list[str]:
        """Return the names of the refits there are."""
        folder = self._run.path / DATA / self._path / "refits"
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if self.refit(path.name) is not None)

    def refit(self, name: str) -> xr.Dataset | None:
        """Return the maps of one refit, None if there is none of that name."""
        return self._run.group(f"{self._path}/refits/{name}")
