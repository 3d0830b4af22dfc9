"""The maps of many points in bounded memory: the oldest looked at go first, the disk still has them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[Any]


@dataclass(frozen=True, eq=False)
class PointMaps:
    """Fitted maps of one point, SI, shape (y, x); `revision` differs whenever they do."""

    arrays: Mapping[str, Image]
    final: bool
    sweeps: int
    revision: int

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (y, x), (0, 0) without maps."""
        for array in self.arrays.values():
            return int(array.shape[0]), int(array.shape[1])
        return 0, 0

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(array.nbytes for array in self.arrays.values())


class MapStore:
    """Maps by point number, at most about `budget` bytes of them.

    Parameters
    ----------
    budget : int
        Bytes; the newest maps are kept even if they alone exceed it.
    """

    def __init__(self, budget: int = 256 * 1024 * 1024) -> None:
        self._budget = budget
        self._maps: OrderedDict[int, PointMaps] = OrderedDict()
        self._bytes = 0
        self._revision = 0
        self._protected: frozenset[int] = frozenset()

    def __contains__(self, point: int) -> bool:
        return point in self._maps

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return self._bytes

    def protect(self, *points: int) -> None:
        """Keep these points (the one shown, its reference) whatever happens; replaces what was protected."""
        self._protected = frozenset(points)

    def put(self, point: int, arrays: Mapping[str, Image], *, final: bool, sweeps: int) -> None:
        """Keep a point's newest maps."""
        self._drop(point)
        self._revision += 1
        maps = PointMaps(dict(arrays), final, sweeps, self._revision)
        self._maps[point] = maps
        self._bytes += maps.nbytes
        for other in list(self._maps):
            if self._bytes <= self._budget:
                break
            if other != point and other not in self._protected:
                self._drop(other)

    def get(self, point: int) -> PointMaps | None:
        """Return a point's maps if they are held."""
        maps = self._maps.get(point)
        if maps is not None:
            self._maps.move_to_end(point)
        return maps

    def clear(self) -> None:
        """Forget everything."""
        self._maps.clear()
        self._bytes = 0

    def _drop(self, point: int) -> None:
        old = self._maps.pop(point, None)
        if old is not None:
            self._bytes -= old.nbytes


def masked(maps: PointMaps, name: str) -> NDArray[np.float64] | None:
    """Return a map as float64, NaN where the fit did not converge; None if there is none of that name."""
    values = maps.arrays.get(name)
    if values is None:
        return None
    result = np.asarray(values, np.float64)
    status = maps.arrays.get("status")
    if status is None or name in ("status", "n_lines", "chi2_reduced"):
        return result
    return np.where(np.asarray(status) == 0, result, np.nan)


def lines_at(maps: PointMaps, pixels: tuple[NDArray[np.intp], NDArray[np.intp]]) -> tuple[float, float] | None:
    """Return the medians of f_minus and f_plus (Hz) over some pixels, None where nothing converged."""
    found = []
    inside = (pixels[0] < maps.shape[0]) & (pixels[1] < maps.shape[1])
    rows, columns = pixels[0][inside], pixels[1][inside]
    status = maps.arrays.get("status")
    for name in ("f_minus", "f_plus"):
        values = maps.arrays.get(name)
        if values is None:
            return None
        chosen = np.asarray(values[rows, columns], np.float64)
        if status is not None:
            chosen = chosen[np.asarray(status[rows, columns]) == 0]
        chosen = chosen[np.isfinite(chosen)]
        if not chosen.size:
            return None
        found.append(float(np.median(chosen)))
    return found[0], found[1]
