"""Parameters that many protocols share, and the steps most of them begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from pydantic import Field as Described
from pydantic import model_validator

from nvscope.devices.rig import RigDevices
from nvscope.errors import HistoryInvalid, LimitError
from nvscope.history import Claim, Protocol
from nvscope.plans import OdmrSettings, Windows, cancel_residual, change_temperature, find_lines, odmr_map, ramp_field
from nvscope.plans.verbs import Plan, announce
from nvscope.units import Hertz, Kelvin, KelvinPerSecond, Tesla, TeslaPerSecond

NORMAL_MARGIN = 1.0
"""K below `normal_temperature` that still count as normal: readings scatter around the setpoint."""


class SearchSettings(OdmrSettings):
    """ODMR settings plus the coarse search for the lines."""

    search_center: Hertz | None = Described(
        default=None, description="where to look for the centre of the lines; estimated from the pressure if not given"
    )
    search_span: Hertz = Described(default=700e6, gt=0, description="width of the coarse sweep")
    search_step: Hertz = Described(default=4e6, ge=1e3, description="step of the coarse sweep")
    search_frames: int = Described(default=2, ge=1, le=100, description="frames per frequency of the coarse sweep")


class NormalSettings(SearchSettings):
    """Search settings plus the temperature at which a sample is normal, and how fields are reached."""

    normal_temperature: Kelvin = Described(default=110.0, description="above every Tc; the reference is taken here")
    field_rate: TeslaPerSecond = Described(default=2e-4, gt=0, description="field ramp")

    @model_validator(mode="after")
    def _field_is_on(self) -> Self:
        if getattr(self, "field", None) == 0:
            raise ValueError("field: there is nothing to map in 0 G; the protocol needs a field that is on")
        return self

    def claim(self, protocol: Protocol, field: float, quench_rate: float | None = None) -> Claim:
        """Return what the history is claimed to be, at nominal `field` (T), taken away at `quench_rate` (T/s)."""
        return Claim(protocol, self.normal_temperature - NORMAL_MARGIN, field, quench_rate)


class ColdSettings(NormalSettings):
    """The same plus the other temperature that a history hangs from."""

    base_temperature: Kelvin = Described(default=20.0, description="lowest temperature of the protocol")

    @model_validator(mode="after")
    def _between_two_temperatures(self) -> Self:
        if self.normal_temperature <= self.base_temperature:
            raise ValueError(
                f"normal_temperature {self.normal_temperature:g} K must lie above base_temperature "
                f"{self.base_temperature:g} K"
            )
        return self


class ProtocolSettings(ColdSettings):
    """The same plus what a protocol takes that begins above Tc and cools."""

    cooling_rate: KelvinPerSecond = Described(
        default=8 / 60, gt=0, description="temperature ramp while nothing is measured"
    )
    residual_bias: Tesla = Described(
        default=20e-4,
        ge=0,
        description="field, both ways, at which the residual is measured; 0 does not",
    )
    redos: int = Described(
        default=0, ge=0, le=10, description="how often a protocol whose history turns out invalid is begun again"
    )


def search(rig: RigDevices, parameters: SearchSettings, field: float) -> Plan:
    """Find the lines at `field` (T); returns `Windows`."""
    center = parameters.search_center or rig.expected_center
    windows: Windows = yield from find_lines(
        rig,
        parameters,
        field,
        center,
        parameters.search_span,
        parameters.search_step,
        parameters.search_frames,
    )
    return windows


def require_normal(rig: RigDevices, temperature: float, key: str = "normal_temperature") -> None:
    """Refuse a normal state at `temperature` (K) that lies below what the sample file calls its highest Tc."""
    if temperature <= rig.sample.expected_tc:
        raise LimitError(
            f"{key} {temperature:g} K is not above Tc: sample {rig.sample.name!r} expects up to "
            f"{rig.sample.expected_tc:g} K (expected_tc in its file)"
        )


def begin_normal(rig: RigDevices, p: ProtocolSettings, field: float) -> Plan:
    """Go above Tc, find the lines, cancel the residual field, take the reference at `field` (T); returns `Windows`.

    A reference that was disturbed is taken again, `redos` times at most.
    """
    require_normal(rig, p.normal_temperature)
    yield from change_temperature(rig, p.normal_temperature, p.cooling_rate)
    return (yield from redo_if_invalid(rig, p, lambda: _take_reference(rig, p, field)))


def _take_reference(rig: RigDevices, p: ProtocolSettings, field: float) -> Plan:
    """The residual comes first: maps are compared at the same current, so all must count it as part of H."""
    yield from ramp_field(rig, field, p.field_rate)
    windows = yield from search(rig, p, field)
    if p.residual_bias > 0:
        normal = p.normal_temperature - NORMAL_MARGIN
        yield from cancel_residual(rig, p, windows, field, p.residual_bias, p.field_rate, normal)
        yield from ramp_field(rig, field, p.field_rate)
    windows = yield from odmr_map(rig, "reference", p, windows, claim=p.claim("normal", field))
    return windows


def redo_if_invalid(rig: RigDevices, p: ProtocolSettings, protocol: Callable[[], Plan]) -> Plan:
    """Run `protocol`, which starts above Tc; if its history turns out invalid begin it again, `redos` times at most.

    Returns what `protocol` returns. Maps of a broken history are kept, with the certificate that says so.
    """
    for _ in range(p.redos):
        try:
            return (yield from protocol())
        except HistoryInvalid as error:
            yield from announce(f"again from above Tc, for the history is invalid: {error}")
            yield from change_temperature(rig, p.normal_temperature, p.cooling_rate)
    return (yield from protocol())


def zero_field_cool(rig: RigDevices, p: ProtocolSettings, windows: Windows, field: float) -> Plan:
    """From above Tc cool at H = 0, switch `field` (T) on and map; returns `Windows`."""
    yield from ramp_field(rig, 0.0, p.field_rate)
    yield from change_temperature(rig, p.base_temperature, p.cooling_rate)
    yield from ramp_field(rig, field, p.field_rate)
    windows = yield from odmr_map(rig, "zfc", p, windows, claim=p.claim("zfc", field))
    return windows
