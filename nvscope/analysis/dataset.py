"""A run as analysis sees it: points with maps, and what the operator knew about cell and sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.config import Loading
from nvscope.config.polygons import Vertices
from nvscope.store.spectra import Spectra

FloatArray = NDArray[np.float64]
CONVERGED = 0
"""Map `status` of a pixel whose numbers are measurements."""


AUXILIARY = ("find-lines", "residual", "calibrate-field", "calibrate-microwave")
"""Purposes of points that serve the run itself; they are no result."""


@dataclass(frozen=True, eq=False)
class MapPoint:
    """One (T, H) at which maps were taken.

    Attributes
    ----------
    index : int
        Its number in the run.
    purpose : str
        ``reference``, ``zfc``, ``fw``, ``find-lines`` …
    temperature, field : float
        Measured sample temperature (K) and applied field (T); NaN if not recorded.
    attrs : mapping
        Everything stored with the point (resistance, certificate, nominal field …).
    maps : mapping of str to ndarray, shape (y, x)
        Fitted maps, SI, by name; empty if the point was never fitted.
    frames : int
        Camera frames in it.
    final : bool
        Whether the maps contain all of the point's frames.
    elsewhere : Path or None
        The run it belongs to, where that is another one.
    """

    index: int
    purpose: str
    temperature: float
    field: float
    attrs: Mapping[str, Any]
    maps: Mapping[str, NDArray[Any]]
    frames: int = 0
    final: bool = True
    elsewhere: Path | None = None

    @property
    def residual(self) -> float:
        """Field (T) that `field` counts although it is there without a current; 0 where none was measured."""
        return float(self.attrs.get("residual_field", 0.0))

    @property
    def nominal_field(self) -> float:
        """The field asked for (T), the measured one if that was not recorded."""
        return float(self.attrs.get("field_nominal", self.field))

    @property
    def resistance(self) -> float:
        """Four-probe resistance (ohm), NaN without one."""
        return float(self.attrs.get("resistance", np.nan))

    @property
    def resistance_err(self) -> float:
        """1-σ uncertainty of `resistance` (ohm), NaN without one."""
        return float(self.attrs.get("resistance_err", np.nan))

    @property
    def verdict(self) -> str:
        """Of its certificate: ``valid``, ``degraded`` or ``invalid``; empty without one."""
        certificate = self.attrs.get("certificate")
        return str(certificate.get("verdict", "")) if isinstance(certificate, Mapping) else ""

    def map(self, name: str) -> FloatArray:
        """Return a map as float64 with NaN where the fit did not converge."""
        values = np.asarray(self.maps[name], dtype=np.float64)
        status = self.maps.get("status")
        return values if status is None else np.where(np.asarray(status) == CONVERGED, values, np.nan)


@dataclass(frozen=True, eq=False)
class RunData:
    """A run.

    Attributes
    ----------
    path : Path
        The run directory.
    info : mapping
        ``run.json``.
    points : tuple of MapPoint
        In the order they were taken; every point that has maps or a resistance.
    loading : Loading or None
    warnings : tuple of (rig time or None, text)
        From the journal.
    outcome : str
        ``done``, ``failed``, ``aborted``, or ``unfinished`` for a run that ended without saying so or still runs.
    regions : mapping
        Polygons by name that were drawn, or that averaging looked at; vertices as fractions of the maps' size.
    start, duration : float
        Rig time of the first record and from there to the last (s), NaN if unknown.
    references : tuple of MapPoint
        Reference maps of another run that this one was told to use.
    spectra : callable
        ``spectra(point, rows, columns)`` returns frequencies (Hz) and mean signals per frame, shape
        (frequency, pixel), with their 1-σ noise; raises `DataError` if the point has none.
    """

    path: Path
    info: Mapping[str, Any]
    points: tuple[MapPoint, ...]
    loading: Loading | None = None
    warnings: tuple[tuple[float | None, str], ...] = ()
    outcome: str = "unfinished"
    reason: str = ""
    regions: Mapping[str, tuple[Vertices, ...]] = field(default_factory=dict)
    start: float = float("nan")
    duration: float = float("nan")
    references: tuple[MapPoint, ...] = ()
    spectra: Callable[[int, NDArray[np.intp], NDArray[np.intp]], Spectra] | None = field(default=None, repr=False)

    def mapped(self) -> tuple[MapPoint, ...]:
        """Points with a field map; the coarse search, and maps of a history that was broken, are left out."""
        return tuple(
            p for p in self.points if "b_z" in p.maps and p.purpose not in AUXILIARY and p.verdict != "invalid"
        )
