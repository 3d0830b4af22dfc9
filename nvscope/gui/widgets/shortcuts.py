"""The keys, in one list for the window and for its help."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shortcut:
    """Keys in Qt's spelling, the window's action, and what it does."""

    keys: str
    action: str
    text: str


SHORTCUTS = (
    Shortcut("Left", "earlier", "earlier point"),
    Shortcut("Right", "later", "later point"),
    Shortcut("End", "newest", "follow the newest point"),
    Shortcut("Space", "play", "play through the points"),
    Shortcut("P", "pin", "pin or unpin the place under the cursor"),
    Shortcut("Shift+P", "unpin", "forget all pins"),
    Shortcut("E", "extremes", "pin the most suppressed and the most enhanced place"),
    Shortcut("R", "region", "region on or off"),
    Shortcut("C", "compare", "difference from the point before"),
    Shortcut("F", "flicker", "flicker with the point before"),
    Shortcut("A", "levels", "let grey levels and colour scale fit again"),
    Shortcut("O", "outlines", "outlines of the loading on or off"),
    Shortcut("T", "theme", "dark or light"),
    Shortcut("Ctrl+=", "larger", "larger text"),
    Shortcut("Ctrl+-", "smaller", "smaller text"),
    Shortcut("Ctrl+0", "layout", "docks back to their places"),
    Shortcut("Ctrl+P", "pause", "pause or resume the run"),
    Shortcut("Ctrl+K", "skip", "skip the rest of this point"),
    Shortcut("Ctrl+Shift+A", "abort", "abort the run"),
    Shortcut("Ctrl+E", "next", "change how the points to come are taken"),
    Shortcut("Ctrl+N", "note", "write a note"),
    Shortcut("Ctrl+R", "start", "start a run"),
    Shortcut("Ctrl+S", "picture", "save a picture of the window"),
    Shortcut("F1", "help", "this list"),
)


def shortcuts_html(muted: str) -> str:
    """Return the list as a table."""
    rows = [("1 … 9, 0", "choose a map"), *((one.keys, one.text) for one in SHORTCUTS)]
    body = "".join(
        f'<tr><td style="padding-right:18px"><b>{keys}</b></td><td style="color:{muted}">{text}</td></tr>'
        for keys, text in rows
    )
    return f"<table>{body}</table>"
