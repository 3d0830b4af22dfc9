"""What the NV layer shows at one temperature, field and microwave power: lines, widths and depths of every pixel."""

from __future__ import annotations

import numpy as np

from nvscope.config import Loading
from nvscope_simulators.world.crystal import axial_excess, cubic_axes, group_frames, spin_couplings
from nvscope_simulators.world.geometry import Array, Grid
from nvscope_simulators.world.imaging import shifted
from nvscope_simulators.world.maps import SampleMaps
from nvscope_simulators.world.microwave import Wire
from nvscope_simulators.world.nv import solve_lines, zero_field_splitting
from nvscope_simulators.world.sample import SampleTruth
from nvscope_simulators.world.settings import WorldSettings
from nvscope_simulators.world.spectrum import Lines, contrast_sign, line_law, pack


class SpinLayer:
    """The NV layer under a loading's culet."""

    def __init__(self, truth: SampleTruth, loading: Loading, maps: SampleMaps, settings: WorldSettings) -> None:
        self._grid = grid = maps.grid
        self._settings = settings
        self._mirrored = loading.mirrored
        spins = truth.spins
        stress = _to_camera(grid, maps.stress)
        self._frames = group_frames(loading)
        couplings = spin_couplings(stress, cubic_axes(loading), spins.a1, spins.a2, spins.b, spins.c)
        self._couplings = couplings
        sign = contrast_sign(spins, axial_excess(stress, self._frames)).reshape(4, 1, -1)
        relative = np.array([1.0, spins.off_axis_contrast, spins.off_axis_contrast, spins.off_axis_contrast])
        self._signed = sign * relative[:, None, None]
        self._mixing = spins.mixing_field
        self._law = line_law(truth.photons, spins)
        self._wire = Wire(settings.microwave, loading, grid)
        self._drive = self._wire.amplitude.ravel() ** 2
        # one line of the unstressed [111] group in the middle of the image: half of the field's part across the axis
        across = self._wire.direction - self._frames[0, 2] * (self._frames[0, 2] @ self._wire.direction)
        self._reference = 0.5 * float(across @ across)
        self._blur = np.hypot(settings.optics.blur, np.array(grid.pixel) / np.sqrt(12))

    def positions(
        self, temperature: float, field: Array, shift: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[Array, Array]:
        """Return line positions (Hz) and strengths of the four groups, each (4, 2, n).

        `field` (T, shape (3, n)) is what each pixel sees; `shift` (m, x and y) is where the cell, and its stress with
        it, has moved in the image.
        """
        n = field.shape[1]
        rows, columns = shift[1] / self._grid.pixel[0], shift[0] / self._grid.pixel[1]
        couplings = np.ascontiguousarray(shifted(self._couplings, rows, columns).reshape(4, 3, -1))
        frequencies, strengths = np.empty((4, 2, n)), np.empty((4, 2, n))
        d0 = zero_field_splitting(temperature)
        solve_lines(d0, couplings, field, self._frames, self._wire.direction, frequencies, strengths)
        return frequencies, strengths

    def lines(self, frequencies: Array, strengths: Array, field: Array, power_dbm: float) -> Lines:
        """Return the lines as the camera will see them in `field` (T, shape (3, n)) at a source power (dBm).

        A field across an NV's axis mixes the spin states, most of all in the excited state, and takes its contrast
        (Tetienne et al., New J. Phys. 14, 103033 (2012)).
        """
        relative_power = 10 ** ((power_dbm - self._settings.nominal_power_dbm) / 10)
        drive = relative_power * self._drive * strengths / self._reference * self._wire.ripple(frequencies) ** 2
        depth, width = self._law.depth_and_width(drive, self._spread(frequencies))
        across = np.einsum("kn,kn->n", field, field) - np.einsum("gk,kn->gn", self._frames[:, 2], field) ** 2
        kept = 1 / (1 + across[:, None, :] / self._mixing**2)
        return pack(frequencies, self._signed * kept * depth, width, self._law.hyperfine)

    def _spread(self, frequencies: Array) -> Array:
        """How far lines move within what one pixel sees (Hz, one standard deviation), from their gradients."""
        image = frequencies.reshape(4, 2, *self._grid.camera)
        dy, dx = self._grid.pixel
        along_y, along_x = np.gradient(image, dy, dx, axis=(2, 3))
        spread = np.hypot(along_y * self._blur[0], along_x * self._blur[1])
        return np.asarray(spread.reshape(frequencies.shape))

    def power(self, power_dbm: float) -> float:
        """Return microwave power (W) in the wire."""
        return self._wire.power(power_dbm)


def _to_camera(grid: Grid, stress: Array) -> Array:
    result = np.empty((*grid.camera, 3, 3))
    for i in range(3):
        for j in range(3):
            result[..., i, j] = grid.to_camera(stress[..., i, j])
    return result
