"""What rig, sample and loading files may say."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nvscope.units import (
    Amperes,
    DBm,
    Hertz,
    Kelvin,
    KelvinPerSecond,
    Metres,
    Pascals,
    Radians,
    Seconds,
    Tesla,
    TeslaPerSecond,
    Watts,
)


class Frozen(BaseModel):
    """Base of every configuration model: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=False)


class InstrumentSpec(Frozen):
    """One instrument of a rig."""

    driver: str = Field(description="name of the driver (entry-point group nvscope.drivers)")
    address: str = Field(
        default="simulated",
        description='VISA resource or driver-specific address; "simulated" takes it from the simulated lab',
    )
    connections: Literal["one", "many"] = Field(
        default="many", description="how many connections the instrument accepts at once"
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="driver settings, checked by the driver")


class Settling(Frozen):
    """When a quantity counts as reached."""

    temperature_band: Kelvin = Field(default=0.05, description="half-width of the band around the target")
    temperature_dwell: Seconds = Field(default=30.0, description="time inside the band")
    temperature_timeout: Seconds = Field(default=600.0, description="patience after the ramp should have ended")
    field_band: Tesla = Field(default=5e-6, description="half-width of the band around the target")
    field_dwell: Seconds = Field(default=2.0, description="time inside the band")
    field_timeout: Seconds = Field(default=120.0, description="patience after the ramp should have ended")


class Limits(Frozen):
    """What the rig must never be asked for."""

    field: Tesla = Field(default=0.02, description="largest |H|")
    field_rate: TeslaPerSecond = Field(default=5e-4, description="fastest field ramp")
    temperature_min: Kelvin = Field(default=4.0, description="lowest setpoint")
    temperature_max: Kelvin = Field(default=310.0, description="highest setpoint")
    temperature_rate: KelvinPerSecond = Field(default=10 / 60, description="fastest temperature ramp")
    laser_power: Watts = Field(default=0.2, description="largest laser power")
    microwave_power_dbm: DBm = Field(default=10.0, description="largest microwave power")
    frequency_min: Hertz = Field(default=1.0e9, description="lowest microwave frequency")
    frequency_max: Hertz = Field(default=4.0e9, description="highest microwave frequency")
    exposure_min: Seconds = Field(default=1e-5, gt=0, description="shortest exposure of the camera")
    exposure_max: Seconds = Field(default=10.0, gt=0, description="longest exposure of the camera")
    excitation_current: Amperes = Field(default=1e-3, description="largest transport current")
    focus_min: Metres | None = Field(default=None, description="lowest focus position; if not given, the drive's own")
    focus_max: Metres | None = Field(default=None, description="highest focus position; if not given, the drive's own")


class HistoryLimits(Frozen):
    """What a certificate tolerates before a history is degraded or invalid."""

    zero_field: Tesla = Field(default=1e-4, gt=0, description="largest |H| below Tc during zero-field cooling")
    overshoot: Kelvin = Field(
        default=0.2, gt=0, description="largest excess over the present point while field warming"
    )
    field_fraction: float = Field(
        default=0.01, gt=0, description="largest relative deviation of H from its nominal value"
    )
    quench_fraction: float = Field(
        default=0.1, gt=0, description="largest relative deviation of a quench's rate from the one asked for"
    )
    gap: Seconds = Field(default=60.0, gt=0, description="longest time without a reading of temperature or field")
    period: Seconds = Field(
        default=2.0, gt=0, description="how often temperature and field are read; what is shorter may go unseen"
    )

    @model_validator(mode="after")
    def _read_often_enough(self) -> Self:
        if 2 * self.period > self.gap:
            raise ValueError(f"period {self.period:g} s must be at most half the gap of {self.gap:g} s")
        return self


class Detector(Frozen):
    """The camera as a photon counter; from its data sheet or a photon-transfer measurement."""

    gain: float = Field(default=1.0, gt=0, description="electrons per count")
    offset: float = Field(default=100.0, ge=0, description="counts without light")
    read_noise: float = Field(default=2.0, ge=0, description="electrons, 1 sigma")
    readout: Seconds = Field(default=0.005, description="dead time between exposures")


class SimulatorSpec(Frozen):
    """The simulated lab behind a rig; absent in a real rig."""

    program: str = Field(default="lab", description="name of the simulator (entry-point group nvscope.simulators)")
    seed: int = Field(default=1, description="seed of every random number in the lab")
    settings: dict[str, Any] = Field(default_factory=dict, description="simulator settings, checked by the simulator")


class Rig(Frozen):
    """A rig: its instruments by role, limits and settling."""

    name: str
    description: str = ""
    instruments: dict[str, InstrumentSpec] = Field(
        description="by role: camera, microwave, laser, magnet, cryostat, transport, timing, focus"
    )
    limits: Limits = Limits()
    settling: Settling = Settling()
    history: HistoryLimits = HistoryLimits()
    detector: Detector = Detector()
    simulator: SimulatorSpec | None = None
    faults: tuple[dict[str, Any], ...] = Field(default=(), description="faults injected into a simulated lab")


class Sample(Frozen):
    """A sample: what the operator knows, and what a simulated lab is told."""

    name: str
    description: str = ""
    formula: str = ""
    expected_tc: Kelvin = Field(default=80.0, description="expected highest Tc; normal state is above it")
    simulation: dict[str, Any] = Field(default_factory=dict, description="truth for a simulated lab only")


class Polygon(Frozen):
    """A region of the image, vertices (x, y) in pixels as fractions of the image width and height, 0 to 1."""

    name: str
    kind: Literal["sample", "ruby", "wire", "lead", "reference"]
    vertices: tuple[tuple[float, float], ...] = Field(min_length=3)


class Loading(Frozen):
    """One loading of a diamond anvil cell."""

    name: str
    description: str = ""
    nominal_pressure: Pascals = Field(ge=0)
    crystal_azimuth: Radians = Field(default=0.0, description="image angle of the projected axis n4")
    mirrored: bool = Field(default=False, description="image is mirrored, seen from the NV side")
    miscut: Radians = Field(default=0.0, description="angle between culet normal and [111]")
    miscut_azimuth: Radians = Field(default=0.0, description="azimuth of the tilt in the image frame")
    field_of_view: Metres = Field(default=6.4e-5, description="edge of the square imaged area at the culet")
    polygons: tuple[Polygon, ...] = ()
