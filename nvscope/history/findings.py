"""What a recorded history is judged by: each rule gives numbers, each with its limit and the moment it was worst."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.config import HistoryLimits

FloatArray = NDArray[np.float64]

_BASE = 0.5
"""K above a temperature at which cooling towards it counts as ended."""
_DEGRADED = 3.0
"""Beyond a limit but within this many times it, a history is degraded; beyond that, invalid."""
_RISING = 0.05
"""Share of the limit on a zero field within which H counts as not having moved."""
_UNSEEN = 10.0
"""The same for time without a record: what regulates goes on regulating, for a while."""


@dataclass(frozen=True)
class Finding:
    """One number against its limit; up to `tolerated` times that a history is degraded, beyond it invalid."""

    name: str
    value: float
    limit: float
    moment: float
    text: str
    tolerated: float = _DEGRADED

    @property
    def excess(self) -> float:
        """Its share of what makes a history invalid where it is beyond its limit, 0 or less elsewhere."""
        return self.value / (self.tolerated * self.limit) if self.value > self.limit else self.value / self.limit - 1


@dataclass(frozen=True)
class History:
    """What there is to judge.

    Attributes
    ----------
    since, fields : ndarray, shape (n, 2)
        Temperatures (s, K) and fields (s, T) from the last reading above Tc on; the first field is that there.
    seen : tuple of ndarray
        Times (s) at which temperature and field were read, those before as well.
    now, nominal : float
        Rig time (s), field of the protocol (T).
    quench_rate : float or None
        Asked for (T/s).
    """

    since: FloatArray
    fields: FloatArray
    seen: tuple[FloatArray, FloatArray]
    now: float
    nominal: float
    quench_rate: float | None
    limits: HistoryLimits

    @property
    def crossing(self) -> float:
        """When the sample was last seen above Tc."""
        return float(self.since[0, 0])

    @property
    def towards(self) -> FloatArray:
        """Fields counted in the direction of the nominal one, rows (t, H)."""
        return self.fields * [1.0, float(np.sign(self.nominal))]

    def cooled(self, until: float) -> float:
        """When cooling ended: the first reading within `_BASE` of the coldest up to a time `until`."""
        rows = self.since[self.since[:, 0] <= until]
        return float(rows[np.flatnonzero(rows[:, 1] <= rows[:, 1].min() + _BASE)[0], 0])

    def field_at(self, time: float) -> FloatArray:
        """Field interpolated, as one row."""
        return np.array([[time, np.interp(time, *self.fields.T)]])


def zero_field_cooled(history: History) -> list[Finding]:
    """No field below Tc until it was switched on; then H at nominal, and T never above the present point's."""
    nominal, limits = history.nominal, history.limits
    rows = history.towards
    begun = _switched_on(rows, min(_DEGRADED * limits.zero_field, abs(nominal) / 2), limits.zero_field)
    reached = _reached(rows, begun, abs(nominal), limits.field_fraction) if nominal else history.now
    zero_until = max(begun, history.cooled(history.now if reached is None else reached))
    cold = np.vstack([history.fields[history.fields[:, 0] < zero_until], history.field_at(zero_until)])
    value, moment = _largest(cold)
    found = [
        Finding(
            "zero_field_max",
            value,
            limits.zero_field,
            moment,
            f"|H| reached {value * 1e4:.2f} G below Tc before the field was switched on",
        ),
        _overshoot(history, begun),
    ]
    if nominal == 0:
        return found
    if reached is None:
        never = f"the field was never at its nominal {nominal * 1e4:g} G"
        return [*found, Finding("field_deviation", np.inf, limits.field_fraction, begun, never)]
    value, moment = _strayed(history.fields[history.fields[:, 0] >= reached], nominal)
    strayed = f"H strayed by {value * 100:.2f} % from {nominal * 1e4:g} G"
    found.append(Finding("field_deviation", value, limits.field_fraction, moment, strayed))
    # below Tc a field that once was too large has left its mark, even if it was gone before the map
    way = rows[(rows[:, 0] >= begun) & (rows[:, 0] <= reached)]
    value, moment = _largest(np.column_stack([way[:, 0], np.maximum(0, way[:, 1] / abs(nominal) - 1)]))
    passed = f"H went {value * 100:.2f} % beyond {nominal * 1e4:g} G on its way there"
    return [*found, Finding("field_excursion", value, limits.field_fraction, moment, passed)]


def _switched_on(rows: FloatArray, off: float, step: float) -> float:
    """When the field last began to rise from `off` or less (T), however slowly.

    Back from there as long as it only falls, but for a small part of `step` (T), then on to where it left the bottom.
    """
    low = np.flatnonzero(np.abs(rows[:, 1]) <= off)
    index = last = int(low[-1]) if len(low) else 0
    bottom = rows[index, 1]
    while index > 0 and rows[index - 1, 1] <= bottom + _RISING * step:
        index -= 1
        bottom = min(bottom, rows[index, 1])
    left = np.flatnonzero(rows[index : last + 1, 1] <= bottom + _RISING * step)
    return float(rows[index + int(left[-1]), 0])


def _reached(rows: FloatArray, begun: float, nominal: float, fraction: float) -> float | None:
    """When the field (T) had come as near to `nominal` as its way there went; None where it never came near."""
    away = np.abs(rows[:, 1] / nominal - 1)
    near = np.flatnonzero((rows[:, 0] >= begun) & (away <= fraction))
    if not len(near):
        return None
    return float(rows[_arrived(away, int(near[0])), 0])


def _arrived(away: FloatArray, index: int) -> int:
    """The first reading from `index` on after which H comes no nearer: what is still on its way has not strayed."""
    while index + 1 < len(away) and away[index + 1] < away[index]:
        index += 1
    return index


def field_cooled(history: History) -> list[Finding]:
    """The field at the Tc crossing and ever since."""
    value, moment = _strayed(history.fields, history.nominal)
    text = f"H strayed by {value * 100:.2f} % from {history.nominal * 1e4:g} G since the sample crossed Tc"
    return [Finding("field_deviation", value, history.limits.field_fraction, moment, text)]


def flux_trapped(history: History) -> list[Finding]:
    """FC, then a quench to zero that stays at zero: field until the quench, remnant applied field, overshoot, rate."""
    nominal, limits = history.nominal, history.limits
    rows = history.towards
    away = np.abs(rows[:, 1] / abs(nominal) - 1)
    at_nominal = np.flatnonzero(away <= limits.field_fraction)
    if not len(at_nominal):
        never = f"the field was never at its nominal {nominal * 1e4:g} G"
        return [Finding("field_deviation", np.inf, limits.field_fraction, history.crossing, never)]
    # seen from its end, a quench is an arrival: its first percent has not strayed
    quench = float(rows[-1 - _arrived(away[::-1], len(rows) - 1 - int(at_nominal[-1])), 0])
    strayed, moment = _strayed(history.fields[history.fields[:, 0] <= quench], nominal)
    after = rows[rows[:, 0] > quench]
    gone = np.flatnonzero(after[:, 1] <= limits.zero_field)
    remnant, when = _largest(after[_arrived(np.abs(after[:, 1]), int(gone[0])) :] if len(gone) else rows[-1:])
    cooling = f"H strayed by {strayed * 100:.2f} % from {nominal * 1e4:g} G before the quench"
    left = f"the applied field was {remnant * 1e4:.2f} G after the quench"
    return [
        Finding("field_deviation", strayed, limits.field_fraction, moment, cooling),
        Finding("remnant_field", remnant, limits.zero_field, when, left),
        _overshoot(history, quench),
        *_quench(history, quench),
    ]


def _quench(history: History, begun: float) -> list[Finding]:
    """How fast H really fell (T/s): slope of a line through the readings between 90 % and 10 % of nominal."""
    falling = history.towards[history.fields[:, 0] >= begun]
    share = falling[:, 1] / abs(history.nominal)
    full, empty = np.flatnonzero(share > 0.9), np.flatnonzero(share < 0.1)
    if not len(empty):
        return []
    falling = falling[full[full < empty[0]][-1] : empty[0] + 1]
    rate = float(abs(np.polyfit(falling[:, 0], falling[:, 1], 1)[0]))
    found = Finding("quench_rate", rate, np.inf, begun, "")
    if history.quench_rate is None:
        return [found]
    off = abs(rate / history.quench_rate - 1)
    text = f"the field fell at {rate * 1e4:.3g} G/s, not at {history.quench_rate * 1e4:.3g} G/s"
    return [found, Finding("quench_deviation", off, history.limits.quench_fraction, begun, text)]


def _overshoot(history: History, switched: float) -> Finding:
    """How far T ever exceeded the present point's since cooling came within `_BASE` of that, or the field changed.

    On the last bit of the way down in an unchanged field only what rises again counts.
    """
    present = float(np.median(history.since[-5:, 1]))
    cold = history.since[np.flatnonzero(history.since[:, 1] <= present + _BASE)[0], 0]
    rows = history.since[history.since[:, 0] >= min(cold, switched)]
    lowest = np.where(rows[:, 0] < switched, np.minimum.accumulate(rows[:, 1]), -np.inf)
    value, moment = _largest(np.column_stack([rows[:, 0], np.maximum(0, rows[:, 1] - np.maximum(present, lowest))]))
    text = f"T exceeded the present {present:.2f} K by {value:.2f} K"
    return Finding("overshoot", value, history.limits.overshoot, moment, text)


def held(fields: FloatArray, nominal: float, limits: HistoryLimits) -> Finding:
    """How far H, rows (s, T), was from a nominal field (T) that is simply on, or from zero."""
    if nominal == 0:
        value, moment = _largest(fields)
        return Finding("remnant_field", value, limits.zero_field, moment, f"|H| was {value * 1e4:.2f} G, not zero")
    value, moment = _strayed(fields, nominal)
    text = f"H strayed by {value * 100:.2f} % from {nominal * 1e4:g} G"
    return Finding("field_deviation", value, limits.field_fraction, moment, text)


def drifted(temperatures: FloatArray, limits: HistoryLimits) -> Finding:
    """How far T, rows (s, K), went from where it was when a map was begun: such a map is of no temperature."""
    value, moment = _largest(temperatures - [0.0, temperatures[0, 1]])
    text = f"T moved by {value:.2f} K from {temperatures[0, 1]:.2f} K while the map was taken"
    return Finding("temperature_drift", value, limits.overshoot, moment, text)


def unseen(history: History) -> Finding:
    """The longest time without a reading of T or H since the sample was last above Tc."""
    longest = (0.0, history.crossing, "temperature")
    for name, seen in zip(("temperature", "field"), history.seen, strict=True):
        before = seen[seen <= history.crossing]
        begin = float(before[-1]) if len(before) else history.crossing  # H unknown at the crossing is a gap too
        times = np.concatenate([[begin], seen[seen > history.crossing], [history.now]])
        widest = int(np.argmax(np.diff(times)))
        longest = max(longest, (float(np.diff(times)[widest]), float(times[widest]), name))
    gap, moment, name = longest
    text = f"the {name} was not recorded for {gap:.0f} s"
    return Finding("longest_gap", gap, history.limits.gap, moment, text, _UNSEEN)


def _largest(rows: FloatArray) -> tuple[float, float]:
    """Largest |value| and its time."""
    index = int(np.argmax(np.abs(rows[:, 1])))
    return float(abs(rows[index, 1])), float(rows[index, 0])


def _strayed(rows: FloatArray, nominal: float) -> tuple[float, float]:
    """Largest |H / nominal − 1| and its time."""
    return _largest(np.column_stack([rows[:, 0], rows[:, 1] / nominal - 1]))
