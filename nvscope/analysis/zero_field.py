"""Maps taken at zero applied field, with the stress splitting they need.

At H = 0 the aligned pair cannot be told from the lines of the other groups by anything in the spectrum. Where the run
has a map of the same cell in a field at the same temperature, that says where the pair is, and the spectra are fitted
again with this knowledge (`nvscope.odmr.pair_about`); otherwise the maps of the two-line fit are all there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.ratio import MIN_FIELD
from nvscope.analysis.remnant import Remnant, remnant_field
from nvscope.nv import GAMMA

FloatArray = NDArray[np.float64]

SAME_TEMPERATURE = 5.0
"""K between two maps whose pair has one centre: D0(T) moves by less than 0.02 MHz below 100 K (Chen et al. 2011)."""


@dataclass(frozen=True, eq=False)
class ZeroFieldMap:
    """A remnant-field map: the point, the zero-field reference above Tc (if any), and |B|.

    `identified` says whether the pair was told from other lines by a map in a field, in both.
    """

    point: MapPoint
    reference: MapPoint | None
    remnant: Remnant
    identified: bool = False


def zero_field_maps(run: RunData) -> tuple[ZeroFieldMap, ...]:
    """Return the remnant field of every point mapped at zero field, each with the nearest zero-field reference.

    Points whose field was not recorded are left out. Without a reference the result is an upper limit, and says so.
    """
    zero = [p for p in run.mapped() if np.isfinite(p.field) and abs(p.field) <= MIN_FIELD]
    references = [p for p in zero if p.purpose == "reference"]
    return tuple(_map(run, point, references) for point in zero if point.purpose != "reference")


def _map(run: RunData, point: MapPoint, references: list[MapPoint]) -> ZeroFieldMap:
    shape = point.maps["half_splitting"].shape
    usable = [r for r in references if r.maps["half_splitting"].shape == shape]
    reference = min(usable, key=lambda r: abs(r.index - point.index), default=None)
    beacons = [_beacon(run, one) for one in (point, reference) if one is not None]
    identified = all(beacon is not None for beacon in beacons)
    # both or neither: what the two ways get wrong must not be taken for a field
    halves = [
        _half_about(run, one, beacon) if identified and beacon is not None else _half(one)
        for one, beacon in zip((point, reference), beacons, strict=False)
        if one is not None
    ]
    stress = (None, 0.0) if reference is None else halves[1]
    return ZeroFieldMap(point, reference, remnant_field(*halves[0], *stress), identified)


def _half(point: MapPoint) -> tuple[FloatArray, FloatArray]:
    return point.map("half_splitting"), point.map("half_splitting_err")


def _beacon(run: RunData, point: MapPoint) -> MapPoint | None:
    """Return the map in a field that is nearest in temperature; None if there is none near enough."""
    shape = point.maps["half_splitting"].shape
    usable = [
        p
        for p in run.mapped()
        if abs(p.field) > MIN_FIELD
        and abs(p.temperature - point.temperature) <= SAME_TEMPERATURE
        and p.maps["half_splitting"].shape == shape
    ]
    if run.spectra is None:
        return None
    return min(usable, key=lambda p: (abs(p.temperature - point.temperature), abs(p.index - point.index)), default=None)


def _half_about(run: RunData, point: MapPoint, beacon: MapPoint) -> tuple[FloatArray, FloatArray]:
    """Fit the pair of `point` about the centre it has in `beacon`; returns half splitting and error (Hz)."""
    from nvscope.odmr import fit_pair_about  # only runs at zero field need numba here

    assert run.spectra is not None
    center, center_err = beacon.map("center"), beacon.map("center_err")
    miscut = run.loading.miscut if run.loading is not None else 0.0
    # second order in the transverse field, present in a field only: f± move by 2 and 1 times γ²B⊥²/D
    center = center - 1.5 * (GAMMA * beacon.field * np.sin(miscut)) ** 2 / center
    depth = beacon.map("contrast_minus") + beacon.map("contrast_plus")
    width = 0.5 * (beacon.map("width_minus") + beacon.map("width_plus"))
    shape = center.shape
    rows, columns = (index.ravel() for index in np.indices(shape))
    spectra = run.spectra(point.index, rows, columns)
    pair = fit_pair_about(
        spectra.frequency,
        spectra.signal,
        spectra.noise,
        center.ravel(),
        center_err.ravel(),
        depth.ravel(),
        width.ravel(),
    )
    return pair.half_splitting.reshape(shape), pair.half_splitting_err.reshape(shape)
