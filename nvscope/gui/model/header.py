"""What a run is: read from what ``run.json`` holds, which a run also tells whoever listens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nvscope.config.polygons import Crop, cropped


@dataclass(frozen=True)
class Outline:
    """A polygon; vertices (x, y) as fractions of the image's width and height; a `color` unless it is the loading's."""

    name: str
    kind: str
    vertices: tuple[tuple[float, float], ...]
    color: str = ""


@dataclass(frozen=True)
class Header:
    """What a run is.

    Attributes
    ----------
    field_of_view : float
        Edge of the imaged square (m), NaN if unknown.
    target_b_err : float
        Error of B (T) at which averaging stops, NaN if there is none.
    """

    run: str = ""
    directory: str = ""
    sequence: str = ""
    sample: str = ""
    rig: str = ""
    operator: str = ""
    note: str = ""
    started: str = ""
    pressure: float = math.nan
    field_of_view: float = math.nan
    target_b_err: float = math.nan
    outlines: tuple[Outline, ...] = ()


def header_of(
    info: Mapping[str, Any], run: str, directory: str, part: tuple[Crop, tuple[int, int]] | None = None
) -> Header:
    """Read a header; what is missing or damaged is left out.

    Parameters
    ----------
    info : mapping
        Fields of `nvscope.store.info.RunInfo`.
    run, directory : str
        Name of the run, and where it is.
    part : tuple or None
        Which part of the camera's image (x, y, width, height) the maps show, and that image's shape (y, x).
    """
    loading = _mapping(info, "loading")
    extent, outlines = number_of(loading.get("field_of_view")), _outlines(loading, part)
    if part is not None:
        extent *= max(part[0][2:]) / max(part[1])
    return Header(
        run=run,
        directory=directory,
        sequence=str(info.get("sequence", "")),
        sample=str(_mapping(info, "sample").get("name", "")),
        rig=str(_mapping(info, "rig").get("name", "")),
        operator=str(info.get("operator", "")),
        note=str(info.get("note", "")),
        started=str(info.get("started", "")),
        pressure=number_of(info.get("nominal_pressure")),
        field_of_view=extent,
        target_b_err=number_of(_mapping(info, "parameters").get("until")),
        outlines=outlines,
    )


def part_of(attrs: Mapping[str, Any]) -> tuple[Crop, tuple[int, int]] | None:
    """Return which part of the camera's image a point shows, and that image's shape; None if it is all of it."""
    try:
        (x, y, width, height), (rows, columns) = attrs["crop"], attrs["image_shape"]
        return (int(x), int(y), int(width), int(height)), (int(rows), int(columns))
    except (KeyError, TypeError, ValueError):
        return None


def number_of(value: object) -> float:
    """Return a number, NaN if it is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _mapping(info: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = info.get(name)
    return found if isinstance(found, Mapping) else {}


def _outlines(loading: Mapping[str, Any], part: tuple[Crop, tuple[int, int]] | None) -> tuple[Outline, ...]:
    found = []
    for polygon in loading.get("polygons") or ():
        try:
            vertices = tuple((float(x), float(y)) for x, y in polygon["vertices"])
            shown = vertices if part is None else cropped(vertices, *part)
            if len(shown) < 3:
                continue
            found.append(Outline(str(polygon["name"]), str(polygon["kind"]), shown))
        except (KeyError, TypeError, ValueError):
            continue
    return tuple(found)
