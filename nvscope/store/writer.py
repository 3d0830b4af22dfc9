"""The one writer of a run directory. Everything it writes is valid after every call, and after a kill within one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nvscope.errors import DataError
from nvscope.store import arrays, zarr3
from nvscope.store.files import WriteLock
from nvscope.store.housekeeping import HistoryTable
from nvscope.store.journal import Journal
from nvscope.store.layout import DATA, HISTORY, JOURNAL, point_path
from nvscope.store.sums import Sums
from nvscope.store.zarr3 import Node, ZarrWriter
from nvscope.stream.messages import (
    BlockClosed,
    Document,
    Finish,
    HistoryRow,
    JournalEntry,
    Maps,
    PointClosed,
    PointOpened,
)


@dataclass
class _Point:
    opened: PointOpened
    attrs: dict[str, Any]
    rows: int = 0
    blocks: set[int] = field(default_factory=set)
    has_reference: bool = False
    has_maps: bool = False


class RunWriter:
    """Writes one run directory; for one thread.

    Parameters
    ----------
    run_dir
        As `nvscope.store.layout.reserve_run` made it.
    wall_time
        This computer's clock (s since the epoch), for stamps; order and intervals are rig time's business.

    Raises
    ------
    DataError
        If another process is writing it, or it holds data already: a run is written once.
    """

    def __init__(self, run_dir: Path, wall_time: Callable[[], float] = time.time) -> None:
        self._wall_time = wall_time
        self._lock = WriteLock(run_dir)
        try:
            if (run_dir / DATA).exists():
                raise DataError(f"{run_dir} holds data already; every run gets a directory of its own")
            self._zarr = ZarrWriter(run_dir / DATA)
            self._journal = Journal(run_dir / JOURNAL, wall_time)
            self._history = HistoryTable(run_dir / HISTORY)
        except BaseException:
            self._lock.release()
            raise
        self._points: dict[int, _Point] = {}

    def open_point(self, opened: PointOpened) -> None:
        """Make a point's group with its coordinates; no blocks yet.

        Raises
        ------
        DataError
            If the point exists.
        """
        if opened.point in self._points:
            raise DataError(f"point {opened.point} exists; every point gets a number of its own")
        path = point_path(opened.point)
        attrs = {"kind": opened.kind, "rig_time": opened.rig_time, **opened.attrs}
        nodes: dict[str, Node] = {path: zarr3.group(attrs)}
        if opened.frequencies:
            axes = {
                "frequency": arrays.frequency_axis(opened.frequencies),
                **arrays.image_axes(opened.shape, opened.attrs),
            }
            for name, (values, node) in axes.items():
                self._zarr.write_chunk(f"{path}/{name}", (0,), values)
                nodes[f"{path}/{name}"] = node
            nodes[f"{path}/block"] = arrays.block_node(0)
            nodes[f"{path}/signal"] = arrays.sums_node(opened, 0, "signal")
            nodes[f"{path}/signal_frames"] = arrays.counts_node(opened, 0, "signal")
        self._zarr.publish(nodes)
        self._points[opened.point] = _Point(opened, attrs)
        self._journal.append("point-opened", {"point": opened.point, "kind": opened.kind}, rig_time=opened.rig_time)

    def commit(self, closed: BlockClosed, sums: Sums) -> None:
        """Write one block: its chunks, then the metadata that shows them, then the journal line that makes it count.

        Raises
        ------
        DataError
            If the point is not open or has this block.
        OSError
            If the disk refuses; the block is not committed.
        """
        point = self._open_point(closed.point)
        if closed.block in point.blocks:
            raise DataError(f"point {closed.point} has a block {closed.block} already; blocks are never overwritten")
        path, row = point_path(closed.point), point.rows
        nodes: dict[str, Node] = {f"{path}/block": arrays.block_node(row + 1)}
        kinds: dict[str, tuple[NDArray[np.uint32] | None, NDArray[np.int64]]] = {
            "signal": (sums.signal, sums.signal_frames),
            "reference": (sums.reference, sums.reference_frames),
        }
        has_reference = point.has_reference or sums.reference is not None
        size = self._zarr.write_chunk(f"{path}/block", (row,), np.array([closed.block], np.int64))
        for kind, (total, frames) in kinds.items():
            if kind == "reference" and not has_reference:
                continue
            if total is not None:
                size += self._zarr.write_chunk(f"{path}/{kind}", (row, 0, 0, 0), total)
            size += self._zarr.write_chunk(f"{path}/{kind}_frames", (row, 0), frames)
            nodes[f"{path}/{kind}"] = arrays.sums_node(point.opened, row + 1, kind)
            nodes[f"{path}/{kind}_frames"] = arrays.counts_node(point.opened, row + 1, kind)
        if closed.shift is not None:
            size += self._zarr.write_chunk(f"{path}/shift", (row, 0), np.array([closed.shift], np.float64))
            nodes[f"{path}/shift"] = arrays.shift_node(row + 1)
        self._zarr.publish(nodes)
        # visible now: whatever happens next, nothing else is ever written to this row
        point.rows += 1
        point.has_reference = has_reference
        self._journal.append(
            "commit",
            {
                "point": closed.point,
                "block": closed.block,
                "row": row,
                "sweeps": closed.sweeps,
                "frames": sums.frames,
                "signal_frames": sums.signal_frames.tolist(),
                "reference_frames": sums.reference_frames.tolist() if sums.reference is not None else [],
                "bytes": size,
                "shift": closed.shift,
            },
            rig_time=closed.rig_time,
            durable=True,
        )
        point.blocks.add(closed.block)

    def reject(self, closed: BlockClosed, reason: str) -> None:
        """Note that a block was sent but not committed."""
        self.note("block-rejected", {"point": closed.point, "block": closed.block, "reason": reason}, closed.rig_time)

    def write_maps(self, maps: Maps, images: Mapping[str, NDArray[np.float32]]) -> None:
        """Write a point's maps, once: they appear all together or not at all.

        Raises
        ------
        DataError
            If the point is not open, has maps, or has another shape.
        """
        point = self._open_point(maps.point)
        if point.has_maps:
            raise DataError(f"point {maps.point} has its maps already; a refit goes beside them")
        if maps.shape != point.opened.shape:
            raise DataError(f"maps of shape {maps.shape} for a point of shape {point.opened.shape}")
        if clash := set(images) & set(arrays.IMAGE):
            raise DataError(f"maps named {sorted(clash)}: these are the names of the axes")
        attrs = {"sweeps": maps.sweeps, "final": maps.final, "rig_time": maps.rig_time, **maps.summary}
        put_maps(self._zarr, f"{point_path(maps.point)}/maps", images, attrs, point.opened.attrs)
        point.has_maps = True
        self.note("maps", {"point": maps.point, "sweeps": maps.sweeps, "final": maps.final}, maps.rig_time)

    def close_point(self, closed: PointClosed) -> None:
        """Add what is known at a point's end to its attributes; raises `DataError` if it is not open."""
        point = self._open_point(closed.point)
        attrs = {**point.attrs, **closed.attrs}
        self._zarr.publish({point_path(closed.point): zarr3.group(attrs)})
        point.attrs = attrs
        self.note("point-closed", {"point": closed.point, "attrs": closed.attrs}, closed.rig_time)

    def document(self, document: Document) -> None:
        """Journal an event-model document."""
        self._journal.append("document", {"name": document.name, "doc": document.doc}, source="run")

    def entry(self, entry: JournalEntry) -> None:
        """Journal what the run says happened."""
        self._journal.append(entry.kind, entry.data, rig_time=entry.rig_time, source="run")

    def note(self, kind: str, data: dict[str, Any], rig_time: float | None = None) -> None:
        """Journal what the recorder itself saw or did."""
        self._journal.append(kind, data, rig_time=rig_time)

    def history(self, row: HistoryRow) -> None:
        """Add a row to the sample's biography."""
        self._history.append(row.rig_time, self._wall_time(), row.values)

    def finish(self, finish: Finish) -> None:
        """Journal how the run ended; the last line of a run that ended in order."""
        self._journal.append("finish", {"outcome": finish.outcome, "reason": finish.reason}, durable=True)

    def close(self) -> None:
        """Close the files and set the directory free; closed once is closed."""
        try:
            self._journal.close()
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_point(self, number: int) -> _Point:
        try:
            return self._points[number]
        except KeyError:
            raise DataError(f"point {number} was never opened") from None


def put_maps(
    zarr: ZarrWriter,
    path: str,
    images: Mapping[str, NDArray[np.float32]],
    attrs: Mapping[str, Any],
    point: Mapping[str, Any],
) -> None:
    """Write maps of one shape (y, x) with their `attrs` as a group at `path`, visible all together.

    `point` is what is stored with the point: its pixels' size and place.
    """
    nodes: dict[str, Node] = {path: zarr3.group(attrs)}
    for image in list(images.values())[:1]:
        for name, (values, node) in arrays.image_axes(image.shape, point).items():
            zarr.write_chunk(f"{path}/{name}", (0,), values)
            nodes[f"{path}/{name}"] = node
    for name, image in images.items():
        zarr.write_chunk(f"{path}/{name}", (0, 0), image)
        nodes[f"{path}/{name}"] = arrays.map_node(name, image.shape)
    zarr.publish(nodes)
