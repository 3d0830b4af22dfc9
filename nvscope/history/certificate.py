"""Whether the sample's biography is what the protocol claims.

A certificate is computed from what was measured, never from what was commanded. The superconducting state remembers its
history from the moment the sample was last above Tc at a known field: everything before does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from nvscope.config import HistoryLimits
from nvscope.history.biography import Biography
from nvscope.history.findings import Finding, History, field_cooled, flux_trapped, unseen, zero_field_cooled

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
    """

    protocol: Protocol
    normal_temperature: float
    nominal_field: float
    quench_rate: float | None = None


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
        present = float(temperatures[-1, 1])
        numbers = {"temperature": present}
        if present < normal_temperature:
            return Certificate(protocol, "invalid", f"at {present:.2f} K the sample is not normal", numbers)
        return Certificate(protocol, "valid", "above Tc", numbers)
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
    return _conclude(protocol, [*rules(history), unseen(history)])


def _conclude(protocol: str, findings: list[Finding]) -> Certificate:
    numbers = {finding.name: finding.value for finding in findings}
    worst = max(findings, key=lambda finding: finding.excess)
    if worst.value <= worst.limit:
        return Certificate(protocol, "valid", "the recorded history is what the protocol asks", numbers)
    verdict: Verdict = "degraded" if worst.value <= worst.tolerated * worst.limit else "invalid"
    return Certificate(protocol, verdict, worst.text, numbers, worst.moment)
