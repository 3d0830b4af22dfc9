"""Roles: what a sequence may ask of an instrument, whoever made it.

Every method is one bounded wire transaction (or a few), made from one worker thread per instrument, and returns or
raises within the driver's time-out; nothing here waits for the rig. Waiting, settling, ramping in steps and limits are
the business of the bluesky devices built on these roles. Units are SI. A driver raises `InstrumentError` (or a
subclass) naming the instrument, what it said and what to do; connecting never changes an output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Value = float | str | bool


@dataclass(frozen=True)
class Identity:
    """Who answers on the wire."""

    manufacturer: str
    model: str
    serial: str
    firmware: str


@runtime_checkable
class Instrument(Protocol):
    """What every role offers."""

    def identify(self) -> Identity:
        """Ask the instrument who it is."""
        ...

    def readings(self) -> Mapping[str, Value]:
        """Read what is worth writing down with a run, in SI; changes nothing."""
        ...

    def make_safe(self) -> None:
        """Put the outputs in the safe state; idempotent, bounded, never raises output, never moves a resting magnet."""
        ...

    def close(self) -> None:
        """Close the session; outputs stay as they are."""
        ...


@runtime_checkable
class MicrowaveSource(Instrument, Protocol):
    """A microwave generator with a triggered frequency list."""

    @property
    def frequency_range(self) -> tuple[float, float]:
        """Lowest and highest frequency (Hz)."""
        ...

    @property
    def power_range_dbm(self) -> tuple[float, float]:
        """Lowest and highest output power (dBm)."""
        ...

    @property
    def list_capacity(self) -> int:
        """How many entries a triggered list may have; 0 if the source has none."""
        ...

    def set_frequency(self, frequency: float) -> None:
        """Set a fixed frequency (Hz); leaves list mode."""
        ...

    def set_power_dbm(self, power: float) -> None:
        """Set the output power (dBm)."""
        ...

    def set_output(self, on: bool) -> None:
        """Switch the RF output."""
        ...

    def load_list(self, frequencies: Sequence[float]) -> None:
        """Load a list (Hz) and arm it: each external trigger selects the next entry, the first trigger entry 0.

        An entry that is not a number switches the microwaves off until the next that is.
        """
        ...

    def leave_list(self) -> None:
        """Disarm the list and return to the fixed frequency."""
        ...

    def list_position(self) -> int:
        """Which entry of the armed list the next trigger selects; 0 again after the last."""
        ...

    def faults(self) -> tuple[str, ...]:
        """Return what is wrong, or was since this was last asked, between sweeps; empty if well.

        An output that is not as it was told, by `set_output` or by the end of the list, a synthesiser or reference
        out of lock, errors the instrument has queued. Clears what was latched.
        """
        ...


@runtime_checkable
class Laser(Instrument, Protocol):
    """The excitation laser."""

    @property
    def power_range(self) -> tuple[float, float]:
        """Lowest and highest set power (W)."""
        ...

    def set_power(self, power: float) -> None:
        """Set the power (W) used while emitting."""
        ...

    def set_emission(self, on: bool) -> None:
        """Start or stop emission; raises if the interlock or a fault refuses it."""
        ...

    def power(self) -> float:
        """Read the emitted power (W)."""
        ...

    def faults(self) -> tuple[str, ...]:
        """Return the faults and open interlocks reported now, and those that are latched; empty if well."""
        ...


class MagnetState(StrEnum):
    """What a magnet is doing."""

    HOLDING = "holding"
    RAMPING = "ramping"
    PAUSED = "paused"
    SWITCHING = "switching"  # persistent switch heating or cooling
    QUENCHED = "quenched"
    FAULT = "fault"


@runtime_checkable
class Magnet(Instrument, Protocol):
    """Any source of the applied field H along its axis."""

    @property
    def field_limit(self) -> float:
        """Largest magnitude of field (T)."""
        ...

    @property
    def rate_limit(self) -> float:
        """Fastest ramp (T/s)."""
        ...

    def field(self) -> float:
        """Applied field (T) from the measured current and the calibration."""
        ...

    def state(self) -> MagnetState:
        """What the magnet is doing now."""
        ...

    def pause(self) -> None:
        """Stop where it is; does not alter a resting setpoint."""
        ...


@runtime_checkable
class RampingMagnet(Magnet, Protocol):
    """A magnet whose supply ramps by itself (a superconducting magnet's programmer)."""

    def start_ramp(self, field: float, rate: float) -> None:
        """Start ramping to `field` (T) at `rate` (T/s) and return."""
        ...


@runtime_checkable
class VectorMagnet(RampingMagnet, Protocol):
    """A ramping magnet with three axes; as an ordinary magnet it serves along one direction."""

    def vector(self) -> NDArray[np.float64]:
        """Applied field (T), shape (3,), in the magnet's axes."""
        ...

    def start_vector_ramp(self, field: Sequence[float] | NDArray[np.float64], rate: float) -> None:
        """Start ramping in a straight line to `field` (T), shape (3,), at `rate` (T/s) along it, and return."""
        ...


@runtime_checkable
class SteppedMagnet(Magnet, Protocol):
    """A magnet that goes where it is told at once (a resistive coil); ramps are made of steps by the device."""

    def set_field(self, field: float) -> None:
        """Set the field (T) now; the step must be within one ramp step of the present field."""
        ...


@runtime_checkable
class Cryostat(Instrument, Protocol):
    """A temperature controller with its cryostat."""

    @property
    def temperature_range(self) -> tuple[float, float]:
        """Lowest and highest setpoint (K)."""
        ...

    @property
    def rate_limit(self) -> float:
        """Fastest setpoint ramp (K/s)."""
        ...

    def temperature(self) -> float:
        """Sample temperature (K); raises if the sensor reports a fault."""
        ...

    def sensors(self) -> Mapping[str, float]:
        """Every configured sensor by name (K); NaN where a sensor reports a fault."""
        ...

    def start_ramp(self, setpoint: float, rate: float) -> None:
        """Regulate to `setpoint` (K), moving the setpoint from the present temperature at `rate` (K/s)."""
        ...

    def setpoint(self) -> float:
        """The setpoint regulated to now (K); moves during a ramp."""
        ...

    def hold(self) -> None:
        """Stop the ramp where it is and keep regulating there."""
        ...


@runtime_checkable
class Transport(Instrument, Protocol):
    """A four-probe resistance measurement with current reversal."""

    @property
    def current_limit(self) -> float:
        """Largest excitation (A)."""
        ...

    def start(self, current: float, readings: int) -> None:
        """Start measuring `readings` voltages at excitation `current` (A) and return."""
        ...

    def finished(self) -> bool:
        """Whether all readings are there."""
        ...

    def fetch(self) -> NDArray[np.float64]:
        """Return the voltages (V), shape (readings,), offsets removed by reversal; the excitation is off afterwards."""
        ...

    def abort(self) -> None:
        """Stop and take the excitation to zero."""
        ...


@runtime_checkable
class ContactMatrix(Instrument, Protocol):
    """Relays between a transport instrument's four leads and the contacts of the sample."""

    @property
    def contacts(self) -> tuple[str, ...]:
        """Names of what can be connected: I+, I-, V+, V-, and gasket and wire where they are wired."""
        ...

    def route(self, wiring: tuple[str, str, str, str]) -> None:
        """Connect I+, I-, V+, V- to the four names of `wiring` and nothing else; the excitation must be off."""
        ...


@runtime_checkable
class Timing(Instrument, Protocol):
    """The hardware clock of a sweep: a finite pulse train and a digital gate."""

    def prepare_train(self, pulses: int, rate: float) -> None:
        """Prepare `pulses` pulses at `rate` (1/s); they step the source's list and trigger the camera."""
        ...

    def start_train(self) -> None:
        """Send the prepared pulses."""
        ...

    def train_done(self) -> bool:
        """Whether all pulses have been sent; raises on a hardware error."""
        ...

    def stop_train(self) -> None:
        """End a train early and release the counter; harmless when none runs."""
        ...

    def set_gate(self, is_open: bool) -> None:
        """Open or close the laser's gate (AOM or shutter line)."""
        ...


@runtime_checkable
class Focus(Instrument, Protocol):
    """A drive that moves the objective, or the cell, along the optical axis and holds it there."""

    @property
    def travel(self) -> tuple[float, float]:
        """Lowest and highest position (m)."""
        ...

    def position(self) -> float:
        """Read the position (m)."""
        ...

    def start_move(self, position: float) -> None:
        """Start moving to `position` (m) and return."""
        ...

    def settled(self) -> bool:
        """Whether the last move has ended on target; raises if the drive no longer holds its position."""
        ...


@dataclass(frozen=True, eq=False)
class CameraFrame:
    """One exposure: `image` uint16 of shape (y, x), owned by the receiver; `number` counts from 0 within an arming."""

    image: NDArray[np.uint16]
    number: int


@runtime_checkable
class Camera(Instrument, Protocol):
    """A scientific camera."""

    @property
    def shape(self) -> tuple[int, int]:
        """Image shape (y, x), of the region if one is set."""
        ...

    def set_region(self, region: tuple[int, int, int, int] | None) -> None:
        """Read out only x, y, width, height (pixels of the image as connected); None for all of it."""
        ...

    @property
    def saturation(self) -> int:
        """Digital value of a saturated pixel."""
        ...

    def set_exposure(self, seconds: float) -> None:
        """Set the exposure (s)."""
        ...

    def arm(self, frames: int, *, external: bool) -> None:
        """Prepare for `frames` exposures, one per external trigger or free running."""
        ...

    def pop(self, wait: float) -> list[CameraFrame]:
        """Return the frames that arrived since, waiting up to `wait` (wall s) for the first; raises on overflow."""
        ...

    def disarm(self) -> None:
        """Stop; frames not popped are discarded. Harmless when not armed."""
        ...
