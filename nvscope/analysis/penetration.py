"""First penetration: where flux begins to enter when the field is raised after zero-field cooling.

Below it a body answers in proportion, 1 − s is the same at every field. The first field at which a pixel screens less
than at all before, beyond doubt, is an upper bound on its first penetration; the field before it is a lower one, as far
as the noise lets smaller losses be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.analysis.dataset import RunData
from nvscope.analysis.series import FloatArray, find_series

SIGMAS = 4.0
"""A pixel screens, and screens less, beyond this many of its errors: by chance one in 30 000 does."""
LOSS = 0.1
"""Share of 1 − s by which screening must have dropped, so that normalising the maps cannot pass for it."""
_SAME_TEMPERATURE = 1.0


@dataclass(frozen=True, eq=False)
class Penetration:
    """What raising the field showed.

    Attributes
    ----------
    temperature : float
        K.
    field : ndarray, shape (n,)
        Applied fields (T), ascending.
    screening, screening_err : ndarray, shape (n,)
        Weighted mean of 1 − s over the pixels that screen.
    first : ndarray, shape (y, x)
        Field (T) at which a pixel first screens less; inf where none up to the highest does, NaN where no screening
        can be told over all fields together.
    """

    temperature: float
    field: FloatArray
    screening: FloatArray
    screening_err: FloatArray
    first: FloatArray

    @property
    def screens(self) -> NDArray[np.bool_]:
        """Pixels that screen."""
        return ~np.isnan(self.first)

    @property
    def entered(self) -> FloatArray:
        """Share of those into which flux has entered, at every field."""
        first = self.first[self.screens]
        return np.array([float(np.mean(first <= field * (1 + 1e-9))) for field in self.field])


def first_penetration(field: ArrayLike, s: ArrayLike, s_err: ArrayLike) -> FloatArray:
    """Return the field (T) at which each pixel first screens less than at all before; inf and NaN as `Penetration`.

    Parameters
    ----------
    field : array_like, shape (n,)
        Applied fields (T), ascending.
    s, s_err : array_like, shape (n, y, x)
        B/H and its 1-σ uncertainty, independent from field to field.
    """
    fields, ratio, err = (np.asarray(a, dtype=np.float64) for a in (field, s, s_err))
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = err**-2
        total = np.cumsum(weight, axis=0)
        before = np.cumsum(weight * (1 - ratio), axis=0) / total
        lost = before[:-1] - (1 - ratio[1:])
        enough = (lost > SIGMAS * np.sqrt(1 / total[:-1] + err[1:] ** 2)) & (lost > LOSS * before[:-1])
        first = np.where(enough.any(axis=0), fields[1:][np.argmax(enough, axis=0)], np.inf)
        return np.where(before[-1] > SIGMAS / np.sqrt(total[-1]), first, np.nan)


def measure_penetration(run: RunData) -> list[Penetration]:
    """Return what every raising of the field in a run showed; those that were begun again count by themselves."""
    maps = {p.index: (one.s[k], one.s_err[k]) for one in find_series(run) for k, p in enumerate(one.points)}
    courses: list[list[int]] = []
    points = {p.index: p for p in run.mapped()}
    for index in sorted(maps):
        point = points[index]
        if point.purpose == "zfc":
            courses.append([index])
        elif point.purpose == "hc1" and courses:
            begun = points[courses[-1][0]]
            rising = abs(point.field) > abs(points[courses[-1][-1]].field)
            if rising and abs(point.temperature - begun.temperature) <= _SAME_TEMPERATURE:
                courses[-1].append(index)
    return [_course([(abs(points[i].field), *maps[i]) for i in c], points[c[0]].temperature) for c in courses if c[1:]]


def _course(taken: list[tuple[float, FloatArray, FloatArray]], temperature: float) -> Penetration:
    field = np.array([h for h, _, _ in taken])
    s, err = (np.stack([entry[k] for entry in taken]) for k in (1, 2))
    first = first_penetration(field, s, err)
    inside = ~np.isnan(first) & np.isfinite(s).all(axis=0) & np.isfinite(err).all(axis=0)
    weight = 1 / err[:, inside] ** 2
    total = weight.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (weight * (1 - s[:, inside])).sum(axis=1) / total
        return Penetration(temperature, field, mean, 1 / np.sqrt(total), first)
