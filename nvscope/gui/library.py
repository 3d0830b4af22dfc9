"""The run directory behind what is shown: opened, read again, its maps point by point. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from nvscope.gui.archive import Archive
from nvscope.gui.errands import Errands, Outcome, complaint
from nvscope.gui.model.session import Session
from nvscope.gui.model.snapshot import Snapshot

_RETRY = 2.0
"""Wall seconds between attempts to open a directory that is not there yet."""


class Library:
    """Has one run directory read in the background; what comes goes into the session.

    Parameters
    ----------
    disk : Errands
        Does the reading.
    session : callable
        Returns the session there is now; what comes for an earlier one is thrown away.

    Attributes
    ----------
    archive : Archive or None
        The directory, once it is open.
    problem : str
        What could not be read last, empty if all could.
    """

    def __init__(self, disk: Errands, session: Callable[[], Session]) -> None:
        self._disk = disk
        self._session = session
        self._retry_at = 0.0
        self.absent: set[int] = set()
        self.archive: Archive | None = None
        self.problem = ""

    def forget(self) -> None:
        """Start over with another run."""
        self.archive = None
        self.absent.clear()
        self.problem = ""

    def open(self, directory: Path, *, finished: bool) -> None:
        """Open a directory; that of a `finished` run must have something to show."""
        self._retry_at = time.monotonic() + _RETRY
        session = self._session()

        def opened(outcome: Outcome) -> None:
            if session is not self._session():
                return
            if outcome.error is not None:
                self.problem = complaint(outcome.error)
                return
            self.archive, snapshot = outcome.result
            self._adopt(snapshot)
            nothing = finished and not session.points
            self.problem = f"{directory}: no point can be read from it" if nothing else ""

        self._disk.ask("open", lambda: _open(directory), opened)

    def open_again(self, directory: Path) -> None:
        """Try once more, now and then: a run may have begun to write since."""
        if not self._disk.pending("open") and time.monotonic() > self._retry_at:
            self.open(directory, finished=False)

    def read_snapshot(self) -> None:
        """Read all but the maps again."""
        session = self._session()
        if self.archive is None:
            return

        def read(outcome: Outcome) -> None:
            if session is self._session() and isinstance(outcome.result, Snapshot):
                self._adopt(outcome.result)

        self._disk.ask("snapshot", self.archive.snapshot, read)

    @property
    def reading(self) -> bool:
        """Whether maps are being read."""
        return self._disk.pending("maps")

    def read_first(self, wanted: Iterable[int]) -> bool:
        """Have the maps of the first of these points read that can have some; returns whether there was one."""
        points = self._session().points
        for number in wanted:
            record = points.get(number)
            if record is not None and number not in self.absent and (record.final or record.closed):
                self._read_maps(number)
                return True
        return False

    def _adopt(self, snapshot: Snapshot) -> None:
        self._session().adopt(snapshot)
        self.absent.clear()

    def _read_maps(self, number: int) -> None:
        archive, session = self.archive, self._session()
        if archive is None:
            return

        def read(outcome: Outcome) -> None:
            if session is not self._session():
                return
            if outcome.result is None:
                self.absent.add(number)
                if outcome.error is not None:
                    self.problem = complaint(outcome.error)
                return
            arrays, final, sweeps = outcome.result
            session.take_stored_maps(number, arrays, final=final, sweeps=sweeps)

        self._disk.ask("maps", lambda: archive.maps(number), read)


def _open(directory: Path) -> tuple[Archive, Snapshot]:
    archive = Archive(directory)
    return archive, archive.snapshot()
