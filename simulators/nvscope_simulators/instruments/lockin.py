"""What a lock-in amplifier does to its signal: phase-sensitive detection behind a chain of equal RC filters."""

from __future__ import annotations

import cmath
import math

import numpy as np

_NOISE_BANDWIDTH = {1: 1 / 4, 2: 1 / 8, 3: 3 / 32, 4: 5 / 64}
"""Equivalent noise bandwidth times time constant, by number of poles (SR830 manual, "Noise measurements")."""


class FilterChain:
    """`poles` equal RC filters in a row, fed with a complex signal (X + iY, in phase with a turning frame).

    The response to a constant input is exact: each pole convolves with exp(−t/τ)/τ, so after a time t pole k holds
    u + e^(−t/τ) Σ_j (y_(k−j) − u) (t/τ)^j / j!.
    """

    def __init__(self) -> None:
        self._states = [0j] * 4

    def advance(self, signal: complex, seconds: float, tau: float) -> None:
        """Feed `signal` for `seconds` at time constant `tau`."""
        x = seconds / tau
        if x > 700.0:
            self._states = [signal] * 4
            return
        left = [state - signal for state in self._states]
        decay = math.exp(-x)
        self._states = [
            signal + decay * sum(left[k - j] * x**j / math.factorial(j) for j in range(k + 1)) for k in range(4)
        ]

    def rotate(self, radians: float) -> None:
        """Turn what the filters hold, as a change of the reference phase does."""
        turn = cmath.exp(1j * radians)
        self._states = [state * turn for state in self._states]

    def output(self, poles: int) -> complex:
        """Return what comes out after `poles` filters."""
        return self._states[poles - 1]


class FilteredNoise:
    """White noise behind the filters: Gaussian, forgetting itself with the time constant."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._value = 0j

    def advance(self, density: float, seconds: float, tau: float, poles: int) -> complex:
        """Return the noise (V rms per quadrature scale) after `seconds`, of `density` V/√Hz before the filters."""
        sigma = density * math.sqrt(_NOISE_BANDWIDTH[poles] / tau)
        memory = math.exp(-seconds / tau)
        step = complex(self._rng.standard_normal(), self._rng.standard_normal())
        self._value = memory * self._value + math.sqrt(1 - memory * memory) * sigma * step
        return self._value
