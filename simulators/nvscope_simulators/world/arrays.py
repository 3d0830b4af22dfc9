"""Transport of a film cut into a Josephson array by nano-holes: islands first, coherence later, a metal at the end.

One sheet resistance against temperature, field and current:

- islands superconduct below Tc1, which the field lowers through Hc2(θ);
- phase coherence between them follows below Tc2, which a perpendicular field modulates with the period (h/q)/A_cell,
  q = 2e, because the coupling of neighbouring islands is frustrated by the flux in a cell;
- what is left at base does not freeze out: a residual resistance, flat in temperature (anomalous metal);
- below the vortex-unbinding temperature V ∝ I^α with α = 1 + 2 T_BKT/T, 3 at T_BKT.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import Field

from nvscope.config import Frozen
from nvscope.units import Amperes, Kelvin, Metres, Ohms, Tesla
from nvscope_simulators.world.geometry import Array

PLANCK, ELEMENTARY_CHARGE = 6.62607015e-34, 1.602176634e-19


class JosephsonArray(Frozen):
    """A nano-hole array's transport."""

    normal_resistance: Ohms = Field(default=900.0, description="just above Tc1")
    slope: float = Field(default=0.004, ge=0, description="relative rise of the normal resistance per kelvin")
    island_tc: Kelvin = Field(default=18.0, description="Tc1")
    island_width: Kelvin = 0.8
    island_fraction: float = Field(default=0.45, gt=0, lt=1, description="of R_N left between the two steps")
    coherence_tc: Kelvin = Field(default=12.0, description="Tc2, at integer flux per cell")
    coherence_width: Kelvin = 0.7
    residual_resistance: Ohms = Field(default=6.0, description="what is left at base")
    bkt_temperature: Kelvin = 10.5
    critical_current: Amperes = Field(default=5e-5, description="scale of the current in V ∝ I^α")
    hole_pitch: Metres = Field(default=1e-7, description="of the triangular lattice")
    charge: int = Field(default=2, ge=1, description="q in units of e")
    modulation: float = Field(default=0.12, ge=0, lt=1, description="relative swing of Tc2 with frustration")
    modulation_fields: float = Field(default=8.0, gt=0, description="periods over which the swing dies out")
    hc2_perpendicular: Tesla = Field(default=22.0, description="at T = 0")
    hc2_parallel: Tesla = Field(default=14.0, description="at T = 0; below Hc2 across the film: a reversed anisotropy")
    angle_law: Literal["tinkham", "ellipsoid"] = Field(default="ellipsoid", description="2-D film or anisotropic 3-D")

    @property
    def period(self) -> float:
        """Field period of the oscillations (T): one flux quantum h/q in a cell of √3 a²/2."""
        return PLANCK / (self.charge * ELEMENTARY_CHARGE) / (math.sqrt(3) / 2 * self.hole_pitch**2)


def upper_critical_field(law: JosephsonArray, theta: float) -> float:
    """Return Hc2 at T = 0 (T) for a field `theta` (rad) out of the film's plane.

    Tinkham's film: |H sin θ/H⊥| + (H cos θ/H∥)² = 1 (Phys. Rev. 129, 2413 (1963)); anisotropic 3-D:
    (H sin θ/H⊥)² + (H cos θ/H∥)² = 1.
    """
    across, along = abs(math.sin(theta)) / law.hc2_perpendicular, abs(math.cos(theta)) / law.hc2_parallel
    if law.angle_law == "ellipsoid":
        return 1 / math.hypot(across, along)
    return (math.sqrt(across**2 + 4 * along**2) - across) / (2 * along**2) if along > 1e-12 else 1 / across


def frustration_factor(law: JosephsonArray, b_perpendicular: float) -> float:
    """Return Tc2(B)/Tc2(0) ≤ 1: full at integer flux per cell, least half-way, the swing fading with the field."""
    flux = b_perpendicular / law.period
    fading = math.exp(-abs(flux) / law.modulation_fields)
    return 1 - law.modulation * (1 - (1 + math.cos(2 * math.pi * flux)) / 2 * fading - (1 - fading) / 2)


def array_resistance(law: JosephsonArray, temperature: float, field: Array, current: float) -> float:
    """Return V/I (ohm) at `temperature` (K), `field` (T, shape (3,), Z across the film) and `current` (A)."""
    size = float(np.linalg.norm(field))
    theta = math.asin(min(1.0, abs(float(field[2])) / size)) if size > 0 else math.pi / 2
    reduced = size / upper_critical_field(law, theta)
    # the islands' Tc falls linearly with the field (Ginzburg–Landau); coherence needs islands
    island_tc = law.island_tc * max(0.0, 1 - reduced)
    coherence_tc = law.coherence_tc * frustration_factor(law, float(field[2])) * max(0.0, 1 - reduced) ** 0.5
    normal = law.normal_resistance * (1 + law.slope * max(0.0, temperature - law.island_tc))
    islands = _step((temperature - island_tc) / law.island_width)
    between = law.island_fraction + (1 - law.island_fraction) * islands
    coherent = _step((temperature - min(coherence_tc, island_tc)) / law.coherence_width)
    left = law.residual_resistance + (normal * between - law.residual_resistance) * coherent
    unbinding = law.bkt_temperature * coherence_tc / law.coherence_tc
    if current == 0 or temperature >= unbinding or temperature <= 0:
        return left
    exponent = 1 + 2 * unbinding / temperature
    driven = normal * between * (abs(current) / law.critical_current) ** (exponent - 1)
    return min(left + driven, normal * between)


def _step(x: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, 4 * x))))
