"""What a window lets others calculate, bound to the one implementation there is of each.

Everything is imported when first used: the window opens at once, and the thread that fits pays for numba.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.gui.model.methods import CriticalTemperature, Methods, Place, RatioMap, Shift, SpectrumFit, Start, Vertices

FloatArray = NDArray[np.float64]
_FINE = 400
_FEWEST = 4


def methods() -> Methods:
    """Return the calculations a window needs."""
    return Methods(
        ratio=_ratio,
        zero_field_splitting=_zero_field_splitting,
        fit=_fit,
        transition=_transition,
        onset=_onset,
        extremes=_extremes,
        shift=_shift,
    )


def _ratio(
    b: FloatArray,
    b_err: FloatArray,
    reference: FloatArray | None,
    reference_err: FloatArray | None,
    field: float,
    reference_field: float,
) -> RatioMap:
    from nvscope.analysis.ratio import ratio_to_field, ratio_to_reference

    if reference is None or reference_err is None:
        found = ratio_to_field(b, b_err, field)
    else:
        found = ratio_to_reference(b, b_err, reference, reference_err, field, reference_field)
    return RatioMap(found.s, found.s_point_err, found.reference_err)


def _shift(before: FloatArray, after: FloatArray) -> Shift | None:
    from nvscope.analysis.registration import pattern_shift

    found = pattern_shift(before, after)
    return None if found is None else Shift(found.down, found.right, found.err)


def _zero_field_splitting(temperature: float) -> float:
    from nvscope.nv.temperature import zero_field_splitting

    return float(zero_field_splitting(temperature))


def _fit(
    frequency: FloatArray, signal: FloatArray, frames: FloatArray, attrs: Mapping[str, Any], starts: Sequence[Start]
) -> Sequence[SpectrumFit | None]:
    return [_fit_one(frequency, signal[:, i], frames[:, i], attrs, starts[i]) for i in range(signal.shape[1])]


def _fit_one(
    frequency: FloatArray, signal: FloatArray, frames: FloatArray, attrs: Mapping[str, Any], start: Start
) -> SpectrumFit | None:
    from nvscope.nv import GAMMA
    from nvscope.odmr.fitting import fit
    from nvscope.odmr.noise import PoissonNoise
    from nvscope.odmr.result import FitStatus

    used = np.isfinite(signal) & (frames > 0)
    if np.count_nonzero(used) < 12:
        return None
    axis, values = frequency[used], signal[used]
    gain = attrs.get("camera_gain")
    noise = PoissonNoise(
        gain=None if gain is None else float(gain),
        offset=float(attrs.get("camera_offset", 0.0)),
        read_noise=float(attrs.get("read_noise", 0.0)),
        frames=frames[used],
    )
    try:
        guess = None if start is None else {"f_minus": start[0], "f_plus": start[1]}
        result = fit(axis, values[:, None, None], noise=noise, start=guess, threads=1)
    except ValueError:
        return None
    one: dict[str, float] = {name: float(getattr(result, name)[0, 0]) for name in _MAPS}
    fine = _fine_axis(axis)
    base = result.baseline[:, 0, 0]
    xi = (fine - 0.5 * (axis[0] + axis[-1])) / (0.5 * (axis[-1] - axis[0]))
    level = base[0] + xi * (base[1] + xi * base[2])
    whole = result.model(fine)[:, 0, 0]
    components = tuple(level + part for part in _lines(result, fine))
    parameters = (
        ("f₋", one["f_minus"] / 1e6, one["f_minus_err"] / 1e6, "MHz"),
        ("f₊", one["f_plus"] / 1e6, one["f_plus_err"] / 1e6, "MHz"),
        ("B", one["half_splitting"] / GAMMA * 1e4, one["half_splitting_err"] / GAMMA * 1e4, "G"),
        ("centre", one["center"] / 1e6, one["center_err"] / 1e6, "MHz"),
        ("C₋", one["contrast_minus"] * 100, one["contrast_minus_err"] * 100, "%"),
        ("C₊", one["contrast_plus"] * 100, one["contrast_plus_err"] * 100, "%"),
        ("w₋", one["width_minus"] / 1e6, one["width_minus_err"] / 1e6, "MHz"),
        ("w₊", one["width_plus"] / 1e6, one["width_plus_err"] / 1e6, "MHz"),
    )
    at_data = np.full(frequency.size, np.nan)
    at_data[used] = result.model()[:, 0, 0]
    return SpectrumFit(
        frequency=fine,
        model=whole,
        components=components,
        at_data=at_data,
        parameters=parameters,
        lines=tuple(f for f in (one["f_minus"], one["f_plus"]) if math.isfinite(f)),
        status=FitStatus(int(result.status[0, 0])).name.replace("_", " "),
        chi2_reduced=float(result.chi2_reduced[0, 0]),
    )


_STEMS = ("f_minus", "f_plus", "half_splitting", "center", "contrast_minus", "contrast_plus", "width_minus",
          "width_plus")  # fmt: skip
_MAPS = tuple(stem + suffix for stem in _STEMS for suffix in ("", "_err"))


def _fine_axis(axis: FloatArray) -> FloatArray:
    """Return a fine axis over every window of the measured one, so that gaps stay gaps."""
    steps = np.diff(axis)
    cuts = np.flatnonzero(steps > 5 * np.median(steps)) + 1
    parts = [part for part in np.split(axis, cuts) if part.size]
    return np.concatenate([np.linspace(part[0], part[-1], _FINE) for part in parts])


def _lines(result: Any, fine: FloatArray) -> list[FloatArray]:
    from nvscope.odmr.shapes import LINE_MODELS, evaluate_line

    shape = LINE_MODELS[result.model_name]
    found = []
    for centre, amplitude, width in result.lines():
        values = evaluate_line(shape, fine[:, None, None], centre, width)
        line = np.asarray(amplitude * values, np.float64)[:, 0, 0]
        if np.isfinite(line).all():
            found.append(line)
    return found


def _transition(temperature: FloatArray, s: FloatArray, err: FloatArray, common_err: float) -> CriticalTemperature:
    from nvscope.analysis.transition import TransitionStatus, fit_transition

    good = np.isfinite(temperature) & np.isfinite(s) & np.isfinite(err)
    temperature, s, err = temperature[good], s[good], err[good]
    if temperature.size < _FEWEST:
        return CriticalTemperature(math.nan, math.nan, f"needs {_FEWEST} temperatures, has {temperature.size}")
    found = fit_transition(temperature, s, err, common_err if math.isfinite(common_err) else 0.0)
    status = TransitionStatus(int(found.status))
    tc, tc_err = float(found.tc), float(found.tc_err)
    if not math.isfinite(tc):
        return CriticalTemperature(math.nan, math.nan, "flat within the noise")
    fine = np.linspace(temperature.min(), temperature.max(), _FINE)
    curve = np.asarray(found.curve(fine), np.float64)
    if status == TransitionStatus.FOUND:
        return CriticalTemperature(tc, tc_err, f"Tc {_kelvin(tc, tc_err)}", fine, curve)
    where = "above" if status == TransitionStatus.ABOVE_RANGE else "below"
    return CriticalTemperature(math.nan, math.nan, f"Tc {where} {tc:.0f} K", fine, curve)


def _onset(temperature: FloatArray, resistance: FloatArray, err: FloatArray) -> CriticalTemperature:
    from nvscope.analysis.onset import resistance_onset

    if temperature.size < _FEWEST:
        return CriticalTemperature(math.nan, math.nan, f"needs {_FEWEST} temperatures, has {temperature.size}")
    found = resistance_onset(temperature, resistance, err)
    if found is None:
        return CriticalTemperature(math.nan, math.nan, "no drop so far")
    note = f"onset {_kelvin(found.temperature, found.temperature_err)}"
    return CriticalTemperature(found.temperature, found.temperature_err, note)


def _extremes(
    s: FloatArray, err: FloatArray, radius: float, outlines: Sequence[Vertices], pixel_size: float
) -> tuple[Place | None, Place | None]:
    from scipy.ndimage import binary_dilation

    from nvscope.analysis.regions import extreme_discs
    from nvscope.analysis.results import RIM
    from nvscope.config.polygons import union_mask

    allowed = None
    if outlines and math.isfinite(pixel_size):
        inside = union_mask(outlines, (s.shape[0], s.shape[1]))
        allowed = binary_dilation(inside, iterations=max(1, round(RIM / pixel_size)))
    low, high = extreme_discs(s, err, radius, allowed)
    return (
        None if low is None else (low.row, low.column),
        None if high is None else (high.row, high.column),
    )


def _kelvin(value: float, err: float) -> str:
    """Write a temperature with as many decimals as its uncertainty deserves, at least one."""
    digits = 1 if not 0 < err < 0.05 else min(4, math.ceil(-math.log10(err)))
    return f"{value:.{digits}f} ± {err:.{digits}f} K"
