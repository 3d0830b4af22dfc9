"""What a window knows about one point of a run, apart from its maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nvscope.stream.messages import Maps, PointClosed, PointOpened

AUXILIARY = ("find-lines", "residual", "calibrate-field", "calibrate-microwave")
"""Purposes of points that are means to an end: not part of a curve s(T)."""


@dataclass(frozen=True)
class PointRecord:
    """One point.

    Attributes
    ----------
    number : int
    kind : str
        "odmr" or "transport".
    attrs : mapping
        As stored with the point, SI.
    frequencies : tuple of float
        Hz.
    shape : tuple of int
        (y, x).
    closed, final : bool
        Whether it is over; whether its maps hold all committed frames.
    sweeps : int
        In its newest maps.
    summary : mapping
        Scalars that came with them.
    shift : tuple of float or None
        How far the run found its image to have moved (y, x; pixels), None where it did not look.
    """

    number: int
    kind: str
    rig_time: float
    attrs: Mapping[str, Any] = field(default_factory=dict)
    frequencies: tuple[float, ...] = ()
    shape: tuple[int, int] = (0, 0)
    closed: bool = False
    final: bool = False
    sweeps: int = 0
    summary: Mapping[str, float] = field(default_factory=dict)
    shift: tuple[float, float] | None = None

    @staticmethod
    def opened(message: PointOpened) -> PointRecord:
        """Return the record of a point that begins."""
        return PointRecord(
            message.point,
            message.kind,
            message.rig_time,
            dict(message.attrs),
            tuple(message.frequencies),
            message.shape,
        )

    def mapped(self, message: Maps) -> PointRecord:
        """Return it with what newer maps say."""
        return replace(self, sweeps=message.sweeps, final=message.final, summary=dict(message.summary))

    def ended(self, message: PointClosed) -> PointRecord:
        """Return it closed, with what is known at its end."""
        return replace(self, closed=True, attrs={**self.attrs, **message.attrs})

    @property
    def purpose(self) -> str:
        """What it is for: ``reference``, ``zfc``, ``fw``, and so on."""
        return str(self.attrs.get("purpose", self.kind))

    @property
    def temperature(self) -> float:
        """Sample temperature (K), NaN if unknown."""
        return self._number("temperature")

    @property
    def field(self) -> float:
        """Applied field (T), NaN if unknown."""
        return self._number("field")

    @property
    def resistance(self) -> float:
        """Four-probe resistance (ohm), NaN without one."""
        return self._number("resistance")

    @property
    def resistance_err(self) -> float:
        """Its 1-σ uncertainty (ohm)."""
        return self._number("resistance_err")

    @property
    def certificate(self) -> Mapping[str, Any] | None:
        """The verdict on its history, if there is one."""
        found = self.attrs.get("certificate")
        return found if isinstance(found, Mapping) else None

    @property
    def in_curve(self) -> bool:
        """Whether it belongs to s(T): mapped below or through Tc, not a reference and not a search."""
        return self.kind == "odmr" and self.purpose not in (*AUXILIARY, "reference") and math.isfinite(self.temperature)

    @property
    def title(self) -> str:
        """One line for sliders and lists."""
        parts = [f"#{self.number}", self.purpose]
        if math.isfinite(self.temperature):
            parts.append(f"{self.temperature:.2f} K")
        if math.isfinite(self.field):
            parts.append(f"{self.field * 1e4:.1f} G")
        return "  ".join(parts)

    def _number(self, name: str) -> float:
        value = self.attrs.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
