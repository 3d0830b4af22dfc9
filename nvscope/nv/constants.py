"""Constants of the NV ground state, in SI (Hz, T, Pa, K)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType

from nvscope.errors import NvscopeError

GAMMA = 28.024951e9
"""Gyromagnetic ratio of the NV electron spin (Hz/T)."""


@dataclass(frozen=True)
class StressSusceptibility:
    """How strongly stress couples to the NV spin (Hz/Pa, compression positive).

    Attributes
    ----------
    name : str
        Name used in configuration and reports.
    a1, a2 : float
        Coupling to the axial shift of the NV.
    b, c : float
        Coupling to the transverse splitting of the NV.
    source : str
        Where the numbers come from.
    """

    name: str
    a1: float
    a2: float
    b: float
    c: float
    source: str

    @property
    def kappa(self) -> float:
        """Coupling of shear along the NV axis, κ = √2 b − c/√2 (Hz/Pa)."""
        return math.sqrt(2) * self.b - self.c / math.sqrt(2)

    @property
    def hydrostatic(self) -> float:
        """Shift of D under hydrostatic pressure, 3 a1 (Hz/Pa)."""
        return 3 * self.a1


_MHZ_PER_GPA = 1e6 / 1e9

BARSON_2017 = StressSusceptibility(
    "barson2017",
    a1=4.86 * _MHZ_PER_GPA,
    a2=-3.7 * _MHZ_PER_GPA,
    b=-2.3 * _MHZ_PER_GPA,
    c=3.5 * _MHZ_PER_GPA,
    source="Barson et al., Nano Lett. 17, 1496 (2017)",
)
HSIEH_2019 = StressSusceptibility(
    "hsieh2019",
    a1=4.90 * _MHZ_PER_GPA,
    a2=-3.70 * _MHZ_PER_GPA,
    b=-1.471 * _MHZ_PER_GPA,
    c=3.421 * _MHZ_PER_GPA,
    source="Hsieh et al., Science 366, 1349 (2019)",
)
SUSCEPTIBILITIES = MappingProxyType({item.name: item for item in (BARSON_2017, HSIEH_2019)})
"""The published sets by name; b and c are the main systematic of a shear stress."""


def susceptibility(name: str) -> StressSusceptibility:
    """Return a published set by name (``"barson2017"``, ``"hsieh2019"``)."""
    try:
        return SUSCEPTIBILITIES[name]
    except KeyError:
        known = ", ".join(sorted(SUSCEPTIBILITIES))
        raise NvscopeError(f"no stress susceptibility set called {name!r}; known: {known}") from None
