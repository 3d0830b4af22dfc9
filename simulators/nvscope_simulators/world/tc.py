"""The local critical temperature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvscope_simulators.world.sample import Chemistry, LocalTc

Array = NDArray[np.float64]


def stress_factor(law: LocalTc, sigma_zz: Array) -> Array:
    """Return A(σ_ZZ), 1 at the optimum: 65 K of 80 at 25 GPa above it, a quarter near 17 GPa below it."""
    width = np.where(sigma_zz >= law.optimum, law.width_above, law.width_below)
    return np.maximum(0.0, 1 - ((sigma_zz - law.optimum) / width) ** 2)


def shear_factor(law: LocalTc, tau: Array) -> Array:
    """Return S(τ) = [1 − (τ/τ_c)⁴]₊."""
    return np.maximum(0.0, 1 - (np.asarray(tau) / law.critical_shear) ** law.shear_power)


def composition_factor(chemistry: Chemistry, ratio: Array) -> Array:
    """Return C(La:Ni) = exp[−(x − 1.5)²/2w²]."""
    return np.asarray(np.exp(-((ratio - 1.5) ** 2) / (2 * chemistry.tolerance**2)))


def tc_map(law: LocalTc, chemistry: Chemistry, stress: Array, ratio: Array) -> Array:
    """Return Tc = T0 · A · S · C (K) for stresses (Pa, shape (..., 3, 3)) and La:Ni of shape (...)."""
    tau = np.hypot(stress[..., 0, 2], stress[..., 1, 2])
    factor = stress_factor(law, stress[..., 2, 2]) * shear_factor(law, tau) * composition_factor(chemistry, ratio)
    return np.asarray(law.maximum * factor)
