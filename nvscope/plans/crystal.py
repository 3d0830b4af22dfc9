"""Where the NV axes point in the magnet's frame."""

from __future__ import annotations

import numpy as np

from nvscope.config import Loading
from nvscope.nv import GROUP_AXES, crystal_rotation


def bias_along(loading: Loading, group: int, magnitude: float) -> tuple[float, float, float]:
    """Return the field (T) of `magnitude` along an NV axis, in the culet frame.

    Parameters
    ----------
    loading : Loading
        Crystal azimuth, miscut and mirror parity.
    group : int
        0 for [111], then as in `nvscope.nv.GROUP_AXES`.
    """
    rotation = crystal_rotation(loading.crystal_azimuth, loading.miscut, loading.miscut_azimuth, loading.mirrored)
    x, y, z = (float(part) for part in np.round(magnitude * (rotation.T @ GROUP_AXES[group]), 10))
    return x, y, z
