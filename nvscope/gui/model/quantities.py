"""The maps a window shows: what each means, its unit, and how it is coloured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Scheme = Literal["sequential", "diverging", "classes"]


@dataclass(frozen=True)
class Quantity:
    """One kind of map.

    Attributes
    ----------
    name : str
        Key; of a fitted map where it is one, see `nvscope.gui.model.derived`.
    title : str
        On its tab.
    label : str
        On its colour bar, without the unit.
    unit : str
        What people read it in; empty for a pure number.
    scale : float
        Shown value over SI value.
    meaning : str
        What it is, in a sentence or two.
    scheme : str
        How it is coloured; "diverging" about `center`, "classes" by whole numbers that `classes` names.
    error : str
        Name of the map of its 1-σ uncertainty, empty if there is none.
    digits : int
        Decimals of a shown value.
    """

    name: str
    title: str
    label: str
    unit: str
    scale: float
    meaning: str
    scheme: Scheme = "sequential"
    center: float = 0.0
    error: str = ""
    digits: int = 2
    classes: tuple[str, ...] = ()

    @property
    def axis(self) -> str:
        """Label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def text(self, value: float, error: float = float("nan")) -> str:
        """Write an SI value, with its uncertainty if that is finite."""
        if not math.isfinite(value):
            return "–"
        if self.scheme == "classes":
            index = round(value)
            known = 0 <= index < len(self.classes) and abs(value - index) < 1e-6
            return self.classes[index] if known else f"{value:.2f}"
        number = self.number(value)
        if error == error:
            number += f" ± {self.number(error)}"
        return f"{number} {self.unit}".rstrip()

    def number(self, value: float) -> str:
        """Write an SI value as a number in the unit shown."""
        return f"{value * self.scale:.{self.digits}f}" if math.isfinite(value) else "–"


_FIT_STATUS = ("converged", "at bound", "no signal", "not converged", "too few points")
_LINES = ("no line", "1 line", "2 lines")

QUANTITIES: tuple[Quantity, ...] = (
    Quantity(
        "b_z",
        "B",
        "B",
        "G",
        1e4,
        "Field along the NV axis: half splitting over γ = 28.02 GHz/T. Shear stress adds to the splitting; "
        "it cancels in s.",
        error="b_z_err",
    ),
    Quantity(
        "s_ratio",
        "s",
        "s = B / B(T > Tc)",
        "",
        1.0,
        "Field over the field above Tc at the same coil current. Below 1 the field is expelled, above 1 it is "
        "crowded together, 1 is normal. Without a reference map: over the applied field.",
        scheme="diverging",
        center=1.0,
        error="s_ratio_err",
        digits=4,
    ),
    Quantity(
        "d_shift",
        "D shift",
        "D shift Π_Z",
        "MHz",
        1e-6,
        "Centre of the two lines less D₀(T) of an unstressed NV: the stress along the axis, 14.6 MHz per GPa if "
        "it is hydrostatic.",
        error="center_err",
    ),
    Quantity(
        "half_splitting",
        "Half splitting",
        "half splitting",
        "MHz",
        1e-6,
        "(f₊ − f₋)/2: field and shear stress together.",
        error="half_splitting_err",
        digits=3,
    ),
    Quantity(
        "contrast",
        "Contrast",
        "contrast",
        "%",
        100.0,
        "Mean contrast of the two lines, signed: negative is a dip, positive a peak as high stress can make it.",
    ),
    Quantity("width", "Width", "half width", "MHz", 1e-6, "Mean half width at half maximum of the two lines."),
    Quantity(
        "chi2_reduced",
        "χ²ᵣ",
        "χ²ᵣ",
        "",
        1.0,
        "Reduced chi squared of the fit: 1 if lines and noise are as assumed. Larger: another line, drift, "
        "or a wrong camera gain.",
    ),
    Quantity(
        "b_z_err", "δB", "δB", "G", 1e4, "1-σ uncertainty of B from photon noise, as the fit propagates it.", digits=3
    ),
    Quantity(
        "n_lines",
        "Lines",
        "significant lines",
        "",
        1.0,
        "How many lines stand out of the noise: 2 where a field can be read.",
        scheme="classes",
        digits=0,
        classes=_LINES,
    ),
    Quantity(
        "status",
        "Status",
        "status of the fit",
        "",
        1.0,
        "Only converged pixels are measurements; the others are left blank in every other map.",
        scheme="classes",
        digits=0,
        classes=_FIT_STATUS,
    ),
)
"""In the order of their tabs."""

BY_NAME = {quantity.name: quantity for quantity in QUANTITIES}
