"""What the recorder does with each message: sums, checks, and tasks for the disk. No sockets here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.errors import DataError
from nvscope.store.disk import DiskThread, explain
from nvscope.store.disturbance import Disturbance
from nvscope.store.sums import BlockSums, Sums
from nvscope.store.writer import RunWriter
from nvscope.stream.messages import (
    BlockClosed,
    Committed,
    Document,
    Finish,
    Frame,
    HistoryRow,
    JournalEntry,
    Maps,
    Message,
    PointClosed,
    PointOpened,
    Rejected,
)
from nvscope.stream.order import FrameOrder
from nvscope.stream.sockets import Received

_MOST_HELD = 4
"""Points whose maps are held in memory; beyond these the oldest are written as they are, once their point is open."""


class Recording:
    """Turns the messages of a run into tasks for a `DiskThread`.

    Attributes
    ----------
    counts : dict
        How many frames and blocks were received, committed, rejected.
    """

    def __init__(self, writer: RunWriter, disk: DiskThread, disturbance: Disturbance) -> None:
        self._writer = writer
        self._disturbance = disturbance
        self._disk = disk
        self._order = FrameOrder()
        self._opened: PointOpened | None = None
        self._sums: BlockSums | None = None
        self._flaw = ""
        self._points: set[int] = set()
        self._late: set[int] = set()
        self._held: dict[int, Received] = {}
        self._mapped: set[int] = set()
        self.counts = {"frames": 0, "blocks": 0, "committed": 0, "rejected": 0, "late": 0, "maps": 0}

    def handle(self, received: Received) -> None:
        """Deal with one message; kinds that are not for a recorder are ignored."""
        message, arrays = received.message, received.arrays
        for struck in self._disturbance.hear(message):
            self.note("fault-injected", struck)
        if isinstance(message, Frame):
            self._frame(message, arrays[0])
        elif isinstance(message, BlockClosed):
            self._close_block(message)
        elif isinstance(message, PointOpened):
            self._open_point(message)
        elif isinstance(message, PointClosed):
            self._abandon_block(message.point, message.rig_time, "the point was closed inside it")
            self._write(self._writer.close_point, message)
        elif isinstance(message, Maps):
            self._maps(received)
        elif isinstance(message, Document):
            self._write(self._writer.document, message)
        elif isinstance(message, JournalEntry):
            self._write(self._writer.entry, message)
        elif isinstance(message, HistoryRow):
            self._write(self._writer.history, message)

    def finish(self, finish: Finish) -> None:
        """Write what is still held, and how the run ended."""
        if self._opened is not None:
            self._abandon_block(self._opened.point, None, "the run ended inside it")
        self._write_maps(last=True)
        self._write(self._writer.finish, finish)

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Journal something the recorder itself noticed."""
        self._write(self._writer.note, kind, data)

    def _open_point(self, opened: PointOpened) -> None:
        if self._opened is not None:
            self._abandon_block(self._opened.point, opened.rig_time, "another point was opened inside it")
        try:
            self._sums = BlockSums(opened)
        except DataError as error:
            self._sums = None
            self.note("point-refused", {"point": opened.point, "reason": str(error)})
            self._flaw = str(error)
        self._opened = opened
        self._write(self._writer.open_point, opened)
        self._points.add(opened.point)
        self._write_maps()

    def _frame(self, frame: Frame, image: NDArray[np.uint16]) -> None:
        self.counts["frames"] += 1
        if not self._order.frame(frame):
            self.counts["late"] += 1
            if frame.point not in self._late:  # once is enough in the journal; the counts have the rest
                self._late.add(frame.point)
                self.note("late-frame", {"point": frame.point, "block": frame.block, "step": frame.step})
            return
        if self._sums is None or self._opened is None or frame.point != self._opened.point:
            self._flaw = self._flaw or f"a frame of point {frame.point}, which is not open"
            return
        try:
            self._sums.add(frame, image)
        except DataError as error:
            self._flaw = self._flaw or str(error)

    def _close_block(self, closed: BlockClosed) -> None:
        self.counts["blocks"] += 1
        reason = self._order.close(closed)
        reason = self._flaw or reason
        if not reason and (self._opened is None or closed.point != self._opened.point):
            reason = f"point {closed.point} is not open"
        self._flaw = ""
        if not closed.valid:
            self._forget_sums()
            data = {"point": closed.point, "block": closed.block, "reason": closed.reason}
            self._write(self._writer.note, "block-discarded", data, closed.rig_time)
        elif reason or self._sums is None:
            self._forget_sums()
            self._disk.submit(lambda: self._reject(closed, reason or "its point was refused"))
        else:
            sums = self._sums.take()
            self._disk.submit(lambda: self._commit(closed, sums), block=True)

    def _forget_sums(self) -> None:
        if self._sums is not None:
            self._sums.forget()

    def _commit(self, closed: BlockClosed, sums: Sums) -> Iterable[Message]:
        try:
            self._disturbance.press()
            self._writer.commit(closed, sums)
        except DataError as error:
            yield from self._reject(closed, str(error))
            return
        except OSError as error:
            yield from self._reject(closed, f"it could not be written: {explain(error)}")
            raise
        self.counts["committed"] += 1
        yield Committed(closed.point, closed.block, sums.frames)

    def _reject(self, closed: BlockClosed, reason: str) -> Iterable[Message]:
        self.counts["rejected"] += 1
        # told before it is journaled: on a full disk the run must still learn of it
        yield Rejected(closed.point, closed.block, reason)
        self._writer.reject(closed, reason)

    def _abandon_block(self, point: int, rig_time: float | None, why: str) -> None:
        """Forget frames whose block was never closed."""
        frames = self._order.forget()
        self._flaw = ""
        self._forget_sums()
        if frames:
            data = {"point": point, "frames": frames, "reason": why}
            self._write(self._writer.note, "block-discarded", data, rig_time)

    def _maps(self, received: Received) -> None:
        """Keep the newest maps of a point until they are final, or the run has ended: they are written once."""
        maps = received.message
        assert isinstance(maps, Maps)
        self.counts["maps"] += 1
        if maps.point not in self._mapped:
            self._held[maps.point] = received
            self._write_maps()

    @property
    def crowded(self) -> bool:
        """Whether no more maps should be handed in before more of the other messages: theirs are ahead of them."""
        return len(self._held) > _MOST_HELD

    def _write_maps(self, *, last: bool = False) -> None:
        # maps come on another socket than frames: they may be early, before their point is opened here
        for point, received in list(self._held.items()):
            maps = received.message
            assert isinstance(maps, Maps)
            if last or (point in self._points and (maps.final or self.crowded)):
                images = dict(zip(maps.names, received.arrays, strict=True))
                del self._held[point]
                self._mapped.add(point)
                self._write(self._writer.write_maps, maps, images)

    def _write(self, write: Callable[..., None], *arguments: Any) -> None:
        """Queue a call of the writer that has nothing to tell the run."""

        def task() -> Iterable[Message]:
            self._disturbance.press()
            write(*arguments)
            return ()

        self._disk.submit(task)
