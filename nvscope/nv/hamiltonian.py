"""The NV ground-state Hamiltonian, exact and vectorised.

H/h = D S_z² + Π_X (S_y² − S_x²) + Π_Y (S_x S_y + S_y S_x) + γ B·S in the NV's own frame, with D = D0(T) + Π_Z
(Barfuss et al., Phys. Rev. B 99, 174102 (2019); the form used for stress imaging in anvil cells, Hsieh et al. 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.nv.constants import GAMMA

_R = 1 / np.sqrt(2)
S_X = _R * np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=np.complex128)
S_Y = _R * np.array([[0, -1j, 0], [1j, 0, -1j], [0, 1j, 0]], dtype=np.complex128)
S_Z = np.diag([1.0, 0.0, -1.0]).astype(np.complex128)
_SHIFT = S_Z @ S_Z
_SPLIT_X = S_Y @ S_Y - S_X @ S_X
_SPLIT_Y = S_X @ S_Y + S_Y @ S_X


class Lines(NamedTuple):
    """The two transitions of one NV group (Hz), lower and upper."""

    f_minus: NDArray[np.float64]
    f_plus: NDArray[np.float64]


def hamiltonian(
    d: ArrayLike, field: ArrayLike = (0.0, 0.0, 0.0), pi_x: ArrayLike = 0.0, pi_y: ArrayLike = 0.0
) -> NDArray[np.complex128]:
    """Return H/h (Hz) in the basis m = +1, 0, −1.

    Parameters
    ----------
    d : array_like, shape (...)
        D0 + Π_Z (Hz).
    field : array_like, shape (..., 3)
        Magnetic field (T) in the NV's own frame, z along its axis.
    pi_x, pi_y : array_like, shape (...)
        Transverse stress couplings (Hz).

    Returns
    -------
    ndarray, shape (..., 3, 3)
    """
    b = GAMMA * np.asarray(field, dtype=np.float64)
    terms = (
        (np.asarray(d, dtype=np.float64), _SHIFT),
        (np.asarray(pi_x, dtype=np.float64), _SPLIT_X),
        (np.asarray(pi_y, dtype=np.float64), _SPLIT_Y),
        (b[..., 0], S_X),
        (b[..., 1], S_Y),
        (b[..., 2], S_Z),
    )
    return np.asarray(sum(value[..., None, None] * operator for value, operator in terms))


def transitions(
    d: ArrayLike, field: ArrayLike = (0.0, 0.0, 0.0), pi_x: ArrayLike = 0.0, pi_y: ArrayLike = 0.0
) -> Lines:
    """Return the two transition frequencies (Hz) from the lowest level, by exact diagonalisation.

    Valid below the level crossing (γB < D, about 1000 G), where the lowest level is the one that is |m = 0⟩ at zero
    field. Parameters as in `hamiltonian`.
    """
    levels = np.linalg.eigvalsh(hamiltonian(d, field, pi_x, pi_y))
    return Lines(levels[..., 1] - levels[..., 0], levels[..., 2] - levels[..., 0])
