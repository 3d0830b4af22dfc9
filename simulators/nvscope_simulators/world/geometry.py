"""Grids over the image, and which of their cells lie in a polygon.

Frames: image x runs with the columns and image y with the rows of an array. The culet frame has X along image x, Z
along the culet normal, and Y along image y; in a mirrored image Y runs against image y. Angles in loading files are
image angles: from image x towards image y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from nvscope.config import Loading

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """A fine grid over the field of view whose cells fill camera pixels exactly.

    Attributes
    ----------
    camera : tuple of int
        Camera shape (y, x).
    oversampling : tuple of int
        Fine cells per camera pixel along (y, x).
    extent : float
        Edge of the square field of view (m).
    """

    camera: tuple[int, int]
    oversampling: tuple[int, int]
    extent: float

    @property
    def shape(self) -> tuple[int, int]:
        """Fine cells (y, x)."""
        return self.camera[0] * self.oversampling[0], self.camera[1] * self.oversampling[1]

    @property
    def padded(self) -> tuple[int, int]:
        """Cells of the padded transform (y, x): twice the image, so that periodic images of the body stay away."""
        return fft.next_fast_len(2 * self.shape[0], real=True), fft.next_fast_len(2 * self.shape[1], real=True)

    @property
    def pitch(self) -> tuple[float, float]:
        """Fine cell size (m) along (y, x)."""
        return self.extent / self.shape[0], self.extent / self.shape[1]

    @property
    def pixel(self) -> tuple[float, float]:
        """Camera pixel size (m) along (y, x)."""
        return self.extent / self.camera[0], self.extent / self.camera[1]

    def coordinates(self) -> tuple[Array, Array]:
        """Image coordinates (x, y) of the fine cells (m from the image's centre), each of `shape`."""
        return _centers(self.shape, self.extent)

    def camera_coordinates(self) -> tuple[Array, Array]:
        """Image coordinates (x, y) of the camera pixels (m from the image's centre), each of the camera's shape."""
        return _centers(self.camera, self.extent)

    def wave_numbers(self) -> tuple[Array, Array]:
        """Return k_x, k_y (rad/m) of the padded real transform, broadcastable against each other."""
        (ny, nx), (dy, dx) = self.padded, self.pitch
        return 2 * np.pi * fft.rfftfreq(nx, dx)[None, :], 2 * np.pi * fft.fftfreq(ny, dy)[:, None]

    def to_camera(self, fine: Array) -> Array:
        """Average fine cells over camera pixels."""
        (ny, nx), (oy, ox) = self.camera, self.oversampling
        return np.asarray(fine.reshape(ny, oy, nx, ox).mean(axis=(1, 3)))


def make_grid(camera: tuple[int, int], extent: float, fine_pixels: int) -> Grid:
    """Return the grid with at least `fine_pixels` cells across the image."""
    return Grid(camera, (-(-fine_pixels // camera[0]), -(-fine_pixels // camera[1])), extent)


def _centers(shape: tuple[int, int], extent: float) -> tuple[Array, Array]:
    y = ((np.arange(shape[0]) + 0.5) / shape[0] - 0.5) * extent
    x = ((np.arange(shape[1]) + 0.5) / shape[1] - 0.5) * extent
    return np.broadcast_to(x, shape).copy(), np.broadcast_to(y[:, None], shape).copy()


def inside(vertices: tuple[tuple[float, float], ...], x: Array, y: Array, extent: float) -> NDArray[np.bool_]:
    """Which points (m from the image's centre) lie in a polygon given in fractions of the image (even-odd rule)."""
    corners = (np.asarray(vertices) - 0.5) * extent
    result = np.zeros(x.shape, dtype=np.bool_)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            result ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return result


def region(loading: Loading, kind: str, x: Array, y: Array) -> NDArray[np.bool_]:
    """Which points (m from the image's centre) lie in any polygon of that kind."""
    result = np.zeros(x.shape, dtype=np.bool_)
    for polygon in loading.polygons:
        if polygon.kind == kind:
            result |= inside(polygon.vertices, x, y, loading.field_of_view)
    return result
