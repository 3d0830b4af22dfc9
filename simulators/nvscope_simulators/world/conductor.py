"""What the current source and the voltmeter are wired to: sample, contacts, and what disturbs them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from nvscope_simulators.world.arrays import JosephsonArray, array_resistance
from nvscope_simulators.world.geometry import Array
from nvscope_simulators.world.sample import TransportTruth
from nvscope_simulators.world.transport import Network


class Conductor(Protocol):
    """Anything between four contacts."""

    def resistances(self, temperature: float, b: Array, current: float) -> tuple[float, float]:
        """Return V34/I12 and the two-probe resistance (ohm) at temperature (K), field (T) and current (A)."""
        ...


class SampleConductor:
    """A sample's resistor network; linear, the last temperature remembered because solving takes milliseconds."""

    def __init__(self, network: Network, step: float) -> None:
        self._network = network
        self._step = step
        self._last: tuple[float, tuple[float, float]] | None = None

    def resistances(self, temperature: float, b: Array, current: float) -> tuple[float, float]:
        """Return V34/I12 and the two-probe resistance (ohm); solved anew when the temperature has moved."""
        if self._last is None or abs(self._last[0] - temperature) > self._step:
            self._last = temperature, self._network.resistances(temperature)
        return self._last[1]


class ArrayConductor:
    """A Josephson array patterned as a bar: two-probe is twice four-probe, the bar being twice as long."""

    def __init__(self, law: JosephsonArray) -> None:
        self._law = law

    def resistances(self, temperature: float, b: Array, current: float) -> tuple[float, float]:
        """Return V34/I12 and the two-probe resistance (ohm)."""
        four = array_resistance(self._law, temperature, b, current)
        return four, 2 * four


CONTACTS = ("I+", "I-", "V+", "V-")
METALS = ("gasket", "wire")
"""What else in the cell conducts: the gasket, and the wire that carries the microwaves."""


@dataclass
class Leads:
    """The state of the leads; faults change it.

    Attributes
    ----------
    open : set of str
        Broken contacts, of `CONTACTS`.
    leaks : mapping of (contact, metal) to float
        Resistance (ohm) from a contact to gasket or wire, where the insulation is bad.
    noise : mapping of str to float
        Voltage (V, 1 σ in every reading) that a bad contact adds where the voltmeter is on it.
    """

    open: set[str] = field(default_factory=set)
    leaks: dict[tuple[str, str], float] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)

    @property
    def leakage(self) -> float:
        """Resistance (ohm) from one current lead to the other past the sample, by way of gasket and wire."""
        paths = (self.leaks.get(("I+", m), math.inf) + self.leaks.get(("I-", m), math.inf) for m in METALS)
        return 1 / total if (total := sum(1 / path for path in paths)) else math.inf

    def noise_between(self, positive: str, negative: str) -> float:
        """Return the noise (V, 1 σ) of a voltmeter between two contacts."""
        return math.hypot(self.noise.get(positive, 0.0), self.noise.get(negative, 0.0))


@dataclass(frozen=True)
class Disturbance:
    """What adds to the voltage whatever the current: temperatures and powers at the moment of reading.

    Attributes
    ----------
    temperature, room_temperature : float
        Of sample and instruments (K).
    laser, microwave : float
        Power at the sample (W).
    """

    temperature: float
    room_temperature: float
    laser: float
    microwave: float

    def voltage(self, law: TransportTruth) -> float:
        """Return the offset (V): thermoelectric from the leads' other end, rectified pickup of light and microwaves."""
        away = (self.room_temperature - self.temperature) / self.room_temperature
        thermal = law.thermoelectric_offset + law.thermoelectric_change * away
        return thermal + law.laser_pickup * self.laser + law.microwave_pickup * self.microwave


def voltages(
    law: TransportTruth, leads: Leads, resistances: tuple[float, float], current: float, offset: float
) -> tuple[float, float]:
    """Return four-probe and two-probe voltages (V) while the source drives `current` (A).

    A contact the sample does not reach, or a broken one, leaves the source without a path (infinite voltage) or the
    voltmeter without a signal (offset only).
    """
    four, two = resistances
    path = two + 2 * law.lead_resistance
    if math.isnan(path) or leads.open & {"I+", "I-"}:
        path, through = leads.leakage, 0.0
    else:
        through = current
        if math.isfinite(leads.leakage):
            through = current * leads.leakage / (leads.leakage + path)
            path = path * leads.leakage / (path + leads.leakage)
    supplied = 0.0 if current == 0 else current * path
    seen = 0.0 if leads.open & {"V+", "V-"} or math.isnan(four) else through * four
    return seen + offset, supplied
