"""Keeps the spectra of the places looked at, fitted in the background, live or from disk."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.gui.archive import Archive
from nvscope.gui.errands import Errands, Outcome
from nvscope.gui.model.maps import lines_at
from nvscope.gui.model.methods import Methods, SpectrumFit, Start
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.selection import Selection
from nvscope.gui.model.session import Session
from nvscope.gui.model.spectra import SpectrumSums
from nvscope.gui.model.traces import Trace, traces

_GROWTH = 1.1
"""Live spectra are drawn and fitted again once there are this many times more frames."""


class Spectrometer:
    """Decides which spectra to show and has them read and fitted.

    Attributes
    ----------
    traces : list of Trace
        Newest spectra, fitted as far as the fits have come.
    source : str
        Where they come from, for people.
    point : int or None
        Their point.
    revision : int
        Grows with every change.
    """

    def __init__(self, thought: Errands, disk: Errands) -> None:
        self._thought = thought
        self._disk = disk
        self._stored: SpectrumSums | None = None
        self._refused: set[int] = set()
        self._shown: Hashable = None
        self._serial = 0
        self.traces: list[Trace] = []
        self.source = ""
        self.point: int | None = None
        self.revision = 0

    def forget(self) -> None:
        """Start over with another run."""
        self._serial += 1
        self._stored = None
        self._refused = set()
        self._shown = None
        self.traces, self.source, self.point = [], "", None
        self.revision += 1

    def step(
        self,
        session: Session,
        point: PointRecord,
        selection: Selection,
        selection_revision: int,
        archive: Archive | None,
    ) -> None:
        """Look whether other spectra are to be shown."""
        sums = self._find(session, point, archive)
        frames = 0 if sums is None else int(sums.frames.sum())
        # in steps of growth, so that a live point is not fitted for every frame
        grade = int(np.log(frames) / np.log(_GROWTH)) if frames else 0
        maps = session.held(point.number)
        final = maps is not None and maps.final
        wanted = (point.number, sums is not None and sums.live, grade, selection_revision, final)
        if wanted == self._shown:
            return
        self._shown = wanted
        self.point = point.number
        self._serial += 1
        self.revision += 1
        if sums is None:
            self.traces, self.source = [], ""
            return
        self.source = sums.source
        fresh = traces(sums, selection)
        earlier = {(trace.label, trace.slot): trace.fit for trace in self.traces}
        same = self.traces and np.array_equal(self.traces[0].frequencies, sums.frequencies)
        # the fit before is drawn until the new one has come: nothing flickers
        self.traces = [replace(t, fit=earlier.get((t.label, t.slot)) if same else None) for t in fresh]
        if fresh:
            starts = [None if maps is None else lines_at(maps, trace.pixels) for trace in fresh]
            self._fit(session.methods, fresh, dict(sums.attrs), starts, self._serial)

    def mean_image(self, point: int) -> NDArray[np.float32] | None:
        """Return the mean of a point's recorded frames over all frequencies (counts), None if they are not read."""
        stored = self._stored
        return None if stored is None or stored.point != point else stored.mean_image()

    def _find(self, session: Session, point: PointRecord, archive: Archive | None) -> SpectrumSums | None:
        live = session.live_spectra
        if self._stored is not None and self._stored.point == point.number:
            return self._stored
        if archive is not None and point.closed and point.number not in self._refused:
            key = ("spectra", point.number)
            if not self._disk.pending(key):
                self._read(archive, point.number, key)
        return live if live is not None and live.point == point.number else None

    def _read(self, archive: Archive, number: int, key: Hashable) -> None:
        refused_then = self._refused

        def read(outcome: Outcome) -> None:
            if self._refused is not refused_then:
                return
            if isinstance(outcome.result, SpectrumSums):
                self._stored = outcome.result
                self.revision += 1
            else:
                self._refused.add(number)

        self._disk.ask(key, lambda: archive.spectra(number), read)

    def _fit(
        self, methods: Methods, wanted: list[Trace], attrs: dict[str, Any], starts: Sequence[Start], serial: int
    ) -> None:
        frequencies = wanted[0].frequencies
        signal = np.stack([trace.signal for trace in wanted], axis=1)
        frames = np.stack([trace.frames for trace in wanted], axis=1)

        def fitted(outcome: Outcome) -> None:
            if serial != self._serial or outcome.error is not None:
                return
            fits: list[SpectrumFit | None] = list(outcome.result)
            self.traces = [replace(trace, fit=fit) for trace, fit in zip(wanted, fits, strict=True)]
            self.revision += 1

        self._thought.ask("fit", lambda: methods.fit(frequencies, signal, frames, attrs, starts), fitted)
