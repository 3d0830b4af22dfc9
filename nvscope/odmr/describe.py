"""A fit as labelled arrays and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nvscope.odmr.result import FitStatus, ODMRFit

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["plot_pixel", "to_xarray"]

_NAMES = {
    "f_minus": ("Hz", "lower line"),
    "f_plus": ("Hz", "upper line"),
    "half_splitting": ("Hz", "half splitting"),
    "center": ("Hz", "centre of the line pair"),
    "amplitude_minus": ("signal", "signed depth of the lower line"),
    "amplitude_plus": ("signal", "signed depth of the upper line"),
    "contrast_minus": ("1", "contrast of the lower line"),
    "contrast_plus": ("1", "contrast of the upper line"),
    "width_minus": ("Hz", "half width at half maximum of the lower line"),
    "width_plus": ("Hz", "half width at half maximum of the upper line"),
}
_PLAIN = {
    "chi2_reduced": ("1", "reduced chi squared"),
    "chi2_gain": ("1", "drop of chi squared due to the lines"),
    "status": ("1", "fit status"),
    "n_lines": ("1", "significant lines"),
    "baseline_degree": ("1", "degree of the baseline"),
    "iterations": ("1", "iterations"),
}


def to_xarray(result: ODMRFit) -> xr.Dataset:
    """Return every map of a fit with named axes, units and long names."""
    import xarray as xr

    dims = ("y", "x") if len(result.grid) == 2 else ("pixel",)
    variables: dict[str, Any] = {}
    for name, (unit, text) in _NAMES.items():
        for suffix, prefix in (("", ""), ("_err", "1-sigma error of the ")):
            values = getattr(result, name + suffix)
            lead = ("group",) if values.ndim > len(dims) else ()
            variables[name + suffix] = ((*lead, *dims), values, {"units": unit, "long_name": prefix + text})
    for name in ("baseline", "baseline_err"):
        variables[name] = (("power", *dims), getattr(result, name), {"units": "signal"})
    for name, (unit, text) in _PLAIN.items():
        variables[name] = (dims, getattr(result, name), {"units": unit, "long_name": text})
    variables["status"][2]["flag_values"] = [int(status) for status in FitStatus]
    variables["status"][2]["flag_meanings"] = " ".join(status.name for status in FitStatus)
    middle = (result.frequency[0] + result.frequency[-1]) / 2
    half_span = (result.frequency[-1] - result.frequency[0]) / 2
    attrs = {"model": result.model_name, "baseline_middle": middle, "baseline_half_span": half_span}
    return xr.Dataset(variables, attrs=attrs)


def plot_pixel(result: ODMRFit, pixel: tuple[int, ...] | int, ax: Axes | None = None) -> Axes:
    """Draw one pixel's spectrum with its fit and, beneath, its residuals."""
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(6.0, 3.6), layout="constrained")[1]
    index: tuple[Any, ...] = pixel if isinstance(pixel, tuple) else (pixel,)
    if len(index) != len(result.grid):
        raise ValueError(f"pixel {pixel} does not index a grid of shape {result.grid}")
    if not all(-size <= i < size for i, size in zip(index, result.grid, strict=True)):
        raise ValueError(f"pixel {pixel} lies outside a grid of shape {result.grid}")
    index = tuple(i % size for i, size in zip(index, result.grid, strict=True))
    measured = result.signal[(slice(None), *index)].astype(np.float64)
    fine = np.linspace(result.frequency[0], result.frequency[-1], 2001)
    pick: tuple[Any, ...] = tuple(slice(i, i + 1) for i in index)
    one = _pixel(result, pick)
    ax.plot(result.frequency / 1e9, measured, "o", ms=3, color="0.35", label="measured")
    ax.plot(fine / 1e9, one.model(fine).reshape(fine.size), "-", lw=1.5, color="C3", label="fit")
    for line in ("minus", "plus"):
        for f in np.atleast_1d(getattr(one, f"f_{line}").ravel()):
            if np.isfinite(f):
                ax.axvline(f / 1e9, lw=0.8, ls=":", color="C0")
    status = FitStatus(int(result.status[index])).name
    ax.set(xlabel="microwave frequency (GHz)", ylabel="signal", title=f"pixel {index}: {status}")
    ax.legend(frameon=False)
    residual = measured - one.model().reshape(measured.size)
    below = ax.inset_axes((0.0, -0.42, 1.0, 0.2), sharex=ax)
    below.axhline(0, lw=0.8, color="0.6")
    below.plot(result.frequency / 1e9, residual, ".", ms=3, color="0.35")
    below.set_ylabel("residual")
    return ax


def _pixel(result: ODMRFit, pick: tuple[Any, ...]) -> ODMRFit:
    """Cut one pixel out of a fit, keeping the grid's dimensions."""
    from dataclasses import fields, replace

    depth = len(pick)
    cut: dict[str, Any] = {}
    for item in fields(result):
        values: Any = getattr(result, item.name)
        if isinstance(values, np.ndarray) and item.name not in ("frequency", "signal"):
            cut[item.name] = values[(..., *pick)] if values.ndim > depth else values[pick]
    cut["signal"] = result.signal[(slice(None), *pick)]
    return replace(result, **cut)
