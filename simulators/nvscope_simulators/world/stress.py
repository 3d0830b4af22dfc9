"""Maps of the stress at the culet and of the sample's chemistry."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from nvscope.config import Loading
from nvscope_simulators.world.geometry import Grid
from nvscope_simulators.world.sample import Chemistry, NormalStress, Shear

Array = NDArray[np.float64]


def stress_map(normal: NormalStress, shear: Shear, loading: Loading, grid: Grid, body: NDArray[np.bool_]) -> Array:
    """Return the stress (Pa, compression positive) at the culet, culet frame, shape (*grid.shape, 3, 3).

    The mean of σ_ZZ over `body` is the loading's nominal pressure; everything scales with it.
    """
    x, y = grid.coordinates()
    relative = _relative_normal(normal, x, y)
    relative /= relative[body].mean() if body.any() else relative.mean()
    pressure = loading.nominal_pressure
    in_plane = normal.in_plane_ratio * (1 + normal.in_plane_follow * (relative - 1))
    uneven, crossed = normal.in_plane_anisotropy
    tau_x, tau_y = _shear(shear, x, y, loading)
    result = np.zeros((*grid.shape, 3, 3))
    result[..., 0, 0] = pressure * (in_plane + uneven)
    result[..., 1, 1] = pressure * (in_plane - uneven)
    result[..., 2, 2] = pressure * relative
    result[..., 0, 1] = result[..., 1, 0] = pressure * crossed
    result[..., 0, 2] = result[..., 2, 0] = tau_x
    result[..., 1, 2] = result[..., 2, 1] = tau_y
    return result


def _relative_normal(normal: NormalStress, x: Array, y: Array) -> Array:
    gx, gy = normal.gradient
    fall = (_distance(x, y, normal.dome_center) / normal.dome_radius) ** normal.dome_steepness
    relative = 1 + (gx * x + gy * y) / 1e-5 + normal.dome * np.expm1(-fall)
    for bump in normal.bumps:
        relative += bump.amplitude * np.exp(-0.5 * _distance(x, y, bump.center) ** 2 / bump.radius**2)
    return np.asarray(relative)


def _shear(shear: Shear, x: Array, y: Array, loading: Loading) -> tuple[Array, Array]:
    """Return (σ_XZ, σ_YZ) in Pa; the friction field pushes from the culet's middle outwards, bumps push one way."""
    tau_x, tau_y = np.zeros_like(x), np.zeros_like(x)
    for bump in shear.bumps:
        size = bump.amplitude * np.exp(-((_distance(x, y, bump.center) / bump.radius) ** bump.steepness))
        tau_x += size * math.cos(bump.azimuth)
        tau_y += size * math.sin(bump.azimuth)
    if shear.rim_amplitude:
        radius = _distance(x, y, shear.rim_center)
        rising = shear.rim_amplitude * (radius / shear.rim_radius) ** shear.rim_power
        size = shear.rim_limit * np.tanh(rising / shear.rim_limit)
        outward = np.divide(size, radius, out=np.zeros_like(size), where=radius > 0)
        side = -1.0 if loading.mirrored else 1.0  # culet Y runs against image y in a mirrored image
        tau_x += outward * (x - shear.rim_center[0])
        tau_y += side * outward * (y - shear.rim_center[1])
    scale = loading.nominal_pressure / shear.reference_pressure
    return tau_x * scale, tau_y * scale


def composition_map(chemistry: Chemistry, loading: Loading, grid: Grid) -> Array:
    """Return La:Ni, shape `grid.shape`."""
    x, y = grid.coordinates()
    ratio = np.full(grid.shape, chemistry.ratio)
    for stripe in chemistry.stripes:
        angle = stripe.azimuth
        across = -(x - stripe.center[0]) * math.sin(angle) + (y - stripe.center[1]) * math.cos(angle)
        weight = 0.5 * (1 + np.tanh((stripe.width / 2 - np.abs(across)) / stripe.edge))
        ratio += (stripe.ratio - chemistry.ratio) * weight
    for inclusion in chemistry.inclusions:
        weight = np.exp(-((_distance(x, y, inclusion.center) / inclusion.radius) ** 4))
        ratio += (inclusion.ratio - ratio) * weight
    if chemistry.texture:
        ratio += chemistry.texture * smooth_noise(grid, chemistry.texture_length, chemistry.texture_seed)
    return ratio


def smooth_noise(grid: Grid, length: float, seed: int) -> Array:
    """Return a smooth random field of unit variance and correlation length `length` (m), shape `grid.shape`.

    Drawn on a lattice of half the correlation length, so that a finer grid or another camera shows the same field.
    """
    rng = np.random.default_rng(seed)
    nodes = max(8, math.ceil(2 * grid.extent / length))
    spectrum = fft.fft2(rng.standard_normal((nodes, nodes)))
    k = fft.fftfreq(nodes, grid.extent / nodes)
    damping = np.exp(-((np.pi * length) ** 2) * (k[:, None] ** 2 + k[None, :] ** 2) / 2)
    coarse = spectrum * damping
    x, y = grid.coordinates()
    # exact trigonometric interpolation at the fine cells
    phase_y = np.exp(2j * np.pi * np.outer(y[:, 0] + grid.extent / 2, k))
    phase_x = np.exp(2j * np.pi * np.outer(k, x[0] + grid.extent / 2))
    field = (phase_y @ coarse @ phase_x).real / nodes**2
    return np.asarray((field - field.mean()) / field.std())


def _distance(x: Array, y: Array, center: tuple[float, float]) -> Array:
    return np.hypot(x - center[0], y - center[1])
