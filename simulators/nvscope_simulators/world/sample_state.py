"""The magnetic state of the sample: which places answer, what they remember, and the field they make."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.ndimage import map_coordinates

from nvscope_simulators.world.geometry import Array, Grid, make_grid
from nvscope_simulators.world.granular import Granular
from nvscope_simulators.world.maps import SampleMaps, resample
from nvscope_simulators.world.sample import SampleTruth
from nvscope_simulators.world.screening import Screening
from nvscope_simulators.world.settings import OpticsSettings
from nvscope_simulators.world.sheet import Sheet

MU0 = 4e-7 * np.pi

_SHEET_TEMPERATURE_STEP = 1.0  # K: a sheet is solved at least this often on its way
_SHEET_FIELD_STEP = 2e-3  # T: likewise; and at every turn
_SAME_FIELD = 1e-8  # T


class Magnetism(Protocol):
    """A sample's magnetism, led through temperature and field."""

    def advance(self, temperature: float, b: float) -> None:
        """Go to a new temperature (K) and field μ0 H along Z (T) along a straight line."""
        ...

    def stray_field(self, shift: tuple[float, float] = (0.0, 0.0), blur: float = 0.0) -> Array:
        """Return the field (T) added in each camera pixel of the NV layer, shape (3, y, x): image x, image y, Z.

        `shift` (m, x and y) is where the cell has moved in the image, `blur` (m) what defocus adds.
        """
        ...


def make_magnetism(
    truth: SampleTruth, maps: SampleMaps, optics: OpticsSettings, temperature: float, b: float
) -> Magnetism:
    """Return the sample's magnetism in its normal state at `temperature` (K) and `b` (T)."""
    kind = SheetMagnetism if truth.kind == "sheet" else GranularMagnetism
    return kind(truth, maps, optics, temperature, b)


class GranularMagnetism:
    """The granular body of a sample on the fine grid."""

    def __init__(
        self, truth: SampleTruth, maps: SampleMaps, optics: OpticsSettings, temperature: float, b: float
    ) -> None:
        self._maps = maps
        self._where = np.flatnonzero(maps.tc.ravel() > 0)
        x, y = (axis.ravel()[self._where] for axis in maps.grid.coordinates())
        patches = np.zeros(self._where.size)
        for patch in truth.body.patches:
            r = np.hypot(x - patch.center[0], y - patch.center[1])
            patches += patch.susceptibility * np.exp(-((r / patch.radius) ** 4))
        tc, quality = maps.tc.ravel()[self._where], maps.quality.ravel()[self._where]
        share = quality**truth.body.quality_power
        self._granular = Granular(truth.body, tc, share, patches, temperature, b)
        self._screening = Screening(maps.grid, truth.body.thickness, optics.nv_depth, optics.blur)

    def advance(self, temperature: float, b: float) -> None:
        """Go to a new temperature (K) and field μ0 H along Z (T) along a straight line."""
        self._granular.advance(temperature, b)

    def magnetization(self) -> Array:
        """Return μ0 M (T) on the fine grid."""
        full = np.zeros(self._maps.body.size)
        full[self._where] = self._granular.magnetization()
        return full.reshape(self._maps.grid.shape)

    def stray_field(self, shift: tuple[float, float] = (0.0, 0.0), blur: float = 0.0) -> Array:
        """Return the field (T) added in each camera pixel of the NV layer, shape (3, y, x): image x, image y, Z."""
        grid = self._maps.grid
        magnetization = self.magnetization()
        if not magnetization.any():
            return np.zeros((3, *grid.camera))
        return np.stack([grid.to_camera(component) for component in self._screening.field(magnetization, shift, blur)])


class SheetMagnetism:
    """A connected sheet on a grid of its own; currents are solved at every turn of the field and every kelvin."""

    def __init__(
        self, truth: SampleTruth, maps: SampleMaps, optics: OpticsSettings, temperature: float, b: float
    ) -> None:
        law = truth.sheet
        self._camera = maps.grid
        self._grid = grid = make_grid((law.cells, law.cells), maps.grid.extent, law.cells)
        own = resample(truth, maps, grid)
        mask, tc = own.body, own.tc
        x, y = grid.coordinates()
        for hole in law.holes:
            inside = np.hypot(x - hole.center[0], y - hole.center[1]) < hole.radius
            tc = np.where(inside, 0.0, tc)
            if not hole.floating:
                mask = mask & ~inside
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        self._empty = rows.size == 0
        self._box = (slice(0, 1), slice(0, 1))
        if not self._empty:
            self._box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        critical = MU0 * law.critical_current
        self._sheet = Sheet(mask[self._box], tc[self._box], grid.pitch, law.stiffness, critical, temperature, b)
        # a camera pixel averages over its area: a Gaussian of the same variance on top of the microscope's own blur
        pixel = max(maps.grid.pixel) / np.sqrt(12)
        self._screening = Screening(grid, 0.0, optics.nv_depth, float(np.hypot(optics.blur, pixel)))
        self._solved = self._latest = (temperature, b)

    def advance(self, temperature: float, b: float) -> None:
        """Go to a new temperature (K) and field μ0 H along Z (T) along a straight line."""
        (_, b_solved), (_, b_latest) = self._solved, self._latest
        if (b - b_latest) * (b_latest - b_solved) < -(_SAME_FIELD**2):
            self._solve()  # a turn of the field must not be cut
        self._latest = (temperature, b)
        far = abs(temperature - self._solved[0]) > _SHEET_TEMPERATURE_STEP
        if far or abs(b - self._solved[1]) > _SHEET_FIELD_STEP:
            self._solve()

    def _solve(self) -> None:
        if self._solved != self._latest and not self._empty:
            self._sheet.advance(*self._latest)
        self._solved = self._latest

    def stray_field(self, shift: tuple[float, float] = (0.0, 0.0), blur: float = 0.0) -> Array:
        """Return the field (T) added in each camera pixel of the NV layer, shape (3, y, x): image x, image y, Z."""
        self._solve()
        if self._empty or not self._sheet.g.any():
            return np.zeros((3, *self._camera.camera))
        source = np.zeros(self._grid.shape)
        source[self._box] = self._sheet.g
        field = self._screening.field(source, shift, blur)
        return np.stack([_at_pixels(component, self._camera) for component in field])


def _at_pixels(field: Array, camera: Grid) -> Array:
    """Interpolate a smooth field on a square grid over the same image at the camera's pixels (cubic splines)."""
    ny, nx = camera.camera
    rows = (np.arange(ny) + 0.5) / ny * field.shape[0] - 0.5
    columns = (np.arange(nx) + 0.5) / nx * field.shape[1] - 0.5
    where = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(map_coordinates(field, where, order=3, mode="nearest"))
