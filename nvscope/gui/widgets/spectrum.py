"""ODMR spectra of cursor, pins and region with their fits, one panel for each window of the sweep."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtWidgets import QLabel, QToolButton

from nvscope.gui.desk import Desk
from nvscope.gui.model.traces import CURSOR, Trace
from nvscope.gui.widgets.plotting import Table
from nvscope.gui.widgets.spectrum_panel import SpectrumPanel
from nvscope.gui.widgets.theme import Theme, px
from nvscope.gui.widgets.view import View

FloatArray = NDArray[np.float64]
_MOST_PANELS = 4
_POOR = 3.0
"""Reduced chi squared above which the uncertainties beside it are no longer believable: places differ in a region."""


def windows(frequencies: FloatArray) -> list[tuple[float, float]]:
    """Return the stretches (Hz) of a frequency axis between its gaps; one if there would be too many to show."""
    if frequencies.size < 3:
        return [(float(frequencies.min()), float(frequencies.max()))] if frequencies.size else []
    steps = np.diff(frequencies)
    cuts = np.flatnonzero(steps > 5 * np.median(steps)) + 1
    parts = [part for part in np.split(frequencies, cuts) if part.size > 1]
    if len(parts) > _MOST_PANELS:
        parts = [frequencies]
    return [(float(part[0]), float(part[-1])) for part in parts]


class SpectrumView(View):
    """Measured points, fit, components, residuals and parameters."""

    name = "spectrum"
    title = "Spectrum"
    rest = 0.1

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.source = self.muted_label()
        self.tools.addWidget(self.source, 1)
        self.components = QToolButton()
        self.components.setText("Components")
        self.components.setCheckable(True)
        self.components.setToolTip("Draw each fitted line on its own")
        self.tools.addWidget(self.components)
        self.add_export()
        self.add_graphics()
        self.parameters = QLabel()
        self.parameters.setProperty("muted", True)
        self.parameters.setWordWrap(True)
        self.parameters.setToolTip(
            "<p>Parameters of the fit at the cursor ± 1 σ. f₋ and f₊: the two lines. B: half splitting over γ. "
            "C: contrast, signed depth over the baseline. w: half width at half maximum. χ²ᵣ near 1: the noise is as "
            "expected.</p>"
        )
        self.body.addWidget(self.parameters)
        self._panels: list[SpectrumPanel] = []

    def key(self) -> Hashable:
        """Change with the spectra."""
        desk = self.desk
        return id(desk.session), desk.spectrometer.revision, self.components.isChecked(), self.theme.mode

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        super().restyle(theme)
        self._panels = []

    def draw(self) -> None:
        """Draw the spectra there are."""
        found = self.desk.spectrometer.traces
        if not found:
            self.source.setText("point at a map; spectra come with the first frames")
            self.parameters.setText("")
            for panel in self._panels:
                panel.show([], components=False)
            return
        self._lay_out(windows(found[0].frequencies))
        self.source.setText(self.desk.spectrometer.source)
        for panel in self._panels:
            panel.show(found, components=self.components.isChecked())
        self._set_ranges(found)
        self._write(found)

    def table(self) -> Table:
        """Return the spectra, one column a place, with their fits at the measured frequencies."""
        found = self.desk.spectrometer.traces
        if not found:
            return Table(("frequency (Hz)",), [])
        names, columns = ["frequency (Hz)"], [found[0].frequencies]
        for trace in found:
            names += [f"{trace.label}: counts", f"{trace.label}: frames"]
            columns += [trace.signal, trace.frames]
            if trace.fit is not None:
                names.append(f"{trace.label}: fit")
                columns.append(trace.fit.at_data)
        return Table(tuple(names), np.stack(columns, axis=1).tolist())

    def _lay_out(self, wanted: list[tuple[float, float]]) -> None:
        if len(wanted) != len(self._panels):
            self.graphics.clear()
            self._panels = [SpectrumPanel(self.graphics, i, window, self.theme) for i, window in enumerate(wanted)]
            layout = self.graphics.ci.layout
            caption = self.graphics.addLabel(row=2, col=0, colspan=max(1, len(wanted)))
            caption.setText("microwave frequency (GHz)", color=self.theme.text, size=f"{px(11)}px")
            layout.setRowStretchFactor(0, 3)
            layout.setRowStretchFactor(1, 1)
            for column in range(len(wanted)):
                layout.setColumnStretchFactor(column, 1)
        for panel, window in zip(self._panels, wanted, strict=True):
            if panel.window != window:
                panel.move(window)

    def _set_ranges(self, found: list[Trace]) -> None:
        """Make room in every panel for what is drawn in any."""
        main = found[0]
        above = [100 * trace.signal / trace.level for trace in found]
        above += [100 * trace.fit.model / trace.level for trace in found if trace.fit is not None]
        below = [np.zeros(1)]
        if main.fit is not None and main.slot == CURSOR:
            below.append(100 * (main.signal - main.fit.at_data) / main.level)
        for which, values in enumerate((above, below)):
            finite = np.concatenate(values)
            finite = finite[np.isfinite(finite)]
            for panel in self._panels if finite.size else ():
                panel.reach(which, float(finite.min()), float(finite.max()))

    def _write(self, found: list[Trace]) -> None:
        parts = []
        for trace in found:
            name = f'<b style="color:{self.theme.place(trace.slot)}">{trace.label}</b>'
            if trace.fit is None:
                parts.append(f"{name} &nbsp;not fitted yet")
                continue
            shown = {item[0]: _parameter(*item, ink=self.theme.text) for item in trace.fit.parameters}
            quality = f"χ²ᵣ {trace.fit.chi2_reduced:.2f}"
            if trace.fit.chi2_reduced > _POOR:
                quality = f'<span style="color:{self.theme.warning}">{quality}</span>'
            if trace.fit.status != "converged":
                quality += f', <span style="color:{self.theme.warning}">{trace.fit.status}</span>'
            if trace.slot != CURSOR:
                parts.append(f"{name} &nbsp;{shown.get('B', '')} &nbsp;{quality}")
                continue
            plain = [text for key, text in shown.items() if key[-1] not in "₋₊"]
            parts.append(" &nbsp;".join([name, *plain, quality]))
            for sign in "₋₊":
                line = [text for key, text in shown.items() if key.endswith(sign)]
                parts.append(" &nbsp;".join(line[:1] + [text.replace(sign, "", 1) for text in line[1:]]))
        self.parameters.setText(f'<span style="font-size:{px(11)}px">{"<br>".join(parts)}</span>')


def _parameter(name: str, value: float, error: float, unit: str, ink: str) -> str:
    if not np.isfinite(value):
        return f"{name} –"
    digits = 3 if not np.isfinite(error) or error <= 0 else int(np.clip(1 - np.floor(np.log10(error)), 0, 6))
    shown = f"{value:.{digits}f} ± {error:.{digits}f} {unit}" if np.isfinite(error) else f"{value:.{digits}f} {unit}"
    return f'{name} <span style="color:{ink}">{shown}</span>'
