"""The pair of lines at a small field, pixel by pixel, about where a map of the same run in a larger field has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.nv import GAMMA
from nvscope.odmr import fit_pair_about
from nvscope.plans.residual_field import ResidualField, residual_field
from nvscope.store.reader import RunReader
from nvscope.store.spectra import read_spectra
from nvscope.stream.messages import Maps

FloatArray = NDArray[np.float64]

PURPOSE = "residual"
PIXELS = 1024
"""Most that are fitted, evenly over the image: 0.25 G each make 0.01 G, and take two seconds."""
_NEEDED = ("center", "center_err", "contrast_minus", "contrast_plus", "width_minus", "width_plus")


class ResidualPairs:
    """Told every map of the run, measures the residual field when asked.

    Parameters
    ----------
    directory : Path
        Of the run; its committed blocks are read.
    opened : mapping
        What every point was opened with, by number; may grow.
    miscut : float
        Angle between magnet and NV axis (rad).
    """

    def __init__(self, directory: Path, opened: Mapping[int, Mapping[str, Any]], miscut: float) -> None:
        self._directory = directory
        self._opened = opened
        self._tilt = math.sin(miscut)
        self._pairs: dict[int, dict[str, FloatArray]] = {}

    def take(self, maps: Maps, arrays: list[NDArray[Any]]) -> None:
        """Keep the final maps of points that may tell where the pair is: the newest four, one measurement's."""
        if not maps.final or self._opened.get(maps.point, {}).get("purpose") != PURPOSE:
            return
        images = dict(zip(maps.names, arrays, strict=True))
        if all(name in images for name in _NEEDED):
            self._pairs[maps.point] = {name: images[name].astype(np.float64) for name in _NEEDED}
            for old in sorted(self._pairs)[:-4]:
                del self._pairs[old]

    def measure(self, beacon: int, visits: Sequence[int]) -> ResidualField:
        """Return the residual field from the points `visits`, about the pair in the point `beacon`."""
        field = np.array([float(self._opened[number]["field"]) for number in visits])
        pair = self._pairs.get(beacon)
        known = np.empty((0, 2), np.intp)
        if pair is not None:
            known = np.argwhere(np.isfinite([pair[name] for name in _NEEDED]).all(axis=0))
        if pair is None or not len(known):  # the fitter was lost, or found no pair
            nothing = np.full((len(visits), 0), np.nan)
            return residual_field(nothing, nothing, field)
        rows, columns = known[np.linspace(0, len(known) - 1, min(len(known), PIXELS)).astype(int)].T
        reader = RunReader(self._directory)
        large = float(self._opened[beacon]["field"])
        fits = [
            self._fit(reader, number, (rows, columns), pair, large, here)
            for number, here in zip(visits, field, strict=True)
        ]
        half, half_err = (np.array(values) for values in zip(*fits, strict=True))
        return residual_field(half, half_err, field)

    def _fit(
        self,
        reader: RunReader,
        number: int,
        places: tuple[NDArray[np.intp], NDArray[np.intp]],
        pair: Mapping[str, FloatArray],
        large: float,
        here: float,
    ) -> tuple[FloatArray, FloatArray]:
        rows, columns = places
        at = {name: values[rows, columns] for name, values in pair.items()}
        # a transverse field moves f- and f+ by 2 and 1 times γ²B⊥²/D, with the square of the field
        shift = 1.5 * (GAMMA * self._tilt) ** 2 * (large**2 - here**2) / at["center"]
        spectra = read_spectra(reader.point(number), rows, columns)
        found = fit_pair_about(
            spectra.frequency,
            spectra.signal,
            spectra.noise,
            at["center"] - shift,
            at["center_err"],
            at["contrast_minus"] + at["contrast_plus"],
            0.5 * (at["width_minus"] + at["width_plus"]),
        )
        return found.half_splitting, found.half_splitting_err
