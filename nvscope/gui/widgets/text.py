"""Times in words."""

from __future__ import annotations


def clock_text(seconds: float) -> str:
    """Write a duration as m:ss or h:mm:ss."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def since_text(seconds: float) -> str:
    """Write a moment of a run as time since it began."""
    return f"+{clock_text(seconds)}"
