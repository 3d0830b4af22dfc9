"""The applied field as something a plan can set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nvscope.clock import Clock
from nvscope.config import Limits, Settling
from nvscope.devices.base import Assumed, Device, Observer
from nvscope.devices.roles import Magnet, MagnetState, RampingMagnet, SteppedMagnet, VectorMagnet
from nvscope.devices.settle import Band, settle
from nvscope.devices.status import TaskStatus
from nvscope.devices.worker import Worker
from nvscope.errors import InstrumentError, LimitError

_STEP_INTERVAL = 0.25
"""Rig seconds between steps of a software ramp."""
_POLL = 1.0
_LARGEST_RESIDUAL = 50e-4
"""T; anything larger is not the earth, a building or remanence."""


@dataclass(frozen=True)
class Field:
    """A field to reach along the magnet's axis (T) and the rate of the ramp (T/s)."""

    target: float
    rate: float


@dataclass(frozen=True)
class FieldVector:
    """A field to reach in the magnet's three axes (T, x, y, z) and the rate along the straight line to it (T/s)."""

    target: tuple[float, float, float]
    rate: float


@dataclass(frozen=True)
class Residual:
    """A field (T, along the axis) that is there at zero current: from now on part of H, and cancelled at H = 0."""

    field: float


class MagnetDevice(Device[Magnet]):
    """Ramps the field, in steps where the supply does not ramp by itself, and waits until it is there.

    Parameters
    ----------
    direction : tuple of float, optional
        Unit vector along which a vector magnet serves as an ordinary one; None for a magnet of one axis.
    """

    def __init__(
        self,
        role: Magnet | None,
        worker: Worker | None,
        clock: Clock,
        limits: Limits,
        settling: Settling,
        observe: Observer = lambda values: None,
        name: str = "magnet",
        direction: tuple[float, float, float] | None = None,
    ) -> None:
        super().__init__(name, role, worker, clock, observe)
        self._limits = limits
        self._settling = settling
        self.direction = direction
        self._residual = 0.0

    def check(self, value: Field | FieldVector | Residual) -> None:
        """Refuse what the rig's limits forbid."""
        if isinstance(value, Residual):
            if not abs(value.field) <= _LARGEST_RESIDUAL:
                raise LimitError(
                    f"a residual field of {value.field * 1e4:g} G is more than {_LARGEST_RESIDUAL * 1e4:g} G; "
                    "look for a magnetised part before cancelling it"
                )
            return
        if isinstance(value, FieldVector):
            if self.direction is None:
                raise LimitError(
                    "this rig's magnet has one axis only; a field in another direction needs a vector magnet"
                )
            size = math.hypot(*value.target)
        else:
            size = value.target
        if not abs(size) <= self._limits.field * (1 + 1e-9):
            raise LimitError(f"field {size * 1e4:g} G is beyond this rig's limit of ±{self._limits.field * 1e4:g} G")
        if not 0 < value.rate <= self._limits.field_rate * (1 + 1e-9):
            raise LimitError(
                f"field rate {value.rate * 1e4:g} G/s is outside this rig's limit of "
                f"{self._limits.field_rate * 1e4:g} G/s"
            )

    def set(self, value: Field | FieldVector | Residual) -> TaskStatus:
        """Ramp to a field and settle there, or take note of a `Residual`; nothing moves then."""
        self.check(value)
        if isinstance(value, Residual):
            return self._start(self._note(value), f"residual {value.field * 1e4:g} G")
        if isinstance(value, FieldVector):
            return self._start(self._move_vector(value), f"to {_gauss(value.target)} G")
        return self._start(self._move(value), f"to {value.target * 1e4:g} G")

    async def _note(self, value: Residual) -> None:
        await self.recall(value.field)

    async def recall(self, residual: float) -> None:
        """Count a `residual` (T) from now on, as the run before did whose history goes on; nothing moves."""
        self._residual = residual
        self._observe({"residual_field": residual})
        await self.field()

    async def _move(self, value: Field) -> None:
        start = await self.field()
        offset = self._residual
        ramp_end = self.clock.now() + abs(value.target - start) / value.rate
        if isinstance(self.role, SteppedMagnet):
            if not await self._step(self.role, start, value, offset):
                return
        elif isinstance(self.role, RampingMagnet):
            await self.worker.call(self.role.start_ramp, value.target - offset, value.rate)
        else:
            raise InstrumentError(f"{self.name}: the driver can neither ramp nor be stepped")
        settling = self._settling
        band = Band(value.target, settling.field_band, settling.field_dwell, ramp_end, settling.field_timeout, "T")
        if not await settle(self.clock, self._checked_field, band, lambda _: _POLL, self._pause_for, self.name):
            await self.worker.call(self.role.pause)

    async def _move_vector(self, value: FieldVector) -> None:
        role = self.role
        if not isinstance(role, VectorMagnet) or self.direction is None:
            raise InstrumentError(f"{self.name}: the driver has no vector magnet; rig file and driver disagree")
        target = np.array(value.target) - self._residual * np.array(self.direction)
        way = float(np.linalg.norm(target - await self.worker.call(role.vector)))
        await self.worker.call(role.start_vector_ramp, target, value.rate)

        async def distance() -> float:
            await self._checked_field()
            return float(np.linalg.norm(await self.worker.call(role.vector) - target))

        settling, ramp_end = self._settling, self.clock.now() + way / value.rate
        band = Band(0.0, settling.field_band, settling.field_dwell, ramp_end, settling.field_timeout, "T")
        if not await settle(self.clock, distance, band, lambda _: _POLL, self._pause_for, self.name):
            await self.worker.call(role.pause)

    async def _step(self, role: SteppedMagnet, start: float, value: Field, offset: float) -> bool:
        """Walk from `start` to the target in steps no faster than the rate; False if told to stop."""
        stride = value.rate * _STEP_INTERVAL
        steps = max(1, math.ceil(abs(value.target - start) / stride - 1e-9))
        for step in range(1, steps + 1):
            await self.worker.call(role.set_field, start + (value.target - start) * step / steps - offset)
            if step % 4 == 0:
                await self.field()
            if await self._pause_for(_STEP_INTERVAL):
                return False
        return True

    async def _checked_field(self) -> float:
        state = await self.worker.call(self.role.state)
        if state in (MagnetState.QUENCHED, MagnetState.FAULT):
            raise InstrumentError(
                f"{self.name}: the magnet reports {state.value}; it stays as it is until somebody has looked at it"
            )
        return await self.field()

    async def field(self) -> float:
        """Read the applied field (T), a known residual included."""
        value = await self.worker.call(self.role.field) + self._residual
        self._observe({"field": value})
        return value

    async def read(self) -> dict[str, Any]:
        """Read the field as bluesky wants it."""
        return self._reading({f"{self.name}_field": await self.field(), f"{self.name}_residual": self._residual})

    def units(self) -> Mapping[str, str]:
        """Return the units of `read`: the applied field, and how much of it is there at zero current."""
        return {f"{self.name}_field": "T", f"{self.name}_residual": "T"}

    def estimate(self, value: Field | FieldVector | Residual, before: Assumed) -> Assumed:
        """Return what setting `value` is assumed to bring about."""
        if isinstance(value, Residual):
            return before
        axis = np.array(self.direction or (0.0, 0.0, 1.0))
        start = before.field * axis if before.field_vector is None else np.array(before.field_vector)
        target = np.array(value.target) if isinstance(value, FieldVector) else value.target * axis
        ramp = float(np.linalg.norm(target - start)) / value.rate
        vector = value.target if isinstance(value, FieldVector) else None
        return before.after(ramp + self._settling.field_dwell, field=float(target @ axis), field_vector=vector)

    def predict(self, state: Assumed) -> dict[str, Any]:
        """Return the reading a plan would see."""
        return self._reading({f"{self.name}_field": state.field, f"{self.name}_residual": self._residual})


def _gauss(vector: tuple[float, float, float]) -> str:
    return "(" + ", ".join(f"{part * 1e4:.4g}" for part in vector) + ")"
