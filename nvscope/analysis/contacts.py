"""Whether four-probe wiring can be trusted.

In a linear conductor without a field, exchanging current and voltage contacts changes nothing, and the three ways to
pair four contacts sum to zero (van der Pauw, Philips Res. Rep. 13, 1 (1958)); reversing the current reverses the sign.
A two-probe resistance is that of two leads with their contacts, and a little of the sample between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.analysis.dataset import MapPoint, RunData

FloatArray = NDArray[np.float64]

PURPOSE = "check-contacts"
CONTACTS = ("I+", "I-", "V+", "V-")
SIGMAS = 4.0
NOISY = 1e-6
"""V, 1 σ of the mean of a point: some hundred times what a nanovoltmeter on good contacts shows."""
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
    noise : float
        1-σ uncertainty of the voltage of a point (V), the median of the linearity check; NaN without.
    noisy : tuple of str
        Contacts on which every two-probe voltage is noisy.
    broken : tuple of str
        Contacts through which no current flows; both current leads where leads are wired for good.
    sum_rule, sum_rule_err : float
        Sum of the three pairings over the largest of them.
    reversal, reversal_err : float
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
    noise: float
    noisy: tuple[str, ...]
    broken: tuple[str, ...]
    sum_rule: float
    sum_rule_err: float
    reversal: float
    reversal_err: float
    leaks: tuple[Leak, ...]
    troubles: tuple[str, ...]


def linearity(resistance: ArrayLike, err: ArrayLike) -> tuple[float, float]:
    """Return the largest relative deviation from the weighted mean, and the error of that one."""
    r, e = (np.asarray(a, dtype=np.float64) for a in (resistance, err))
    r, e = r[np.isfinite(r)], e[np.isfinite(r)]
    if not r.size:
        return float("nan"), float("nan")
    weight = 1 / np.maximum(e, 1e-15) ** 2
    mean = float((weight * r).sum() / weight.sum())
    worst = int(np.argmax(np.abs(r - mean) / np.maximum(e, 1e-15)))
    scale = abs(mean) or 1.0
    return float(abs(r[worst] - mean) / scale), float(e[worst] / scale)


def lead_resistances(two_probe: FloatArray) -> dict[str, float]:
    """Split two-probe resistances (ohm, shape (4, 4)) into one for each lead, by least squares; NaN if too few."""
    first, second = (side for side in np.triu_indices(4, 1))
    known = np.isfinite(two_probe[first, second])
    rows = (np.eye(4)[first] + np.eye(4)[second])[known]
    seen = [bool(column.any()) for column in rows.T]
    if np.linalg.matrix_rank(rows) < sum(seen) or not any(seen):
        return dict.fromkeys(CONTACTS, float("nan"))
    found = np.linalg.lstsq(rows, two_probe[first, second][known], rcond=None)[0]
    return {name: float(v) if there else float("nan") for name, v, there in zip(CONTACTS, found, seen, strict=True)}


def measure_contacts(run: RunData) -> ContactCheck | None:
    """Return what a run says about its contacts, None if it did not check them."""
    points = [p for p in run.points if p.purpose == PURPOSE]
    straight = [p for p in points if p.attrs.get("check") == "linearity"]
    if len(straight) < 2:
        return None
    current = np.array([float(p.attrs.get("current", np.nan)) for p in straight])
    r, err = np.array([p.resistance for p in straight]), np.array([p.resistance_err for p in straight])
    nonlinear, nonlinear_err = linearity(r, err)
    two_probe = np.full((4, 4), np.nan)
    pairs = _of(points, "two-probe")
    for point in pairs:
        i, j = (CONTACTS.index(name) for name in point.attrs["wiring"][:2])
        two_probe[i, j] = two_probe[j, i] = np.nan if _insulated(point) else _transfer(point)[0]
    broken = _on_every_pair(pairs, _insulated)
    noisy = _on_every_pair(pairs, lambda p: _transfer(p)[1] * abs(float(p.attrs["current"])) > NOISY)
    if not pairs and any(_insulated(p) for p in straight):
        broken = CONTACTS[:2]
    forward, back = (
        [] if broken else [p for p in _of(points, check) if not _insulated(p)] for check in ("four-probe", "exchanged")
    )
    reciprocity, reciprocity_err = _reciprocity(forward, back)
    sum_rule = sum_rule_err = float("nan")
    if len(forward) == 3:
        values, errors = (np.array(each) for each in zip(*map(_transfer, forward), strict=True))
        sum_rule, sum_rule_err = (float(v) / np.abs(values).max() for v in (abs(values.sum()), np.hypot.reduce(errors)))
    reversed_points = [p for p in _of(points, "reversed") if not _insulated(p)]
    reversal = reversal_err = float("nan")
    if reversed_points and forward:
        (back_r, back_err), (there, there_err) = _transfer(reversed_points[0]), _transfer(forward[0])
        reversal, reversal_err = -back_r / there, float(np.hypot(back_err, there_err)) / abs(there)
    leaks = tuple(
        Leak(str(p.attrs["wiring"][0]), str(p.attrs["wiring"][1]), _transfer(p)[0], _insulated(p))
        for p in _of(points, "leakage")
    )
    volts = (err * np.abs(current))[np.isfinite(err)]
    check = ContactCheck(
        current, r, err, nonlinear, nonlinear_err, two_probe, lead_resistances(two_probe), reciprocity,
        reciprocity_err, float(np.median(volts)) if volts.size else float("nan"), noisy, broken, sum_rule,
        sum_rule_err, reversal, reversal_err, leaks, (),
    )  # fmt: skip
    return ContactCheck(**{**vars(check), "troubles": tuple(_troubles(check))})


def _insulated(point: MapPoint) -> bool:
    """Whether no current flowed."""
    return bool(point.attrs.get("insulated"))


def _on_every_pair(pairs: list[MapPoint], holds: Callable[[MapPoint], bool]) -> tuple[str, ...]:
    """Contacts for which something holds in every two-probe measurement through them."""
    through = {name: [p for p in pairs if name in p.attrs["wiring"][:2]] for name in CONTACTS}
    return tuple(name for name, its in through.items() if its and all(holds(p) for p in its))


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
    if check.broken:
        one = "one of them is" if not check.leaks else "is" if len(check.broken) == 1 else "are"
        found.append(f"no current flows through {' and '.join(check.broken)}: {one} open")
    if check.noise > NOISY or check.noisy:
        where = f"at {' and '.join(check.noisy)}" if check.noisy else "at one of the contacts"
        found.append(f"the voltage is noisy {where}: {check.noise * 1e6:.3g} µV in the mean of a point")
    for name, value, err in (
        ("R depends on the current: contacts that rectify, or heating", check.nonlinearity, check.nonlinearity_err),
        ("exchanging current and voltage leads changes R", check.reciprocity, check.reciprocity_err),
    ):
        if value > max(TOLERANCE, SIGMAS * err):
            found.append(f"{name} (by {100 * value:.2g} %)")
    if check.sum_rule > max(5 * TOLERANCE, SIGMAS * check.sum_rule_err):
        found.append(f"the three pairings of the contacts do not sum to zero (by {100 * check.sum_rule:.2g} %)")
    if abs(check.reversal - 1) > max(5 * TOLERANCE, SIGMAS * check.reversal_err):
        found.append(f"reversing the current changes R by {100 * abs(check.reversal - 1):.2g} %")
    leads = np.array([v for v in check.lead.values() if np.isfinite(v)])
    for name, value in check.lead.items():
        if np.isfinite(value) and value > 5 * np.median(leads):
            found.append(f"{name} has {value:.3g} Ω, far more than the other leads")
    # the sample joins all contacts: a leak at one is seen from each, to within the resistance of leads
    for metal in dict.fromkeys(leak.metal for leak in check.leaks):
        real = [leak for leak in check.leaks if leak.metal == metal and not leak.bound]
        if real:
            least = min(leak.resistance for leak in real)
            found.append(f"leakage to the {metal}: {least:.3g} Ω, seen from {', '.join(leak.contact for leak in real)}")
    return found
