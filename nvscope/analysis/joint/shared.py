"""What all pixels have in common: fields besides the biases, how much of the image one pixel sees, power."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvscope.analysis.joint.image import Shape, slopes
from nvscope.analysis.joint.model import GAUSS, OWN, Model, Shared

FloatArray = NDArray[np.float64]

_FIELD_ERR = 2.0
"""G: how large a field besides the bias is likely to be, along each axis."""
_BLUR2, _BLUR2_ERR = 1 / 6, 0.5
"""Pixel²: variance of a square pixel and a lens that does as much again, and how well that is known."""
_LEAST_BLUR2, _MOST_BLUR2 = 1 / 12, 4.0
"""Pixel²: of a square pixel alone, and the most that can be told from other reasons of width."""
_UNPOWERED, _UNPOWERED_ERR, _LEAST_UNPOWERED = 0.5, 0.25, 0.1
"""Of a transition driven to half its depth, as the best sensitivity needs; how well that is known; the least it is."""


def nothing(biases: int) -> Shared:
    """Return no field besides the bias, and the blur and the power that are likely."""
    return Shared(np.zeros((biases, 3)), _BLUR2, _UNPOWERED)


def follow_gradients(model: Model, theta: FloatArray, shared: Shared, shape: Shape) -> FloatArray:
    """Tell the model how fast each line moves across the image, from how the stress does.

    Returns parameters whose own widths are less by what the lines are now thought to be smeared.
    """
    wide = model.widths(theta, shared).mean(axis=0).reshape(-1, 4, 2).mean(axis=2)
    along = slopes(theta[:, :6], shape)
    for bias in range(len(model.fields)):
        by_stress = model.slopes(theta, shared, bias)
        model.slope2[bias] = sum((by_stress @ slope[..., None])[..., 0] ** 2 for slope in along)
    own = model.own_widths(wide, shared)
    return np.concatenate([theta[:, :6], own], axis=1)


def improve_shared(model: Model, theta: FloatArray, shared: Shared, share: float) -> Shared:
    """Return what lowers χ² of the best fitted `share` of the pixels, their own parameters following.

    The others may have taken another stress.
    """
    total, right, _ = _without_own(model, theta, shared, share)
    step = np.linalg.solve(total, right)
    return Shared(
        shared.extra + GAUSS * step[:-2].reshape(shared.extra.shape),
        float(np.clip(shared.blur2 + step[-2], _LEAST_BLUR2, _MOST_BLUR2)),
        float(np.clip(shared.unpowered + step[-1], _LEAST_UNPOWERED, 1.0)),
    )


def covariance_of_shared(model: Model, theta: FloatArray, shared: Shared, share: float) -> FloatArray:
    """Return what not knowing better what is shared adds to the covariance of the stresses, (pixel, 6, 6), GPa²."""
    total, _, follows = _without_own(model, theta, shared, share)
    effect = follows[:, :6]
    return np.asarray(effect @ np.linalg.inv(total) @ effect.transpose(0, 2, 1))


def _without_own(
    model: Model, theta: FloatArray, shared: Shared, share: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return normal matrix and gradient of what is shared, and how pixels' own parameters follow it."""
    chi2, normal, gradient, _ = model.evaluate(theta, np.arange(model.pixels), shared, common=True)
    use = chi2 <= np.quantile(chi2, share)
    follows = np.linalg.solve(normal[:, :OWN, :OWN] + 1e-6 * np.eye(OWN), normal[:, :OWN, OWN:])
    total = (normal[use, OWN:, OWN:] - normal[use, :OWN, OWN:].transpose(0, 2, 1) @ follows[use]).sum(0)
    right = (gradient[use, OWN:] - np.einsum("pij,pi->pj", follows[use], gradient[use, :OWN])).sum(0)
    value = np.r_[shared.extra.ravel() / GAUSS, shared.blur2, shared.unpowered]
    likely = np.r_[np.zeros(shared.extra.size), _BLUR2, _UNPOWERED]
    certain = np.r_[np.full(shared.extra.size, _FIELD_ERR), _BLUR2_ERR, _UNPOWERED_ERR] ** -2
    normal_matrix = np.asarray(total + np.diag(certain), dtype=np.float64)
    return normal_matrix, np.asarray(right + certain * (likely - value), dtype=np.float64), np.asarray(follows)
