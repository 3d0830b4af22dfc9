"""Everything about one loaded sample that does not change: stress, chemistry, local Tc, outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.config import Loading
from nvscope_simulators.world.geometry import Array, Grid, region
from nvscope_simulators.world.sample import SampleTruth
from nvscope_simulators.world.stress import composition_map, stress_map
from nvscope_simulators.world.tc import composition_factor, tc_map


@dataclass(frozen=True)
class SampleMaps:
    """Maps on a fine grid.

    Attributes
    ----------
    grid : Grid
        The grid.
    loading : Loading
        What they were worked out for.
    body : NDArray of bool, shape (y, x)
        Where there is sample.
    stress : Array, shape (y, x, 3, 3)
        Pa, compression positive, culet frame.
    ratio, quality, tc : Array, shape (y, x)
        La:Ni, C(La:Ni), local Tc (K; 0 outside the sample).
    """

    grid: Grid
    loading: Loading
    body: NDArray[np.bool_]
    stress: Array
    ratio: Array
    quality: Array
    tc: Array

    @property
    def tau(self) -> Array:
        """Shear |σ_XZ, σ_YZ| (Pa)."""
        return np.asarray(np.hypot(self.stress[..., 0, 2], self.stress[..., 1, 2]))


def resample(truth: SampleTruth, maps: SampleMaps, grid: Grid) -> SampleMaps:
    """Return the same sample's maps on another grid over the same image."""
    return sample_maps(truth, maps.loading, grid)


def sample_maps(truth: SampleTruth, loading: Loading, grid: Grid) -> SampleMaps:
    """Work out all maps of a sample in a loading."""
    x, y = grid.coordinates()
    body = region(loading, "sample", x, y)
    stress = stress_map(truth.normal_stress, truth.shear, loading, grid, body)
    ratio = composition_map(truth.chemistry, loading, grid)
    tc = tc_map(truth.tc, truth.chemistry, stress, ratio)
    present = body if truth.kind in ("granular", "sheet") else np.zeros_like(body)
    return SampleMaps(
        grid=grid,
        loading=loading,
        body=present,
        stress=stress,
        ratio=ratio,
        quality=composition_factor(truth.chemistry, ratio),
        tc=np.where(present, tc, 0.0),
    )
