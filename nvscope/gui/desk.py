"""The state of a window without its widgets: the session it shows, what the eye is on, and work under way. No Qt."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nvscope.gui.errands import Errands
from nvscope.gui.library import Library
from nvscope.gui.mailbox import LinkReport, Mailbox
from nvscope.gui.model.curves import Curves, Place, places
from nvscope.gui.model.maps import MapStore
from nvscope.gui.model.methods import Methods
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.selection import Selection
from nvscope.gui.model.session import Session
from nvscope.gui.model.spectra import SpectrumSums
from nvscope.gui.spectrometer import Spectrometer
from nvscope.gui.talk import Talk
from nvscope.gui.thoughts import Thoughts
from nvscope.stream.messages import Frame, PointClosed
from nvscope.stream.security import Curve


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
    library, thoughts, talk, spectrometer
        Reading the run directory, calculations in the background, requests to the run, spectra.
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
        self._disk, self._thought = Errands("disk"), Errands("thought")
        self._easel, self._adder = Errands("easel"), Errands("adder")
        self._errands = (self._disk, self._thought, self._easel, self._adder)
        self._stale = False
        self._looked: Hashable = None
        self._pinned = False
        self.session = Session(methods, MapStore(map_budget), add_frame=self._add_frame)
        self.curves = Curves(self.session)
        self.selection = Selection()
        self.selection.listeners.append(self._selection_changed)
        self.selection_revision = 0
        self.shown: int | None = None
        self.compared: int | None = None
        self.link = LinkReport("searching")
        self.directory = directory
        self.library = Library(self._disk, lambda: self.session)
        self.thoughts = Thoughts(methods, self._thought, self._easel, lambda: self.session)
        self.talk = Talk(lambda: self.link, curve)
        self.spectrometer = Spectrometer(self._thought, self._disk)
        if directory is not None:
            self.library.open(directory, finished=not self.live)

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
    def problem(self) -> str:
        """What could not be read last, empty if all could."""
        return self.library.problem

    @property
    def idle(self) -> bool:
        """Whether everything asked for has come."""
        return self._disk.idle and self._thought.idle and self._easel.idle

    # --- the data timer --------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Take what has come, and ask for what is missing; bounded, never waits."""
        if self._mailbox is not None:
            self._read_mail(self._mailbox)
        for errands in (*self._errands, self.talk):
            errands.deliver()
        self._ask_for_maps()
        self.selection.follow(self.session.regions)
        point = self.point
        if point is not None:
            self._settle_selection(point)
            self.spectrometer.step(self.session, point, self.selection, self.selection_revision, self.library.archive)

    def _read_mail(self, mailbox: Mailbox) -> None:
        batch = mailbox.take()
        if batch.generation != self._generation:
            self._generation = batch.generation
            self._start_over()
            if batch.link.run is not None and batch.link.run.kind == "run":
                self._find_directory(Path(batch.link.run.directory))
        ended = batch.link.state == "ended" and self.link.state != "ended"
        self.link = batch.link
        for event in batch.events:  # first: frames and maps belong to points that are opened here
            self.session.apply(event)
            self._stale |= isinstance(event, PointClosed)
        for received in (*batch.latest.values(), *batch.maps.values()):
            self.session.apply(received.message, received.arrays)
        if ended or (self._stale and self.library.archive is not None):
            self._stale = False
            self.library.read_snapshot()

    def _add_frame(self, sums: SpectrumSums, frame: Frame, image: NDArray[np.uint16]) -> None:
        """Have a frame added to the spectra; one that comes before there was time is left out."""
        self._adder.ask("frame", lambda: sums.add(frame, image), lambda outcome: None)

    def _start_over(self) -> None:
        self.session = Session(self._methods, MapStore(self._budget), add_frame=self._add_frame)
        self.curves = Curves(self.session)
        self.spectrometer.forget()
        self.shown = self.compared = None
        self.library.forget()
        self.thoughts.forget()
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

    def _find_directory(self, directory: Path) -> None:
        """Open a run's directory, unless it is another computer's: its path may be that of another run here."""
        if self._curve is None:
            self.library.open(directory, finished=False)
        else:
            self.library.problem = "the run is on another computer"

    def _ask_for_maps(self) -> None:
        """Have the maps read that are looked at or needed for a curve, one point at a time."""
        run = self.link.run
        if self.library.archive is None:
            near = self._curve is None and run is not None and run.kind == "run"
            if near and run is not None and self.link.state in ("connected", "silent"):
                self.library.open_again(Path(run.directory))
            return
        revision = self.session.revision
        topics = (revision["points"], revision["maps"], self.selection_revision)
        state = (id(self.session), topics, self.shown, self.compared, self._pinned, len(self.library.absent))
        if self.library.reading or state == self._looked:
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
        if not self.library.read_first(wanted):
            self._looked = state

    # --- what the views ask ----------------------------------------------------------------------------------------

    def places(self) -> list[Place]:
        """Return pins and region on the image of the point looked at."""
        point = self.point
        return [] if point is None else places(self.selection, point.shape)

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

    def close(self) -> None:
        """End the background threads."""
        for errands in (*self._errands, self.talk):
            errands.stop()

    def _selection_changed(self) -> None:
        self.selection_revision += 1
