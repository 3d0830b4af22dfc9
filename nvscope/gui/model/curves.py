"""s(T) of places and R(T) beside it, growing as points come; what was read off a map once is remembered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.config.polygons import polygon_mask
from nvscope.gui.model.maps import PointMaps
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.selection import Pixels, Selection, disc, rectangle
from nvscope.gui.model.session import Session

FloatArray = NDArray[np.float64]


_Value = tuple[float, float, float]
"""Of one point at one place: s, its error, the error it shares with the others."""
_MOST_KNOWN = 200_000

POLYGON_SLOTS = {"roi": -3, "reference": -4}
"""Colours of the run's own regions."""
REGION_NAMES = {"roi": "ROI", "reference": "ref. region"}


@dataclass(frozen=True, eq=False)
class Place:
    """Pixels with a name: "A" for a pin, "region" for the rectangle, "ROI" and "ref. region" for the run's own.

    `slot` chooses the colour: a pin's, -1 for the rectangle, `POLYGON_SLOTS`.
    """

    key: tuple[int, ...]
    label: str
    slot: int
    pixels: Pixels


def places(selection: Selection, shape: tuple[int, int]) -> list[Place]:
    """Return the pinned places and the region of an image of `shape` (y, x)."""
    found = [
        Place((pin.row, pin.column, round(10 * selection.radius)), pin.label, pin.slot, pixels)
        for pin in selection.pins
        if (pixels := disc(pin.row, pin.column, selection.radius, shape))[0].size
    ]
    if selection.region is not None:
        pixels = rectangle(selection.region, shape)
        if pixels[0].size:
            r = selection.region
            found.append(Place((r.top, r.left, r.bottom, r.right), "region", -1, pixels))
    for kind, vertices in selection.polygons.items():
        rows, columns = np.nonzero(polygon_mask(vertices, shape))
        if rows.size:
            key = (POLYGON_SLOTS[kind], *(round(1e4 * part) for vertex in vertices for part in vertex))
            found.append(Place(key, REGION_NAMES[kind], POLYGON_SLOTS[kind], (rows, columns)))
    return found


@dataclass(frozen=True, eq=False)
class RatioCurve:
    """s(T) of one place, ascending in T.

    Attributes
    ----------
    s, err : ndarray
        Mean over the place and the 1-σ uncertainty that scatters from point to point.
    common_err : float
        1-σ uncertainty all points share: the reference's.
    points : tuple of int
        Point numbers.
    """

    place: Place
    temperature: FloatArray
    s: FloatArray
    err: FloatArray
    common_err: float
    points: tuple[int, ...]


class Curves:
    """Reads s at places off the maps of a session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[tuple[int, tuple[int, ...]], tuple[tuple[int, int], _Value | None]] = {}

    def missing(self, wanted: Sequence[Place]) -> list[int]:
        """Return the points whose maps would have to be read from disk for these places."""
        if not wanted:
            return []
        found: list[int] = []
        for record in self._session.points.values():
            if not record.in_curve or not (record.final or record.closed):
                continue
            unknown = [place for place in wanted if (record.number, place.key) not in self._known]
            for place in unknown:  # read now what is held now: it may be gone before anybody draws it
                self._value(record, place)
            if all((record.number, place.key) in self._known for place in unknown):
                continue
            found += [one for one in self._session.needs(record.number) if one not in found]
        return found

    def ratio(self, place: Place) -> RatioCurve:
        """Return s(T) of a place, from every point whose maps are held or were."""
        rows: list[tuple[float, float, float, float, int]] = []
        for record in list(self._session.points.values()):
            if record.in_curve:
                value = self._value(record, place)
                if value is not None and math.isfinite(value[0]):
                    rows.append((record.temperature, *value, record.number))
        rows.sort()
        table = np.array([row[:4] for row in rows], np.float64).reshape(-1, 4)
        common = float(np.median(table[:, 3])) if len(rows) else math.nan
        return RatioCurve(place, table[:, 0], table[:, 1], table[:, 2], common, tuple(row[4] for row in rows))

    def resistance(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return T (K), R and its uncertainty (ohm) of every point that has one, ascending in T."""
        rows = sorted(
            (record.temperature, record.resistance, np.nan_to_num(record.resistance_err))
            for record in self._session.points.values()
            if math.isfinite(record.temperature) and math.isfinite(record.resistance)
        )
        table = np.array(rows, np.float64).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2]

    def forget(self) -> None:
        """Start over."""
        self._known.clear()

    def _value(self, record: PointRecord, place: Place) -> _Value | None:
        session = self._session
        key = (record.number, place.key)
        maps = session.maps.get(record.number)
        reference = session.reference_of(record.number)
        above = None if reference is None else session.maps.get(reference.number)
        known = self._known.get(key)
        if maps is None or (reference is not None and above is None):
            return known[1] if known is not None else None
        state = (maps.revision, 0 if above is None else above.revision)
        if known is not None and known[0] == state:
            return known[1]
        value = self._read(record, maps, reference, above, place)
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known[key] = (state, value)
        return value

    def _read(
        self,
        record: PointRecord,
        maps: PointMaps,
        reference: PointRecord | None,
        above: PointMaps | None,
        place: Place,
    ) -> _Value | None:
        b, b_err = _at(maps, "b_z", place.pixels), _at(maps, "b_z_err", place.pixels)
        if b is None or b_err is None or not math.isfinite(record.field):
            return None
        if reference is None or above is None:
            ratio = self._session.methods.ratio(b, b_err, None, None, record.field, math.nan)
        else:
            r, r_err = _at(above, "b_z", place.pixels), _at(above, "b_z_err", place.pixels)
            if r is None or r_err is None:
                return None
            ratio = self._session.methods.ratio(b, b_err, r, r_err, record.field, reference.field)
        return weighted(ratio.s, ratio.point_err, ratio.reference_err)


def weighted(s: FloatArray, point_err: FloatArray, reference_err: FloatArray) -> _Value:
    """Return the inverse-variance mean over pixels, its scatter error and the error shared through the reference."""
    good = np.isfinite(s) & np.isfinite(point_err) & (point_err > 0)
    if not good.any():
        return math.nan, math.nan, math.nan
    weight = 1 / point_err[good] ** 2
    total = float(weight.sum())
    shared = np.where(np.isfinite(reference_err[good]), reference_err[good], 0.0)
    common = math.sqrt(float((weight**2 * shared**2).sum())) / total
    return float((weight * s[good]).sum() / total), 1 / math.sqrt(total), common


def _at(maps: PointMaps, name: str, pixels: Pixels) -> FloatArray | None:
    values = maps.arrays.get(name)
    if values is None or pixels[0].size == 0:
        return None
    if int(pixels[0].max()) >= values.shape[0] or int(pixels[1].max()) >= values.shape[1]:
        return None
    chosen = np.asarray(values[pixels], np.float64)
    status = maps.arrays.get("status")
    return chosen if status is None else np.where(np.asarray(status[pixels]) == 0, chosen, np.nan)
