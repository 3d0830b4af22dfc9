"""How an ODMR point is taken, and where its frequencies are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

import numpy as np
from pydantic import Field as Described
from pydantic import model_validator

from nvscope.config import Frozen
from nvscope.devices.sweep_order import Order, Reference
from nvscope.units import Amperes, DBm, Hertz, Metres, Seconds, Tesla, Watts

GAMMA = 28.024951e9
"""Gyromagnetic ratio of the NV ground state, Hz/T (target paper, Methods)."""


_PATIENCE = 50
"""Sweeps after which a target is given up: another halving of the error would take 150 more."""

_LEAST, _MOST = 8, 2000
"""How many frequencies a point may have."""


class OdmrSettings(Frozen):
    """How an ODMR point is taken."""

    window: Hertz = Described(
        default=150e6, ge=1e6, description="width of each of the two windows that follow the lines"
    )
    frequencies: int = Described(default=41, ge=8, le=1000, description="frequencies in each window")
    frequency_range: tuple[Hertz, Hertz, Hertz] | None = Described(
        default=None, description="first, last and step of the frequencies, in place of the two windows"
    )
    frequency_list: tuple[Hertz, ...] | None = Described(
        default=None, description="the frequencies themselves, in place of the two windows"
    )
    sampling: Literal["uniform", "adaptive"] = Described(
        default="uniform",
        description="adaptive places the frames of all sweeps but the first where they tell most about the splitting",
    )
    frames: int = Described(default=8, ge=1, le=1000, description="frames per frequency and sweep")
    sweeps: int | None = Described(
        default=None,
        ge=1,
        le=10000,
        description="sweeps of a point, at most where `until` is set; 1 if not given, 2 if adaptive, 50 with `until`",
    )
    until: Tesla | None = Described(
        default=None, gt=0, description="stop averaging once the median error of B in the region reaches this"
    )
    region: str | None = Described(
        default=None, description="outline of the loading that `until` and adaptive sampling look at; all if not given"
    )
    crop: tuple[int, int, int, int] | None = Described(
        default=None, description="part of the image to read out: x, y, width, height in pixels"
    )
    order: Order = Described(
        default="alternate", description="order of the frequencies: up, down, alternate (up, then down) or random"
    )
    seed: int = Described(default=0, ge=0, lt=2**31, description="seed of the random order")
    reference: Reference = Described(
        default="none",
        description="frames with microwaves off: none, before every step or before every sweep; they are divided out",
    )
    reference_frames: int = Described(default=1, ge=1, le=1000, description="how many of those each time")
    drift: bool = Described(
        default=True,
        description="measure how far the image moves, where it can be told, and move it back to the run's first map",
    )
    autofocus: Literal["never", "point"] = Described(
        default="never", description="point: find the sharpest image before every map, where the rig has a focus drive"
    )
    focus_range: Metres = Described(default=1e-5, gt=0, description="how far the focus is scanned")
    focus_steps: int = Described(default=11, ge=5, le=101, description="positions in a scan of the focus")
    exposure: Seconds = Described(default=0.02, gt=0, le=60, description="camera exposure")
    baseline: Literal["constant", "linear", "quadratic", "auto"] = Described(
        default="constant", description="baseline of the fit; auto chooses per pixel"
    )
    power: DBm = Described(default=0.0, description="microwave power")
    laser_power: Watts = Described(default=0.05, gt=0, description="laser power while mapping")
    excitation: Amperes = Described(default=1e-4, ge=0, description="transport current; 0 measures no R")
    readings: int = Described(default=20, ge=2, le=10000, description="transport readings averaged")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.crop is not None and (min(self.crop[:2]) < 0 or min(self.crop[2:]) < 4):
            raise ValueError(f"crop is x, y, width, height in pixels, at least 4 wide and high, not {self.crop}")
        if self.sampling == "adaptive" and self.most_sweeps < 2:
            raise ValueError("adaptive sampling learns from the first sweep: it needs sweeps of 2 or more")
        if self.frequency_range is not None and self.frequency_list is not None:
            raise ValueError("give frequency_range or frequency_list, not both")
        if self.frequency_range is not None:
            first, last, step = self.frequency_range
            if not (step > 0 and first < last and _LEAST <= (last - first) / step + 1 <= _MOST):
                raise ValueError(
                    f"frequency_range is first, last and step, with {_LEAST} to {_MOST} frequencies: "
                    f"{first / 1e9:g} to {last / 1e9:g} GHz in steps of {step / 1e6:g} MHz is not"
                )
        listed = self.frequency_list
        if listed is not None and not (_LEAST <= len(listed) <= _MOST and all(a < b for a, b in pairwise(listed))):
            raise ValueError(f"frequency_list needs {_LEAST} to {_MOST} different frequencies in ascending order")
        return self

    @property
    def most_sweeps(self) -> int:
        """Sweeps a point takes; where averaging stops at a target, at most."""
        if self.sweeps is not None:
            return self.sweeps
        if self.until is not None:
            return _PATIENCE
        return 2 if self.sampling == "adaptive" else 1

    def axis(self, windows: Windows) -> tuple[float, ...]:
        """Return the frequencies (Hz) of a point whose lines are expected at `windows`."""
        if self.frequency_list is not None:
            return self.frequency_list
        if self.frequency_range is not None:
            first, last, step = self.frequency_range
            count = math.floor((last - first) / step * (1 + 1e-9)) + 1
            return tuple(float(f) for f in np.round(first + step * np.arange(count), 0))
        return windows.frequencies(self.window, self.frequencies)


@dataclass(frozen=True)
class Windows:
    """Where the two lines are: centre (Hz) and half splitting (Hz)."""

    center: float
    half_splitting: float

    def frequencies(self, width: float, count: int) -> tuple[float, ...]:
        """Return the frequency axis (Hz): two windows of `width`, or one where they would overlap."""
        low, high = self.center - self.half_splitting, self.center + self.half_splitting
        offsets = np.linspace(-width / 2, width / 2, count)
        if high - low > width * (1 + 1 / count):
            axis = np.concatenate([low + offsets, high + offsets])
        else:
            axis = np.linspace(low - width / 2, high + width / 2, 2 * count)
        return tuple(float(f) for f in np.round(axis, 0))

    def at_field(self, before: float, after: float) -> Windows:
        """Return the windows for another field (T): the Zeeman splitting moves, the stress shift does not."""
        stress = self.half_splitting**2 - (GAMMA * before) ** 2
        return Windows(self.center, math.sqrt(max(0.0, stress) + (GAMMA * after) ** 2))
