"""A form of parameters with units, as a sequence or the instruments describe them."""

from __future__ import annotations

import html
from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QFormLayout, QLabel, QLineEdit, QScrollArea, QWidget

from nvscope.gui.widgets.theme import Theme
from nvscope.stream.control import Parameter

Editor = QLineEdit | QComboBox


class ParameterForm(QScrollArea):
    """One row a parameter; `edited` whenever something is typed or chosen.

    Attributes
    ----------
    edits : dict
        The editors by name.
    """

    edited = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.edits: dict[str, Editor] = {}
        self._parameters: Sequence[Parameter] = ()
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def fill(self, parameters: Sequence[Parameter]) -> None:
        """Show these, in their order."""
        self._parameters = parameters
        self.edits = {}
        content = QWidget()
        form = QFormLayout(content)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for one in parameters:
            edit = editor(one)
            label = QLabel(one.name.replace("_", " "))
            label.setToolTip(edit.toolTip())
            if isinstance(edit, QComboBox):
                edit.currentTextChanged.connect(self._changed)
            else:
                edit.textChanged.connect(self._changed)
            form.addRow(label, edit)
            self.edits[one.name] = edit
        self.setWidget(content)

    def changes(self) -> dict[str, str]:
        """Return what differs from what was filled in, by name; an emptied field is an empty text."""
        found = {one.name: text_of(self.edits[one.name]) for one in self._parameters}
        return {one.name: found[one.name] for one in self._parameters if found[one.name] != one.value}

    def _changed(self) -> None:
        changes = self.changes()
        for name, edit in self.edits.items():
            if isinstance(edit, QLineEdit):
                edit.setStyleSheet(f"border-color: {self.theme.accent};" if name in changes else "")
        self.edited.emit()


def editor(one: Parameter) -> Editor:
    """Return an editor that shows a parameter's value; its tool tip says what it means and its unit."""
    edit: Editor
    if one.choices:
        edit = QComboBox()
        edit.addItems(one.choices)
        edit.setCurrentText(one.value)
    else:
        edit = QLineEdit(one.value)
        edit.setPlaceholderText("not set")
        edit.setCursorPosition(0)
    edit.setToolTip(f"<p>{html.escape(one.meaning)}" + (f"; in {one.unit}</p>" if one.unit else "</p>"))
    return edit


def text_of(edit: Editor) -> str:
    """Return what an editor says."""
    return (edit.currentText() if isinstance(edit, QComboBox) else edit.text()).strip()
