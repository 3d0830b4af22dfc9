"""Whether the sample's biography is what the protocol claims.

A certificate is computed from what was measured, never from what was commanded. The superconducting state remembers its
history from the moment the sample was last above Tc at a known field: everything before does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from nvscope.config import HistoryLimits
from nvscope.history.biography import Biography
from nvscope.history.findings import (
    Finding,
    History,
    drifted,
    field_cooled,
    flux_trapped,
    held,
    unseen,
    zero_field_cooled,
)

Protocol = Literal["normal", "zfc", "fw", "fc", "flux-trap"]
Verdict = Literal["valid", "degraded", "invalid"]


@dataclass(frozen=True)
class Certificate:
    """Verdict on a history, with the numbers it rests on (SI) and the rig time of the worst moment."""

    protocol: str
    verdict: Verdict
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    moment: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data for attributes and documents."""
        return asdict(self)


@dataclass(frozen=True)
class Claim:
    """What a history is claimed to be.

    Attributes
    ----------
    protocol : str
        ``normal`` (above Tc), ``zfc``, ``fw``, ``fc`` or ``flux-trap``.
    normal_temperature : float
        Temperature (K) above which the sample is certainly normal.
    nominal_field : float
        Field (T) of the protocol: switched on after ZFC, applied during FC, or quenched from.
    quench_rate : float, optional
        How fast (T/s) the field was to be taken away; not judged if not given.
    since : float, optional
        Rig time (s) at which the map was begun that rests on it; not given before one.
    """

    protocol: Protocol
    normal_temperature: float
    nominal_field: float
    quench_rate: float | None = None
    since: float | None = None


def certify(biography: Biography, claim: Claim, limits: HistoryLimits, now: float) -> Certificate:
    """Judge the history up to rig time `now` (s) against `claim`, within the rig's `limits`."""
    protocol, normal_temperature = claim.protocol, claim.normal_temperature
    temperatures = biography.temperature.between(-np.inf, now)
    fields = biography.field.between(-np.inf, now)
    if not len(temperatures) or not len(fields):
        return Certificate(protocol, "invalid", "no temperature or field was recorded")
    warm = np.flatnonzero(temperatures[:, 1] >= normal_temperature)
    if not len(warm):
        return Certificate(
            protocol,
            "invalid",
            f"the sample was never recorded above {normal_temperature:g} K, so what it remembers is unknown",
        )
    if protocol == "normal":
        return _normal(biography, claim, limits, now)
    crossing = float(temperatures[warm[-1], 0])
    history = History(
        since=temperatures[warm[-1] :],
        fields=np.vstack([[[crossing, biography.field.at(crossing)]], fields[fields[:, 0] > crossing]]),
        seen=(temperatures[:, 0], fields[:, 0]),
        now=now,
        nominal=claim.nominal_field,
        quench_rate=claim.quench_rate,
        limits=limits,
    )
    rules = {"fc": field_cooled, "flux-trap": flux_trapped}.get(protocol, zero_field_cooled)
    found = [*rules(history), unseen(history)]
    if claim.since is not None:
        found.append(drifted(biography.temperature.since(claim.since, now), limits))
    return _conclude(protocol, found)


def _normal(biography: Biography, claim: Claim, limits: HistoryLimits, now: float) -> Certificate:
    """Whether T is above Tc and H at nominal: now, and throughout the map that has been taken."""
    begun = now if claim.since is None else claim.since
    temperatures = biography.temperature.since(begun, now)
    moment, coldest = map(float, temperatures[np.argmin(temperatures[:, 1])])
    numbers = {"temperature": coldest}
    if coldest < claim.normal_temperature:
        return Certificate("normal", "invalid", f"at {coldest:.2f} K the sample is not normal", numbers, moment)
    finding = held(biography.field.since(begun, now), claim.nominal_field, limits)
    judged = _conclude("normal", [finding])
    reason = "above Tc" if judged.verdict == "valid" else judged.reason
    return replace(judged, reason=reason, numbers={**numbers, **judged.numbers})


def _conclude(protocol: str, findings: list[Finding]) -> Certificate:
    numbers = {finding.name: finding.value for finding in findings}
    beyond = sorted((f for f in findings if f.value > f.limit), key=lambda f: f.excess, reverse=True)
    if not beyond:
        return Certificate(protocol, "valid", "the recorded history is what the protocol asks", numbers)
    worst = beyond[0]
    verdict: Verdict = "degraded" if worst.value <= worst.tolerated * worst.limit else "invalid"
    # one fault often brings another, and the larger number need not be the cause
    return Certificate(protocol, verdict, "; ".join(f.text for f in beyond), numbers, worst.moment)
