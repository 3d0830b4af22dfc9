"""The spin's own lines: the exact 3×3 Hamiltonian of an NV centre, and how strongly microwaves drive each line.

H/h = D S_z² + Π_X (S_y² − S_x²) + Π_Y (S_x S_y + S_y S_x) + γ B·S. Eigenvalues come from Viète's trigonometric
solution; strengths need only the bright state |g⟩ (the one most like m_s = 0), because v = (1 − |g⟩⟨g|) V |g⟩ and its
mean energy ⟨v|H|v⟩ say how |v|² is shared between the two others, however close those are.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nvscope_simulators.world.kernels import kernel

GAMMA = 28.024951e9
"""Gyromagnetic ratio of the spin (Hz/T)."""

_BOLTZMANN_EV = 8.617333262e-5


def zero_field_splitting(temperature: float) -> float:
    """Return D0(T) (Hz) without stress: two phonon modes (Cambria et al., Phys. Rev. B 108, L180102, 2023)."""

    def occupation(energy: float) -> float:
        x = energy / (_BOLTZMANN_EV * max(temperature, 1e-3))
        return 1 / math.expm1(x) if x < 700 else 0.0

    return 2877.38e6 - 54.91e6 * occupation(58.73e-3) - 249.6e6 * occupation(145.5e-3)


@kernel
def _solve(
    d: float, ex: float, ey: float, bx: float, by: float, bz: float, vx: float, vy: float, vz: float
) -> tuple[float, float, float, float]:
    """Return both line frequencies (Hz, ascending) and strengths |⟨j|V|g⟩|² for V = v·S; d, e, b in Hz."""
    root2 = math.sqrt(0.5)
    h12 = complex(bx, -by) * root2
    h13 = complex(-ex, -ey)
    shift = 2 * d / 3
    a, b, c = d - shift + bz, -shift, d - shift - bz
    n12 = h12.real * h12.real + h12.imag * h12.imag
    n13 = ex * ex + ey * ey
    half_square = 0.5 * (a * a + b * b + c * c) + 2 * n12 + n13
    triple = (h12 * h12 * h13.conjugate()).real
    determinant = a * b * c + 2 * triple - a * n12 - b * n13 - c * n12
    radius = math.sqrt(half_square / 3)
    cosine = determinant / (2 * radius * radius * radius)
    angle = math.acos(min(1.0, max(-1.0, cosine))) / 3
    e2 = 2 * radius * math.cos(angle)
    e0 = 2 * radius * math.cos(angle + 2 * math.pi / 3)
    e1 = -e0 - e2
    # weight of m_s = 0 in each level, from the cofactor over the product of gaps
    weight0 = abs(((a - e0) * (c - e0) - n13) / ((e1 - e0) * (e2 - e0) + 1e-30))
    weight2 = abs(((a - e2) * (c - e2) - n13) / ((e0 - e2) * (e1 - e2) + 1e-30))
    weight1 = 1 - weight0 - weight2
    ground, low, high = e0, e1, e2
    if weight1 > weight0 and weight1 >= weight2:
        ground, low, high = e1, e0, e2
    elif weight2 > weight0:
        ground, low, high = e2, e0, e1
    # |g⟩ = (g1, 1, g3) / norm from the first and third rows of (H − E) g = 0
    r1, r3 = a - ground, c - ground
    minor = r1 * r3 - n13
    h32 = h12.conjugate()
    g1 = (-h12 * r3 + h13 * h32) / minor
    g3 = (-h32 * r1 + h13.conjugate() * h12) / minor
    norm = 1 / math.sqrt(1 + abs(g1) ** 2 + abs(g3) ** 2)
    g1, g2, g3 = g1 * norm, norm, g3 * norm
    v12 = complex(vx, -vy) * root2
    u1 = vz * g1 + v12 * g2
    u2 = v12.conjugate() * g1 + v12 * g3
    u3 = v12.conjugate() * g2 - vz * g3
    overlap = g1.conjugate() * u1 + g2 * u2 + g3.conjugate() * u3
    u1, u2, u3 = u1 - overlap * g1, u2 - overlap * g2, u3 - overlap * g3
    total = abs(u1) ** 2 + abs(u2) ** 2 + abs(u3) ** 2
    energy = a * abs(u1) ** 2 + b * abs(u2) ** 2 + c * abs(u3) ** 2
    energy += 2 * (u1.conjugate() * h12 * u2 + u1.conjugate() * h13 * u3 + u2.conjugate() * h12 * u3).real
    gap = high - low
    upper = 0.5 * total
    if gap > 1.0:  # Hz; closer levels cannot be told apart by any drive
        upper = min(total, max(0.0, (energy - low * total) / gap))
    f_low, f_high = abs(low - ground), abs(high - ground)
    if f_low <= f_high:
        return f_low, f_high, total - upper, upper
    return f_high, f_low, upper, total - upper


@kernel
def solve_lines(
    d0: float,
    couplings: NDArray[np.float64],
    field: NDArray[np.float64],
    frames: NDArray[np.float64],
    drive: NDArray[np.float64],
    frequencies: NDArray[np.float64],
    strengths: NDArray[np.float64],
) -> None:
    """Fill the lines of all groups and pixels.

    Parameters
    ----------
    d0 : float
        Hz.
    couplings : NDArray, shape (groups, 3, n)
        Π_X, Π_Y, Π_Z (Hz).
    field : NDArray, shape (3, n)
        B (T), culet frame.
    frames : NDArray, shape (groups, 3, 3)
        v_group = G v_culet.
    drive : NDArray, shape (3,)
        Unit vector of the linearly polarised microwave field, culet frame.
    frequencies, strengths : NDArray, shape (groups, 2, n)
        Filled: Hz, lower line first; |⟨j|v·S|g⟩|².
    """
    gamma = 28.024951e9
    for group in range(frames.shape[0]):
        g = frames[group]
        vx = g[0, 0] * drive[0] + g[0, 1] * drive[1] + g[0, 2] * drive[2]
        vy = g[1, 0] * drive[0] + g[1, 1] * drive[1] + g[1, 2] * drive[2]
        vz = g[2, 0] * drive[0] + g[2, 1] * drive[1] + g[2, 2] * drive[2]
        for i in range(field.shape[1]):
            x, y, z = gamma * field[0, i], gamma * field[1, i], gamma * field[2, i]
            bx = g[0, 0] * x + g[0, 1] * y + g[0, 2] * z
            by = g[1, 0] * x + g[1, 1] * y + g[1, 2] * z
            bz = g[2, 0] * x + g[2, 1] * y + g[2, 2] * z
            d = d0 + couplings[group, 2, i]
            low, high, w_low, w_high = _solve(d, couplings[group, 0, i], couplings[group, 1, i], bx, by, bz, vx, vy, vz)
            frequencies[group, 0, i] = low
            frequencies[group, 1, i] = high
            strengths[group, 0, i] = w_low
            strengths[group, 1, i] = w_high
