"""How sharp an image is, and where it is sharpest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nvscope.errors import DataError

_STEP = 2
"""Pixels between those compared (Brenner et al., J. Histochem. Cytochem. 24, 100, 1976)."""
FEWEST_FRAMES = 4
FEWEST_PIXELS = 8
"""Smallest image, either way, whose sharpness means anything."""


def sharpness(images: NDArray[np.uint16], offset: float) -> tuple[float, float]:
    """Return Brenner's gradient of an image and its error (1 σ).

    Brenner's gradient is the mean square of the difference of pixels two apart, here along both axes and over the
    square of the mean brightness, so that the laser's power cancels. The square would contain the photon noise, larger
    than a faint edge; the product of the differences in two frames of the same scene does not, for their noise is
    independent.

    Parameters
    ----------
    images : ndarray of uint16, shape (frames, y, x)
        Frames of one scene, at least 4; an odd last one is left out.
    offset : float
        Counts without light.

    Raises
    ------
    DataError
        If there are too few frames or pixels, or the image is dark.
    """
    frames = images.astype(np.float64) - offset
    if len(frames) < FEWEST_FRAMES or min(frames.shape[1:]) < FEWEST_PIXELS:
        raise DataError(f"sharpness needs 4 frames of 8 x 8 pixels at least, not {images.shape}")
    level = float(frames.mean())
    if not level > 1.0:  # one count
        raise DataError("no light reaches the camera: an image in the dark has no sharpness; check laser and gate")
    pairs = len(frames) // 2
    values = np.zeros(pairs)
    for axis in (1, 2):
        ahead = np.moveaxis(frames, axis, 1)
        change = ahead[:, _STEP:] - ahead[:, :-_STEP]
        values += (change[0 : 2 * pairs : 2] * change[1 : 2 * pairs : 2]).mean(axis=(1, 2)) / level**2
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(pairs))


def sharpest(positions: Sequence[float], values: Sequence[float]) -> float:
    """Return where the parabola through the largest value and its two neighbours has its top.

    At an end of the scan that is the end itself. Positions are equally spaced and ascend.
    """
    best = int(np.argmax(values))
    if best in (0, len(values) - 1):
        return positions[best]
    before, top, after = values[best - 1 : best + 2]
    bend = before - 2 * top + after
    step = positions[best + 1] - positions[best]
    return positions[best] + (0.5 * step * (before - after) / bend if bend < 0 else 0.0)
