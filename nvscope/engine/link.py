"""The run's end of every stream: frames and documents out, commits and maps back.

Lives on the RunEngine's loop. Sending never blocks it: what a reader has no room for waits in a bounded queue, and
frames wait at their source. The reports come in through one thread that hands them to the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nvscope.clock import Clock
from nvscope.config.polygons import Vertices
from nvscope.devices.sink import BlockRefused, FrameTag, MapSummary
from nvscope.engine.backlog import Backlog
from nvscope.engine.expectations import Expectations
from nvscope.engine.summary import summarize
from nvscope.errors import DataError
from nvscope.store.info import RunInfo
from nvscope.stream.control import Region
from nvscope.stream.messages import (
    BlockClosed,
    Committed,
    Document,
    Fault,
    Finish,
    Finished,
    Frame,
    Heartbeat,
    HistoryRow,
    JournalEntry,
    Maps,
    Message,
    PointClosed,
    PointOpened,
    Ready,
    Rejected,
    RunStatus,
)
from nvscope.stream.sockets import Packed, Received, Receiver, Sender, pack
from nvscope.stream.viewing import Publisher, Publishers

READER_PATIENCE = 180.0
"""Wall seconds recorder or fitter may take to make room, commit a block or send final maps; a fit that has to be
compiled first on a busy machine takes most of a minute."""

FIT_PATIENCE = 60.0
"""Wall seconds to wait for live maps before a decision is made with older ones."""

_VIEW_INTERVAL = 1 / 30


class RunLink:
    """Everything a run says and hears; implements `nvscope.devices.sink.FrameSink`.

    Parameters
    ----------
    clock : Clock
        Rig time; held while waiting for a reader, so that a simulated lab does not run ahead of the data.
    frame_bytes : int
        Size of a camera frame, for the bounds of the queues.
    """

    def __init__(self, clock: Clock, frame_bytes: int) -> None:
        self._clock = clock
        self.frame_bytes = frame_bytes
        self.recorder = Sender.bind("the recorder", frame_bytes=frame_bytes)
        self.fitter = Sender.bind("the fitter", frame_bytes=frame_bytes)
        self.guardian = Sender.bind("the guardian", frame_bytes=1024, budget=1 << 16)
        self.viewers = Publishers(Publisher.bind("viewers", frame_bytes=frame_bytes))
        self.reports = Receiver.bind("recorder and fitter", frame_bytes=frame_bytes * 20)
        self._backlog = Backlog(self.recorder, "the recorder")
        self._points = 0
        self.opened: dict[int, dict[str, Any]] = {}
        """What every point was opened with."""
        self._expected = Expectations()
        self._open: PointOpened | None = None
        self._fitter_gone = False
        self._fitter_back = False  # a new one has said that it is there
        self._dead: set[str] = set()
        self._summaries: dict[int, MapSummary] = {}
        self._ready: dict[str, str] = {}
        self._finished: set[str] = set()
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listening = True
        self._failure: DataError | None = None
        self._roi: tuple[tuple[float, float], ...] = ()
        self._regions: dict[int, list[Vertices]] = {}
        self.frames = 0
        self.newest_summary: MapSummary | None = None
        self.on_maps: Callable[[Maps, list[NDArray[Any]]], None] = lambda maps, arrays: None
        self._thread = threading.Thread(target=self._listen, name="nvscope-reports", daemon=True)
        self._thread.start()

    # --- what the engine's own thread uses -----------------------------------------------------------------------

    def follow(self, clock: Clock) -> None:
        """Take rig time from `clock` from now on."""
        self._clock = clock

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver reports to futures of this loop from now on."""
        self._loop = loop

    def wait_ready(self, sender: str, timeout: float) -> str:
        """Block until a worker process says it is connected; returns the endpoint it listens on."""
        with self._changed:
            if not self._changed.wait_for(lambda: sender in self._ready, timeout):
                raise DataError(f"the {sender} process did not start within {timeout:g} s; see its error output above")
            return self._ready[sender]

    def finish(self, outcome: str, reason: str, senders: Sequence[str], timeout: float) -> set[str]:
        """Tell the workers that the run ends and wait for them; returns those that did not answer in time.

        Who has died is not waited for; nor is the fitter where nobody is left to write its maps.
        """
        message = Finish(outcome, reason)  # type: ignore[arg-type]
        missing = set(senders) - self._dead - ({"fitter"} if self._fitter_gone else set())
        self.guardian.try_send(message)
        for name, sender in (("recorder", self.recorder), ("fitter", self.fitter)):
            if name in missing:
                try:
                    if sender is self.recorder:
                        self._backlog.flush_blocking(5.0)
                    sender.send(message, timeout=5.0)
                except Exception:
                    continue
        if "recorder" in self._dead:
            return set()
        with self._changed:
            self._changed.wait_for(lambda: missing <= self._finished, timeout)
            return missing - self._finished

    def introduce(self, name: str, info: RunInfo) -> None:
        """Tell viewers what the run is: one on another computer cannot read its directory."""
        about = {**msgspec.to_builtins(info, enc_hook=str), "run": name, "software": {}}
        self.viewers.send(JournalEntry("about", self._clock.now(), about))

    def close(self) -> None:
        """Stop listening and close every socket."""
        self._listening = False
        self._thread.join(2.0)
        for link in (self.recorder, self.fitter, self.guardian, self.viewers, self.reports):
            link.close()

    def lose(self, name: str, why: str) -> None:
        """A worker process that the run cannot do without has died."""
        self._dead.add(name)
        self.fail(why)

    def fail(self, why: str) -> None:
        """A worker cannot go on: everything that waits for it fails now, and so does every later frame."""
        self._failure = failure = DataError(why)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._expected.fail, failure)

    def lose_fitter(self, why: str) -> str:
        """The fitter has died; until another is there the run goes on without maps.

        Returns
        -------
        str
            Where the next one connects. It is a socket of its own: what is sent to a peer whose end has not been
            noticed yet is lost.
        """
        self._fitter_gone, self._fitter_back = True, False
        dead, self.fitter = self.fitter, Sender.bind("the fitter", frame_bytes=self.frame_bytes)
        if self._loop is None:
            dead.close(0.0)
        else:
            self._loop.call_soon_threadsafe(self._note_fitter_lost, why, dead)
        return self.fitter.endpoint

    def _note_fitter_lost(self, why: str, dead: Sender) -> None:
        dead.close(0.0)
        self._expected.resolve_all_maps()
        text, point = f"{why}; started again", None if self._open is None else self._open.point
        if point is not None:
            text += f". Maps of point {point} show what came since; `nvscope fit` shows all of it"
        self.journal("fitter-restarted", {"reason": why, "point": point, "text": text})

    def _welcome_fitter(self) -> None:
        """A new fitter is there: it takes part from the block that comes next.

        It may be heard before it can be spoken to; so this is tried again with every message that comes.
        """
        if self._fitter_back and self._fitter_gone and (self._open is None or self.fitter.try_send(self._open)):
            self._fitter_gone = False

    # --- FrameSink -----------------------------------------------------------------------------------------------

    async def open_point(
        self, kind: str, frequencies: Sequence[float], shape: tuple[int, int], attrs: Mapping[str, Any]
    ) -> int:
        """Announce a point to recorder, fitter and viewers; returns its number."""
        number = self._points
        self._points += 1
        self._regions = {number: attrs["region"]} if "region" in attrs else {}
        self.opened[number] = dict(attrs)
        message = PointOpened(number, kind, list(frequencies), shape, self._clock.now(), dict(attrs))  # type: ignore[arg-type]
        self._open = message
        await self._send_lossless(message, self.recorder, self.fitter)
        self.viewers.send(message)
        return number

    async def frame(self, tag: FrameTag, image: NDArray[np.uint16]) -> None:
        """Send one frame to recorder and fitter, losslessly, and to viewers when they can use one."""
        message = Frame(
            tag.point, tag.block, tag.sweep, tag.step, tag.number, tag.reference, tag.rig_time, _shape(image)
        )
        parts = pack(message, image)
        await self._send_parts(parts, self.recorder, self.fitter)
        self.frames += 1
        if self.viewers.wants_frame(_VIEW_INTERVAL):
            self.viewers.send_parts(message, parts)

    async def close_block(
        self,
        point: int,
        block: int,
        frames: int,
        sweeps: int,
        valid: bool,
        reason: str = "",
        shift: tuple[float, float] | None = None,
    ) -> None:
        """Close a block; a valid one is on disk and in the journal when this returns.

        Raises
        ------
        BlockRefused
            If the recorder will not keep it.
        """
        message = BlockClosed(point, block, frames, sweeps, valid, self._clock.now(), reason, shift)
        if shift is not None:
            self.viewers.send(message)
        future = self._expected.expect("block", point, block) if valid else None
        await self._send_lossless(message, self.recorder, self.fitter)
        if future is None:
            return
        try:
            await self._await(future, f"block {block} of point {point} was not committed")
        except BlockRefused as refused:
            # maps show what is on disk and nothing else, whatever reached the fitter
            again = BlockClosed(point, block, 0, 0, False, self._clock.now(), str(refused))
            await self._send_lossless(again, self.fitter)
            raise

    async def close_point(self, point: int, attrs: Mapping[str, Any], *, maps: bool = True) -> MapSummary | None:
        """Close a point and, unless it has none, wait for its final maps."""
        self._open = None
        wait = maps and not self._fitter_gone
        future = self._expected.expect("maps", point) if wait else None
        message = PointClosed(point, self._clock.now(), dict(attrs))
        await self._send_lossless(message, self.recorder, self.fitter)
        self.viewers.send(message)
        if future is not None:
            await self._await(future, f"the final maps of point {point} did not arrive")
        return self._summaries.get(point) if maps else None

    async def fitted(self, point: int, blocks: int) -> MapSummary | None:
        """Wait, bounded, for maps that show the first `blocks` blocks of a point; returns the newest there are."""
        newest = self._summaries.get(point)
        if (newest is None or newest.extra.get("blocks", 0.0) < blocks) and not self._fitter_gone:
            future = self._expected.expect("fitted", point, blocks)
            with contextlib.suppress(TimeoutError), self._clock.hold():
                await asyncio.wait_for(future, FIT_PATIENCE)
            self._expected.give_up("fitted", point, blocks)
        return self._summaries.get(point)

    def latest(self, point: int) -> MapSummary | None:
        """Return the summary of the newest maps of a point."""
        return self._summaries.get(point)

    # --- small messages ------------------------------------------------------------------------------------------

    def document(self, name: str, doc: Mapping[str, Any]) -> None:
        """Send an event-model document to the journal."""
        self._backlog.post(Document(name, dict(doc)))

    def journal(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send an entry to the journal, and to viewers."""
        entry = JournalEntry(kind, self._clock.now(), dict(data))
        self._backlog.post(entry)
        self.viewers.send(entry)

    async def choose_region(self, region: Region) -> None:
        """Take a region an operator drew into the journal; in a region of interest δB has to reach its target."""
        if region.kind == "roi":
            self._roi = tuple(region.vertices)
        what = "region of interest" if region.kind == "roi" else "reference region"
        text = f"{what} of {len(region.vertices)} vertices" if region.vertices else f"no {what} any more"
        self.journal("region", {"kind": region.kind, "vertices": region.vertices, "text": text})

    def history(self, rig_time: float, values: Mapping[str, float]) -> None:
        """Send housekeeping to history and viewers."""
        row = HistoryRow(rig_time, {name: value if math.isfinite(value) else None for name, value in values.items()})
        self._backlog.post(row)
        self.viewers.send(row)

    def status(self, status: RunStatus) -> None:
        """Tell viewers what the run is doing, and the guardian that it lives."""
        self.viewers.send(status)
        self.guardian.try_send(Heartbeat("run", {"frames": self.frames}))

    async def _send_lossless(self, message: Message, *senders: Sender) -> None:
        await self._send_parts(pack(message), *senders)

    async def _send_parts(self, parts: Packed, *senders: Sender) -> None:
        deadline = time.monotonic() + READER_PATIENCE
        for sender in senders:
            while self._failure is None:
                if sender is not self.recorder and (self._fitter_gone or sender is not self.fitter):
                    break
                if self._backlog.flush() and sender.try_send_parts(parts):
                    break
                if time.monotonic() > deadline:
                    raise DataError(
                        f"{sender.endpoint} has not made room for {READER_PATIENCE:g} s; the recorder or fitter hangs"
                    )
                with self._clock.hold():
                    await asyncio.sleep(0.002)
            if self._failure is not None:
                raise self._failure

    # --- reports -------------------------------------------------------------------------------------------------

    async def _await(self, future: asyncio.Future[Any], complaint: str) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            with self._clock.hold():
                await asyncio.wait_for(future, READER_PATIENCE)
        except TimeoutError:
            raise DataError(f"{complaint} within {READER_PATIENCE:g} s") from None

    def _listen(self) -> None:
        while self._listening:
            received = self.reports.receive(0.2)
            if received is None:
                continue
            message = received.message
            with self._changed:
                if isinstance(message, Ready):
                    self._ready[message.sender] = message.endpoint
                elif isinstance(message, Finished):
                    self._finished.add(message.sender)
                self._changed.notify_all()
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._handle, received)
            elif isinstance(message, Ready):  # nothing is open yet
                self._fitter_gone &= message.sender != "fitter"

    def _handle(self, received: Received) -> None:
        message = received.message
        if isinstance(message, Committed):
            self._expected.resolve("block", message.point, message.block)
        elif isinstance(message, Rejected):
            refused = BlockRefused(f"the recorder refused block {message.block} of its point: {message.reason}")
            self._expected.resolve("block", message.point, message.block, refused)
        elif isinstance(message, Maps):
            self._take_maps(message, received.arrays)
        elif isinstance(message, Fault):
            self.fail(f"{message.sender}: {message.reason}")
        elif isinstance(message, Ready):
            self._fitter_back |= message.sender == "fitter"
        self._welcome_fitter()

    def _take_maps(self, maps: Maps, arrays: list[NDArray[Any]]) -> None:
        region = [self._roi] if self._roi else self._regions.get(maps.point, [])
        self._summaries[maps.point] = self.newest_summary = summarize(maps, arrays, region)
        self.viewers.send(maps, *arrays)
        self.on_maps(maps, arrays)
        self._expected.resolve_fitted(maps.point, int(maps.summary.get("blocks", 0.0)))
        if maps.final:
            self._expected.resolve("maps", maps.point)


def _shape(image: NDArray[Any]) -> tuple[int, int]:
    height, width = image.shape
    return int(height), int(width)
