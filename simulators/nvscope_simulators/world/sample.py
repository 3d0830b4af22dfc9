"""What a simulated lab is told about a sample: the ``[simulation]`` table of a sample file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nvscope.config import Frozen, Sample, validate
from nvscope.units import Hertz, Kelvin, Metres, Ohms, Pascals, Radians, Seconds, Tesla, Watts
from nvscope_simulators.world.arrays import JosephsonArray

Point = tuple[float, float]


class StressBump(Frozen):
    """A smooth local excess of normal stress."""

    center: tuple[Metres, Metres]
    radius: Metres
    amplitude: float = Field(description="relative to the mean")


class NormalStress(Frozen):
    """σ_ZZ over its mean: 1 + gradient + dome + bumps, then scaled so that the sample's mean is the nominal pressure.

    Lengths are metres from the image's centre; the field scales with pressure as a whole.
    """

    gradient: Point = Field(default=(0.0, 0.0), description="relative change per 10 µm along image x and y")
    dome: float = Field(default=0.0, ge=0, lt=1, description="relative fall far from the dome's centre")
    dome_center: tuple[Metres, Metres] = (0.0, 0.0)
    dome_radius: Metres = 1e-5
    dome_steepness: float = Field(default=2.0, gt=0, description="p in 1 - exp(-(r/R)^p)")
    bumps: tuple[StressBump, ...] = ()
    in_plane_ratio: float = Field(
        default=0.713, description="σ_XX / σ_ZZ in the mean; 0.713 puts D at 3.08 GHz, 21 GPa"
    )
    in_plane_follow: float = Field(default=0.5, description="how much of σ_ZZ's relative variation the plane follows")
    in_plane_anisotropy: tuple[float, float] = Field(
        default=(0.01, 0.005), description="(σ_XX − σ_YY)/2 and σ_XY over the mean σ_ZZ"
    )


class ShearBump(Frozen):
    """A flat-topped region of friction shear, exp(−(r/R)^steepness), pulling one way (azimuth in the culet frame)."""

    center: tuple[Metres, Metres]
    radius: Metres
    amplitude: Pascals = Field(description="at the reference pressure")
    azimuth: Radians
    steepness: float = Field(default=4.0, gt=0)


class Shear(Frozen):
    """Friction shear (σ_XZ, σ_YZ): bumps, and a radial part rising as (r/R)^power towards `rim_limit`."""

    reference_pressure: Pascals = 21e9
    bumps: tuple[ShearBump, ...] = ()
    rim_amplitude: Pascals = Field(default=0.0, description="radial shear at `rim_radius`, at the reference pressure")
    rim_radius: Metres = 1.0e-5
    rim_power: float = Field(default=4.0, gt=0)
    rim_limit: Pascals = Field(default=3e9, description="what the radial part saturates at")
    rim_center: tuple[Metres, Metres] = (0.0, 0.0)


class Inclusion(Frozen):
    """A round patch of other stoichiometry."""

    center: tuple[Metres, Metres]
    radius: Metres
    ratio: float = Field(description="La:Ni at its centre")


class Stripe(Frozen):
    """A straight band of other stoichiometry through the sample, with soft edges."""

    center: tuple[Metres, Metres]
    azimuth: Radians
    width: Metres
    ratio: float = Field(description="La:Ni inside")
    edge: Metres = 3e-7


class Chemistry(Frozen):
    """The La:Ni map and how much Tc dislikes its deviations from 1.5: exp(−(x − 1.5)²/2w²)."""

    ratio: float = 1.5
    tolerance: float = Field(default=0.1, gt=0, description="w")
    inclusions: tuple[Inclusion, ...] = ()
    stripes: tuple[Stripe, ...] = ()
    texture: float = Field(default=0.0, ge=0, description="standard deviation of a smooth random variation")
    texture_length: Metres = 1.5e-6
    texture_seed: int = 1


class LocalTc(Frozen):
    """Tc = T0 · A(σ_ZZ) · S(τ) · C(La:Ni)."""

    maximum: Kelvin = Field(default=80.0, description="T0; 0 for a sample that never superconducts")
    optimum: Pascals = 21e9
    width_above: Pascals = 9.24e9
    width_below: Pascals = 4.7e9
    critical_shear: Pascals = 2e9
    shear_power: float = Field(default=4.0, gt=0)


class ParamagneticPatch(Frozen):
    """A Wohlleben-like region: below its local Tc it *adds* field, without memory."""

    center: tuple[Metres, Metres]
    radius: Metres
    susceptibility: float = Field(gt=0)


class GranularBody(Frozen):
    """A body of weakly coupled grains: M = χ(T)(H − H_f) wherever it superconducts, |M| ≤ M_c(T)."""

    thickness: Metres = 8e-6
    susceptibility: float = Field(default=-0.16, le=0, description="at T = 0")
    quality_power: float = Field(default=1.0, ge=0, description="grains' share of a place ∝ C(La:Ni) to this power")
    penetration: float = Field(default=0.095, gt=0, description="penetration depth over grain radius, at T = 0")
    tc_spread: float = Field(default=0.008, gt=0, description="relative spread of the grains' Tc within a place")
    critical_magnetization: Tesla = Field(default=1.2e-2, ge=0, description="μ0 M_c at T = 0; 0 traps nothing")
    patches: tuple[ParamagneticPatch, ...] = ()


class SheetHole(Frozen):
    """A round hole in a connected sheet."""

    center: tuple[Metres, Metres]
    radius: Metres
    floating: bool = Field(
        default=True, description="keeps its fluxoid; a pinned one (g = 0) is cut to the edge by a slit too thin to see"
    )


class ConnectedSheet(Frozen):
    """A continuous superconducting sheet, thin against λ."""

    stiffness: Metres = Field(default=1.0e-5, gt=0, description="Λ = λ²/d at T = 0")
    critical_current: float = Field(default=1.0e4, ge=0, description="sheet critical current K_c at T = 0 (A/m)")
    cells: int = Field(default=128, ge=32, le=512, description="cells across the image")
    holes: tuple[SheetHole, ...] = ()


class TransportTruth(Frozen):
    """Normal-state resistivity (Bloch–Grüneisen with saturation) and contacts."""

    residual_resistivity: float = Field(default=2.0e-6, gt=0, description="ohm m")
    phonon_resistivity: float = Field(default=6.0e-6, ge=0, description="ohm m at 300 K")
    saturation_resistivity: float = Field(default=5e-5, gt=0, description="ohm m")
    debye_temperature: Kelvin = 550.0
    off_stoichiometry_factor: float = Field(
        default=1.0, ge=1, description="resistivity where C(La:Ni) vanishes, over the stoichiometric one"
    )
    connected_fraction: float = Field(
        default=1.0, ge=0, le=1, description="superconducting fraction of a superconducting place; a third percolates"
    )
    lead_resistance: Ohms = 4.0
    contact_resistance: Ohms = 0.5
    thermoelectric_offset: float = Field(default=8e-7, description="V with sample and instruments equally warm")
    thermoelectric_change: float = Field(default=2.5e-6, description="V more with the sample at 0 K")
    laser_pickup: float = Field(default=1e-6, description="V per watt of light on the sample")
    microwave_pickup: float = Field(default=5e-8, description="V per watt of microwaves, rectified at the contacts")


class PhotonBudget(Frozen):
    """What one pixel sees at the centre of the beam, at nominal exposure and powers."""

    electrons: float = Field(default=20000.0, gt=0)
    exposure: Seconds = 0.02
    laser_power: Watts = 0.05
    contrast: float = Field(default=0.02, gt=0, lt=1, description="of one line of the [111] group")
    half_width: Hertz = Field(default=6e6, description="of that line, at nominal microwave power")


class SpinTruth(Frozen):
    """The NV layer: stress susceptibilities (Hz/Pa) and line shape."""

    a1: float = 4.86e-3
    a2: float = -3.7e-3
    b: float = -2.3e-3
    c: float = 3.5e-3
    saturation: float = Field(default=1.0, gt=0, description="Ω²/ΓΓ' at nominal power in the image's centre")
    hyperfine: Hertz = Field(default=2.16e6, description="spacing of the nitrogen triplet")
    inversion_stress: Pascals = Field(
        default=1.2e9, description="uniaxial stress along the axis where dips turn into peaks"
    )
    inversion_width: Pascals = 0.6e9
    off_axis_contrast: float = Field(default=0.556, ge=0, description="of the three other groups, relative to [111]")
    mixing_field: Tesla = Field(default=1e-2, gt=0, description="field across an axis that halves its contrast")


class SampleTruth(Frozen):
    """The whole ``[simulation]`` table."""

    kind: Literal["granular", "sheet", "array", "empty"] = "granular"
    normal_stress: NormalStress = NormalStress()
    shear: Shear = Shear()
    chemistry: Chemistry = Chemistry()
    tc: LocalTc = LocalTc()
    body: GranularBody = GranularBody()
    sheet: ConnectedSheet = ConnectedSheet()
    array: JosephsonArray = JosephsonArray()
    transport: TransportTruth = TransportTruth()
    photons: PhotonBudget = PhotonBudget()
    spins: SpinTruth = SpinTruth()


def sample_truth(sample: Sample) -> SampleTruth:
    """Validate a sample's ``[simulation]`` table; errors name the sample, the key and what was expected."""
    return validate(SampleTruth, sample.simulation, f"sample {sample.name!r}", "simulation")
