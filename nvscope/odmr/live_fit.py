"""The thread that fits a point while its frames come in: newest maps as often as the frames allow, final ones at once.

While a block is open its frames are fitted with what is there already, starting from the maps before, and the thread
rests in between. Once no block is open, the blocks kept are fitted whole, without a start: those maps depend on the
data alone, not on when they were made, and become the final ones when the point is closed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from nvscope.odmr.accumulator import Accumulator, Spectra
from nvscope.odmr.fitting import fit
from nvscope.odmr.known_field import ExpectedPair
from nvscope.odmr.maps import PointMaps, Start, enough_to_fit, fit_point, no_maps
from nvscope.odmr.noise import PoissonNoise
from nvscope.odmr.parallel import Abandoned, only_while
from nvscope.odmr.synthetic import line_pairs, two_windows
from nvscope.stream.messages import PointClosed, PointOpened
from nvscope.stream.priority import step_back

__all__ = ["FitThread", "LivePoint", "warm_up"]

REST = 1.0  # pause after a live fit, in units of its own duration: the frames and the run need the cores too
WARM = (24, 24)  # pixels that are enough to be binned and to ask each other
SHORTEST_REST = 0.15  # maps more often than this nobody sees, s


@dataclass(frozen=True, eq=False)
class _Made:
    """Maps and what they show: revisions of what was fitted and of the blocks kept then."""

    maps: PointMaps
    revision: int
    kept: int
    sweeps: int
    blocks: int


class LivePoint:
    """A point from its opening to its final maps.

    Attributes
    ----------
    closed : PointClosed or None
        Set once no more frames will come.
    rig_time : float
        Of the newest message.
    """

    def __init__(self, opened: PointOpened, before: Accumulator | None = None) -> None:
        self.opened = opened
        self.sums = Accumulator(opened, before)
        self.frequencies = np.array(opened.frequencies)
        self.rig_time = opened.rig_time
        self.closed: PointClosed | None = None
        self._live: _Made | None = None
        self._whole: _Made | None = None

    def fit_live(self) -> _Made | None:
        """Fit all frames so far; None if there is nothing new, too little, or they are not wanted any more."""
        before, kept = self._newest(), self.sums.kept_revision
        if self._live is not None and self._live.revision == self.sums.revision:
            return None
        spectra = self.sums.spectra(live=True)
        if not enough_to_fit(spectra.frames):
            return None
        start = before.maps.start if before is not None else None
        maps = self._fit(spectra, start, lambda: self.wants_live(kept))
        if maps is not None:
            self._live = _Made(maps, spectra.revision, kept, spectra.sweeps, spectra.blocks)
        return self._live if maps is not None else None

    def wants_live(self, kept: int) -> bool:
        """Whether maps with an open block are of use, begun when the blocks kept were those of revision `kept`."""
        return self.closed is None and (self._whole is None or self._whole.kept <= kept)

    def fit_whole(self) -> _Made | None:
        """Fit the blocks kept; None if there is nothing new or frames come in again. A closed point always has maps."""
        before, closed = self._whole, self.sums.closed
        if before is not None and before.kept == self.sums.kept_revision:
            # a block that was left out changes no map, but whoever waits for maps of that many blocks has them
            self._whole = replace(before, blocks=closed)
            return self._whole if self.closed is not None or before.blocks < closed else None
        revision = self.sums.revision
        spectra = self.sums.spectra(live=False)
        if self.closed is None and not enough_to_fit(spectra.frames):
            maps: PointMaps | None = no_maps(self.opened.shape) if closed else None
        else:
            maps = self._fit(spectra, None, lambda: self.sums.revision == revision)
        if maps is not None:
            self._whole = _Made(maps, spectra.revision, spectra.revision, spectra.sweeps, spectra.blocks)
        return self._whole if maps is not None else None

    def _fit(self, spectra: Spectra, start: Start | None, wanted: Callable[[], bool]) -> PointMaps | None:
        try:
            with only_while(wanted):
                return fit_point(self.frequencies, spectra, self.opened.attrs, start)
        except Abandoned:
            return None

    def without_maps(self) -> _Made | None:
        """Return final maps of a closed point that cannot be fitted: the run must not wait for better ones."""
        if self.closed is None:
            return None
        kept = self.sums.kept_revision
        return _Made(no_maps(self.opened.shape), kept, kept, 0, self.sums.closed)

    def _newest(self) -> _Made | None:
        made = [maps for maps in (self._live, self._whole) if maps is not None]
        return max(made, key=lambda maps: maps.blocks, default=None)


Publish = Callable[[LivePoint, PointMaps, int, int, bool], None]
"""Takes a point, its maps, sweeps and blocks in them, and whether they are final."""


class FitThread:
    """Fits the newest point it was given; for use from one other thread.

    Fits with an open block run in the background, at a lower priority: whole blocks never wait for them.

    Parameters
    ----------
    publish : callable
        What to do with maps; called from one thread at a time.
    """

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._publishing = threading.Lock()
        self._wake = threading.Condition()
        self._work: LivePoint | None = None
        self._busy = False  # a live fit is under way
        self._rest_until = 0.0
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="nvscope-fit", daemon=True)

    def start(self) -> None:
        """Begin; the kernels are compiled, or loaded, first."""
        self._thread.start()

    def offer(self, point: LivePoint) -> None:
        """There is something new at a point, or it is closed."""
        with self._wake:
            self._work = point
            self._wake.notify_all()

    def settle(self, timeout: float) -> bool:
        """Wait up to `timeout` wall seconds for final maps that are due; return whether no sums are in use any more."""
        with self._wake:
            out = self._wake.wait_for(lambda: self._work is None or self._work.closed is None, timeout)
            self._work = None
            return out and not self._busy

    def stop(self, timeout: float) -> None:
        """End after what is under way; wait up to `timeout` wall seconds for it."""
        with self._wake:
            self._stop = True
            self._wake.notify_all()
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            warm_up()
        except Exception as error:  # the first point will try again, and say what is wrong with it
            print(f"fitter: warming up: {type(error).__name__}: {error}", file=sys.stderr)
        with ThreadPoolExecutor(1, "nvscope-live-fit", step_back) as background:
            while (task := self._next()) is not None:
                if task[1]:
                    background.submit(self._fit, *task)
                else:
                    self._fit(*task)

    def _next(self) -> tuple[LivePoint, bool] | None:
        """Wait for a point to fit and return it, and whether with its open block; None if told to stop."""
        with self._wake:
            while not self._stop:
                point = self._work
                rest = self._rest_until - time.monotonic()
                if point is None:
                    self._wake.wait()
                elif point.closed is not None:
                    return point, False
                elif not point.sums.has_open_frames() or not (self._busy or rest > 0):
                    live = point.sums.has_open_frames()
                    self._work = None
                    self._busy |= live
                    return point, live
                else:
                    self._wake.wait(None if self._busy else rest)
        return None

    def _fit(self, point: LivePoint, live: bool) -> None:
        began = time.monotonic()
        try:
            made = point.fit_live() if live else point.fit_whole()
        except Exception as error:  # one point without maps must not cost the maps of those that follow
            print(f"fitter: point {point.opened.point}: {type(error).__name__}: {error}", file=sys.stderr)
            made = None if live else point.without_maps()
        final = made is not None and self._show(point, made, live)
        ended = time.monotonic()
        with self._wake:
            if made is not None:
                self._rest_until = ended + max(SHORTEST_REST, REST * (ended - began))
            if live:
                self._busy = False
            if final and self._work is point:
                self._work = None
            self._wake.notify_all()

    def _show(self, point: LivePoint, made: _Made, live: bool) -> bool:
        """Publish maps, unless newer ones are out or due; return whether they are final."""
        with self._publishing:
            # the point may have been closed while these maps were made: if nothing was added they are final
            final = not live and point.closed is not None and made.kept == point.sums.kept_revision
            if not live or point.wants_live(made.kept):
                self._publish(point, made.maps, made.sweeps, made.blocks, final)
        return final


def warm_up() -> None:
    """Compile the kernels, or load them from disk, by fitting spectra as they come from a camera: clear to lost."""
    axis = two_windows(12)
    truth = line_pairs(axis, 1, seed=0, level=1000.0)
    rng = np.random.default_rng(0)
    for share in (0.002, 0.012, 0.1):
        sigma = share * truth.clean[..., None]
        signal = (truth.clean[..., None] + sigma * rng.standard_normal((axis.size, *WARM))).astype(np.float32)
        noise = PoissonNoise(gain=1e-3 / share**2)
        first = fit(axis, signal, noise=noise, threads=1)
        fit(axis, signal, noise=noise, start=first, threads=1)
        fit(axis, signal, noise=noise, start=ExpectedPair(270e6), threads=1)
