"""Four contacts on a sheet whose resistivity follows the local Tc: a network of resistors, solved exactly."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.special import erf

from nvscope.config import Loading
from nvscope_simulators.world.geometry import Array, Grid, inside
from nvscope_simulators.world.sample import TransportTruth

_LEADS = ("I+", "I-", "V+", "V-")
_SHORT = 1e-5  # resistivity left in superconducting places, relative; keeps the network regular


def bloch_gruneisen(t: Array) -> Array:
    """Return t⁵ ∫₀^{1/t} x⁵ / (4 sinh²(x/2)) dx for t = T/Θ > 0, by Simpson's rule (better than 1e-8)."""
    t = np.atleast_1d(np.asarray(t, dtype=np.float64))
    top = np.minimum(1 / t, 60.0)
    u = np.linspace(0.0, 1.0, 401)
    x = top[:, None] * u[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        integrand = np.where(x > 0, x**5 / (4 * np.sinh(x / 2) ** 2), 0.0)
    weights = np.full(u.size, 2.0)
    weights[1::2], weights[0], weights[-1] = 4.0, 1.0, 1.0
    return np.asarray(t**5 * top * (integrand @ weights) / (3 * (u.size - 1)))


def normal_resistivity(law: TransportTruth, temperature: float) -> float:
    """Return the stoichiometric normal-state resistivity (ohm m): Bloch–Grüneisen beside a saturating channel."""
    room = float(bloch_gruneisen(np.array([300.0 / law.debye_temperature]))[0])
    now = float(bloch_gruneisen(np.array([max(temperature, 0.5) / law.debye_temperature]))[0])
    ideal = law.residual_resistivity + law.phonon_resistivity * now / room
    return 1 / (1 / ideal + 1 / law.saturation_resistivity)


def granular_factor(fraction: float) -> float:
    """Return the resistivity of a normal metal with perfectly conducting grains, relative to that without.

    Symmetric effective-medium theory of spheres (Bruggeman; Landauer, J. Appl. Phys. 23, 779 (1952)): 1 − 3φ, and zero
    from φ = 1/3 on, where the grains percolate.
    """
    return max(0.0, 1 - 3 * fraction)


class Network:
    """Resistors between neighbouring cells of the sample, and what the four contacts see.

    Parameters
    ----------
    law : TransportTruth
        Resistivity and leads.
    loading : Loading
        Lead polygons named I+, I-, V+ and V- are the contacts wherever they overlap the sample.
    grid : Grid
        Its camera pixels are the network's cells.
    mask, tc, quality : Array, camera shape
        Fraction of the cell filled by sample, local Tc (K), and C(La:Ni).
    thickness, spread : float
        Of the sample (m), and the relative width of each cell's transition.
    """

    def __init__(
        self,
        law: TransportTruth,
        loading: Loading,
        grid: Grid,
        mask: Array,
        tc: Array,
        quality: Array,
        thickness: float,
        spread: float,
    ) -> None:
        self._law = law
        self._thickness, self._spread = thickness, spread
        present = mask > 0.5
        self.contacts = _contact_cells(loading, grid, present)
        self.connected = all(cells.size for cells in self.contacts.values())
        index = np.full(present.shape, -1)
        index[present] = np.arange(present.sum())
        self._cells = int(present.sum())
        self._tc = tc[present]
        # off-stoichiometric phases conduct worse: their resistivity interpolates geometrically
        self._factor = law.off_stoichiometry_factor ** (1 - quality[present])
        right = (index[:, :-1] >= 0) & (index[:, 1:] >= 0)
        down = (index[:-1] >= 0) & (index[1:] >= 0)
        self._from = np.concatenate([index[:, :-1][right], index[:-1][down]])
        self._to = np.concatenate([index[:, 1:][right], index[1:][down]])
        dy, dx = grid.pixel
        self._aspect = np.concatenate([np.full(right.sum(), dy / dx), np.full(down.sum(), dx / dy)])
        self._numbers = {name: index.ravel()[cells] for name, cells in self.contacts.items()}

    def resistances(self, temperature: float) -> tuple[float, float]:
        """Return V34/I12 and the two-probe resistance without leads (ohm); NaN where a contact misses the sample."""
        if not self.connected:
            return math.nan, math.nan
        current = np.zeros(self._cells + len(_LEADS))
        current[self._cells], current[self._cells + 1] = 1.0, -1.0
        source, drain, high, low = self._solve(temperature, current)
        return float(high - low), float(source - drain)

    def conductance(self, temperature: float) -> Array:
        """Return the conductance matrix of the four contacts (S, shape (4, 4)); zero where one misses the sample."""
        if not self.connected:
            return np.zeros((4, 4))
        currents = np.zeros((self._cells + len(_LEADS), 3))
        currents[self._cells] = 1.0  # into I+, out at each of the others
        currents[self._cells + 1 + np.arange(3), np.arange(3)] = -1.0
        potential = self._solve(temperature, currents)
        inverse = np.linalg.inv(potential[1:] - potential[0])
        result = np.zeros((4, 4))
        result[1:, 1:] = -inverse
        result[0, 1:], result[1:, 0] = inverse.sum(axis=0), inverse.sum(axis=1)
        result[0, 0] = -inverse.sum()
        return result

    def _solve(self, temperature: float, current: Array) -> Array:
        """Return the potentials (V) of the four contacts for currents (A) into cells and contacts."""
        sheet = normal_resistivity(self._law, temperature) * self._factor / self._thickness
        with np.errstate(divide="ignore", invalid="ignore"):
            u = (temperature / self._tc - 1) / (math.sqrt(2) * self._spread)
        normal = np.where(self._tc > 0, 0.5 * (1 + erf(u)), 1.0)
        left = max(_SHORT, granular_factor(self._law.connected_fraction))
        sheet = sheet * (left + (1 - left) * normal)
        between = 2 * self._aspect / (sheet[self._from] + sheet[self._to])
        n = self._cells + len(_LEADS)
        contact = [(self._cells + lead, self._numbers[name]) for lead, name in enumerate(_LEADS)]
        rows = np.concatenate([self._from, *(np.full(cells.size, lead) for lead, cells in contact)])
        columns = np.concatenate([self._to, *(cells for _, cells in contact)])
        each = [np.full(cells.size, 1 / (self._law.contact_resistance * cells.size)) for _, cells in contact]
        values = np.concatenate([between, *each])
        laplacian = sparse.coo_array((values, (rows, columns)), shape=(n, n)).tocsr()
        laplacian = laplacian + laplacian.T
        laplacian = (sparse.diags_array(np.asarray(laplacian.sum(axis=1)).ravel() + _ISOLATED) - laplacian).tocsc()
        return np.asarray(splu(laplacian).solve(current)[self._cells :])


_ISOLATED = 1e-12  # S from every cell to ground: keeps cells that touch nothing, and the whole, from floating


def _contact_cells(loading: Loading, grid: Grid, present: NDArray[np.bool_]) -> dict[str, NDArray[np.int64]]:
    x, y = grid.camera_coordinates()
    found: dict[str, NDArray[np.int64]] = {}
    for name in _LEADS:
        touched = np.zeros_like(present)
        for polygon in loading.polygons:
            if polygon.kind == "lead" and polygon.name == name:
                touched |= inside(polygon.vertices, x, y, loading.field_of_view)
        found[name] = np.flatnonzero(touched & present)
    return found
