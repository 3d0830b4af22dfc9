"""The line at the top: which run, how it is, and the numbers everybody asks for first."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Hashable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from nvscope.gui.desk import Desk
from nvscope.gui.model.alarms import Alarm, alarms
from nvscope.gui.widgets.housekeeping import newest
from nvscope.gui.widgets.theme import Theme

_STATE_INK = {
    "running": "good",
    "done": "good",
    "paused": "warning",
    "aborting": "warning",
    "aborted": "warning",
    "failed": "error",
}


_MOST_ALARM = 60


class Header(QWidget):
    """Run, state, step, and T, H, R, δB, frames/s."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.setObjectName("bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 8, 6)
        row.setSpacing(18)
        left = QVBoxLayout()
        left.setSpacing(0)
        self.title = QLabel()
        self.title.setProperty("big", True)
        self.step = QLabel()
        self.step.setProperty("muted", True)
        for label in (self.title, self.step):
            label.setMinimumWidth(50)
            left.addWidget(label)
        row.addLayout(left, 1)
        self.alarm = QLabel()
        self.alarm.setVisible(False)
        row.addWidget(self.alarm)
        self._cells: dict[str, QLabel] = {}
        for name, tip in (
            ("T", "sample temperature"),
            ("H", "applied field"),
            ("R", "four-probe resistance"),
            ("δB", "median 1-σ uncertainty of B over the image, of the newest maps"),
            ("frames/s", "camera frames per second of wall time"),
        ):
            cell = QVBoxLayout()
            cell.setSpacing(0)
            value, caption = QLabel("–"), QLabel(name)
            value.setProperty("big", True)
            caption.setProperty("muted", True)
            for label in (value, caption):
                label.setAlignment(Qt.AlignmentFlag.AlignRight)
                label.setToolTip(tip)
                cell.addWidget(label)
            row.addLayout(cell)
            self._cells[name] = value
            if name == "frames/s" and not desk.live:
                value.hide()
                caption.hide()
        self.start = QToolButton()
        self.start.setText("New run …")
        self.start.setToolTip("Choose a sequence, look at its plan, start it (Ctrl+R)")
        self.theme_button = QToolButton()
        self.theme_button.setText("Theme")
        self.theme_button.setToolTip("Dark or light (T)")
        self.help = QToolButton()
        self.help.setText("?")
        self.help.setToolTip("Keyboard shortcuts (F1)")
        for button in (self.start, self.theme_button, self.help):
            row.addWidget(button)
        self._drawn: Hashable = None

    def refresh(self, theme: Theme) -> None:
        """Draw what has changed."""
        desk = self.desk
        session, link = desk.session, desk.link
        age = int(time.monotonic() - link.heard) if link.state in ("silent", "garbage") else 0
        key = (id(session), session.revision["status"], session.revision["history"], session.revision["header"])
        found = alarms(session, link, time.monotonic()) if desk.live or session.outcome else []
        wanted = (key, link.state, age, theme.mode, desk.problem, link.malformed, tuple(found))
        if wanted == self._drawn:
            return
        self._drawn = wanted
        self.title.setText(self._title(theme, age))
        self.step.setText(self._subtitle(theme))
        self._show_alarms(found, theme)
        numbers = {
            "T": _number(newest(desk, "temperature"), "{:.2f} K"),
            "H": _number(newest(desk, "field"), "{:.2f} G", 1e4),
            "R": _number(newest(desk, "resistance"), "{:.3f} mΩ", 1e3),
            "δB": _number(newest(desk, "median_b_err"), "{:.3f} G", 1e4),
            "frames/s": _number(newest(desk, "frames_per_second") if desk.live else math.nan, "{:.0f}"),
        }
        for name, text in numbers.items():
            self._cells[name].setText(text)

    def _show_alarms(self, found: list[Alarm], theme: Theme) -> None:
        self.alarm.setVisible(bool(found))
        if not found:
            return
        worst = found[0]
        ink = theme.severity(worst.severity)
        more = f" (+{len(found) - 1})" if len(found) > 1 else ""
        text = worst.text if len(worst.text) <= _MOST_ALARM else worst.text[: _MOST_ALARM - 1] + "…"
        self.alarm.setText(f'<b style="color:{ink}">▲ {html.escape(text)}{more}</b>')
        self.alarm.setToolTip("<p>" + "<br>".join(html.escape(one.text) for one in found) + "</p>")

    def _title(self, theme: Theme, age: int) -> str:
        session, link = self.desk.session, self.desk.link
        run = session.header.run or (session.status.run if session.status else "")
        if not run and self.desk.live and link.run is None:
            return f'<span style="color:{theme.muted}">waiting for a run …</span>'
        state = session.outcome or (session.status.state if session.status else "")
        if not self.desk.live:
            state = session.outcome or "unfinished"
        ink, text = theme.severity(_STATE_INK.get(state, "plain")), state
        if self.desk.live and not session.outcome:
            if link.state == "silent":
                ink, text = theme.warning, f"silent for {age} s"
            elif link.state == "garbage":
                ink, text = theme.error, f"sends what is not understood ({link.malformed})"
            elif link.state == "ended":
                ink, text = theme.error, "gone without a word"
        return f'{html.escape(run)} &nbsp;<span style="color:{ink}">● {html.escape(text)}</span>'

    def _subtitle(self, theme: Theme) -> str:
        desk = self.desk
        if desk.problem and not desk.live:
            return f'<span style="color:{theme.error}">{html.escape(desk.problem)}</span>'
        if desk.link.state == "garbage":
            return f'<span style="color:{theme.error}">{html.escape(desk.link.complaint[:160])}</span>'
        session = desk.session
        if session.status is not None and not session.outcome:
            missing = " · earlier points are missing: its directory cannot be read here" if desk.problem else ""
            return html.escape(session.status.step + missing)
        header = session.header
        parts = [header.sequence, header.sample and f"sample {header.sample}"]
        if math.isfinite(header.pressure):
            parts.append(f"{header.pressure / 1e9:.3g} GPa")
        parts += [header.rig and f"rig {header.rig}", header.operator, header.started.replace("T", " ")[:16]]
        return html.escape(" · ".join(part for part in parts if part))


def _number(value: float, form: str, scale: float = 1.0) -> str:
    if not math.isfinite(value):
        return "–"
    text = form.format(value * scale)
    return text[1:] if text.startswith("-") and not text.strip("-0. GKmΩ") else text  # no minus zero
