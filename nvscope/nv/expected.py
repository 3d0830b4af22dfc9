"""Where to look for the lines before anything is known about this loading."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvscope.errors import NvscopeError
from nvscope.nv.constants import BARSON_2017, GAMMA, StressSusceptibility
from nvscope.nv.temperature import zero_field_splitting

IN_PLANE_FRACTION = 0.713
"""σ_XX/σ_ZZ just under a diamond culet that puts D at 3.08 GHz at 21 GPa, as observed; rough."""

Window = tuple[float, float]


def expected_center(
    pressure: float,
    temperature: float,
    constants: StressSusceptibility = BARSON_2017,
    in_plane_fraction: float = IN_PLANE_FRACTION,
) -> float:
    """Return a *rough* estimate (Hz) of the centre of the [111] group's lines; expect to be wrong by up to 150 MHz.

    The stress under the culet is taken as σ_XX = σ_YY = `in_plane_fraction` σ_ZZ, σ_ZZ = `pressure`, without shear.
    It is meant for placing the first coarse sweep, never for reading a pressure.

    Parameters
    ----------
    pressure : float
        Nominal pressure (Pa).
    temperature : float
        Temperature (K).
    """
    in_plane = in_plane_fraction * pressure
    shift = (constants.a1 - constants.a2) * 2 * in_plane + (constants.a1 + 2 * constants.a2) * pressure
    return float(zero_field_splitting(temperature)) + shift


def expected_half_splitting(field: float, stress_splitting: float = 0.0) -> float:
    """Return half the splitting (Hz) of the [111] group for `field` (T) along it and Π⊥ = `stress_splitting` (Hz)."""
    return float(np.hypot(GAMMA * field, stress_splitting))


def line_windows(center: float, half_splitting: float, width: float = 150e6) -> tuple[Window, ...]:
    """Return the frequency windows (Hz) of `width` around both lines; one window where the two would touch.

    The single window spans from the lower edge of the lower window to the upper edge of the upper one.
    """
    if not width > 0:
        raise NvscopeError(f"a window needs a positive width, got {width:g} Hz")
    low, high = center - abs(half_splitting), center + abs(half_splitting)
    if high - low <= width:
        return ((low - width / 2, high + width / 2),)
    return ((low - width / 2, low + width / 2), (high - width / 2, high + width / 2))


def window_frequencies(windows: tuple[Window, ...], points: int) -> NDArray[np.float64]:
    """Return an ascending frequency axis (Hz) with `points` frequencies, edges included, in each window.

    A single merged window gets twice the points, so that a sweep takes the same time.
    """
    if points < 2:
        raise NvscopeError(f"a window needs at least 2 frequencies, got {points}")
    per_window = points * 2 if len(windows) == 1 else points
    return np.concatenate([np.linspace(low, high, per_window) for low, high in sorted(windows)])
