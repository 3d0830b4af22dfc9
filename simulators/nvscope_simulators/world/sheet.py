"""A connected superconducting sheet: London screening, frozen fluxoids and a finite sheet critical current.

The sheet current is J = ∇ × ẑ g; g (A) is magnetisation per area and vanishes outside. Where it superconducts,

    H + Q ⊛ g − ∇·(Λ ∇g) = f,   Q(k) = k/2,   Λ = λ²/d,

with f the density of fluxoids (over μ0) that the sheet holds. As long as |J| = |∇g| stays below K_c(T), f stays what
it is; beyond, flux moves: g minimises ½⟨g, A g⟩ + ⟨H − f, g⟩ under |∇g| ≤ K_c (Prigozhin, J. Comput. Phys. 129, 190
(1996), with the London term kept), and what f has become follows from g. Places above their Tc carry no current: a
normal hole inside the sheet floats at constant g and keeps its fluxoid; a normal or missing part that reaches the edge
has g = 0. Fields here are μ0 times H, g and f (T, T m, T).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, sparse
from scipy.sparse.csgraph import connected_components

from nvscope_simulators.world.granular import critical_factor

Array = NDArray[np.float64]

_CG_LIMIT = 400
_FINE, _ROUGH = 1e-6, 1e-3  # residuals of a final solution and of one on the way
_ADMM_LIMIT = 600
_ADMM_TOLERANCE = 1e-3


class LondonOperator:
    """A g = Q ⊛ g − ∇·(Λ ∇g) on the cells of a mask, g = 0 outside.

    Parameters
    ----------
    mask : NDArray of bool, shape (y, x)
        Cells of the sheet.
    pitch : tuple of float
        Cell size (m) along (y, x).
    """

    def __init__(self, mask: NDArray[np.bool_], pitch: tuple[float, float]) -> None:
        self.mask = mask
        self._dy, self._dx = pitch
        self.step = max(pitch)
        self._padded = tuple(fft.next_fast_len(2 * n, real=True) for n in mask.shape)
        ky = 2 * np.pi * fft.fftfreq(self._padded[0], self._dy)[:, None]
        kx = 2 * np.pi * fft.rfftfreq(self._padded[1], self._dx)[None, :]
        self._k = np.hypot(kx, ky)
        # the same differences in Fourier space, for the preconditioner
        self._laplacian = (2 * np.sin(kx * self._dx / 2) / self._dx) ** 2 + (
            2 * np.sin(ky * self._dy / 2) / self._dy
        ) ** 2
        self.tie(np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.bool_))
        self._smallest = math.pi / (max(mask.shape[0] * self._dy, mask.shape[1] * self._dx))

    def convolve(self, kernel: NDArray[Any], g: NDArray[Any]) -> NDArray[Any]:
        """Return the convolution with a Fourier kernel, on the mask's box, in the precision of both."""
        ny, nx = self.mask.shape
        return np.asarray(fft.irfft2(fft.rfft2(g, s=self._padded) * kernel, s=self._padded)[:ny, :nx])

    def self_field(self, g: Array) -> Array:
        """Return Q ⊛ g."""
        return self.convolve(self._k / 2, g)

    def gradient(self, g: Array) -> tuple[Array, Array]:
        """Return forward differences (∂g/∂x, ∂g/∂y), shape (y + 1, x + 1): one row and column before the box."""
        wide = np.pad(g, 1)
        return (wide[:-1, 1:] - wide[:-1, :-1]) / self._dx, (wide[1:, :-1] - wide[:-1, :-1]) / self._dy

    def divergence(self, px: Array, py: Array) -> Array:
        """Return the negative adjoint of `gradient` on the mask."""
        return np.asarray(self.mask * ((px[1:, 1:] - px[1:, :-1]) / self._dx + (py[1:, 1:] - py[:-1, 1:]) / self._dy))

    def apply(self, g: Array, stiffness: Array) -> Array:
        """Return A g with Λ = `stiffness` (m, shape (y + 1, x + 1)) on the mask."""
        gx, gy = self.gradient(g)
        return np.asarray(self.mask * self.self_field(g) - self.divergence(stiffness * gx, stiffness * gy))

    def tie(self, dead: NDArray[np.bool_]) -> None:
        """Demand ∇g = 0 where `dead` (shape (y + 1, x + 1)): tied cells share one g, those tied to the rim have 0."""
        number = np.pad(np.where(self.mask, np.arange(1, self.mask.size + 1).reshape(self.mask.shape), 0), 1)
        base, right, down = number[:-1, :-1][dead], number[:-1, 1:][dead], number[1:, :-1][dead]
        rows, columns = np.concatenate([base, base]), np.concatenate([right, down])
        graph = sparse.coo_array((np.ones(rows.size), (rows, columns)), shape=(self.mask.size + 1,) * 2)
        labels = connected_components(graph, directed=False)[1]
        self._label = np.where(self.mask, labels[1:].reshape(self.mask.shape), labels[0]).ravel()
        self._rim = labels[0]
        self._count = np.bincount(self._label)

    def project(self, g: Array) -> Array:
        """Return the nearest g that `tie` allows: the mean over tied cells, 0 outside."""
        mean = np.bincount(self._label, g.ravel()) / np.maximum(self._count, 1)
        mean[self._rim] = 0.0
        return np.asarray(mean[self._label].reshape(g.shape))

    def solve(self, right: Array, stiffness: Array, start: Array, tolerance: float = _FINE) -> Array:
        """Solve A g = `right` among what `tie` allows, by conjugate gradients from `start`.

        The preconditioner is A of the unbounded plane.
        """
        inverse = 1 / (np.maximum(self._k, self._smallest) / 2 + float(np.median(stiffness)) * self._laplacian)
        inverse = inverse.astype(np.float32)  # a preconditioner need not be exact
        g = self.project(start)
        rest = self.project(right - self.apply(g, stiffness))
        target = tolerance * float(np.linalg.norm(self.project(right)))
        z = self.project(self.convolve(inverse, rest.astype(np.float32)))
        direction, product = z, float(np.vdot(rest, z))
        for _ in range(_CG_LIMIT):
            if float(np.linalg.norm(rest)) <= target:
                break
            moved = self.project(self.apply(direction, stiffness))
            step = product / float(np.vdot(direction, moved))
            g = g + step * direction
            rest = rest - step * moved
            z = self.project(self.convolve(inverse, rest.astype(np.float32)))
            product, before = float(np.vdot(rest, z)), product
            direction = z + product / before * direction
        return g


class Sheet:
    """A sheet's memory and currents.

    Parameters
    ----------
    mask : NDArray of bool, shape (y, x)
        Cells of the sheet, floating holes included.
    tc : Array, shape (y, x)
        Local Tc (K); 0 in a floating hole.
    pitch : tuple of float
        Cell size (m) along (y, x).
    stiffness : float
        Λ at T = 0 (m).
    critical : float
        μ0 K_c at T = 0 (T).
    temperature, b : float
        Present temperature (K, above every Tc) and applied field μ0 H (T).
    """

    def __init__(
        self,
        mask: NDArray[np.bool_],
        tc: Array,
        pitch: tuple[float, float],
        stiffness: float,
        critical: float,
        temperature: float,
        b: float,
    ) -> None:
        self._operator = LondonOperator(mask, pitch)
        # a difference joins three cells: the worst of those within the sheet carries the current
        wide = np.pad(np.where(mask, tc, np.inf), 1, constant_values=np.inf)
        worst = np.minimum.reduce([wide[:-1, :-1], wide[1:, :-1], wide[:-1, 1:]])
        self._tc = np.where(np.isfinite(worst), worst, 0.0)
        self._stiffness, self._critical = stiffness, critical
        self._highest = float(np.max(tc, where=mask, initial=0.0))
        self._fluxoids = np.full(tc.shape, b)
        self._temperature, self._b = temperature, b
        self.g: Array = np.zeros(tc.shape)
        self._split = (np.zeros_like(self._tc), np.zeros_like(self._tc))
        self._dual = (np.zeros_like(self._tc), np.zeros_like(self._tc))

    def advance(self, temperature: float, b: float) -> None:
        """Go to a new temperature (K) and field (T)."""
        self._temperature, self._b = temperature, b
        if temperature >= self._highest:
            self.g = np.zeros_like(self.g)
            self._fluxoids = np.full_like(self._fluxoids, b)
            return
        mask = self._operator.mask
        drive = mask * (self._fluxoids - b)
        scale = max(abs(b), float(np.abs(self._fluxoids[mask]).max()))
        if float(np.abs(drive).max()) <= 1e-9 * scale:
            self.g = np.zeros_like(self.g)
            return
        t = np.divide(temperature, self._tc, out=np.ones_like(self._tc), where=self._tc > temperature)
        limit = self._critical * critical_factor(t)
        stiffness = self._stiffness / np.maximum(1 - t**4, 0.05)
        self._operator.tie(t >= 1)
        g = self._operator.solve(drive, stiffness, self.g)
        gx, gy = self._operator.gradient(g)
        if bool(np.any(np.hypot(gx, gy) > limit * (1 + _ADMM_TOLERANCE) + 1e-12 * scale)):
            g = self._critical_state(drive, stiffness, limit, g)
        self.g = g
        self._fluxoids = np.where(mask, b + self._operator.apply(g, stiffness), b)

    def _critical_state(self, drive: Array, stiffness: Array, limit: Array, g: Array) -> Array:
        """Minimise under |∇g| ≤ `limit` by the alternating direction method of multipliers."""
        operator = self._operator
        # a weight like the stiffness of the self-field, about a sixth of the sheet's size, converges fastest
        weight = float(np.median(stiffness)) + math.sqrt(operator.mask.sum()) * operator.step / 6
        px, py = self._split
        ux, uy = self._dual
        for _ in range(_ADMM_LIMIT):
            right = drive - weight * operator.divergence(px - ux, py - uy)
            g = operator.solve(right, stiffness + weight, g, _ROUGH)
            gx, gy = operator.gradient(g)
            rx, ry = 1.7 * gx - 0.7 * px, 1.7 * gy - 0.7 * py  # over-relaxation
            ox, oy = px, py
            px, py = rx + ux, ry + uy
            size = np.hypot(px, py)
            shrink = np.divide(limit, size, out=np.ones_like(size), where=size > limit)
            px, py = px * shrink, py * shrink
            ux, uy = ux + rx - px, uy + ry - py
            norm = math.sqrt(float(np.vdot(px, px) + np.vdot(py, py))) + 1e-300
            primal = math.sqrt(float(np.sum((gx - px) ** 2 + (gy - py) ** 2))) / norm
            dual = math.sqrt(float(np.sum((px - ox) ** 2 + (py - oy) ** 2))) / norm
            if max(primal, dual) < _ADMM_TOLERANCE:
                break
        self._split, self._dual = (px, py), (ux, uy)
        return g
