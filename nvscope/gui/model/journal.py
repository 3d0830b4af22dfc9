"""Journal entries in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["plain", "good", "warning", "error"]


@dataclass(frozen=True)
class LogEntry:
    """One line for people."""

    rig_time: float | None
    kind: str
    text: str
    severity: Severity = "plain"


_SEVERITY: dict[str, Severity] = {
    "warning": "warning",
    "alarm": "error",
    "fault": "error",
    "error": "error",
    "abort": "warning",
    "block-rejected": "warning",
    "block-discarded": "warning",
    "point-refused": "error",
}
_SHOWN = {*_SEVERITY, "note", "state", "certificate", "finish", "decision", "residual", "parameters", "region"}
_VERDICT: dict[str, Severity] = {"valid": "good", "degraded": "warning", "invalid": "error"}
_OUTCOME: dict[str, Severity] = {"done": "good", "failed": "error", "aborted": "warning"}


def entry(kind: str, data: Mapping[str, Any], rig_time: float | None) -> LogEntry | None:
    """Return what a journal entry says, None for the many that only machines read."""
    if kind not in _SHOWN:
        return None
    severity = _SEVERITY.get(kind, "plain")
    text = str(data.get("text") or data.get("reason") or data.get("error") or "")
    if kind == "certificate":
        verdict = str(data.get("verdict", "?"))
        severity = _VERDICT.get(verdict, "plain")
        text = f"{data.get('protocol', '')} {verdict}: {data.get('reason', '')}".strip()
    elif kind == "state":
        state = str(data.get("state", ""))
        severity = _OUTCOME.get(state, "plain")
        reason = str(data.get("reason") or "")
        text = f"{state}: {reason}" if reason else state
    elif kind == "finish":
        outcome = str(data.get("outcome", ""))
        severity = _OUTCOME.get(outcome, "plain")
        text = f"ended: {outcome}" + (f", {text}" if text else "")
    elif kind.startswith("block-"):
        text = f"block {data.get('block', '?')} of point {data.get('point', '?')}: {text}"
    return LogEntry(rig_time, kind, text.splitlines()[0] if text else kind, severity)
