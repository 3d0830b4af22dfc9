"""Zero-field splitting of an unstressed NV against temperature."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.errors import NvscopeError

ZeroFieldModel = Literal["chen2011", "cambria2023"]

_CHEN_MHZ = (2877.71, -4.625e-3, 1.067e-4, -9.325e-7, 1.739e-9, -1.838e-12)
_CAMBRIA_MHZ = (2877.38, -54.91, -249.6)
_CAMBRIA_MODES_EV = (58.73e-3, 145.5e-3)
_BOLTZMANN_EV = 8.617333262e-5


def zero_field_splitting(temperature: ArrayLike, model: ZeroFieldModel = "chen2011") -> NDArray[np.float64]:
    """Return D0(T) (Hz) of an unstressed NV.

    Parameters
    ----------
    temperature : array_like
        Temperature (K), not negative.
    model : str
        ``"chen2011"``: fifth-order polynomial of Chen et al., Appl. Phys. Lett. 99, 161903 (2011), measured between
        5.6 K and 295 K; ``"cambria2023"``: two phonon modes, Cambria et al., Phys. Rev. B 108, L180102 (2023), which
        stays meaningful outside the measured range.

    Raises
    ------
    NvscopeError
        If the model is unknown or a temperature is negative.
    """
    kelvin = np.asarray(temperature, dtype=np.float64)
    if np.any(kelvin < 0):
        raise NvscopeError(f"a temperature cannot be negative, got {kelvin.min():g} K")
    if model == "chen2011":
        return np.asarray(1e6 * np.polynomial.polynomial.polyval(kelvin, _CHEN_MHZ))
    if model == "cambria2023":
        base, first, second = _CAMBRIA_MHZ
        low, high = (_bose(kelvin, energy) for energy in _CAMBRIA_MODES_EV)
        return np.asarray(1e6 * (base + first * low + second * high))
    raise NvscopeError(f"no model of D0(T) called {model!r}; known: chen2011, cambria2023")


def _bose(temperature: NDArray[np.float64], energy_ev: float) -> NDArray[np.float64]:
    # capping the exponent gives exactly the limit n → 0 at T → 0, without overflow
    exponent = energy_ev / (_BOLTZMANN_EV * np.maximum(temperature, energy_ev / (_BOLTZMANN_EV * 700)))
    return np.asarray(1 / np.expm1(exponent))
