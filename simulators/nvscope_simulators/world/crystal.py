"""How the diamond lies in the lab: cubic axes and the four NV groups in the culet frame."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nvscope.config import Loading

Array = NDArray[np.float64]

# rows: X ∥ [-1 -1 2], Y ∥ [1 -1 0], Z ∥ [1 1 1], in cubic coordinates: the frame of the [111] group
_FIRST_FRAME = np.array([[-1.0, -1.0, 2.0], [1.0, -1.0, 0.0], [1.0, 1.0, 1.0]])
_FIRST_FRAME /= np.linalg.norm(_FIRST_FRAME, axis=1)[:, None]
# two-fold rotations about the cubic axes carry [111] to the other three NV directions
_TWO_FOLD = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])


def image_angle(loading: Loading, angle: float) -> float:
    """Convert an image angle (rad, from image x towards image y) to an azimuth in the culet frame."""
    return -angle if loading.mirrored else angle


def cubic_axes(loading: Loading) -> Array:
    """Return the rotation Q with v_cubic = Q v_culet, shape (3, 3).

    [111] leans off the culet normal by `miscut` towards `miscut_azimuth`; [-1 -1 1] (group 4) projects on the culet
    along `crystal_azimuth`.
    """
    azimuth = image_angle(loading, loading.crystal_azimuth)
    lean = image_angle(loading, loading.miscut_azimuth)
    about_normal = _about(np.array([0.0, 0.0, 1.0]), azimuth)
    tilt = _about(np.array([-math.sin(lean), math.cos(lean), 0.0]), loading.miscut)
    # columns of the product: the [111] frame's axes in the culet frame
    return np.asarray(_FIRST_FRAME.T @ (tilt @ about_normal).T)


def group_frames(loading: Loading) -> Array:
    """Return rotations G with v_group = G v_culet, shape (4, 3, 3); the last row of each is that group's NV axis."""
    cubic = cubic_axes(loading)
    return np.stack([_FIRST_FRAME @ np.diag(signs) @ cubic for signs in _TWO_FOLD])


def _about(axis: Array, angle: float) -> Array:
    x, y, z = axis
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + math.sin(angle) * skew + (1 - math.cos(angle)) * (skew @ skew))


def spin_couplings(stress: Array, cubic: Array, a1: float, a2: float, b: float, c: float) -> Array:
    """Return (Π_X, Π_Y, Π_Z) of the four groups for a stress in the culet frame.

    Worked in cubic coordinates, where the four groups differ only by signs of the shears (Barson et al., Nano Lett. 17,
    1496 (2017), eqs. 3-5, for [111]): Π_Z = a1 tr σ + 2 a2 (σ_yz + σ_zx + σ_xy),
    Π_X = b (2σ_zz − σ_xx − σ_yy) + c (2σ_xy − σ_yz − σ_zx), Π_Y = √3 [b (σ_xx − σ_yy) + c (σ_yz − σ_zx)].

    Parameters
    ----------
    stress : Array, shape (..., 3, 3)
        Pa, compression positive.
    cubic : Array, shape (3, 3)
        v_cubic = cubic v_culet.
    a1, a2, b, c : float
        Susceptibilities (Hz/Pa).

    Returns
    -------
    Array, shape (4, 3, ...)
        Hz.
    """
    s = np.einsum("ij,...jk,lk->...il", cubic, stress, cubic)
    xx, yy, zz = s[..., 0, 0], s[..., 1, 1], s[..., 2, 2]
    result = np.empty((4, 3, *stress.shape[:-2]))
    for group, (sx, sy, sz) in enumerate(_TWO_FOLD):
        yz, zx, xy = sy * sz * s[..., 1, 2], sz * sx * s[..., 2, 0], sx * sy * s[..., 0, 1]
        result[group, 0] = b * (2 * zz - xx - yy) + c * (2 * xy - yz - zx)
        result[group, 1] = math.sqrt(3) * (b * (xx - yy) + c * (yz - zx))
        result[group, 2] = a1 * (xx + yy + zz) + 2 * a2 * (yz + zx + xy)
    return result


def axial_excess(stress: Array, frames: Array) -> Array:
    """Return σ_zz − (σ_xx + σ_yy)/2 in each group's frame (Pa), shape (4, ...): what turns the contrast's sign."""
    trace = np.trace(stress, axis1=-2, axis2=-1)
    along = np.einsum("gi,...ij,gj->g...", frames[:, 2, :], stress, frames[:, 2, :])
    return np.asarray(1.5 * along - 0.5 * trace)
