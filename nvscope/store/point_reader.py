"""Reading one point of a run: its committed sums of frames, its maps, its refits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from nvscope.errors import DataError
from nvscope.store.layout import DATA, point_path
from nvscope.stream.light import block_light, relative_light
from nvscope.stream.registration import halo, noise_gain, registered

if TYPE_CHECKING:
    from nvscope.store.reader import RunReader


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
        try:
            stored = self._run.group(self._path)
        except ValueError as error:  # a checksum
            raise DataError(
                f"{self._run.path.name}: point {self.number}: one of its axes is damaged, frequency, y, x or block in "
                f"{DATA}/{self._path}; restore the files c.* there from a copy of the run"
            ) from error
        if stored is None:
            raise DataError(f"{self._run.path.name}: point {self.number} is in the journal but not in {DATA}")
        return stored

    @property
    def attrs(self) -> dict[str, Any]:
        """What is known of the point: kind, rig_time, T, H, certificate …."""
        node = self._run.nodes().get(self._path)
        return dict(self._stored.attrs if node is None else node["attributes"])

    @property
    def kind(self) -> str:
        """What is measured there: "odmr" or "transport"."""
        return str(self.attrs["kind"])

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Microwave frequencies (Hz); empty for a transport point."""
        if "frequency" not in self._stored.coords:
            return np.empty(0)
        frequencies = np.asarray(self._stored.coords["frequency"].values, np.float64)
        if np.isnan(frequencies).any():  # zarr reads what is missing as NaN
            raise DataError(
                f"{self._run.path.name}: point {self.number}: {DATA}/{self._path}/frequency/c.0 is missing; "
                "restore that file from a copy of the run"
            )
        return frequencies

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
            If what is committed is missing or damaged, or the stored numbers of frames contradict the journal.
        """
        counts = self.frame_counts(kind)
        height, width = self.shape
        part = rows or slice(0, height)
        moved = kind == "signal" and self.shifts is not None
        shape = (len(self.frequencies), len(range(*part.indices(height))), width)
        total: Any = np.zeros(shape, np.float32 if moved else np.uint64)
        for index, commit in list(enumerate(self.commits))[blocks or slice(None)]:
            taken = bool(counts[index].any())
            if not np.array_equal(self._block(f"{kind}_frames", commit, taken), counts[index]):
                raise DataError(
                    f"{self._run.path.name}: point {self.number} block {commit.block}: "
                    "the stored numbers of frames are not those the journal committed"
                )
            shift = commit.shift or (0.0, 0.0)
            needed, own = halo(part, height, shift) if moved else (part, slice(None))
            image = self._block(kind, commit, taken, needed)
            total += registered(image, shift)[:, own] if moved else image
        return total

    def _block(self, name: str, commit: Commit, taken: bool, y: slice = slice(None)) -> NDArray[Any]:
        """Return what an array has of one block, of an image its rows `y`; zeros if nothing was `taken`."""
        stored = self._stored[name].isel(block=commit.row)
        key = ".".join(["c", str(commit.row), *["0"] * stored.ndim])
        problem = "missing"
        try:
            # zarr reads what is missing as zeros
            if not taken or (self._run.path / DATA / self._path / name / key).is_file():
                return np.asarray(stored.isel(y=y, missing_dims="ignore").values)
        except ValueError:  # a checksum
            problem = "damaged"
        except OSError as error:
            problem = f"not readable ({error.strerror or error})"
        raise DataError(
            f"{self._run.path.name}: point {self.number} block {commit.block}: its frames are committed, but "
            f"{DATA}/{self._path}/{name}/{key} is {problem}; restore that file from a copy of the run"
        )

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
            If no such frames are committed, what is committed is missing or damaged, or the stored numbers of frames
            contradict the journal.
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

        Raises
        ------
        DataError
            If what is committed is missing or damaged.
        """
        on, off = self.frame_counts(), self.frame_counts("reference")
        if not off.any():
            return None
        total: float | NDArray[np.float64] = 0.0
        frames = np.zeros(len(self.frequencies), np.int64)
        for commit, lit, dark in zip(self.commits, on, off, strict=True):
            light = block_light(self._block("reference", commit, bool(dark.any())), dark, lit)
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
        inside = f"{self._path}/refits/"
        below = (path.removeprefix(inside) for path in self._run.nodes() if path.startswith(inside))
        return sorted(name for name in below if "/" not in name)

    def refit(self, name: str) -> xr.Dataset | None:
        """Return the maps of one refit, None if there is none of that name."""
        return self._run.group(f"{self._path}/refits/{name}")

    def all_maps(self) -> dict[str, xr.Dataset]:
        """Return what there is of ``maps`` and, as ``refit_NAME``, of every refit, read whole.

        Raises
        ------
        DataError
            If a file of them is missing or damaged.
        """
        paths = {"maps": f"{self._path}/maps"}
        paths |= {f"refit_{name}": f"{self._path}/refits/{name}" for name in self.refits()}
        found = {name: self._read_maps(path) for name, path in paths.items()}
        return {name: maps for name, maps in found.items() if maps is not None}

    def _read_maps(self, path: str) -> xr.Dataset | None:
        folder = self._run.path / DATA / path
        try:
            maps = self._run.group(path)
            if maps is None:
                return None
            # zarr reads what is missing as NaN
            lost = [str(name) for name in maps.data_vars if not (folder / str(name) / "c.0.0").is_file()]
            if not lost:
                return maps.load()
            problem = f"files of {', '.join(lost)} are missing"
        except ValueError:  # a checksum
            problem = "a file is damaged"
        raise DataError(
            f"{self._run.path.name}: point {self.number}: in {DATA}/{path} {problem}; restore that folder from a copy "
            "of the run"
        )
