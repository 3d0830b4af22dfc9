"""What is worked out in the background for what is shown: pictures of maps, critical temperatures, drift. No Qt."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

from nvscope.gui.errands import Errands, Outcome
from nvscope.gui.model.maps import PointMaps, masked
from nvscope.gui.model.methods import CriticalTemperature, Methods, Shift
from nvscope.gui.model.picture import MapPicture, MapRequest, make_picture
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.session import Session

_MOST_ESTIMATES, _MOST_SHIFTS = 200, 500


class Thoughts:
    """Has calculations done; what comes for an earlier session is thrown away.

    Parameters
    ----------
    methods : Methods
        The calculations.
    thought, easel : Errands
        Do what takes long, and make pictures.
    session : callable
        Returns the session there is now.
    """

    def __init__(self, methods: Methods, thought: Errands, easel: Errands, session: Callable[[], Session]) -> None:
        self._methods = methods
        self._thought = thought
        self._easel = easel
        self._session = session
        self._estimates: dict[Hashable, tuple[Hashable, CriticalTemperature]] = {}
        self._asked: dict[Hashable, Hashable] = {}
        self._shifts: dict[int, tuple[Hashable, Shift | None]] = {}

    def forget(self) -> None:
        """Start over with another run."""
        self._estimates.clear()
        self._asked.clear()
        self._shifts.clear()

    def picture(self, request: MapRequest, then: Callable[[MapPicture], None], *, now: bool = False) -> None:
        """Have a map made ready to be drawn, in the background or `now`; the newest request wins."""
        session, sources = self._session(), request.sources

        def done(outcome: Outcome) -> None:
            if session is self._session() and isinstance(outcome.result, MapPicture):
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
        session = self._session()

        def done(outcome: Outcome) -> None:
            if session is self._session():
                if len(self._estimates) > _MOST_ESTIMATES:  # of places long unpinned
                    self._estimates.clear()
                    self._asked.clear()
                failed = CriticalTemperature(math.nan, math.nan, "no estimate")
                self._estimates[who] = (data, failed if outcome.error is not None else outcome.result)
                session.revision.update(["estimates"])

        if self._asked.get(who) != data:
            self._asked[who] = data
            self._thought.ask(("estimate", who), work, done)
        return None if known is None else known[1]

    def drift(self, point: PointRecord | None) -> Shift | None:
        """Return how far the picture of a point has moved since its reference, as soon as it is known.

        A point without a reference, and a reference itself, is compared with the first point that has maps. Where the
        run itself has measured how far the image moved (and moved it back), that is told.
        """
        session = self._session()
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
            if session is self._session():
                self._shifts[number] = (data, outcome.result)
                while len(self._shifts) > _MOST_SHIFTS:
                    del self._shifts[next(iter(self._shifts))]
                session.revision.update(["estimates"])

        known = self._shifts.get(number)
        if (known is None or known[0] != data) and self._asked.get("drift") != data:
            self._asked["drift"] = data
            self._thought.ask("drift", lambda: _shift(session.methods, above, maps), done)
        return None if known is None else known[1]


def _shift(methods: Methods, above: PointMaps, maps: PointMaps) -> Shift | None:
    before, after = masked(above, "center"), masked(maps, "center")
    return None if before is None or after is None else methods.shift(before, after)
