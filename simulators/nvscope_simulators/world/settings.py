"""What a rig's simulated lab is made of: cryostat, magnets, optics and camera; everything has a sensible default."""

from __future__ import annotations

from pydantic import Field

from nvscope.config import Frozen
from nvscope.units import Amperes, DBm, Kelvin, Metres, Ohms, Radians, Seconds, Tesla, TeslaPerAmpere, Watts


class CryostatSettings(Frozen):
    """A three-node cryostat: cold head (platform), cell (stage, carries heater 1), diamonds (sample, heater 2)."""

    room_temperature: Kelvin = 295.0
    base_temperature: Kelvin = Field(default=3.5, description="the cold head with nothing to cool")
    cooling_power: Watts = Field(default=30.0, description="cooling power of a warm cold head")
    cooling_half: Kelvin = Field(default=80.0, description="excess over base at which half of it is left")
    platform_heat_capacity: float = Field(default=25.0, gt=0, description="J/K, warm")
    stage_heat_capacity: float = Field(default=75.0, gt=0, description="J/K, warm")
    sample_heat_capacity: float = Field(default=4.0, gt=0, description="J/K, warm")
    residual_heat_capacity: float = Field(default=0.08, gt=0, lt=1, description="fraction of it left at 0 K")
    heat_capacity_temperature: Kelvin = Field(default=75.0, description="where heat capacities begin to freeze out")
    platform_link: float = Field(default=2.0, gt=0, description="W/K between cold head and stage")
    sample_link: float = Field(default=2.0, gt=0, description="W/K between stage and sample")
    radiation: float = Field(default=4e-3, ge=0, description="W/K from the room to the stage")
    laser_absorption: float = Field(default=0.1, ge=0, le=1, description="fraction of laser power heating the sample")
    microwave_absorption: float = Field(default=0.002, ge=0, le=1, description="fraction of amplified power, likewise")
    spot_resistance: float = Field(default=20.0, ge=0, description="K/W from the illuminated sample to its sensor")


class MagnetAxisSettings(Frozen):
    """One magnet: what its current really does, as opposed to what its calibration says."""

    tesla_per_ampere: TeslaPerAmpere
    direction: tuple[float, float, float] = Field(description="field direction in the culet frame, need not be unit")
    resistance: Ohms = Field(default=0.0, description="at room temperature; 0 for a superconducting coil")
    thermal_resistance: float = Field(default=0.35, ge=0, description="K/W from the winding to the room")
    heat_capacity: float = Field(default=600.0, gt=0, description="J/K of the winding")
    temperature_coefficient: float = Field(default=3.93e-3, ge=0, description="1/K, of the resistance")
    remanence: Tesla = Field(default=0.0, description="field left at zero current after a large one")
    coercive_current: Amperes = Field(default=1.0, gt=0, description="current that turns the remanence over")


def _coil() -> dict[str, MagnetAxisSettings]:
    # 10 G/A nominal; the true coil is 0.3 % stronger and leans by 0.4 degrees
    return {
        "z": MagnetAxisSettings.model_construct(
            tesla_per_ampere=1.003e-3,
            direction=(0.007, -0.003, 1.0),
            resistance=0.6,
            thermal_resistance=0.35,
            heat_capacity=600.0,
            temperature_coefficient=3.93e-3,
            remanence=1.0e-5,
            coercive_current=2.0,
        )
    }


class CameraSettings(Frozen):
    """A scientific CMOS camera with its magnification: the image is the loading's field of view."""

    height: int = Field(default=64, ge=8, le=2048)
    width: int = Field(default=64, ge=8, le=2048)
    gain: float = Field(default=1.0, gt=0, description="electrons per digital unit")
    offset: float = Field(default=100.0, ge=0, description="digital units in the dark")
    read_noise: float = Field(default=2.0, ge=0, description="electrons")
    full_well: float = Field(default=50000.0, gt=0, description="electrons")
    dark_current: float = Field(default=0.5, ge=0, description="electrons per pixel and second")
    flatness: float = Field(default=0.01, ge=0, lt=0.3, description="relative scatter of the pixels' sensitivity")
    hot_pixels: float = Field(default=5e-4, ge=0, lt=0.1, description="fraction of pixels with a large dark current")
    hot_current: float = Field(default=3000.0, ge=0, description="their median dark current (electrons per second)")
    serial: int = Field(default=4711, description="which camera: decides its fixed pattern")


class OpticsSettings(Frozen):
    """Laser spot, imaging and NV layer."""

    beam_radius: Metres = Field(default=5.0e-5, description="1/e² radius of the laser spot")
    beam_center: tuple[float, float] = Field(default=(0.5, 0.5), description="in the image, fractions (x, y)")
    blur: Metres = Field(default=3.5e-7, description="standard deviation of the point-spread function")
    nv_depth: Metres = Field(default=5.0e-7, description="depth of the NV layer under the culet")
    reflection: float = Field(
        default=0.1, ge=0, le=1, description="extra light where metal lies behind the NV layer; half over the sample"
    )
    saturation_power: Watts = Field(
        default=0.5, gt=0, description="laser power at which fluorescence saturates by half"
    )
    contraction: Metres = Field(default=5e-7, description="how far the cell moves in the image on cooling from 300 K")
    contraction_azimuth: Radians = Field(default=0.6, description="image angle of that motion")
    drift: float = Field(default=5e-10, ge=0, description="m per square root of a second, random walk in x and y")
    focus_temperature: Kelvin = Field(default=60.0, description="where the operator focused")
    defocus: Metres = Field(default=3e-7, ge=0, description="blur added by the whole contraction from 300 K to 0 K")
    best_focus: Metres = Field(
        default=5.0e-5, description="position of a motorised focus that is sharp at focus_temperature"
    )
    focus_blur: float = Field(
        default=0.3, gt=0, description="blur per distance from the best focus: half the tangent of the aperture's angle"
    )


class MicrowaveSettings(Frozen):
    """The wire and what feeds it."""

    amplifier_gain_db: float = Field(default=30.0, description="between the source and the wire")
    distance: Metres = Field(default=6.0e-5, description="depth of the wire below the NV layer")
    elevation: Radians = Field(default=0.5, description="angle of the microwave field out of the culet plane")
    ripple: float = Field(default=0.08, ge=0, lt=1, description="relative ripple of the amplitude with frequency")
    ripple_period: float = Field(default=9e8, gt=0, description="period of the ripple (Hz)")


class WorldSettings(Frozen):
    """The rig-level physics of a simulated lab."""

    cryostat: CryostatSettings = CryostatSettings()
    magnets: dict[str, MagnetAxisSettings] = Field(default_factory=_coil)
    residual_field: tuple[Tesla, Tesla, Tesla] = Field(
        default=(1.5e-5, -1.0e-5, 3.5e-5), description="earth and building, culet frame"
    )
    camera: CameraSettings = CameraSettings()
    optics: OpticsSettings = OpticsSettings()
    microwave: MicrowaveSettings = MicrowaveSettings()
    tick: Seconds = Field(default=1.0, gt=0, description="longest time between two looks at the instruments")
    fine_pixels: int = Field(default=256, ge=32, le=2048, description="least number of cells across the image")
    nominal_power_dbm: DBm = Field(default=0.0, description="source power that gives the photon budget's contrast")
