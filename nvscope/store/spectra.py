"""Mean spectra of a few pixels of a point, as a fit wants them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvscope.store.point_reader import PointReader
from nvscope.stream.light import divide_light

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectra of a few pixels: frequencies (Hz), signal and noise of shape (frequency, pixel)."""

    frequency: FloatArray
    signal: FloatArray
    noise: FloatArray


def read_spectra(point: PointReader, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Spectra:
    """Return mean spectra of a few pixels, microwave-off frames divided out where there are any.

    The noise is that of a Poisson signal of one electron per count, right in shape; its scale depends on the camera.

    Raises
    ------
    DataError
        If the point has no committed frames.
    """
    mean = point.mean()
    signal = mean.values[:, rows, columns]
    frames = np.asarray(mean.coords["frames"].values, dtype=np.float64)
    light = point.relative_light()
    if light is not None:
        steady = divide_light(mean.values, light, float(point.attrs.get("camera_offset", 0.0)))
        signal = steady[:, rows, columns].astype(np.float64)
    good = np.isfinite(signal).all(axis=1) & (frames > 0)
    noise = np.sqrt(np.maximum(signal, 1.0) / np.maximum(frames, 1.0)[:, None])
    return Spectra(point.frequencies[good], signal[good], noise[good])
