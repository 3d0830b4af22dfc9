"""Stress in the frames of the four NV groups, and its coupling to their spins.

Frames: the *crystal* frame has Z along [111], X along the in-plane projection of group 4, and is the frame of group 1.
The *culet* frame has Z along the culet normal; a miscut anvil has the two a few degrees apart. Compression is positive.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.nv.constants import BARSON_2017, StressSusceptibility
from nvscope.nv.hamiltonian import Lines, transitions

_CUBIC_TO_CRYSTAL = np.array(
    [
        [-1 / math.sqrt(6), -1 / math.sqrt(6), 2 / math.sqrt(6)],
        [1 / math.sqrt(2), -1 / math.sqrt(2), 0],
        [1 / math.sqrt(3), 1 / math.sqrt(3), 1 / math.sqrt(3)],
    ]
)
_CUBIC_SYMMETRIES = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=np.float64)

GROUP_FRAMES: NDArray[np.float64] = np.einsum("ij,gj,kj->gik", _CUBIC_TO_CRYSTAL, _CUBIC_SYMMETRIES, _CUBIC_TO_CRYSTAL)
"""Rotations F from the crystal frame to each group's own frame, shape (4, 3, 3): v_group = F v_crystal."""
GROUP_FRAMES.setflags(write=False)

GROUP_AXES: NDArray[np.float64] = GROUP_FRAMES[:, 2, :].copy()
"""NV axes in the crystal frame, shape (4, 3); row 0 is [111]."""
GROUP_AXES.setflags(write=False)


class StressCoupling(NamedTuple):
    """Spin couplings (Hz) of a stress in an NV's own frame."""

    pi_x: NDArray[np.float64]
    pi_y: NDArray[np.float64]
    pi_z: NDArray[np.float64]


def stress_coupling(sigma: ArrayLike, constants: StressSusceptibility = BARSON_2017) -> StressCoupling:
    """Return Π_X, Π_Y, Π_Z (Hz) for a stress (Pa, shape (..., 3, 3)) given in that NV's own frame."""
    s = np.asarray(sigma, dtype=np.float64)
    transverse, shear = constants.b + constants.c, 2 * constants.kappa
    return StressCoupling(
        pi_x=-transverse * (s[..., 1, 1] - s[..., 0, 0]) + shear * s[..., 0, 2],
        pi_y=-transverse * 2 * s[..., 0, 1] + shear * s[..., 1, 2],
        pi_z=(constants.a1 - constants.a2) * (s[..., 0, 0] + s[..., 1, 1])
        + (constants.a1 + 2 * constants.a2) * s[..., 2, 2],
    )


def rotate_tensor(rotation: ArrayLike, tensor: ArrayLike) -> NDArray[np.float64]:
    """Return R σ Rᵀ for tensors of shape (..., 3, 3)."""
    r = np.asarray(rotation, dtype=np.float64)
    return np.asarray(r @ np.asarray(tensor, dtype=np.float64) @ np.swapaxes(r, -1, -2))


def miscut_rotation(angle: float, azimuth: float) -> NDArray[np.float64]:
    """Return R with v_crystal = R v_culet for an anvil whose [111] axis leans off the culet normal.

    Parameters
    ----------
    angle : float
        Angle between culet normal and [111] (rad).
    azimuth : float
        Direction, in the culet plane and counted from X, towards which [111] leans (rad).
    """
    # the axis of rotation lies in the culet plane, at right angles to the lean; Rodrigues' formula
    axis = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) - math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross))


def crystal_rotation(
    crystal_azimuth: float = 0.0, miscut: float = 0.0, miscut_azimuth: float = 0.0, mirrored: bool = False
) -> NDArray[np.float64]:
    """Return R with v_crystal = R v_culet for a loading.

    The culet frame has X along the image's x, Z along the culet normal, and Y along the image's y, or against it if the
    image is mirrored (so that the frame is right-handed either way).

    Parameters
    ----------
    crystal_azimuth : float
        Image angle of the projected axis of group 4 (rad, from x towards y).
    miscut, miscut_azimuth : float
        Angle between culet normal and [111], and image angle towards which [111] leans (rad).
    mirrored : bool
        Whether the image is mirrored.
    """
    turn = -1.0 if mirrored else 1.0
    cos, sin = math.cos(crystal_azimuth), turn * math.sin(crystal_azimuth)
    about_normal = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(about_normal @ miscut_rotation(miscut, turn * miscut_azimuth))


def in_group_frames(sigma: ArrayLike) -> NDArray[np.float64]:
    """Return a stress (crystal frame, shape (..., 3, 3)) in the four groups' own frames, shape (4, ..., 3, 3)."""
    tensor = np.asarray(sigma, dtype=np.float64)
    frames = GROUP_FRAMES.reshape((4,) + (1,) * (tensor.ndim - 2) + (3, 3))
    return rotate_tensor(frames, tensor)


def group_lines(
    d0: ArrayLike, field: ArrayLike, sigma: ArrayLike, constants: StressSusceptibility = BARSON_2017
) -> Lines:
    """Return the lines (Hz) of all four groups, each of shape (4, ...).

    Parameters
    ----------
    d0 : array_like, shape (...)
        Zero-field splitting without stress (Hz).
    field : array_like, shape (..., 3)
        Magnetic field (T), crystal frame.
    sigma : array_like, shape (..., 3, 3)
        Stress (Pa), crystal frame.
    """
    tensor, b, base = (np.asarray(value, dtype=np.float64) for value in (sigma, field, d0))
    shape = np.broadcast_shapes(tensor.shape[:-2], b.shape[:-1], base.shape)
    coupling = stress_coupling(in_group_frames(np.broadcast_to(tensor, (*shape, 3, 3))), constants)
    own = np.einsum("gij,...j->g...i", GROUP_FRAMES, np.broadcast_to(b, (*shape, 3)))
    return transitions(base + coupling.pi_z, own, coupling.pi_x, coupling.pi_y)
