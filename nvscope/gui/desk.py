"""The state of a window without its widgets: the session it shows, what the eye is on, and work under way. No Qt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from nvscope.errors import DataError, NvscopeError
from nvscope.gui.archive import Archive
from nvscope.gui.errands import Errands, Outcome
from nvscope.gui.mailbox import LinkReport, Mailbox
from nvscope.gui.model.curves import Curves, Place, places
from nvscope.gui.model.maps import MapStore, PointMaps, masked
from nvscope.gui.model.methods import CriticalTemperature, Methods, Shift
from nvscope.gui.model.picture import MapPicture, MapRequest, make_picture
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.selection import Selection
from nvscope.gui.model.session import Session
from nvscope.gui.model.snapshot import Snapshot
from nvscope.gui.model.spectra import SpectrumSums
from nvscope.gui.spectrometer import Spectrometer
from nvscope.stream.control import Control, Region, Reply, Verb, ask, running
from nvscope.stream.messages import Frame, PointClosed
from nvscope.stream.security import Curve

CONTROL_TIMEOUT = 15.0
_RETRY = 2.0


class Desk:
    """What a window works with; every call comes from the thread that draws.

    Parameters
    ----------
    methods : Methods
        Calculations.
    mailbox : Mailbox or None
        Where a `nvscope.gui.feed.Feed` puts messages; None to look at a finished run only.
    directory : Path or None
        The run directory to replay.
    map_budget : int
        Bytes of maps to hold.
    curve : Curve or None
        Key of a run on another computer.

    Attributes
    ----------
    session : Session
    selection : Selection
    shown : int or None
        Number of the point looked at; None follows the newest.
    compared : int or None
        Number of the point it is compared with.
    link : LinkReport
        How the connection stands.
    problem : str
        What could not be read last, empty if all could.
    """

    def __init__(
        self,
        methods: Methods,
        mailbox: Mailbox | None = None,
        directory: Path | None = None,
        map_budget: int = 256 * 1024 * 1024,
        curve: Curve | None = None,
    ) -> None:
        self._methods = methods
        self._mailbox = mailbox
        self._budget = map_budget
        self._curve = curve
        self._generation = 0
        self._disk = Errands("disk")
        self._thought = Errands("thought")
        self._voice = Errands("voice")
        self._easel = Errands("easel")
        self._adder = Errands("adder")
        self._archive: Archive | None = None
        self._retry_at = 0.0
        self._stale = False
        self._absent: set[int] = set()
        self._looked: Hashable = None
        self._pinned = False
        self._estimates: dict[Hashable, tuple[Hashable, CriticalTemperature]] = {}
        self._asked: dict[Hashable, Hashable] = {}
        self._shifts: dict[int, tuple[Hashable, Shift | None]] = {}
        self.session = Session(methods, MapStore(map_budget), add_frame=self._add_frame)
        self.curves = Curves(self.session)
        self.selection = Selection()
        self.selection.listeners.append(self._selection_changed)
        self.selection_revision = 0
        self.shown: int | None = None
        self.compared: int | None = None
        self.link = LinkReport("searching")
        self.problem = ""
        self.answer: tuple[bool, str] | None = None
        self.directory = directory
        self.spectrometer = Spectrometer(self._thought, self._disk)
        if directory is not None:
            self._open_archive(directory)

    @property
    def live(self) -> bool:
        """Whether this desk listens to runs."""
        return self._mailbox is not None

    @property
    def by_hand(self) -> bool:
        """Whether this desk looks at instruments that are held without a run."""
        return self.link.run is not None and self.link.run.kind == "live"

    @property
    def point(self) -> PointRecord | None:
        """The point looked at."""
        if self.shown is not None and self.shown in self.session.points:
            return self.session.points[self.shown]
        return self.session.newest

    @property
    def idle(self) -> bool:
        """Whether everything asked for has come."""
        return self._disk.idle and self._thought.idle and self._easel.idle

    # --- the data timer --------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Take what has come, and ask for what is missing; bounded, never waits."""
        if self._mailbox is not None:
            self._read_mail(self._mailbox)
        for errands in (self._disk, self._thought, self._voice, self._easel, self._adder):
            errands.deliver()
        self._ask_for_maps()
        self.selection.follow(self.session.regions)
        point = self.point
        if point is not None:
            self._settle_selection(point)
            self.spectrometer.step(self.session, point, self.selection, self.selection_revision, self._archive)

    def _read_mail(self, mailbox: Mailbox) -> None:
        batch = mailbox.take()
        if batch.generation != self._generation:
            self._generation = batch.generation
            self._start_over()
            if batch.link.run is not None and batch.link.run.kind == "run":
                self._find_archive(Path(batch.link.run.directory))
        ended = batch.link.state == "ended" and self.link.state != "ended"
        self.link = batch.link
        for event in batch.events:  # first: frames and maps belong to points that are opened here
            self.session.apply(event)
            self._stale |= isinstance(event, PointClosed)
        for received in (*batch.latest.values(), *batch.maps.values()):
            self.session.apply(received.message, received.arrays)
        if ended or (self._stale and self._archive is not None):
            self._stale = False
            self._read_snapshot()

    def _add_frame(self, sums: SpectrumSums, frame: Frame, image: NDArray[np.uint16]) -> None:
        """Have a frame added to the spectra; one that comes before there was time is left out."""
        self._adder.ask("frame", lambda: sums.add(frame, image), lambda outcome: None)

    def _start_over(self) -> None:
        self.session = Session(self._methods, MapStore(self._budget), add_frame=self._add_frame)
        self.curves = Curves(self.session)
        self.spectrometer.forget()
        self.shown = self.compared = None
        self._archive = None
        self._absent.clear()
        self._estimates.clear()
        self._asked.clear()
        self._shifts.clear()
        self.problem = ""
        self._pinned = False

    def _settle_selection(self, point: PointRecord) -> None:
        """Keep the selection on the image; begin with the cursor in the middle and the two extremes pinned."""
        if point.kind != "odmr" or not min(point.shape):
            return
        self.selection.forget(point.shape)
        if self.selection.cursor is None:
            self.selection.move(point.shape[0] // 2, point.shape[1] // 2)
        coldest = None if self._pinned else self.session.coldest
        if coldest is not None and self.session.ratio(coldest.number) is not None:
            self._pinned = True
            if not self.selection.pins:
                self.pin_extremes(coldest)

    # --- the disk --------------------------------------------------------------------------------------------------

    def _find_archive(self, directory: Path) -> None:
        """Open a run's directory, unless it is another computer's: its path may be that of another run here."""
        if self._curve is None:
            self._open_archive(directory)
        else:
            self.problem = "the run is on another computer"

    def _open_archive(self, directory: Path) -> None:
        self._retry_at = time.monotonic() + _RETRY
        generation = self._generation

        def opened(outcome: Outcome) -> None:
            if generation != self._generation:
                return
            if outcome.error is not None:
                self.problem = _complaint(outcome.error)
                return
            self._archive, snapshot = outcome.result
            self._adopt(snapshot)
            nothing = not self.live and not self.session.points
            self.problem = f"{directory}: no point can be read from it" if nothing else ""

        self._disk.ask("open", lambda: _open(directory), opened)

    def _read_snapshot(self) -> None:
        archive, generation = self._archive, self._generation
        if archive is None:
            return

        def read(outcome: Outcome) -> None:
            if generation == self._generation and isinstance(outcome.result, Snapshot):
                self._adopt(outcome.result)

        self._disk.ask("snapshot", archive.snapshot, read)

    def _adopt(self, snapshot: Snapshot) -> None:
        self.session.adopt(snapshot)
        self._absent.clear()

    def _ask_for_maps(self) -> None:
        """Have the maps read that are looked at or needed for a curve, one point at a time."""
        run = self.link.run
        if self._archive is None:
            near = self._curve is None and run is not None and run.kind == "run"
            reachable = near and self.link.state in ("connected", "silent")
            wants = reachable and not self._disk.pending("open")
            if wants and run is not None and time.monotonic() > self._retry_at:
                self._open_archive(Path(run.directory))  # the run may have begun writing since
            return
        revision = self.session.revision
        topics = (revision["points"], revision["maps"], self.selection_revision)
        state = (id(self.session), topics, self.shown, self.compared, self._pinned, len(self._absent))
        if self._disk.pending("maps") or state == self._looked:
            return
        point = self.point
        wanted: list[int] = []
        protected = []
        for number in (point.number if point else None, self.compared):
            if number is not None:
                protected.append(number)
                reference = self.session.reference_of(number)
                protected += [reference.number] if reference is not None else []
                wanted += self.session.needs(number)
        self.session.maps.protect(*protected)
        coldest = None if self._pinned else self.session.coldest
        if coldest is not None:
            wanted += self.session.needs(coldest.number)
        wanted += self.curves.missing(self.places())
        for number in wanted:
            record = self.session.points.get(number)
            if record is not None and number not in self._absent and (record.final or record.closed):
                self._read_maps(self._archive, number)
                return
        self._looked = state

    def _read_maps(self, archive: Archive, number: int) -> None:
        generation = self._generation

        def read(outcome: Outcome) -> None:
            if generation != self._generation:
                return
            if outcome.result is None:
                self._absent.add(number)
                if outcome.error is not None:
                    self.problem = _complaint(outcome.error)
                return
            arrays, final, sweeps = outcome.result
            self.session.take_stored_maps(number, arrays, final=final, sweeps=sweeps)

        self._disk.ask("maps", lambda: archive.maps(number), read)

    # --- what the views ask ----------------------------------------------------------------------------------------

    def places(self) -> list[Place]:
        """Return pins and region on the image of the point looked at."""
        point = self.point
        return [] if point is None else places(self.selection, point.shape)

    def picture(self, request: MapRequest, then: Callable[[MapPicture], None], *, now: bool = False) -> None:
        """Have a map made ready to be drawn, in the background or `now`; the newest request wins."""
        session, sources = self.session, request.sources

        def done(outcome: Outcome) -> None:
            if session is self.session and isinstance(outcome.result, MapPicture):
                if outcome.result.ratio is not None and sources.ratio is None:
                    session.remember_ratio(sources, outcome.result.ratio)
                then(outcome.result)

        if now:
            done(Outcome(make_picture(self._methods, request)))
        else:
            self._easel.ask("map", lambda: make_picture(self._methods, request), done)

    def estimate(
        self, who: Hashable, data: Hashable, work: Callable[[], CriticalTemperature]
    ) -> CriticalTemperature | None:
        """Return a running Tc of `who`, worked out in the background whenever `data` differ.

        Until it is there the one before is returned, None without one.
        """
        known = self._estimates.get(who)
        if known is not None and known[0] == data:
            return known[1]
        session = self.session

        def done(outcome: Outcome) -> None:
            if session is self.session:
                if len(self._estimates) > 200:  # of places long unpinned
                    self._estimates.clear()
                    self._asked.clear()
                failed = CriticalTemperature(math.nan, math.nan, "no estimate")
                self._estimates[who] = (data, failed if outcome.error is not None else outcome.result)
                session.revision.update(["estimates"])

        if self._asked.get(who) != data:
            self._asked[who] = data
            self._thought.ask(("estimate", who), work, done)
        return None if known is None else known[1]

    def drift(self) -> Shift | None:
        """Return how far the picture of the point looked at has moved since its reference, as soon as it is known.

        A point without a reference, and a reference itself, is compared with the first point that has maps. Where the
        run itself has measured how far the image moved (and moved it back), that is told.
        """
        point, session = self.point, self.session
        if point is not None and point.shift is not None:
            return Shift(*point.shift, 0.0)
        maps = None if point is None else session.held(point.number)
        if point is None or maps is None:
            return None
        reference = session.reference_of(point.number)
        if reference is None or reference.number == point.number:
            reference = next((one for one in session.mapped if one.shape == point.shape and one.final), None)
        above = None if reference is None else session.held(reference.number)
        if above is None or reference is None or reference.number == point.number:
            return None
        number = point.number
        data = (number, maps.final, above.final)  # with the first maps and with the last: it costs as much as a fit

        def done(outcome: Outcome) -> None:
            self._shifts[number] = (data, outcome.result)
            while len(self._shifts) > 500:
                del self._shifts[next(iter(self._shifts))]
            session.revision.update(["estimates"])

        known = self._shifts.get(number)
        if (known is None or known[0] != data) and self._asked.get("drift") != data:
            self._asked["drift"] = data
            self._thought.ask("drift", lambda: _shift(session.methods, above, maps), done)
        return None if known is None else known[1]

    def pin_extremes(self, point: PointRecord | None = None) -> bool:
        """Pin the most suppressed and the most enhanced place of a point, of the one looked at by default.

        False if its s is not known.
        """
        point = point or self.point
        ratio = None if point is None else self.session.ratio(point.number)
        if ratio is None:
            return False
        session = self.session
        sample = [outline.vertices for outline in session.header.outlines if outline.kind == "sample"]
        radius = max(1.5, self.selection.radius)
        low, high = self._methods.extremes(ratio.s, ratio.point_err, radius, sample, session.pixel_size())
        for place in (low, high):
            if place is not None and place not in [(pin.row, pin.column) for pin in self.selection.pins]:
                self.selection.pin(*place)
        return low is not None or high is not None

    def show(self, number: int | None) -> None:
        """Look at a point, None: follow the newest."""
        self.shown = number

    def look(self, offset: int) -> None:
        """Look at the next (+1) or previous (-1) point with an image; past the newest means following it."""
        numbers = [record.number for record in self.session.mapped]
        point = self.point
        if not numbers or point is None or point.number not in numbers:
            return
        index = numbers.index(point.number) + offset
        if index >= len(numbers) - 1 and self.live:
            self.shown = None
        else:
            self.shown = numbers[min(max(index, 0), len(numbers) - 1)]

    # --- control ---------------------------------------------------------------------------------------------------

    def say(self, verb: Verb, text: str = "") -> None:
        """Ask the run to do something; what it answers is in `answer` later."""
        self.ask(Control(verb, text))

    def choose_region(self, kind: Literal["roi", "reference"]) -> None:
        """Make the rectangle drawn here the run's region of interest or reference region; without one take it away."""
        point, region = self.point, self.selection.region
        vertices = [] if point is None or region is None else region.corners(point.shape)
        self.ask(Control("region", region=Region(kind, vertices)))

    def ask(self, request: Control, then: Callable[[Reply], None] | None = None) -> None:
        """Send a request; the reply goes to `then`, or into `answer` for the operator to read."""

        def told(reply: Reply) -> None:
            if then is not None:
                then(reply)
            else:
                self.answer = (reply.ok, reply.text)

        run = self.link.run
        if run is None:
            told(Reply(False, "no run is connected"))
            return

        def answered(outcome: Outcome) -> None:
            told(outcome.result if isinstance(outcome.result, Reply) else Reply(False, _complaint(outcome.error)))

        key = (msgspec.json.encode(request), then)
        self._voice.ask(key, lambda: ask(run.control, request, CONTROL_TIMEOUT, self._curve), answered)

    def let_go(self, patience: float = 30.0) -> None:
        """End a session by hand and wait until its instruments are free; blocks, for a background thread.

        Raises
        ------
        NvscopeError
            If they are not free in time.
        """
        run = self.link.run
        if run is None or not self.by_hand or self.link.state == "ended":
            return
        reply = ask(run.control, Control("abort"), CONTROL_TIMEOUT)
        if not reply.ok:
            raise NvscopeError(f"{run.run}: {reply.text}")
        deadline = time.monotonic() + patience
        while any(other.pid == run.pid for other in running()):
            if time.monotonic() > deadline:
                raise NvscopeError(f"{run.run} has not let go of the instruments within {patience:g} s")
            time.sleep(0.1)

    def close(self) -> None:
        """End the background threads."""
        for errands in (self._disk, self._thought, self._voice, self._easel, self._adder):
            errands.stop()

    def _selection_changed(self) -> None:
        self.selection_revision += 1


def _open(directory: Path) -> tuple[Archive, Snapshot]:
    archive = Archive(directory)
    return archive, archive.snapshot()


def _shift(methods: Methods, above: PointMaps, maps: PointMaps) -> Shift | None:
    before, after = masked(above, "center"), masked(maps, "center")
    return None if before is None or after is None else methods.shift(before, after)


def _complaint(error: Exception | None) -> str:
    known = isinstance(error, NvscopeError | DataError)
    return str(error) if known else f"{type(error).__name__}: {error}"
