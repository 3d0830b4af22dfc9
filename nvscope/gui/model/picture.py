"""A map made ready to be drawn: pure functions of what a session held at one moment, for any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nvscope.gui.model.derived import plain_map, ratio_map
from nvscope.gui.model.maps import PointMaps
from nvscope.gui.model.methods import Methods, RatioMap
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.quantities import Quantity, Scheme
from nvscope.gui.model.statistics import Statistics, centered_limits, spread_limits, statistics

FloatArray = NDArray[np.float64]
Mode = Literal["this map", "difference", "flicker"]
_SMALLEST = 0.004
"""Half range of a diverging scale below which colours would show noise only."""


@dataclass(frozen=True, eq=False)
class Sources:
    """What the maps of a point are made of; `ratio` is filled in where it is known already."""

    point: PointRecord
    maps: PointMaps
    reference: PointRecord | None = None
    above: PointMaps | None = None
    ratio: RatioMap | None = None

    @property
    def key(self) -> tuple[int, int]:
        """What the ratio follows from."""
        return self.maps.revision, 0 if self.above is None else self.above.revision

    def make_ratio(self, methods: Methods) -> RatioMap | None:
        """Return s; None if it cannot be said (yet)."""
        return self.ratio or ratio_map(methods, self.point, self.maps, self.reference, self.above)

    def map(self, methods: Methods, name: str) -> FloatArray | None:
        """Return a map by its name in `nvscope.gui.model.quantities`, SI, NaN where not measured."""
        if name not in ("s_ratio", "s_ratio_err"):
            return plain_map(methods, name, self.point, self.maps)
        found = self.make_ratio(methods)
        if found is None:
            return None
        return found.s if name == "s_ratio" else np.hypot(found.point_err, found.reference_err)


@dataclass(frozen=True, eq=False)
class MapRequest:
    """What is to be shown: a quantity of a point, perhaps beside another."""

    quantity: Quantity
    sources: Sources
    mode: Mode = "this map"
    other: Sources | None = None


@dataclass(frozen=True, eq=False)
class MapPicture:
    """A map and all that is written beside it.

    Attributes
    ----------
    point : PointRecord
    quantity : Quantity
    values, errors : ndarray, shape (y, x), or None
        SI, NaN where not measured; None if this point has no such map.
    other : ndarray or None
        The map it flickers with.
    label, scheme, center
        How it is coloured, in the unit shown.
    limits : tuple of float
        A scale that fits, in the unit shown.
    whole : Statistics
        Of the whole image, SI.
    ratio : RatioMap or None
        s, where it was worked out on the way.
    """

    point: PointRecord
    quantity: Quantity
    values: FloatArray | None
    errors: FloatArray | None
    other: FloatArray | None
    label: str
    scheme: Scheme
    center: float
    limits: tuple[float, float]
    whole: Statistics
    ratio: RatioMap | None = None


def make_picture(methods: Methods, request: MapRequest) -> MapPicture:
    """Work out a picture; takes tens of milliseconds for a million pixels."""
    quantity, sources = request.quantity, request.sources
    other_sources = request.other
    if quantity.name == "s_ratio":
        sources = replace(sources, ratio=sources.make_ratio(methods))
        other_sources = other_sources and replace(other_sources, ratio=other_sources.make_ratio(methods))
    values = sources.map(methods, quantity.name)
    errors = _errors(methods, quantity, sources) if values is not None else None
    other = None if other_sources is None else other_sources.map(methods, quantity.name)
    if values is None or other is None or other_sources is None or other.shape != values.shape:
        other = other_sources = None
    label, scheme, center = quantity.axis, quantity.scheme, quantity.center
    if request.mode == "difference" and values is not None and other is not None:
        values, other, scheme, center = values - other, None, "diverging", 0.0
        unit = f" ({quantity.unit})" if quantity.unit else ""
        label = f"Δ{quantity.label.split(' = ')[0]}{unit}"
        errors = _difference_errors(methods, quantity, sources, other_sources)
    center *= quantity.scale
    limits = (0.0, 1.0)
    if values is not None and scheme != "classes":
        shown = values * quantity.scale
        limits = centered_limits(shown, center, _SMALLEST) if scheme == "diverging" else spread_limits(shown)
    whole = statistics(np.empty(0) if values is None else values.ravel())
    return MapPicture(
        sources.point, quantity, values, errors, other, label, scheme, center, limits, whole, sources.ratio
    )


def _errors(methods: Methods, quantity: Quantity, sources: Sources) -> FloatArray | None:
    return sources.map(methods, quantity.error) if quantity.error else None


def _difference_errors(methods: Methods, quantity: Quantity, one: Sources, other: Sources | None) -> FloatArray | None:
    """Return the 1-σ uncertainty of a difference; two s share their reference, whose error cancels."""
    if other is None or not quantity.error:
        return None
    if quantity.name == "s_ratio" and one.ratio is not None and other.ratio is not None:
        return np.hypot(one.ratio.point_err, other.ratio.point_err)
    mine, theirs = _errors(methods, quantity, one), _errors(methods, quantity, other)
    return None if mine is None or theirs is None else np.hypot(mine, theirs)


def counts_of(values: FloatArray, classes: tuple[str, ...]) -> Mapping[str, int]:
    """Return how many pixels are of each class, those of none left out."""
    counted = {text: int(np.count_nonzero(values == index)) for index, text in enumerate(classes)}
    return {text: count for text, count in counted.items() if count}
