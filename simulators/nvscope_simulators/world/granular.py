"""A body of superconducting grains that remembers: fluxoids frozen place by place, and a finite critical current.

Each place answers on its own: M = χ(T)(H − H_f) below its local Tc. H_f is the field at which its fluxoids froze when
it crossed Tc; |M| never exceeds M_c(T), beyond that flux moves until it does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvscope_simulators.world.kernels import kernel
from nvscope_simulators.world.sample import GranularBody

Array = NDArray[np.float64]

_NODES = 4001
_SPREADS = 3.0  # standard deviations of the grains' Tc up to which anything is left


def shielding(t: Array, penetration: float) -> Array:
    """Return χ(t)/χ_full of grains of radius a with London depth λ(t) = λ0 / √(1 − t⁴), λ0/a = `penetration`.

    Shoenberg's sphere, 1 − 3x coth(1/x) + 3x² with x = λ/a (D. Shoenberg, Superconductivity, 1952, ch. V).
    """
    below = np.clip(np.asarray(t, dtype=np.float64), 0.0, 1.0)
    inverse = np.sqrt(np.maximum(1 - below**4, 0.0)) / penetration  # a/λ
    small = inverse < 0.05  # the closed form cancels there; its series begins with (a/λ)²/15
    y = np.where(small, 1.0, inverse)
    full = 1 - 3 / (y * np.tanh(y)) + 3 / y**2
    return np.where(np.asarray(t) >= 1, 0.0, np.where(small, inverse**2 / 15, full))


def critical_factor(t: Array) -> Array:
    """Return M_c(t)/M_c(0) = (1 − t²)^{3/2} (1 + t²)^{1/2}."""
    square = np.clip(np.asarray(t, dtype=np.float64), 0.0, 1.0) ** 2
    return np.asarray((1 - square) ** 1.5 * np.sqrt(1 + square))


class ResponseTable:
    """χ(t)/χ(0) and the largest |H − H_f| against u = T/T_top, where T_top is the Tc of a place's best grains."""

    def __init__(self, body: GranularBody) -> None:
        self.top_factor = 1 + _SPREADS * body.tc_spread
        u = np.linspace(0.0, 1.0, _NODES)
        offsets, weights = np.polynomial.hermite_e.hermegauss(41)
        spread = np.clip(offsets, -_SPREADS, _SPREADS) * body.tc_spread
        t = u[:, None] * self.top_factor / (1 + spread)[None, :]
        response = shielding(t, body.penetration) @ (weights / weights.sum())
        response /= response[0]
        response[-1] = 0.0
        self.response = response
        if body.critical_magnetization == 0:
            self.limit = np.zeros(_NODES)
        elif body.susceptibility == 0:
            self.limit = np.full(_NODES, np.inf)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                limit = body.critical_magnetization * critical_factor(u) / (-body.susceptibility * response)
            # near the top both vanish and only the bulk of the grains decides; flux never becomes harder to move there
            limit[-1] = limit[-2]
            self.limit = np.minimum.accumulate(limit)


@kernel
def _lookup(table: NDArray[np.float64], u: float) -> float:
    if u >= 1.0:
        return 0.0
    position = u * (table.size - 1)
    index = int(position)
    part = position - index
    if part == 0.0:
        return table[index]
    return table[index] * (1 - part) + table[index + 1] * part


@kernel
def _evolve(
    frozen: NDArray[np.float64],
    top: NDArray[np.float64],
    limit: NDArray[np.float64],
    t_old: float,
    t_new: float,
    b_old: float,
    b_new: float,
) -> None:
    for i in range(frozen.size):
        if t_new >= top[i]:
            frozen[i] = b_new
            continue
        if t_old >= top[i]:  # frozen on the way, at this place's own crossing
            frozen[i] = b_old + (b_new - b_old) * (t_old - top[i]) / (t_old - t_new)
        reach = _lookup(limit, t_new / top[i])
        shift = b_new - frozen[i]
        if shift > reach:
            frozen[i] = b_new - reach
        elif shift < -reach:
            frozen[i] = b_new + reach


@kernel
def _respond(
    frozen: NDArray[np.float64],
    top: NDArray[np.float64],
    response: NDArray[np.float64],
    chi: NDArray[np.float64],
    temperature: float,
    b: float,
    out: NDArray[np.float64],
) -> None:
    for i in range(frozen.size):
        out[i] = chi[i] * _lookup(response, temperature / top[i]) * (b - frozen[i])


class Granular:
    """The body's memory and its answer.

    Parameters
    ----------
    body : GranularBody
        The law.
    tc : Array, shape (n,)
        Local Tc (K) of the places that can superconduct, all positive.
    share : Array, shape (n,)
        Grains' share of each place: scales its susceptibility and its critical magnetisation alike.
    patches : Array, shape (n,)
        Paramagnetic susceptibility of the same places.
    temperature, b : float
        Present temperature (K, above every Tc) and applied μ0 H along Z (T).
    """

    def __init__(
        self, body: GranularBody, tc: Array, share: Array, patches: Array, temperature: float, b: float
    ) -> None:
        self._chi = body.susceptibility * share
        self._table = ResponseTable(body)
        self._top = np.ascontiguousarray(tc * self._table.top_factor)
        self._patches = patches
        self._frozen = np.full(tc.shape, b)
        self._highest = float(self._top.max()) if tc.size else 0.0
        self._temperature = temperature
        self._b = b

    def advance(self, temperature: float, b: float) -> None:
        """Go to a new temperature (K) and field (T) along a straight line; callers split what is not straight."""
        t_old, b_old, self._temperature, self._b = self._temperature, self._b, temperature, b
        if min(t_old, temperature) >= self._highest:
            return  # normal everywhere: nothing to remember, `_frozen` is set again at the crossing
        _evolve(self._frozen, self._top, self._table.limit, t_old, temperature, b_old, b)

    def magnetization(self) -> Array:
        """Return μ0 M (T) of every place now, shape (n,)."""
        out = np.empty_like(self._frozen)
        _respond(self._frozen, self._top, self._table.response, self._chi, self._temperature, self._b, out)
        if self._patches.any():
            added = np.empty_like(out)
            nothing = np.zeros_like(self._frozen)
            _respond(nothing, self._top, self._table.response, self._patches, self._temperature, self._b, added)
            out += added
        return out
