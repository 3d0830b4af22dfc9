"""The lines of all four NV groups as functions of the stress, exactly, with their slopes.

Convention: stress as six numbers in the order xx, yy, zz, yz, xz, xy, crystal frame, compression positive.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.nv.constants import BARSON_2017, GAMMA, StressSusceptibility
from nvscope.nv.hamiltonian import S_X, S_Y, S_Z, hamiltonian
from nvscope.nv.stress import GROUP_FRAMES, in_group_frames, stress_coupling

FloatArray = NDArray[np.float64]

_PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
_STRESS = np.stack([S_Z @ S_Z, S_Y @ S_Y - S_X @ S_X, S_X @ S_Y + S_Y @ S_X])
_SPIN = GAMMA * np.stack([S_X, S_Y, S_Z])


def tensor(six: ArrayLike) -> FloatArray:
    """Return stresses given as six numbers, shape (..., 6), as matrices, shape (..., 3, 3)."""
    values = np.asarray(six, dtype=np.float64)
    result = np.empty((*values.shape[:-1], 3, 3))
    for index, (i, j) in enumerate(_PAIRS):
        result[..., i, j] = result[..., j, i] = values[..., index]
    return result


def six_numbers(sigma: ArrayLike) -> FloatArray:
    """Return symmetric matrices, shape (..., 3, 3), as six numbers, shape (..., 6)."""
    s = np.asarray(sigma, dtype=np.float64)
    return np.stack([s[..., i, j] for i, j in _PAIRS], axis=-1)


@lru_cache
def coupling_matrix(constants: StressSusceptibility = BARSON_2017) -> FloatArray:
    """Return the linear map from six stress numbers (crystal frame) to Π_Z, Π_X, Π_Y of all groups, shape (4, 3, 6)."""
    units = in_group_frames(tensor(np.eye(6)))
    coupling = stress_coupling(units, constants)
    matrix = np.stack([coupling.pi_z, coupling.pi_x, coupling.pi_y], axis=1)
    matrix.flags.writeable = False  # every caller gets the same one
    return matrix


class StressLines(NamedTuple):
    """Both lines of NV groups under some stresses: `place` (Hz, shape (..., 2, pixel)) and its slopes.

    `by_stress`, shape (..., 2, pixel, 6), is in Hz/Pa; `by_field`, shape (..., 2, pixel, 3), in Hz/T, crystal frame.
    """

    place: FloatArray
    by_stress: FloatArray
    by_field: FloatArray


def lines_of_group(
    group: int, sigma: FloatArray, field: FloatArray, d0: float, constants: StressSusceptibility = BARSON_2017
) -> StressLines:
    """Return the two lines of one group and their derivatives, by Hellmann and Feynman: ∂E_n/∂x = ⟨n|∂H/∂x|n⟩.

    Parameters
    ----------
    group : int
        0 for [111], then as in `GROUP_AXES`.
    sigma : ndarray, shape (pixel, 6)
        Stress (Pa), crystal frame.
    field : ndarray, shape (3,) or (pixel, 3)
        Magnetic field (T), crystal frame.
    d0 : float
        Zero-field splitting without stress (Hz).
    """
    rows, frame = coupling_matrix(constants)[group], GROUP_FRAMES[group]
    own = np.broadcast_to(field @ frame.T, (len(sigma), 3))
    pi_z, pi_x, pi_y = (sigma @ row for row in rows)
    levels, states = np.linalg.eigh(hamiltonian(d0 + pi_z, own, pi_x, pi_y))
    stress, magnetic = (
        np.einsum("pin,oij,pjn->npo", states.conj(), operators, states).real for operators in (_STRESS, _SPIN)
    )
    return StressLines(
        np.stack([levels[:, upper] - levels[:, 0] for upper in (1, 2)]),
        np.stack([(stress[upper] - stress[0]) @ rows for upper in (1, 2)]),
        np.stack([(magnetic[upper] - magnetic[0]) @ frame for upper in (1, 2)]),
    )


def stress_lines(
    sigma: ArrayLike, field: ArrayLike, d0: float, constants: StressSusceptibility = BARSON_2017
) -> StressLines:
    """Return the lines of all groups, group axis first, and their derivatives; arguments as of `lines_of_group`."""
    six, vector = np.asarray(sigma, dtype=np.float64), np.asarray(field, dtype=np.float64)
    groups = [lines_of_group(group, six, vector, d0, constants) for group in range(4)]
    return StressLines(*(np.stack(part) for part in zip(*groups, strict=True)))
