"""Whether four-probe wiring can be trusted.

In a linear conductor without a field, exchanging current and voltage contacts changes nothing, and the three ways to
pair four contacts sum to zero (van der Pauw, Philips Res. Rep. 13, 1 (1958)); reversing the current reverses the sign.
A two-probe resistance is that of two leads with their contacts, and a little of the sample between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.analysis.dataset import MapPoint, RunData

FloatArray = NDArray[np.float64]

PURPOSE = "check-contacts"
CONTACTS = ("I+", "I-", "V+", "V-")
SIGMAS = 4.0
TOLERANCE = 2e-3
"""Relative difference that counts even where it is significant: what the sample drifts by between two readings."""


@dataclass(frozen=True)
class Leak:
    """Insulation of a contact against gasket or wire: at least `resistance` (ohm) if `bound`, else measured."""

    contact: str
    metal: str
    resistance: float
    bound: bool


@dataclass(frozen=True, eq=False)
class ContactCheck:
    """What the contacts are like; ohm.

    Attributes
    ----------
    current, resistance, resistance_err : ndarray, shape (n,)
        The linearity check.
    nonlinearity, nonlinearity_err : float
        Largest relative deviation of R from its mean over currents, and its error.
    two_probe : ndarray, shape (4, 4)
        Between `CONTACTS`; NaN on the diagonal and where not measured.
    lead : mapping of str to float
        Each lead with its contact, from the two-probe resistances (least squares: the sample's share is in it).
    reciprocity, reciprocity_err : float
        Largest relative difference between a resistance and that with current and voltage contacts exchanged.
    sum_rule : float
        Sum of the three pairings over the largest of them.
    reversal : float
        R with the current reversed, over −R.
    leaks : tuple of Leak
    troubles : tuple of str
        What should be looked at before the wiring is trusted; empty if nothing.
    """

    current: FloatArray
    resistance: FloatArray
    resistance_err: FloatArray
    nonlinearity: float
    nonlinearity_err: float
    two_probe: FloatArray
    lead: Mapping[str, float]
    reciprocity: float
    reciprocity_err: float
    sum_rule: float
    reversal: float
    leaks: tuple[Leak, ...]
    troubles: tuple[str, ...]


def linearity(resistance: ArrayLike, err: ArrayLike) -> tuple[float, float]:
    """Return the largest relative deviation from the weighted mean, and the error of that one."""
    r, e = (np.asarray(a, dtype=np.float64) for a in (resistance, err))
    weight = 1 / np.maximum(e, 1e-15) ** 2
    mean = float((weight * r).sum() / weight.sum())
    worst = int(np.argmax(np.abs(r - mean) / np.maximum(e, 1e-15)))
    scale = abs(mean) or 1.0
    return float(abs(r[worst] - mean) / scale), float(e[worst] / scale)


def lead_resistances(two_probe: FloatArray) -> dict[str, float]:
    """Split two-probe resistances (ohm, shape (4, 4)) into one for each lead, by least squares; NaN if too few."""
    rows, target = [], []
    for i in range(4):
        for j in range(i + 1, 4):
            if np.isfinite(two_probe[i, j]):
                rows.append([float(k in (i, j)) for k in range(4)])
                target.append(two_probe[i, j])
    if np.linalg.matrix_rank(np.array(rows).reshape(-1, 4)) < 4:
        return dict.fromkeys(CONTACTS, float("nan"))
    found = np.linalg.lstsq(np.array(rows), np.array(target), rcond=None)[0]
    return {name: float(value) for name, value in zip(CONTACTS, found, strict=True)}


def measure_contacts(run: RunData) -> ContactCheck | None:
    """Return what a run says about its contacts, None if it did not check them."""
    points = [p for p in run.points if p.purpose == PURPOSE]
    straight = [p for p in points if p.attrs.get("check") == "linearity"]
    if len(straight) < 2:
        return None
    current = np.array([float(p.attrs["current"]) for p in straight])
    r, err = np.array([p.resistance for p in straight]), np.array([p.resistance_err for p in straight])
    nonlinear, nonlinear_err = linearity(r, err)
    two_probe = np.full((4, 4), np.nan)
    for point in _of(points, "two-probe"):
        i, j = (CONTACTS.index(name) for name in point.attrs["wiring"][:2])
        two_probe[i, j] = two_probe[j, i] = _transfer(point)[0]
    forward, back = _of(points, "four-probe"), _of(points, "exchanged")
    reciprocity, reciprocity_err = _reciprocity(forward, back)
    values = [_transfer(p)[0] for p in forward]
    sum_rule = abs(sum(values)) / max(abs(v) for v in values) if len(values) == 3 else float("nan")
    reversed_points = _of(points, "reversed")
    reversal = (
        -_transfer(reversed_points[0])[0] / _transfer(forward[0])[0] if reversed_points and forward else float("nan")
    )
    leaks = tuple(
        Leak(str(p.attrs["wiring"][0]), str(p.attrs["wiring"][1]), _transfer(p)[0], bool(p.attrs.get("insulated")))
        for p in _of(points, "leakage")
    )
    check = ContactCheck(
        current, r, err, nonlinear, nonlinear_err, two_probe, lead_resistances(two_probe), reciprocity,
        reciprocity_err, sum_rule, reversal, leaks, (),
    )  # fmt: skip
    return ContactCheck(**{**vars(check), "troubles": tuple(_troubles(check))})


def _of(points: list[MapPoint], check: str) -> list[MapPoint]:
    return [p for p in points if p.attrs.get("check") == check]


def _transfer(point: MapPoint) -> tuple[float, float]:
    """R and its error between whatever was wired (ohm)."""

    def number(name: str, otherwise: float) -> float:
        value = point.attrs.get(name)
        return float(value) if isinstance(value, int | float) else otherwise

    return number("transfer_resistance", point.resistance), number("transfer_resistance_err", point.resistance_err)


def _reciprocity(forward: list[MapPoint], back: list[MapPoint]) -> tuple[float, float]:
    worst = (float("nan"), float("nan"))
    for one, other in zip(forward, back, strict=False):
        (a, a_err), (b, b_err) = _transfer(one), _transfer(other)
        scale = max(abs(a), abs(b)) or 1.0
        difference = abs(a - b) / scale
        if not worst[0] > difference:
            worst = difference, float(np.hypot(a_err, b_err)) / scale
    return worst


def _troubles(check: ContactCheck) -> list[str]:
    found = []
    for name, value, err in (
        ("R depends on the current: contacts that rectify, or heating", check.nonlinearity, check.nonlinearity_err),
        ("exchanging current and voltage leads changes R", check.reciprocity, check.reciprocity_err),
    ):
        if value > max(TOLERANCE, SIGMAS * err):
            found.append(f"{name} (by {100 * value:.2g} %)")
    if check.sum_rule > 5 * TOLERANCE:
        found.append(f"the three pairings of the contacts do not sum to zero (by {100 * check.sum_rule:.2g} %)")
    if abs(check.reversal - 1) > 5 * TOLERANCE:
        found.append(f"reversing the current changes R by {100 * abs(check.reversal - 1):.2g} %")
    leads = np.array([v for v in check.lead.values() if np.isfinite(v)])
    for name, value in check.lead.items():
        if np.isfinite(value) and value > 5 * np.median(leads):
            found.append(f"{name} has {value:.3g} Ω, far more than the other leads")
    found += [
        f"{leak.contact} leaks to the {leak.metal}: {leak.resistance:.3g} Ω" for leak in check.leaks if not leak.bound
    ]
    return found
