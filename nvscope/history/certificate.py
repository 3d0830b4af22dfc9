"""Whether the sample's biography is what the protocol claims.

A certificate is computed from what was measured, never from what was commanded. The superconducting state remembers its
history from the moment the sample was last above Tc at a known field: everything before does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nvscope.config import HistoryLimits
from nvscope.history.biography import Biography

Protocol = Literal["normal", "zfc", "fw", "fc", "flux-trap"]
Verdict = Literal["valid", "degraded", "invalid"]

_BASE = 0.5
"""K above the coldest reading at which cooling counts as ended."""
_DEGRADED = 3.0
"""Beyond a limit but within this many times it, a history is degraded; beyond that, invalid."""


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
class _Finding:
    """One number against its limit."""

    name: str
    value: float
    limit: float
    moment: float
    text: str


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
    """

    protocol: Protocol
    normal_temperature: float
    nominal_field: float


def certify(biography: Biography, claim: Claim, limits: HistoryLimits, now: float) -> Certificate:
    """Judge the history up to rig time `now` (s) against `claim`, within the rig's `limits`."""
    protocol, normal_temperature, nominal_field = claim.protocol, claim.normal_temperature, claim.nominal_field
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
    crossing = float(temperatures[warm[-1], 0])
    if protocol == "normal":
        cold = temperatures[-1, 1] < normal_temperature
        numbers = {"temperature": float(temperatures[-1, 1])}
        if cold:
            return Certificate(protocol, "invalid", f"at {temperatures[-1, 1]:.2f} K the sample is not normal", numbers)
        return Certificate(protocol, "valid", "above Tc", numbers)
    since = temperatures[temperatures[:, 0] >= crossing]
    judge = {"zfc": _zero_field_cooled, "fw": _field_warmed, "fc": _field_cooled, "flux-trap": _flux_trapped}[protocol]
    return _conclude(protocol, judge(since, fields, biography, crossing, nominal_field, limits, now))


def _conclude(protocol: str, findings: list[_Finding]) -> Certificate:
    numbers = {finding.name: finding.value for finding in findings}
    worst = max(findings, key=lambda finding: finding.value / finding.limit, default=None)
    if worst is None or worst.value <= worst.limit:
        return Certificate(protocol, "valid", "the recorded history is what the protocol asks", numbers)
    verdict: Verdict = "degraded" if worst.value <= _DEGRADED * worst.limit else "invalid"
    return Certificate(protocol, verdict, worst.text, numbers, worst.moment)


def _base_time(since: NDArray[np.float64]) -> float:
    """When cooling ended: the first reading within `_BASE` of the coldest."""
    return float(since[np.flatnonzero(since[:, 1] <= since[:, 1].min() + _BASE)[0], 0])


def _largest(rows: NDArray[np.float64]) -> tuple[float, float]:
    """Largest |value| and its time."""
    index = int(np.argmax(np.abs(rows[:, 1])))
    return float(abs(rows[index, 1])), float(rows[index, 0])


def _cold_field(since: NDArray[np.float64], biography: Biography, crossing: float, limits: HistoryLimits) -> _Finding:
    base = _base_time(since)
    rows = biography.field.between(crossing, base)
    rows = np.vstack([rows, [[base, biography.field.at(base)]]])
    value, moment = _largest(rows)
    return _Finding(
        "zero_field_max", value, limits.zero_field, moment, f"|H| reached {value * 1e4:.2f} G while cooling below Tc"
    )


def _held_field(
    since: NDArray[np.float64], fields: NDArray[np.float64], nominal: float, limits: HistoryLimits
) -> list[_Finding]:
    """How far H strayed from nominal since it was first reached after cooling."""
    if nominal == 0:
        return []
    base = _base_time(since)
    rows = fields[fields[:, 0] >= base]
    on = np.flatnonzero(np.abs(rows[:, 1] - nominal) <= limits.field_fraction * abs(nominal))
    if not len(on):
        return [
            _Finding("field_deviation", np.inf, limits.field_fraction, base, "the field was never at its nominal value")
        ]
    value, moment = _largest(np.column_stack([rows[on[0] :, 0], rows[on[0] :, 1] / nominal - 1]))
    text = f"H strayed by {value * 100:.2f} % from {nominal * 1e4:g} G"
    return [_Finding("field_deviation", value, limits.field_fraction, moment, text)]


def _zero_field_cooled(
    since: NDArray[np.float64],
    fields: NDArray[np.float64],
    biography: Biography,
    crossing: float,
    nominal: float,
    limits: HistoryLimits,
    now: float,
) -> list[_Finding]:
    return [
        _cold_field(since, biography, crossing, limits),
        *_held_field(since, fields, nominal, limits),
        _overshoot(since, limits),
    ]


def _overshoot(since: NDArray[np.float64], limits: HistoryLimits) -> _Finding:
    """How far T ever exceeded the present point's temperature since the sample was coldest."""
    rows = since[int(np.argmin(since[:, 1])) :]
    present = float(np.median(rows[-5:, 1]))
    index = int(np.argmax(rows[:, 1]))
    value = max(0.0, float(rows[index, 1] - present))
    text = f"T exceeded the present {present:.2f} K by {value:.2f} K"
    return _Finding("overshoot", value, limits.overshoot, float(rows[index, 0]), text)


_field_warmed = _zero_field_cooled


def _field_cooled(
    since: NDArray[np.float64],
    fields: NDArray[np.float64],
    biography: Biography,
    crossing: float,
    nominal: float,
    limits: HistoryLimits,
    now: float,
) -> list[_Finding]:
    """FC: the field at the Tc crossing and ever since."""
    rows = np.vstack([[[crossing, biography.field.at(crossing)]], fields[fields[:, 0] >= crossing]])
    value, moment = _largest(np.column_stack([rows[:, 0], rows[:, 1] / nominal - 1]))
    text = f"H strayed by {value * 100:.2f} % from {nominal * 1e4:g} G since the sample crossed Tc"
    return [_Finding("field_deviation", value, limits.field_fraction, moment, text)]


def _flux_trapped(
    since: NDArray[np.float64],
    fields: NDArray[np.float64],
    biography: Biography,
    crossing: float,
    nominal: float,
    limits: HistoryLimits,
    now: float,
) -> list[_Finding]:
    """FC, then a quench to zero that stays at zero: field while cooling, remnant applied field, overshoot."""
    base = _base_time(since)
    cooling = np.vstack(
        [
            [[crossing, biography.field.at(crossing)]],
            biography.field.between(crossing, base),
            [[base, biography.field.at(base)]],
        ]
    )
    strayed, moment = _largest(np.column_stack([cooling[:, 0], cooling[:, 1] / nominal - 1]))
    after = fields[fields[:, 0] >= base]
    quenched = after[np.abs(after[:, 1]) <= limits.zero_field]
    if not len(quenched):
        remnant, when = float(abs(fields[-1, 1])), float(fields[-1, 0])
    else:
        remnant, when = _largest(after[after[:, 0] >= quenched[0, 0]])
    return [
        _Finding(
            "field_deviation",
            strayed,
            limits.field_fraction,
            moment,
            f"H strayed by {strayed * 100:.2f} % from {nominal * 1e4:g} G while cooling",
        ),
        _Finding(
            "remnant_field",
            remnant,
            limits.zero_field,
            when,
            f"the applied field was {remnant * 1e4:.2f} G after the quench",
        ),
        _overshoot(since, limits),
    ]
