"""From magnetisation to the field in the NV layer.

A film of thickness d magnetised along Z gives, at a height z above its face,
B_z(k) = ½ μ0 M(k) (1 − e^{−kd}) e^{−kz} and B_x,y(k) = −i (k_x,y / k) B_z(k): outside the film B is the gradient of a
harmonic potential that decays upwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from nvscope_simulators.world.geometry import Grid

Array = NDArray[np.float64]


class Screening:
    """Fourier kernels from a source on the fine grid to B (T) in the NV layer, blurred as the microscope sees it.

    Parameters
    ----------
    grid : Grid
        Where source and field are.
    thickness : float
        Of the magnetised film (m): the source is μ0 M (T). 0 for a sheet: the source is μ0 times magnetisation per
        area (T m), whose kernel is the limit (1 − e^{−kd})/d → k.
    height, blur : float
        Of the NV layer above the film, and standard deviation of the point-spread function (m).
    """

    def __init__(self, grid: Grid, thickness: float, height: float, blur: float) -> None:
        self._grid = grid
        kx, ky = grid.wave_numbers()
        k = np.hypot(kx, ky)
        film = -0.5 * np.expm1(-k * thickness) if thickness else 0.5 * k
        kernel = film * np.exp(-k * height - 0.5 * (k * blur) ** 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            in_plane = np.where(k > 0, kernel / k, 0.0)
        # the unpaired Nyquist frequencies have no sign, hence no odd derivative
        kernels = (_without_nyquist(-1j * kx * in_plane, grid), _without_nyquist(-1j * ky * in_plane, grid), kernel)
        self._kernels = tuple(each.astype(np.complex64) for each in kernels)
        self._k = kx, ky

    def field(self, source: Array, shift: tuple[float, float] = (0.0, 0.0), blur: float = 0.0) -> Array:
        """Return the stray field (T), shape (3, *grid.shape): image x, image y and Z components.

        `shift` (m, x and y) moves the picture; `blur` (m, standard deviation) adds to the microscope's own. Single
        precision, good to 1e-6 of the largest value: a ten-thousandth of what the photon budget resolves.
        """
        ny, nx = self._grid.shape
        spectrum = fft.rfft2(source.astype(np.float32), s=self._grid.padded)
        if shift != (0.0, 0.0) or blur:
            # a product of one factor for each axis: two short arrays instead of one large exponential
            for k, by in zip(self._k, shift, strict=True):
                spectrum *= np.exp(-1j * k * by - 0.5 * (k * blur) ** 2).astype(np.complex64)
        parts = [fft.irfft2(spectrum * kernel, s=self._grid.padded)[:ny, :nx] for kernel in self._kernels]
        return np.stack(parts).astype(np.float64)


def _without_nyquist(kernel: NDArray[Any], grid: Grid) -> NDArray[Any]:
    ny, nx = grid.padded
    kernel = kernel.copy()
    if ny % 2 == 0:
        kernel[ny // 2, :] = 0
    if nx % 2 == 0:
        kernel[:, -1] = 0
    return kernel
