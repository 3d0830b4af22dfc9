"""Spectra as they are drawn: one for the cursor, one for each pin, one for the region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.gui.model.curves import places
from nvscope.gui.model.methods import SpectrumFit
from nvscope.gui.model.selection import Pixels, Selection, disc
from nvscope.gui.model.spectra import SpectrumSums

FloatArray = NDArray[np.float64]
CURSOR = -2
"""Colour slot of the cursor; the region has -1, pins 0 and up."""


@dataclass(frozen=True, eq=False)
class Trace:
    """A spectrum of one place.

    Attributes
    ----------
    label : str
    slot : int
        Colour: `CURSOR`, -1 for the region, or a pin's.
    frequencies, signal, frames : ndarray, shape (frequency,)
        Hz, mean counts (NaN without a frame), effective number of frames.
    pixels : tuple of ndarray
        Rows and columns averaged.
    fit : SpectrumFit or None
    """

    label: str
    slot: int
    frequencies: FloatArray
    signal: FloatArray
    frames: FloatArray
    pixels: Pixels
    fit: SpectrumFit | None = None

    @property
    def level(self) -> float:
        """Counts that count as 100 %: the upper quartile, which lines hardly reach."""
        finite = self.signal[np.isfinite(self.signal)]
        return float(np.percentile(finite, 75)) if finite.size else float("nan")


def traces(sums: SpectrumSums, selection: Selection) -> list[Trace]:
    """Return the spectra of cursor, pins and region, in that order, not yet fitted."""
    wanted = []
    if selection.cursor is not None:
        row, column = selection.cursor
        wanted.append((f"({column}, {row})", CURSOR, disc(row, column, selection.radius, sums.shape)))
    wanted += [(place.label, place.slot, place.pixels) for place in places(selection, sums.shape)]
    found = []
    for label, slot, pixels in wanted:
        signal, frames = sums.at(pixels)
        if np.isfinite(signal).any():
            found.append(Trace(label, slot, sums.frequencies, signal, frames, pixels))
    return found
