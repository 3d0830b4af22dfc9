"""What journal entries and attributes of points tell a window; what is damaged tells nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nvscope.gui.model.selection import Vertices
from nvscope.gui.model.steps import Step
from nvscope.units import parse_quantity

POLYGONS = ("roi", "reference")


def region_of_point(attrs: Mapping[str, Any]) -> tuple[Vertices, ...]:
    """Read the polygons a sequence has a point judged by; none if there are none, or they are damaged."""
    try:
        return tuple(tuple((float(x), float(y)) for x, y in polygon) for polygon in attrs.get("region") or ())
    except (TypeError, ValueError):
        return ()


def region_of(data: Mapping[str, Any]) -> dict[str, Vertices]:
    """Read a journal entry ``region``: its kind and vertices, none if it was taken away; empty if it is damaged."""
    try:
        kind = str(data["kind"])
        vertices = tuple((float(x), float(y)) for x, y in data["vertices"])
        return {kind: vertices} if kind in POLYGONS and len(vertices) not in (1, 2) else {}
    except (KeyError, TypeError, ValueError):
        return {}


def target_of(data: Mapping[str, Any], before: float) -> float:
    """Return the target of δB (T) after a journal entry ``parameters``: NaN if averaging has none any more."""
    settings = data.get("settings")
    if not isinstance(settings, Mapping) or "until" not in settings:
        return before
    try:
        return parse_quantity(settings["until"], "tesla")
    except ValueError:
        return math.nan


def planned_steps(data: Mapping[str, Any]) -> list[Step]:
    """Read the steps out of a journal entry ``plan``."""
    found = []
    steps = data.get("steps")
    for item in steps if isinstance(steps, list) else []:
        if isinstance(item, Mapping) and isinstance(item.get("text"), str):
            duration = item.get("duration")
            found.append(Step(item["text"], float(duration) if isinstance(duration, int | float) else math.nan))
    return found
