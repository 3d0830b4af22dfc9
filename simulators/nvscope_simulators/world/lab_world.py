"""The world behind a simulated lab: one sample in one cell in one cryostat, moved along by whoever asks."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nvscope.config import Loading, Sample
from nvscope_simulators.ports import Ports
from nvscope_simulators.timeline import Timeline
from nvscope_simulators.world.conductor import (
    CONTACTS,
    ArrayConductor,
    Conductor,
    Disturbance,
    Leads,
    SampleConductor,
    voltages,
)
from nvscope_simulators.world.field import Magnets
from nvscope_simulators.world.geometry import Array, make_grid, region
from nvscope_simulators.world.maps import SampleMaps, resample, sample_maps
from nvscope_simulators.world.microscope import TEMPERATURE_STEP, Microscope, Picture
from nvscope_simulators.world.ruby import r1_wavelength
from nvscope_simulators.world.sample import SampleTruth, sample_truth
from nvscope_simulators.world.sample_state import make_magnetism
from nvscope_simulators.world.settings import WorldSettings
from nvscope_simulators.world.thermal import Thermal
from nvscope_simulators.world.transport import Network
from nvscope_simulators.world.wiring import COLUMNS, switched

_MEMORY_STEP = 0.05  # K: the memory is told of every such step below the highest Tc
_LIGHT_TIME = 0.3  # s in which the illuminated crystal follows its heat
_TRANSPORT_CELLS = (64, 64)


class LabWorld:
    """The physics of a simulated lab; implements `nvscope_simulators.world.interface.World`.

    Rig time 0 finds everything at room temperature, in no field but the residual one.
    """

    def __init__(
        self,
        timeline: Timeline,
        ports: Ports,
        truth: SampleTruth,
        loading: Loading,
        settings: WorldSettings,
        seed: int,
    ) -> None:
        self.timeline = timeline
        self.ports = ports
        self.rng = np.random.default_rng(np.random.SeedSequence([seed, 0x1257]))
        self.sample_truth = truth
        self.loading = loading
        self.settings = settings
        camera = (settings.camera.height, settings.camera.width)
        self._grid = make_grid(camera, loading.field_of_view, settings.fine_pixels)
        self._maps = sample_maps(truth, loading, self._grid)
        room = settings.cryostat.room_temperature
        self._thermal = Thermal(settings.cryostat)
        self._magnets = Magnets(settings.magnets, settings.residual_field, room)
        self._applied = self._magnets.field(ports.magnet.current)
        self._magnetism = make_magnetism(truth, self._maps, settings.optics, room, float(self._applied[2]))
        self._microscope = Microscope(truth, loading, self._maps, settings, seed)
        self._conductor: Conductor | None = None
        self._switched: tuple[Network, float, Array] | None = None
        self.leads = Leads()
        """The state of contacts and leads, for faults to change."""
        self._now = timeline.now
        self._light_excess = 0.0
        self._remembered = room
        timeline.every(settings.tick, self.advance)

    # --- time ---------------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Bring the world to the timeline's now, with what the instruments put out at present."""
        seconds = self.timeline.now - self._now
        self._magnets.follow(self.ports.magnet.current)
        applied = self._magnets.field(self.ports.magnet.current)
        moved = bool(np.any(applied != self._applied))
        if seconds <= 0 and not moved:
            return
        light = self._light_heat()
        heaters = self.ports.heaters.power
        while seconds > 0:
            # long jumps are cut so that no place can cross its Tc and come back unseen
            step = min(seconds, self.settings.tick)
            cooling = self.ports.cooler.running
            self._thermal.advance(step, heaters.get(1, 0.0), heaters.get(2, 0.0) + light, cooling=cooling)
            self._magnets.advance(step, self.ports.magnet.current)
            settled = self.settings.cryostat.spot_resistance * light
            self._light_excess = settled + (self._light_excess - settled) * math.exp(-step / _LIGHT_TIME)
            seconds -= step
            if seconds > 0 and abs(self.crystal_temperature - self._remembered) > _MEMORY_STEP:
                self._remember(self._applied)
        self._now = self.timeline.now
        if moved or abs(self.crystal_temperature - self._remembered) > _MEMORY_STEP:
            self._remember(applied)
        self._applied = applied

    def _remember(self, applied: Array) -> None:
        self._remembered = self.crystal_temperature
        self._magnetism.advance(self._remembered, float(applied[2]))

    def _light_heat(self) -> float:
        return self._thermal.light_heat(self._light(), self._microwaves())

    def _light(self) -> float:
        return self.ports.laser.power if self.ports.laser.gate_open else 0.0

    def _microwaves(self) -> float:
        microwave = self.ports.microwave
        return self._microscope.spins.power(microwave.power_dbm) if microwave.on else 0.0

    @property
    def crystal_temperature(self) -> float:
        """Temperature (K) of the illuminated sample itself, light heating included."""
        return self._thermal.temperature("sample") + self._light_excess

    # --- what instruments ask -----------------------------------------------------------------------------------------

    def temperature(self, sensor: str) -> float:
        """Return the true temperature (K) at ``"sample"``, ``"stage"`` or ``"platform"``."""
        self.advance()
        return self._thermal.temperature(sensor)

    def coil_resistance(self, axis: str) -> float:
        """Return the resistance (ohm) of a magnet's winding, warm from its own current."""
        self.advance()
        return self._magnets.axis(axis).resistance

    def coil_temperature(self, axis: str) -> float:
        """Return the temperature (K) of a magnet's winding."""
        self.advance()
        return self._magnets.axis(axis).temperature

    def applied_field(self) -> Array:
        """Return the field (T) of all magnets and the residual at the sample, shape (3,), culet frame."""
        self.advance()
        return self._applied.copy()

    def four_probe_voltage(self, current: float) -> float:
        """Return the voltage (V) between the inner contacts at `current` (A): thermoelectric offset and pickup in."""
        return self._voltages(current)[0] + self._contact_noise()

    def two_probe_voltage(self, current: float) -> float:
        """Return the voltage (V) the current source has to supply, leads included; infinite without a path."""
        return self._voltages(current)[1]

    def _voltages(self, current: float) -> tuple[float, float]:
        law = self.sample_truth.transport
        closed = self.ports.matrix.closed
        if closed is not None:
            four, two = switched(self._contact_conductance(), law.lead_resistance, self.leads, closed)
            return four * current + self._offset(), 0.0 if current == 0 else two * current
        resistances = self.resistances(current)
        return voltages(law, self.leads, resistances, current, self._offset())

    def _contact_noise(self) -> float:
        """What bad contacts add to this reading (V)."""
        if not self.leads.noise:  # else every reading would draw, and a lab without the fault read other numbers
            return 0.0
        closed = self.ports.matrix.closed
        seen = {row: COLUMNS[column] for row, column in closed} if closed is not None else dict(enumerate(CONTACTS))
        return float(self.rng.normal(0.0, self.leads.noise_between(seen.get(2, ""), seen.get(3, ""))))

    def _offset(self) -> float:
        room, sample = self.settings.cryostat.room_temperature, self._thermal.temperature("sample")
        return Disturbance(sample, room, self._light(), self._microwaves()).voltage(self.sample_truth.transport)

    def _contact_conductance(self) -> Array:
        """Conductance between the four contacts now (S); zero where contacts miss the sample."""
        self.advance()
        temperature = self.crystal_temperature
        network = self._switched or (self.network(), math.inf, np.zeros((4, 4)))
        if not abs(network[1] - temperature) <= TEMPERATURE_STEP / 2:  # solving takes milliseconds
            network = network[0], temperature, network[0].conductance(temperature)
        self._switched = network
        return network[2]

    def resistances(self, current: float = 0.0) -> tuple[float, float]:
        """Return the sample's V34/I12 and two-probe resistance (ohm) now; NaN where a contact misses the sample."""
        self.advance()
        if self._conductor is None:
            kind = self.sample_truth.kind
            array = ArrayConductor(self.sample_truth.array) if kind == "array" else None
            self._conductor = array or SampleConductor(self.network(), TEMPERATURE_STEP / 2)
        return self._conductor.resistances(self.crystal_temperature, self._applied, current)

    def network(self) -> Network:
        """Build the sample's network of resistors."""
        truth = self.sample_truth
        grid = make_grid(_TRANSPORT_CELLS, self.loading.field_of_view, 256)
        maps = resample(truth, self._maps, grid)
        mask, tc, quality = (grid.to_camera(a) for a in (maps.body.astype(np.float64), maps.tc, maps.quality))
        body = truth.body
        return Network(truth.transport, self.loading, grid, mask, tc, quality, body.thickness, body.tc_spread)

    def ruby_wavelength(self) -> float:
        """Return the R1 wavelength (m) of the ruby pellet: its place's normal stress, the sample's temperature.

        Without a ruby in the loading, the nominal pressure is taken.
        """
        self.advance()
        x, y = self._grid.coordinates()
        pellet = region(self.loading, "ruby", x, y)
        normal = self._maps.stress[..., 2, 2]
        pressure = float(normal[pellet].mean()) if pellet.any() else self.loading.nominal_pressure
        return r1_wavelength(pressure, self._thermal.temperature("sample"))

    # --- light --------------------------------------------------------------------------------------------------------

    @property
    def image_shape(self) -> tuple[int, int]:
        """Camera image shape (y, x)."""
        return self._grid.camera

    @property
    def saturation(self) -> int:
        """Digital value of a saturated pixel."""
        return self._microscope.camera.saturation

    def expose(self, exposure: float, out: NDArray[np.uint16]) -> None:
        """Fill `out` (y, x, C order) with one exposure of `exposure` seconds ending now."""
        self._microscope.camera.digitise(self._relative(), exposure, self._light(), out)

    def mean_electrons(self, exposure: float) -> Array:
        """Return what `expose` would give without noise, offset and saturation, in electrons, camera shape."""
        camera = self._microscope.camera
        return camera.mean_electrons(self._relative(), exposure, self._light()).reshape(self.image_shape)

    def _relative(self) -> NDArray[np.float32]:
        microwave = self.ports.microwave
        return self._microscope.relative(self._present(), microwave.frequency if microwave.on else None)

    def _present(self) -> Picture:
        """Return the picture for now, worked out anew only if something moved."""
        self.advance()
        ports = self.ports
        where = self.timeline.now, self.crystal_temperature
        state = *where, self._applied, ports.focus.position, ports.microwave.power_dbm
        picture = self._microscope.current(*state)
        if picture is None:
            self._remember(self._applied)
            picture = self._microscope.look(*state, self._magnetism)
        return picture

    # --- truth --------------------------------------------------------------------------------------------------------

    @property
    def maps(self) -> SampleMaps:
        """The sample's fixed maps on the fine grid."""
        return self._maps

    def truth(self) -> Mapping[str, Array]:
        """Return what does not change, camera resolution: Tc (K), stress (Pa), La:Ni, covered part of a pixel."""
        maps, to_camera = self._maps, self._grid.to_camera
        return {
            "tc": to_camera(maps.tc),
            "sigma_zz": to_camera(maps.stress[..., 2, 2]),
            "sigma_xz": to_camera(maps.stress[..., 0, 2]),
            "sigma_yz": to_camera(maps.stress[..., 1, 2]),
            "tau": to_camera(maps.tau),
            "la_ni_ratio": to_camera(maps.ratio),
            "mask": to_camera(maps.body.astype(np.float64)),
        }

    def snapshot(self) -> Mapping[str, Array | float]:
        """Return the present truth at camera resolution.

        Returns
        -------
        mapping
            ``b_z`` (T, culet normal), ``s`` (b_z over the applied Z field, NaN in zero field), ``f_minus`` and
            ``f_plus`` of the [111] group (Hz), ``temperature`` of the crystal (K), ``h`` (applied Z field, T),
            ``shift_x`` and ``shift_y``, how far the cell has moved in the image (m), ``rig_time`` (s).
        """
        picture = self._present()
        shape, h = self.image_shape, float(picture.applied[2])
        b_z = picture.field[2].reshape(shape)
        return {
            "b_z": b_z,
            "s": b_z / h if h else np.full(shape, np.nan),
            "f_minus": picture.frequencies[0, 0].reshape(shape),
            "f_plus": picture.frequencies[0, 1].reshape(shape),
            "temperature": picture.temperature,
            "h": h,
            "shift_x": picture.shift[0],
            "shift_y": picture.shift[1],
            "rig_time": self.timeline.now,
        }


def build_world(
    timeline: Timeline, ports: Ports, sample: Sample, loading: Loading, settings: WorldSettings, seed: int
) -> LabWorld:
    """Build the world behind a simulated lab.

    Parameters
    ----------
    timeline, ports : Timeline, Ports
        The lab's.
    sample : Sample
        Its ``[simulation]`` table is the truth.
    loading : Loading
        Pressure, crystal orientation, outline, field of view.
    settings : WorldSettings
        Rig-level physics.
    seed : int
        Of every random number; frames and readings have separate streams.

    Raises
    ------
    ConfigError
        If the sample's ``[simulation]`` table is wrong.
    """
    return LabWorld(timeline, ports, sample_truth(sample), loading, settings, seed)
