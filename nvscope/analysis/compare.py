"""Measured maps against true ones, beside a bound, in numbers and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

OUTLIER = 5.0
"""Stated uncertainties beyond which a value is counted as an outlier; 6e-7 of a Gaussian is."""


@dataclass(frozen=True)
class Comparison:
    """One quantity in one region; SI.

    Attributes
    ----------
    quantity, region : str
    pixels : int
        Values compared, all points together.
    outliers : float
        Share of values off by more than `OUTLIER` stated uncertainties: fits that took something else for a line. They
        are counted here and left out of everything below but `median_error`.
    bias : float
        Mean of measured − true.
    scatter : float
        Root mean square of measured − true about the bias.
    bound : float
        The scatter that the photon budget allows; NaN where there is none to state.
    pull_mean, pull_width : float
        Of (measured − true)/stated uncertainty.
    median_error : float
        Median of |measured − true|.
    """

    quantity: str
    unit: str
    region: str
    pixels: int
    outliers: float
    bias: float
    scatter: float
    bound: float
    pull_mean: float
    pull_width: float
    median_error: float

    @property
    def ratio(self) -> float:
        """Scatter over bound."""
        return self.scatter / self.bound


def compare(
    quantity: str,
    unit: str,
    region: str,
    measured: FloatArray,
    true: FloatArray,
    err: FloatArray,
    bound: FloatArray,
    mask: Mask,
) -> Comparison:
    """Compare maps (…, y, x) with the truth over a region (y, x); pixels without a number are left out."""
    difference = np.where(mask, measured - true, np.nan).ravel()
    with np.errstate(invalid="ignore"):
        pull = difference / np.broadcast_to(err, measured.shape).ravel()
    allowed = np.broadcast_to(bound, measured.shape).ravel()
    known = np.isfinite(pull)
    good = known & (np.abs(np.where(known, pull, 0.0)) <= OUTLIER)
    bounded = good & np.isfinite(allowed)
    nan = float("nan")
    if not good.any():
        return Comparison(quantity, unit, region, int(known.sum()), nan, nan, nan, nan, nan, nan, nan)
    bias = float(difference[good].mean())
    return Comparison(
        quantity=quantity,
        unit=unit,
        region=region,
        pixels=int(known.sum()),
        outliers=1 - float(good.sum() / known.sum()),
        bias=bias,
        scatter=float(np.sqrt(np.mean((difference[good] - bias) ** 2))),
        bound=float(np.sqrt(np.mean(allowed[bounded] ** 2))) if bounded.any() else nan,
        pull_mean=float(pull[good].mean()),
        pull_width=float(pull[good].std()),
        median_error=float(np.median(np.abs(difference[known]))),
    )


_SHOWN = {"T": (1e4, "G"), "T2": (1e8, "G²"), "Hz": (1e-6, "MHz"), "Pa": (1e-9, "GPa"), "K": (1.0, "K"), "1": (1.0, "")}


def table(rows: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Return a table for people: header and one line per comparison."""
    header = (
        "quantity",
        "where",
        "values",
        "outliers",
        "bias",
        "scatter",
        "bound",
        "scatter/bound",
        "median |error|",
        "pull",
    )
    lines: list[tuple[str, ...]] = [header]
    for row in rows:
        scale, unit = _SHOWN[row.unit]
        sizes = (f"{v * scale:.4g} {unit}".strip() for v in (row.scatter, row.bound))
        lines.append(
            (
                row.quantity,
                row.region,
                str(row.pixels),
                f"{100 * row.outliers:.3g} %",
                f"{row.bias * scale:+.4g} {unit}".strip(),
                *sizes,
                f"{row.ratio:.3f}",
                f"{row.median_error * scale:.4g} {unit}".strip(),
                f"{row.pull_mean:+.3f} ± {row.pull_width:.3f}",
            )
        )
    return lines
