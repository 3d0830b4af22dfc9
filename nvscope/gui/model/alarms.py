"""What an operator should look at now: drawn from what the window knows, so that it holds for a replay too."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nvscope.gui.mailbox import LinkReport
from nvscope.gui.model.journal import Severity
from nvscope.gui.model.session import Session

LOW_HELIUM = 0.2
"""Share of a full dewar below which somebody should order more."""
FEW_FITTED = 0.5
_IN_LOG = ("alarm", "fault", "error", "point-refused", "block-rejected")
_RECENT = 600.0
"""Rig seconds for which an entry of the log is an alarm."""


@dataclass(frozen=True)
class Alarm:
    """One, in a few words."""

    severity: Severity
    text: str


def alarms(session: Session, link: LinkReport, now: float) -> list[Alarm]:
    """Return what is wrong, worst first.

    Parameters
    ----------
    session : Session
        The run.
    link : LinkReport
        How the connection stands; "searching" for a finished run.
    now : float
        `time.monotonic`.
    """
    found = [*_of_link(session, link, now), *_of_history(session), *_of_readings(session), *_of_log(session)]
    return sorted(found, key=lambda one: one.severity != "error")


def _of_link(session: Session, link: LinkReport, now: float) -> list[Alarm]:
    if session.outcome:
        return []
    silence = now - link.heard
    if link.state == "garbage":
        return [Alarm("error", f"the publisher sends what is not understood: {link.complaint[:120]}")]
    if link.state == "silent":
        return [Alarm("error", f"nothing heard for {silence:.0f} s")]
    if link.state == "ended":
        return [Alarm("error", "the run has gone without a word")]
    return [Alarm("warning", f"{link.malformed} messages were not understood")] if link.malformed else []


def _of_history(session: Session) -> list[Alarm]:
    verdicts = [record.certificate for record in session.points.values() if record.certificate]
    bad = [one for one in verdicts if one.get("verdict") in ("degraded", "invalid")]
    if not bad:
        return []
    worst = next((one for one in reversed(bad) if one.get("verdict") == "invalid"), bad[-1])
    severity: Severity = "error" if worst.get("verdict") == "invalid" else "warning"
    return [Alarm(severity, f"history {worst.get('verdict')}: {worst.get('reason', '')}")]


def _of_readings(session: Session) -> list[Alarm]:
    found = []

    def last(name: str) -> float:
        series = session.history.get(name)
        return series.last if series is not None and len(series) else math.nan

    lost = session.history.get("lost_frames")
    if lost is not None and len(lost) and lost.values.max() > 0:
        found.append(Alarm("warning", f"frames were lost, up to {lost.values.max():.0f} in a point"))
    if last("helium_level") < LOW_HELIUM:
        found.append(Alarm("warning", f"helium {100 * last('helium_level'):.0f} %"))
    if last("fitted_fraction") < FEW_FITTED and session.newest is not None:
        found.append(Alarm("warning", f"only {100 * last('fitted_fraction'):.0f} % of the pixels are fitted"))
    return found


def _of_log(session: Session) -> list[Alarm]:
    """Return the newest bad entry of the log, if it is recent in rig time."""
    now = max((entry.rig_time for entry in session.log if entry.rig_time is not None), default=math.nan)
    for entry in reversed(session.log):
        if entry.kind in _IN_LOG and entry.rig_time is not None and now - entry.rig_time < _RECENT:
            return [Alarm("error", entry.text)]
    return []
