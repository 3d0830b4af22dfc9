"""Instruments by hand: camera, laser, microwaves, temperature and field, while no run holds them."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Sequence

import msgspec
from PySide6.QtWidgets import QComboBox, QFrame, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from nvscope.gui.desk import Desk
from nvscope.gui.widgets.form import Editor, editor, text_of
from nvscope.gui.widgets.housekeeping import newest
from nvscope.gui.widgets.log import AnswerLabel, LogBrowser
from nvscope.gui.widgets.plotting import Table
from nvscope.gui.widgets.view import View
from nvscope.stream.control import Control, Parameter, Reply
from nvscope.units import parse_quantity

_ASK_EVERY = 1.0
"""Wall seconds between questions what is set: somebody may set it from a terminal."""

GROUPS = (
    ("Camera", "camera", ("exposure", "gain")),
    ("Laser", "laser", ("laser_power",)),
    ("Microwaves", "microwave", ("frequency", "microwave_power")),
    ("Temperature", "", ("temperature", "temperature_rate")),
    ("Field", "", ("field", "field_rate")),
    ("Focus", "", ("focus",)),
)
"""Title, switch and values of each instrument; one that the rig has not is left out."""
READINGS = (
    ("temperature", "temperature", "{:.2f} K", 1.0),
    ("field", "field", "{:.2f} G", 1e4),
    ("focus", "focus_position", "{:.2f} µm", 1e6),
)
"""Value, reading beside it, how it is written, and in what."""
NUDGE = 1e-6
"""How far (m) a button beside the focus moves it."""
LABELS = {
    "laser_power": "power",
    "microwave_power": "power",
    "temperature": "go to",
    "temperature_rate": "rate",
    "field": "go to",
    "field_rate": "rate",
    "focus": "go to",
}


class ByHandView(View):
    """Switches and values; what is typed is sent with Enter, and refused here if the rig's limits forbid it."""

    name = "by-hand"
    title = "By hand"
    rest = 0.1

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.edits: dict[str, Editor] = {}
        self.switches: dict[str, QPushButton] = {}
        self.nudges: list[QPushButton] = []
        self._known: dict[str, Parameter] = {}
        self._now: dict[str, QLabel] = {}
        self._asked = -math.inf
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(1, 1)
        self._grid.setColumnStretch(3, 1)
        self.body.addLayout(self._grid)
        row = QHBoxLayout()
        self.halt = QPushButton("Stop ramps")
        self.halt.setToolTip("<p>Stop temperature and field where they are (Ctrl+P)</p>")
        self.halt.clicked.connect(lambda: desk.talk.say("pause"))
        self.end = QPushButton("Make safe and let go")
        self.end.setProperty("danger", True)
        self.end.setToolTip(
            "<p>Microwaves off, laser gated, field and temperature held where they are; then the instruments are free "
            "for a run</p>"
        )
        self.end.clicked.connect(lambda: desk.talk.say("abort"))
        row.addWidget(self.halt)
        row.addWidget(self.end)
        self.body.addLayout(row)
        self.answer = AnswerLabel()
        self.body.addWidget(self.answer)
        self.log = LogBrowser()
        self.log.setPlaceholderText("what the instruments complain about is written here")
        self.body.addWidget(self.log, 1)

    def key(self) -> Hashable:
        """Change with readings and answers; several times a second, to ask what is set."""
        revision = self.desk.session.revision
        link = self.desk.link.state
        return id(self.desk.session), revision["log"], revision["history"], link, int(4 * time.monotonic())

    def draw(self) -> None:
        """Show readings, and ask what is set."""
        live = self.desk.by_hand and self.desk.link.state == "connected" and not self.desk.session.outcome
        for widget in (*self.edits.values(), *self.switches.values(), *self.nudges, self.halt, self.end):
            widget.setEnabled(live)
        if live and time.monotonic() - self._asked > _ASK_EVERY:
            self._asked = time.monotonic()
            self.desk.talk.ask(Control("parameters"), self._fill)
        for name, column, form, scale in READINGS:
            value = newest(self.desk, column)
            if name in self._now:
                self._now[name].setText("now –" if math.isnan(value) else f"now {form.format(value * scale)}")
        self.answer.refresh(self.desk, self.theme)
        self.log.refresh(self.desk, self.theme)

    def table(self) -> Table:
        """Return what is set."""
        return Table(("name", "value", "meaning"), [(p.name, p.value, p.meaning) for p in self._known.values()])

    def send(self, **settings: str) -> None:
        """Set something."""
        self.desk.talk.ask(Control("set", settings=settings), self._answered)

    # --- pieces ----------------------------------------------------------------------------------------------------

    def _answered(self, reply: Reply) -> None:
        self.desk.talk.answer = (reply.ok, reply.text)
        if not reply.ok:
            return  # what was typed stays, to be mended
        for edit in self.edits.values():
            if isinstance(edit, QLineEdit):
                edit.setModified(False)
        self._fill(reply)

    def _fill(self, reply: Reply) -> None:
        if not reply.parameters:
            return
        parameters = {one.name: one for one in reply.parameters}
        if parameters.keys() != self._known.keys():
            self._build(reply.parameters)
        self._known = parameters
        for name, edit in self.edits.items():
            if isinstance(edit, QLineEdit) and not edit.isModified() and not edit.hasFocus():
                edit.setText(parameters[name].value)
                edit.setCursorPosition(0)
        for name, switch in self.switches.items():
            on = parameters[name].value == "yes"
            switch.setChecked(on)
            switch.setText("on" if on else "off")

    def _build(self, parameters: Sequence[Parameter]) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        self.edits, self.switches, self._now, self.nudges = {}, {}, {}, []
        by_name = {one.name: one for one in parameters}
        row = 0
        for title, switch, names in GROUPS:
            if names[0] not in by_name:
                continue
            head = QLabel(f"<b>{title}</b>")
            self._grid.addWidget(head, row, 0)
            if switch:
                button = QPushButton("off")
                button.setCheckable(True)
                button.setToolTip(f"<p>{by_name[switch].meaning}</p>")
                button.clicked.connect(lambda on, name=switch: self.send(**{name: "yes" if on else "no"}))
                self.switches[switch] = button
                self._grid.addWidget(button, row, 3)
            else:
                self._now[names[0]] = self.muted_label("now –")
                self._grid.addWidget(self._now[names[0]], row, 3)
            for column, name in enumerate(names):
                label = QLabel(LABELS.get(name, name))
                label.setProperty("muted", True)
                edit = editor(by_name[name])
                if isinstance(edit, QLineEdit):
                    edit.setPlaceholderText("as it is")
                    edit.returnPressed.connect(lambda name=name: self._typed(name))
                elif isinstance(edit, QComboBox):
                    edit.textActivated.connect(lambda text, name=name: self.send(**{name: text}))
                label.setToolTip(edit.toolTip())
                self._grid.addWidget(label, row + 1, 2 * column)
                self._grid.addWidget(edit, row + 1, 2 * column + 1)
                self.edits[name] = edit
            if title == "Focus":
                self._grid.addWidget(self._nudges(), row + 1, 2, 1, 2)
            line = QFrame()
            line.setFixedHeight(4)
            self._grid.addWidget(line, row + 2, 0, 1, 4)
            row += 3

    def _nudges(self) -> QWidget:
        """Return two buttons that move the focus a little from where it was sent, or from where it is."""
        both = QWidget()
        row = QHBoxLayout(both)
        row.setContentsMargins(0, 0, 0, 0)
        for sign, text in ((-1, "−1 µm"), (1, "+1 µm")):
            button = QPushButton(text)
            button.setToolTip(
                "<p>Move the focus; the sharpness in Housekeeping is largest where the image is sharp</p>"
            )
            button.clicked.connect(lambda _=False, sign=sign: self._nudge(sign * NUDGE))
            row.addWidget(button)
            self.nudges.append(button)
        return both

    def _nudge(self, by: float) -> None:
        try:
            at = parse_quantity(self._known["focus"].value, "metre")
        except ValueError:
            at = newest(self.desk, "focus_position")
        if math.isfinite(at):
            aim = f"{(at + by) * 1e6:.3f} um"
            self._known["focus"] = msgspec.structs.replace(self._known["focus"], value=aim)  # a second click adds up
            self.send(focus=aim)

    def _typed(self, name: str) -> None:
        """Send what was typed, with the rate beside a target: both are meant."""
        names = next(names for _, _, names in GROUPS if name in names)
        settings = {one: text_of(self.edits[one]) for one in names}
        self.send(**{one: text for one, text in settings.items() if one == name or text != self._known[one].value})
