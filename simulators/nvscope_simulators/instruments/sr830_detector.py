"""The SR830's front panel and its detector: settings, the signal behind the filters, offsets and overloads."""

from __future__ import annotations

import cmath
import math

from nvscope_simulators.instruments.lockin import FilterChain, FilteredNoise
from nvscope_simulators.world.interface import World

SENSITIVITIES = tuple(m * 10.0**e for e in range(-9, 1) for m in (1, 2, 5))[1:-2]
TIME_CONSTANTS = tuple(m * 10.0**e for e in range(-5, 5) for m in (1, 3))
INPUT_OVERLOAD, FILTER_OVERLOAD, OUTPUT_OVERLOAD, UNLOCKED, RANGE_CHANGED = 1, 2, 4, 8, 16
_RESERVE = (1000.0, 30.0, 2.0)  # how far a signal may exceed full scale at the input, by RMOD
_HEADROOM = 1.09

WHOLE = {
    "FMOD": (0, 1, 1),
    "RSLP": (0, 2, 0),
    "HARM": (1, 19999, 1),
    "ISRC": (0, 3, 0),
    "IGND": (0, 1, 0),
    "ICPL": (0, 1, 0),
    "ILIN": (0, 3, 0),
    "SENS": (0, 26, 26),
    "RMOD": (0, 2, 2),
    "OFLT": (0, 19, 8),
    "OFSL": (0, 3, 1),
    "SYNC": (0, 1, 0),
    "OUTX": (0, 1, 1),
    "KCLK": (0, 1, 1),
    "ALRM": (0, 1, 1),
    "SEND": (0, 1, 1),
    "SRAT": (0, 14, 4),
    "TSTR": (0, 1, 0),
    "FAST": (0, 2, 0),
    "OVRM": (0, 1, 1),
    "*PSC": (0, 1, 1),
    "*ESE": (0, 255, 0),
    "*SRE": (0, 255, 0),
    "LIAE": (0, 255, 0),
    "ERRE": (0, 255, 0),
}
"""Whole-number settings: lowest, highest, after reset."""
REAL = {"PHAS": (-360.0, 729.99, 0.0), "FREQ": (1e-3, 102000.0, 1000.0), "SLVL": (4e-3, 5.0, 1.0)}
"""Real settings: lowest, highest, after reset."""


class Detector:
    """Everything between the input and the displayed numbers.

    Attributes
    ----------
    whole, real : dict
        Settings by mnemonic.
    events : int
        Latched bits of the lock-in status byte.
    """

    def __init__(
        self,
        world: World,
        series_resistance: float,
        signal_phase: float,
        noise_density: float,
        external_reference: bool,
    ) -> None:
        self._world = world
        self._series_resistance = series_resistance
        self._signal_phase = signal_phase
        self._noise_density = noise_density
        self._external_reference = external_reference
        self._chain, self._noise = FilterChain(), FilteredNoise(world.rng)
        self._noisy = 0j
        self._since = world.timeline.now
        self.events = 0
        self.contact_open = False
        self.reset()

    def reset(self) -> None:
        """Go to the settings after ``*RST``."""
        self.whole = {name: values[2] for name, values in WHOLE.items()}
        self.real = {name: values[2] for name, values in REAL.items()}
        self.display = [(0, 0), (0, 0)]
        self.offset = [(0.0, 0), (0.0, 0), (0.0, 0)]

    @property
    def tau(self) -> float:
        """Time constant (s)."""
        return TIME_CONSTANTS[self.whole["OFLT"]]

    @property
    def poles(self) -> int:
        """How many filters."""
        return self.whole["OFSL"] + 1

    @property
    def full_scale(self) -> float:
        """Sensitivity (V)."""
        return SENSITIVITIES[self.whole["SENS"]]

    @property
    def locked(self) -> bool:
        """Whether there is a reference."""
        return self.whole["FMOD"] == 1 or self._external_reference

    def excitation(self) -> float:
        """Return the current (A rms) the sine output sends through the sample."""
        small = self.real["SLVL"] / self._series_resistance
        load = abs(self._world.two_probe_voltage(small)) / small
        closed = math.isfinite(load) and not self.contact_open
        return self.real["SLVL"] / (self._series_resistance + load) if closed else 0.0

    def _signal(self) -> complex:
        """Return what is detected (V rms), in the frame of the reference."""
        if self.whole["FMOD"] != 1 or self.whole["HARM"] != 1:
            return 0j  # only the internal oscillator drives the sample
        peak = self.excitation() * math.sqrt(2)
        up, down = self._world.four_probe_voltage(peak), self._world.four_probe_voltage(-peak)
        amplitude = (up - down) / 2 / math.sqrt(2)
        if not math.isfinite(amplitude):
            return 0j
        return amplitude * cmath.exp(1j * (self._signal_phase - math.radians(self.real["PHAS"])))

    def refresh(self) -> None:
        """Bring filters and overloads up to now; the signal of now stands for the time since the last look."""
        now = self._world.timeline.now
        elapsed, self._since = now - self._since, now
        signal = self._signal()
        self._chain.advance(signal, elapsed, self.tau)
        if elapsed > 0.0:
            self._noisy = self._noise.advance(self._noise_density, elapsed, self.tau, self.poles)
        limit = self.full_scale * _HEADROOM
        held = self._chain.output(self.poles)
        too_much = abs(signal) * math.sqrt(2) > min(1.4, self.full_scale * _RESERVE[self.whole["RMOD"]])
        self.events |= INPUT_OVERLOAD if too_much else 0
        self.events |= FILTER_OVERLOAD if abs(self._chain.output(1)) > 10 * limit else 0
        self.events |= OUTPUT_OVERLOAD if max(abs(held.real), abs(held.imag)) > limit else 0
        self.events |= 0 if self.locked else UNLOCKED

    def output(self) -> complex:
        """Return X + iY (V rms): noisy, and stuck at the end of the scale when overloaded."""
        limit = self.full_scale * _HEADROOM
        value = self._chain.output(self.poles) + self._noisy
        return complex(max(-limit, min(limit, value.real)), max(-limit, min(limit, value.imag)))

    def read(self, which: int) -> float:
        """Return a quantity by its ``SNAP?`` number: X, Y, R, θ, four auxiliary inputs, frequency, two displays."""
        value = self.output()
        shift = [fraction / 100 * self.full_scale for fraction, _ in self.offset]
        theta = math.degrees(cmath.phase(value))
        channels = (value.real - shift[0], value.imag - shift[1], abs(value) - shift[2], theta)
        if which <= 4:
            return channels[which - 1]
        if which <= 8:
            return 0.0  # nothing is connected to the auxiliary inputs
        if which == 9:
            return self.real["FREQ"]
        place = which - 10
        shown = {0: channels[place], 1: channels[place + 2], 2: abs(self._noisy)}
        return shown.get(self.display[place][0], 0.0)

    def turn(self, degrees: float) -> None:
        """Set the reference phase."""
        degrees = (degrees + 180.0) % 360.0 - 180.0
        self._chain.rotate(math.radians(self.real["PHAS"] - degrees))
        self.real["PHAS"] = degrees

    def auto_phase(self) -> None:
        """Turn the reference until Y vanishes."""
        self.turn(self.real["PHAS"] + math.degrees(cmath.phase(self._chain.output(self.poles))))

    def auto_offset(self, place: int) -> None:
        """Offset X, Y or R (0, 1, 2) to zero, as far as 105 % of full scale."""
        value = self.output()
        channel = (value.real, value.imag, abs(value))[place]
        self.offset[place] = (max(-105.0, min(105.0, 100 * channel / self.full_scale)), self.offset[place][1])

    def auto_gain(self) -> None:
        """Choose the smallest sensitivity that takes the signal."""
        level = abs(self._chain.output(self.poles))
        fitting = [n for n, scale in enumerate(SENSITIVITIES) if level < 0.9 * scale]
        self.whole["SENS"] = fitting[0] if fitting else len(SENSITIVITIES) - 1
