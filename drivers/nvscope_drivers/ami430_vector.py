"""Three AMI 430 programmers as one vector magnet.

All axes start together with rates in proportion to their ways, so that the field moves along a straight line: it never
leaves the sphere its ends lie in, whatever the axes allow on their own.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, MagnetState, Value
from nvscope.errors import InstrumentError, LimitError
from nvscope.units import Amperes, Tesla, TeslaPerAmpere, TeslaPerSecond
from nvscope_drivers.ami430 import AMI430Magnet, AMI430Settings
from nvscope_drivers.checked import VisaSettings

__all__ = ["AMI430Vector", "AMI430VectorSettings"]

AXES = ("x", "y", "z")
_ORDER = (
    MagnetState.QUENCHED,
    MagnetState.FAULT,
    MagnetState.SWITCHING,
    MagnetState.RAMPING,
)


class AxisSettings(Frozen):
    """One axis of a vector magnet."""

    field_per_current: TeslaPerAmpere = Field(gt=0, description="coil constant; must agree with the programmer's")
    current_limit: Amperes = Field(gt=0, description="largest current this rig may ask for")
    gain: float = Field(default=1.0, gt=0, description="true field over the one so calibrated: calibrate-field")
    field_at_zero: Tesla = Field(default=0.0, description="field at zero current")


class AMI430VectorSettings(VisaSettings):
    """Settings of a vector magnet; the address is the three programmers' addresses, x, y, z, separated by commas."""

    x: AxisSettings
    y: AxisSettings
    z: AxisSettings
    vector_limit: Tesla = Field(gt=0, description="largest magnitude of the field in any direction")
    rate_limit: TeslaPerSecond = Field(default=2e-3, gt=0, description="fastest ramp along the line")
    direction: tuple[float, float, float] = Field(
        default=(0.0, 0.0, 1.0), description="axis along which it serves as an ordinary magnet; need not be unit"
    )

    @model_validator(mode="after")
    def _direction_is_one(self) -> AMI430VectorSettings:
        if not 0 < math.hypot(*self.direction) < math.inf:
            raise ValueError("direction: the null vector is no direction")
        return self

    def axis(self, name: str) -> AMI430Settings:
        """Return the settings of one programmer."""
        settings: AxisSettings = getattr(self, name)
        return AMI430Settings.model_construct(
            timeout=self.timeout,
            field_per_current=settings.field_per_current,
            current_limit=settings.current_limit,
            rate_limit=self.rate_limit,
            gain=settings.gain,
            field_at_zero=settings.field_at_zero,
        )


class AMI430Vector:
    """A vector magnet; along its `direction` also a `RampingMagnet`."""

    Settings: ClassVar[type[Frozen]] = AMI430VectorSettings

    def __init__(self, axes: Sequence[AMI430Magnet], settings: AMI430VectorSettings) -> None:
        self._axes = tuple(axes)
        self._settings = settings
        self._direction = np.array(settings.direction) / math.hypot(*settings.direction)

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> AMI430Vector:
        """Open three programmers; nothing moves."""
        assert isinstance(settings, AMI430VectorSettings)
        addresses = [part.strip() for part in address.split(",")]
        if len(addresses) != len(AXES):
            raise InstrumentError(f"a vector magnet needs three addresses separated by commas, got {address!r}")
        axes: list[AMI430Magnet] = []
        try:
            for name, where in zip(AXES, addresses, strict=True):
                axes.append(AMI430Magnet.connect(where, settings.axis(name)))
        except BaseException:
            for axis in axes:
                axis.close()
            raise
        return cls(axes, settings)

    def identify(self) -> Identity:
        """Ask all three who they are; returns the first with all serial numbers."""
        identities = [axis.identify() for axis in self._axes]
        serials = "+".join(identity.serial for identity in identities)
        first = identities[0]
        return Identity(first.manufacturer, first.model, serials, first.firmware)

    @property
    def field_limit(self) -> float:
        """Largest magnitude of field (T) along the direction."""
        limits = [
            axis.field_limit / abs(part)
            for axis, part in zip(self._axes, self._direction, strict=True)
            if abs(part) > 1e-12
        ]
        return min(self._settings.vector_limit, *limits)

    @property
    def rate_limit(self) -> float:
        """Fastest ramp (T/s)."""
        return self._settings.rate_limit

    def vector(self) -> NDArray[np.float64]:
        """Return the applied field (T), shape (3,), in the magnet's axes."""
        return np.array([axis.field() for axis in self._axes])

    def field(self) -> float:
        """Return the applied field (T) along the direction."""
        return float(self.vector() @ self._direction)

    def state(self) -> MagnetState:
        """Return the gravest of the three: a quench of one is the magnet's; PAUSED if one stopped short."""
        states = [axis.state() for axis in self._axes]
        for state in _ORDER:
            if state in states:
                return state
        short = any(
            state is MagnetState.PAUSED and not axis.at_target() for axis, state in zip(self._axes, states, strict=True)
        )
        if short or all(state is MagnetState.PAUSED for state in states):
            return MagnetState.PAUSED
        return MagnetState.HOLDING

    def start_ramp(self, field: float, rate: float) -> None:
        """Start ramping to `field` (T) along the direction at `rate` (T/s)."""
        self.start_vector_ramp(field * self._direction, rate)

    def start_vector_ramp(self, field: Sequence[float] | NDArray[np.float64], rate: float) -> None:
        """Start ramping in a straight line to `field` (T), shape (3,), at `rate` (T/s) along the line.

        Raises
        ------
        LimitError
            Outside the limits of the magnet or of an axis; nothing is moved.
        InstrumentError
            If an axis cannot ramp; those already started are paused.
        """
        target = np.asarray(field, dtype=np.float64)
        magnitude = float(np.linalg.norm(target))
        if target.shape != (3,) or not magnitude <= self._settings.vector_limit * (1 + 1e-9):
            limit = self._settings.vector_limit
            raise LimitError(f"{magnitude * 1e4:.5g} G is beyond the vector magnet's limit of {limit * 1e4:.5g} G")
        if not 0 < rate <= self._settings.rate_limit * (1 + 1e-9):
            raise LimitError(f"{rate * 1e4:.4g} G/s is outside the limit of {self._settings.rate_limit * 1e4:.4g} G/s")
        for name, axis, part in zip(AXES, self._axes, target, strict=True):
            if abs(part) > axis.field_limit * (1 + 1e-9):
                raise LimitError(f"axis {name}: {part * 1e4:.5g} G is beyond ±{axis.field_limit * 1e4:.5g} G")
        for axis in self._axes:
            axis.check_fit()
        way = target - self.vector()
        length = float(np.linalg.norm(way))
        shares = np.abs(way) / length if length > 0 else np.ones(3)
        try:
            for axis, part, share in zip(self._axes, target, shares, strict=True):
                # an axis with next to no way would have to ramp slower than it can; it arrives early then
                axis.start_ramp(float(part), max(rate * float(share), axis.slowest_rate))
        except BaseException:
            self._pause_all()
            raise

    def _pause_all(self) -> None:
        for axis in self._axes:
            with contextlib.suppress(InstrumentError):
                axis.pause()

    def pause(self) -> None:
        """Stop every axis that moves, all of them even if one does not answer."""
        failures: list[InstrumentError] = []
        for axis in self._axes:
            try:
                axis.pause()
            except InstrumentError as error:
                failures.append(error)
        if failures:
            raise InstrumentError("; ".join(str(failure) for failure in failures))

    def make_safe(self) -> None:
        """Pause; never to zero, never heat a switch, never clear a quench."""
        self.pause()

    def readings(self) -> Mapping[str, Value]:
        """Read what each axis reads, by name and axis, and the field along the direction."""
        values: dict[str, Value] = {}
        along = 0.0
        for name, axis, part in zip(AXES, self._axes, self._direction, strict=True):
            axis_values = axis.readings()
            values |= {f"{key}_{name}": value for key, value in axis_values.items()}
            along += float(axis_values["field"]) * float(part)
        return values | {"field": along}

    def close(self) -> None:
        """Close the three sessions; the magnet stays as it is."""
        for axis in self._axes:
            axis.close()
