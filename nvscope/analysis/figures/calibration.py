"""Figures of calibration runs."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from nvscope.analysis.contacts import CONTACTS, ContactCheck
from nvscope.analysis.exposure import ExposureCalibration
from nvscope.analysis.figures import style
from nvscope.analysis.magnet_calibration import MagnetCalibration
from nvscope.analysis.microwave_power import MicrowavePower
from nvscope.analysis.rotation import Rotation
from nvscope.nv import GAMMA

_HEIGHT = 2.6
GAUSS = 1e-4


def magnet_figure(found: MagnetCalibration) -> Figure:
    """Half splitting and centre against the field along the ordinary axis, and what the fit leaves of either."""
    figure = style.new_figure(style.WIDTH, 1.5 * _HEIGHT)
    means, along = found.means, found.means.field[:, -1] / GAUSS
    across = np.any(means.field[:, :-1] != 0, axis=1)
    half, half_err = np.sqrt(means.square), means.square_err / (2 * np.sqrt(means.square))
    panels = (
        (half, half_err, np.sqrt(found.model[1]), "half splitting (MHz)"),
        (means.center, means.center_err, found.model[0], "centre (MHz)"),
    )
    grid = figure.subplots(2, 2, sharex=True, height_ratios=(2, 1))
    for column, (value, err, model, label) in enumerate(panels):
        top, bottom = grid[0, column], grid[1, column]
        for chosen, marker, fill, name in (
            (~across, "o", style.SUPPRESSED, "along"),
            (across, "s", "white", "with a field across"),
        ):
            if chosen.any():
                look = {"fmt": marker, "color": style.SUPPRESSED, "markerfacecolor": fill, "label": name}
                top.errorbar(along[chosen], value[chosen] / 1e6, err[chosen] / 1e6, **look)
                bottom.errorbar(along[chosen], (value - model)[chosen] / 1e3, err[chosen] / 1e3, **look)
        top.set_ylabel(label)
        bottom.axhline(0, color=style.MUTED, linewidth=0.8)
        bottom.set_ylabel("left (kHz)")
        bottom.set_xlabel("nominal field (G)")
    if across.any():
        grid[0, 0].legend()
    figure.tight_layout()
    return figure


def power_figure(found: MicrowavePower) -> Figure:
    """Contrast, width and δB against power."""
    figure = style.new_figure(style.WIDTH, _HEIGHT)
    panels = (
        (100 * found.contrast, "contrast (%)"),
        (found.width / 1e6, "half width (MHz)"),
        (found.b_err / GAUSS, "median δB (G)"),
    )
    for axes, (values, label) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.plot(found.power_dbm, values, "o-", color=style.SUPPRESSED, linewidth=1)
        axes.plot(found.power_dbm[found.best], values[found.best], "o", color=style.ENHANCED)
        axes.set_xlabel("microwave power (dBm)")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
    figure.tight_layout()
    return figure


def exposure_figure(found: ExposureCalibration) -> Figure:
    """Photon transfer, exposure against laser power, heating against power."""
    figure = style.new_figure(style.WIDTH, _HEIGHT)
    transfer, exposure, heat = figure.subplots(1, 3)
    transfer.plot(found.mean / 1e3, found.variance / 1e3, "o", color=style.SUPPRESSED)
    if found.camera is not None:
        line = np.linspace(found.camera.offset, found.mean.max(), 50)
        transfer.plot(
            line / 1e3, (line - found.camera.offset) / found.camera.gain / 1e3, color=style.MUTED, linewidth=1
        )
    transfer.set_xlabel("mean (1000 counts)")
    transfer.set_ylabel("variance (1000 counts²)")
    power, time = [1e3 * e.laser_power for e in found.exposures], [1e3 * e.exposure for e in found.exposures]
    exposure.plot(power, time, "o", color=style.SUPPRESSED)
    exposure.set_xlabel("laser power (mW)")
    exposure.set_ylabel("exposure (ms)")
    exposure.set_ylim(bottom=0)
    for light, color in (("laser", style.SUPPRESSED), ("microwaves", style.ENHANCED)):
        of = [h for h in found.heating if h.light == light]
        if of:
            heat.errorbar(
                [1e3 * h.power for h in of], [1e3 * h.warmer for h in of], [1e3 * h.warmer_err for h in of], fmt="o",
                color=color, label=light,
            )  # fmt: skip
    if found.heating:
        heat.legend()
    heat.set_xlabel("power (mW)")
    heat.set_ylabel("hotter by (mK)")
    heat.set_ylim(bottom=0)
    figure.tight_layout()
    return figure


def rotation_figure(turns: list[Rotation]) -> Figure:
    """R and half splitting against angle, one colour for each temperature."""
    figure = style.new_figure(style.WIDTH, _HEIGHT)
    left, right = figure.subplots(1, 2)
    colors = mpl.colormaps[style.TEMPERATURE](np.linspace(0.1, 0.8, len(turns)))
    for turn, color in zip(turns, colors, strict=True):
        degrees = np.degrees(turn.angle)
        label = f"{turn.temperature:.0f} K"
        left.errorbar(
            degrees, 1e3 * turn.resistance, 1e3 * turn.resistance_err, fmt="o-", color=color, linewidth=1, label=label
        )
        right.errorbar(
            degrees, turn.half_splitting / 1e6, turn.half_splitting_err / 1e6, fmt="o", color=color, label=label
        )
        if np.isfinite(turn.axis):
            measured = np.isfinite(turn.half_splitting)
            zeeman = (GAMMA * turn.amplitude * np.cos(turn.angle - turn.axis)) ** 2
            stress = np.mean((turn.half_splitting**2 - zeeman)[measured])
            fine = np.linspace(turn.angle[measured].min(), turn.angle[measured].max(), 90)
            law = (GAMMA * turn.amplitude * np.cos(fine - turn.axis)) ** 2 + stress
            right.plot(np.degrees(fine), np.sqrt(np.maximum(law, 0)) / 1e6, color=color, linewidth=1)
    for axes, label in ((left, "R (mΩ)"), (right, "half splitting (MHz)")):
        axes.set_xlabel("angle of the field (°)")
        axes.set_ylabel(label)
    right.set_ylim(bottom=0)
    left.legend()
    figure.tight_layout()
    return figure


def contacts_figure(found: ContactCheck) -> Figure:
    """R against current, and the two-probe matrix where there is one."""
    figure = style.new_figure(style.WIDTH, _HEIGHT)
    matrix = bool(np.isfinite(found.two_probe).any())
    panels = figure.subplots(1, 2 if matrix else 1, squeeze=False)[0]
    panels[0].errorbar(
        1e3 * found.current, 1e3 * found.resistance, 1e3 * found.resistance_err, fmt="o", color=style.SUPPRESSED
    )
    panels[0].set_xscale("log")
    panels[0].set_xlabel("current (mA)")
    panels[0].set_ylabel("R (mΩ)")
    if matrix:
        panels[1].imshow(found.two_probe, cmap=style.SEQUENTIAL, vmin=0, vmax=2 * float(np.nanmax(found.two_probe)))
        ticks = range(len(CONTACTS))
        panels[1].set_xticks(ticks, CONTACTS)
        panels[1].set_yticks(ticks, CONTACTS)
        for row, column in zip(*np.nonzero(np.isfinite(found.two_probe)), strict=True):
            panels[1].text(column, row, f"{found.two_probe[row, column]:.3g}", ha="center", va="center", color="white")
        panels[1].set_title("two-probe (Ω)")
    figure.tight_layout()
    return figure
