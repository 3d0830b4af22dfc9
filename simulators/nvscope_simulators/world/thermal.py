"""The cryostat: three lumped nodes, a cold head with finite power, heaters, and heat from light and microwaves."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nvscope_simulators.world.kernels import kernel
from nvscope_simulators.world.settings import CryostatSettings

_LONGEST_STEP = 0.1  # s; the fastest node relaxes in about 0.25 s, so Runge-Kutta's error stays below a millikelvin

_PLATFORM, _STAGE, _SAMPLE = 0, 1, 2
_COOLING_POWER = 6  # place of the cooling power among the parameters


@kernel
def _rate(state: NDArray[np.float64], p: NDArray[np.float64], heat: NDArray[np.float64]) -> NDArray[np.float64]:
    rate = np.empty(3)
    cold = state[0] - p[5]
    # a cold head cannot heat; below its base it does nothing
    removed = p[6] * cold / (cold + p[7]) if cold > 0 else 0.0
    from_stage = p[8] * (state[1] - state[0])
    from_sample = p[9] * (state[2] - state[1])
    rate[0] = from_stage - removed
    rate[1] = heat[0] - from_stage + from_sample + p[10] * (p[11] - state[1])
    rate[2] = heat[1] - from_sample
    for node in range(3):
        square = state[node] * state[node]
        rate[node] /= p[node] * (p[4] + (1 - p[4]) * square / (square + p[3] * p[3]))
    return rate


@kernel
def _integrate(
    state: NDArray[np.float64], p: NDArray[np.float64], heat: NDArray[np.float64], steps: int, dt: float
) -> None:
    for _ in range(steps):
        k1 = _rate(state, p, heat)
        k2 = _rate(state + 0.5 * dt * k1, p, heat)
        k3 = _rate(state + 0.5 * dt * k2, p, heat)
        k4 = _rate(state + dt * k3, p, heat)
        state += dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


class Thermal:
    """Temperatures of cold head ("platform"), cell ("stage") and diamonds ("sample"), starting at room temperature."""

    def __init__(self, settings: CryostatSettings) -> None:
        s = settings
        self._settings = s
        self._state = np.full(3, s.room_temperature)
        self._parameters = np.array(
            [
                s.platform_heat_capacity,
                s.stage_heat_capacity,
                s.sample_heat_capacity,
                s.heat_capacity_temperature,
                s.residual_heat_capacity,
                s.base_temperature,
                s.cooling_power,
                s.cooling_half,
                s.platform_link,
                s.sample_link,
                s.radiation,
                s.room_temperature,
            ]
        )
        self._idle_parameters = self._parameters.copy()
        self._idle_parameters[_COOLING_POWER] = 0.0

    def advance(self, seconds: float, stage_heat: float, sample_heat: float, *, cooling: bool = True) -> None:
        """Integrate over `seconds` with constant heats (W) into stage and sample; `cooling`: the compressor runs."""
        if seconds <= 0:
            return
        steps = max(1, math.ceil(seconds / _LONGEST_STEP))
        parameters = self._parameters if cooling else self._idle_parameters
        _integrate(self._state, parameters, np.array([stage_heat, sample_heat]), steps, seconds / steps)

    def temperature(self, node: str) -> float:
        """Return the temperature (K) of ``"platform"``, ``"stage"`` or ``"sample"``."""
        try:
            return float(self._state[{"platform": _PLATFORM, "stage": _STAGE, "sample": _SAMPLE}[node]])
        except KeyError:
            raise ValueError(f"no temperature called {node!r}; there are platform, stage and sample") from None

    def light_heat(self, laser_power: float, microwave_power: float) -> float:
        """Return the heat (W) that laser light (W at the sample) and microwaves (W in the wire) leave behind."""
        return self._settings.laser_absorption * laser_power + self._settings.microwave_absorption * microwave_power

    def crystal(self, light_heat: float) -> float:
        """Return the temperature (K) of the illuminated crystal, a little above its sensor's."""
        return self.temperature("sample") + self._settings.spot_resistance * light_heat
