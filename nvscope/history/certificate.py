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


@dataclass(frozen=True)
class _History:
    """What there is to judge: `since` are temperatures since the last time above Tc at `crossing`, rows (t, T)."""

    since: NDArray[np.float64]
    fields: NDArray[np.float64]
    biography: Biography
    crossing: float
    nominal: float
    limits: HistoryLimits

    @property
    def base_time(self) -> float:
        """When cooling ended: the first reading within `_BASE` of the coldest."""
        return float(self.since[np.flatnonzero(self.since[:, 1] <= self.since[:, 1].min() + _BASE)[0], 0])

    @property
    def cooling_fields(self) -> NDArray[np.float64]:
        """Fields from the crossing of Tc to the end of cooling, both ends interpolated, rows (t, H)."""
        base = self.base_time
        ends = [[[time, self.biography.field.at(time)]] for time in (self.crossing, base)]
        return np.vstack([ends[0], self.biography.field.between(self.crossing, base), ends[1]])


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
    crossing = float(temperatures[warm[-1], 0])
    if protocol == "normal":
        present = float(temperatures[-1, 1])
        numbers = {"temperature": present}
        if present < normal_temperature:
            return Certificate(protocol, "invalid", f"at {present:.2f} K the sample is not normal", numbers)
        return Certificate(protocol, "valid", "above Tc", numbers)
    since = temperatures[temperatures[:, 0] >= crossing]
    history = _History(since, fields, biography, crossing, claim.nominal_field, limits)
    if protocol == "fc":
        return _conclude(protocol, [_field_cooled(history)])
    if protocol == "flux-trap":
        return _conclude(protocol, _flux_trapped(history), _quench_rate(history))
    return _conclude(protocol, [_cold_field(history), *_held_field(history), _overshoot(history)])


def _conclude(protocol: str, findings: list[_Finding], more: Mapping[str, float] | None = None) -> Certificate:
    numbers = {finding.name: finding.value for finding in findings} | dict(more or {})
    worst = max(findings, key=lambda finding: finding.value / finding.limit, default=None)
    if worst is None or worst.value <= worst.limit:
        return Certificate(protocol, "valid", "the recorded history is what the protocol asks", numbers)
    verdict: Verdict = "degraded" if worst.value <= _DEGRADED * worst.limit else "invalid"
    return Certificate(protocol, verdict, worst.text, numbers, worst.moment)


def _largest(rows: NDArray[np.float64]) -> tuple[float, float]:
    """Largest |value| and its time."""
    index = int(np.argmax(np.abs(rows[:, 1])))
    return float(abs(rows[index, 1])), float(rows[index, 0])


def _strayed(rows: NDArray[np.float64], nominal: float) -> tuple[float, float]:
    """Largest |H / nominal − 1| and its time."""
    return _largest(np.column_stack([rows[:, 0], rows[:, 1] / nominal - 1]))


def _cold_field(history: _History) -> _Finding:
    value, moment = _largest(history.cooling_fields)
    text = f"|H| reached {value * 1e4:.2f} G while cooling below Tc"
    return _Finding("zero_field_max", value, history.limits.zero_field, moment, text)


def _held_field(history: _History) -> list[_Finding]:
    """How far H strayed from nominal since it was first reached after cooling."""
    nominal, limit = history.nominal, history.limits.field_fraction
    if nominal == 0:
        return []
    rows = history.fields[history.fields[:, 0] >= history.base_time]
    on = np.flatnonzero(np.abs(rows[:, 1] - nominal) <= limit * abs(nominal))
    if not len(on):
        text = "the field was never at its nominal value"
        return [_Finding("field_deviation", np.inf, limit, history.base_time, text)]
    value, moment = _strayed(rows[on[0] :], nominal)
    text = f"H strayed by {value * 100:.2f} % from {nominal * 1e4:g} G"
    return [_Finding("field_deviation", value, limit, moment, text)]


def _overshoot(history: _History) -> _Finding:
    """How far T ever exceeded the present point's temperature since the sample was coldest."""
    rows = history.since[int(np.argmin(history.since[:, 1])) :]
    present = float(np.median(rows[-5:, 1]))
    index = int(np.argmax(rows[:, 1]))
    value = max(0.0, float(rows[index, 1] - present))
    text = f"T exceeded the present {present:.2f} K by {value:.2f} K"
    return _Finding("overshoot", value, history.limits.overshoot, float(rows[index, 0]), text)


def _field_cooled(history: _History) -> _Finding:
    """The field at the Tc crossing and ever since."""
    start = [[history.crossing, history.biography.field.at(history.crossing)]]
    rows = np.vstack([start, history.fields[history.fields[:, 0] >= history.crossing]])
    value, moment = _strayed(rows, history.nominal)
    text = f"H strayed by {value * 100:.2f} % from {history.nominal * 1e4:g} G since the sample crossed Tc"
    return _Finding("field_deviation", value, history.limits.field_fraction, moment, text)


def _flux_trapped(history: _History) -> list[_Finding]:
    """FC, then a quench to zero that stays at zero: field while cooling, remnant applied field, overshoot."""
    limits = history.limits
    strayed, moment = _strayed(history.cooling_fields, history.nominal)
    after = history.fields[history.fields[:, 0] >= history.base_time]
    quenched = after[np.abs(after[:, 1]) <= limits.zero_field]
    remnant, when = _largest(after[after[:, 0] >= quenched[0, 0]] if len(quenched) else history.fields[-1:])
    cooling = f"H strayed by {strayed * 100:.2f} % from {history.nominal * 1e4:g} G while cooling"
    left = f"the applied field was {remnant * 1e4:.2f} G after the quench"
    return [
        _Finding("field_deviation", strayed, limits.field_fraction, moment, cooling),
        _Finding("remnant_field", remnant, limits.zero_field, when, left),
        _overshoot(history),
    ]


def _quench_rate(history: _History) -> dict[str, float]:
    """How fast H really fell (T/s): slope of a line through the readings between 90 % and 10 % of nominal."""
    after = history.fields[history.fields[:, 0] >= history.base_time]
    share = after[:, 1] / history.nominal
    full, empty = np.flatnonzero(share > 0.9), np.flatnonzero(share < 0.1)
    if not len(full) or not len(empty) or empty[0] == 0:
        return {}
    falling = after[full[full < empty[0]][-1] : empty[0] + 1] if np.any(full < empty[0]) else after[:0]
    if len(falling) < 2 or falling[-1, 0] <= falling[0, 0]:
        return {}
    return {"quench_rate": float(abs(np.polyfit(falling[:, 0], falling[:, 1], 1)[0]))}
