"""What has been said: the newest lines of the journal, and the answer to the last request."""

from __future__ import annotations

import html
import time
from collections.abc import Hashable

from PySide6.QtWidgets import QLabel, QTextBrowser

from nvscope.gui.desk import Desk
from nvscope.gui.model.journal import LogEntry
from nvscope.gui.widgets.text import since_text
from nvscope.gui.widgets.theme import Theme

_MOST = 200
_ANSWER_SHOWN = 8.0


class LogBrowser(QTextBrowser):
    """Notes, warnings, certificates and changes of state, newest first."""

    def __init__(self) -> None:
        super().__init__()
        self.setOpenLinks(False)
        self.setToolTip("Notes, warnings, certificates and changes of state, newest first")
        self._shown: Hashable = None

    def refresh(self, desk: Desk, theme: Theme) -> None:
        """Write what has changed."""
        session = desk.session
        key = (id(session), session.revision["log"], theme.mode)
        if key == self._shown:
            return
        self._shown = key
        newest = list(session.log)[-_MOST:]
        begin = next((entry.rig_time for entry in session.log if entry.rig_time is not None), 0.0) or 0.0
        self.setHtml("".join(_line(entry, begin, theme) for entry in reversed(newest)))


class AnswerLabel(QLabel):
    """What the run answered, for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("muted", True)
        self.setWordWrap(True)
        self._answer: tuple[bool, str] | None = None
        self._came = 0.0

    def refresh(self, desk: Desk, theme: Theme) -> None:
        """Show a new answer, take away an old one."""
        if desk.talk.answer is not self._answer:
            self._answer, self._came = desk.talk.answer, time.monotonic()
        if self._answer is None or time.monotonic() - self._came > _ANSWER_SHOWN:
            self.setText("")
            return
        ok, text = self._answer
        ink = theme.muted if ok else theme.error
        self.setText(f'<span style="color:{ink}">{html.escape(text)}</span>')


def _line(entry: LogEntry, begin: float, theme: Theme) -> str:
    ink = theme.severity(entry.severity)
    when = "" if entry.rig_time is None else since_text(entry.rig_time - begin)
    return (
        f'<div style="margin-bottom:2px"><span style="color:{theme.muted}">{when}</span> '
        f'<span style="color:{ink}">{html.escape(entry.kind)}</span> {html.escape(entry.text)}</div>'
    )
