"""Cryostat, magnets, transport network and camera of the simulated lab."""

import numpy as np
import pytest
from nvscope_simulators.world.camera import Camera, beam_profile, fixed_pattern
from nvscope_simulators.world.field import Magnets
from nvscope_simulators.world.geometry import inside, make_grid
from nvscope_simulators.world.sample import PhotonBudget, TransportTruth
from nvscope_simulators.world.settings import (
    CameraSettings,
    CryostatSettings,
    MagnetAxisSettings,
    OpticsSettings,
    WorldSettings,
)
from nvscope_simulators.world.thermal import Thermal
from nvscope_simulators.world.transport import Network, bloch_gruneisen, normal_resistivity
from scipy import stats

from nvscope.config import Loading
from nvscope.units import Resolved

# --- cryostat ---------------------------------------------------------------------------------------------------------


def test_steady_state_balances_heat():
    s = CryostatSettings()
    cryostat = Thermal(s)
    cryostat.advance(4 * 3600.0, 10.0, 0.5)
    platform, stage, sample = (cryostat.temperature(n) for n in ("platform", "stage", "sample"))
    removed = s.cooling_power * (platform - s.base_temperature) / (platform - s.base_temperature + s.cooling_half)
    entering = 10.5 + s.radiation * (s.room_temperature - stage)
    assert removed == pytest.approx(entering, rel=1e-6)
    assert stage - platform == pytest.approx(entering / s.platform_link, rel=1e-6)
    assert sample - stage == pytest.approx(0.5 / s.sample_link, rel=1e-6)


def test_cools_to_base_within_the_hour_and_reaches_nine_kelvin():
    cryostat = Thermal(CryostatSettings())
    cryostat.advance(3600.0, 0.0, 0.0)
    assert cryostat.temperature("sample") < 9.0
    assert cryostat.temperature("sample") > CryostatSettings().base_temperature


def test_ten_kelvin_a_minute_can_be_followed_both_ways():
    rate = 10 / 60
    cryostat = Thermal(CryostatSettings())
    start = cryostat.temperature("stage")
    elapsed = 0.0
    while cryostat.temperature("stage") > 25.0:
        elapsed += 1.0
        cryostat.advance(1.0, 0.0, 0.0)
        assert cryostat.temperature("stage") < start - rate * elapsed + 8.0  # the cold head is a few kelvin away
    cryostat = Thermal(CryostatSettings())
    cryostat.advance(3600.0, 0.0, 0.0)
    for _ in range(60):  # 50 W lift the cell faster than 10 K/min from any temperature below 280 K
        before = cryostat.temperature("stage")
        if before > 280:
            break
        cryostat.advance(20.0, 50.0, 0.0)
        assert cryostat.temperature("stage") - before > rate * 20
    assert cryostat.temperature("stage") > 270


def test_integration_does_not_depend_on_how_often_it_is_asked():
    once, often = Thermal(CryostatSettings()), Thermal(CryostatSettings())
    once.advance(600.0, 5.0, 0.1)
    for _ in range(6000):
        often.advance(0.1, 5.0, 0.1)
    assert once.temperature("sample") == pytest.approx(often.temperature("sample"), abs=1e-6)
    fine = Thermal(CryostatSettings())
    for _ in range(60000):
        fine.advance(0.01, 5.0, 0.1)
    assert once.temperature("sample") == pytest.approx(fine.temperature("sample"), abs=1e-3)


def test_unknown_sensor_is_named():
    with pytest.raises(ValueError, match="no temperature called 'nose'"):
        Thermal(CryostatSettings()).temperature("nose")


# --- magnets ----------------------------------------------------------------------------------------------------------


def test_coil_field_offset_and_tilt():
    settings = WorldSettings()
    magnets = Magnets(settings.magnets, settings.residual_field, 295.0)
    rest = magnets.field({"z": 0.0})
    np.testing.assert_allclose(rest, settings.residual_field)
    there, back = magnets.field({"z": 9.7}), magnets.field({"z": -9.7})
    np.testing.assert_allclose(there + back, 2 * rest, atol=1e-15)
    assert np.linalg.norm(there - rest) == pytest.approx(9.7 * 1.003e-3)
    assert magnets.field({"z": 15.0})[2] > 150e-4
    with pytest.raises(ValueError, match="no magnet axis called 'q'"):
        magnets.field({"q": 1.0})


def test_coil_warms_to_its_balance_and_cools_again():
    settings = WorldSettings()
    coil = settings.magnets["z"]
    magnets = Magnets(settings.magnets, settings.residual_field, 295.0)
    magnets.advance(1e5, {"z": 10.0})
    # balance of I² R (1 + α ΔT) with ΔT / R_th
    ohmic = 100 * coil.resistance * coil.thermal_resistance
    rise = ohmic / (1 - ohmic * coil.temperature_coefficient)
    assert magnets.axis("z").temperature - 295.0 == pytest.approx(rise, rel=1e-3)
    assert magnets.axis("z").resistance == pytest.approx(
        coil.resistance * (1 + coil.temperature_coefficient * rise), rel=1e-3
    )
    magnets.advance(1e5, {"z": 0.0})
    assert magnets.axis("z").temperature == pytest.approx(295.0, abs=1e-6)


def test_remanence_follows_the_last_large_current():
    settings = MagnetAxisSettings.model_validate(
        {"tesla_per_ampere": "500 G/A", "direction": (0, 0, 1), "remanence": "30 G", "coercive_current": "4 A"}
    )
    magnets = Magnets({"z": settings}, (0.0, 0.0, 0.0), 295.0)

    def left_after(*currents):
        for current in currents:
            magnets.follow({"z": current})
        return magnets.field({"z": currents[-1]})[2]

    assert left_after(0.0) == 0.0
    assert left_after(2.0, 0.0) == 0.0  # a small current leaves nothing
    assert left_after(60.0, 0.0) == pytest.approx(30e-4)  # 3 T leaves tens of gauss
    assert left_after(-60.0, 0.0) == pytest.approx(-30e-4)
    assert left_after(0.0) == pytest.approx(-30e-4)  # and waiting does not help
    assert abs(left_after(*(s * 20 * 0.9**k for k in range(60) for s in (1, -1)), 0.0)) < 4e-4  # alternating, fading


# --- geometry ---------------------------------------------------------------------------------------------------------


def test_polygon_area_and_orientation():
    grid = make_grid((64, 64), 40e-6, 512)
    x, y = grid.coordinates()
    triangle = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75))
    mask = inside(triangle, x, y, grid.extent)
    assert mask.mean() == pytest.approx(0.125, rel=0.01)
    assert mask[150, 200]  # row is y, column is x
    assert not mask[350, 350]


@pytest.mark.parametrize(("camera", "fine"), [((64, 64), 256), ((100, 60), 256), ((512, 512), 256)])
def test_fine_cells_fill_pixels(camera, fine):
    grid = make_grid(camera, 40e-6, fine)
    assert grid.shape[0] % camera[0] == 0
    assert min(grid.shape) >= fine
    x, y = grid.coordinates()
    cx, cy = grid.camera_coordinates()
    np.testing.assert_allclose(grid.to_camera(x), cx, atol=1e-12)
    np.testing.assert_allclose(grid.to_camera(y), cy, atol=1e-12)


# --- camera -----------------------------------------------------------------------------------------------------------


def make_camera(electrons=20000.0, seed=3, **settings):
    grid = make_grid((64, 64), 40e-6, 64)
    optics = OpticsSettings(beam_radius=Resolved(1.0))  # flat
    settings = {"flatness": 0.0, "hot_pixels": 0.0} | settings
    return Camera(CameraSettings(**settings), optics, PhotonBudget(electrons=electrons), grid, seed)


def frames(camera, count, relative=1.0, exposure=0.02, power=0.05):
    image = np.full(64 * 64, relative, dtype=np.float32)
    out = np.empty((count, 64, 64), dtype=np.uint16)
    for k in range(count):
        camera.digitise(image, exposure, power, out[k])
    return out


@pytest.mark.parametrize("electrons", [25.0, 400.0, 20000.0])
def test_noise_is_poisson_plus_read_noise(electrons):
    s = {"gain": 1.0, "offset": 100.0, "read_noise": 2.0, "dark_current": 0.0}
    values = frames(make_camera(electrons, **s), 64).astype(float) - 100.0
    n = values.size
    variance = electrons + 4.0 + 1 / 12  # digitising adds a twelfth of a squared unit
    assert values.mean() == pytest.approx(electrons, abs=5 * np.sqrt(variance / n))
    assert values.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / n))
    # third cumulant of a Poisson variable is its mean
    assert stats.skew(values.ravel()) == pytest.approx(electrons / variance**1.5, abs=5 * np.sqrt(6 / n))
    assert stats.kurtosis(values.ravel()) == pytest.approx(0.0, abs=0.1)


def test_noise_is_uncorrelated_between_pixels_and_frames():
    values = frames(make_camera(), 64).astype(float)
    values -= values.mean()
    n = values.size
    for axis in range(3):
        a, b = (np.take(values, range(k, values.shape[axis] - 1 + k), axis=axis) for k in (0, 1))
        assert (a * b).mean() / values.var() == pytest.approx(0.0, abs=5 / np.sqrt(n))


def test_same_seed_same_frames_other_seed_other_frames():
    assert np.array_equal(frames(make_camera(seed=5), 3), frames(make_camera(seed=5), 3))
    assert not np.array_equal(frames(make_camera(seed=5), 3), frames(make_camera(seed=6), 3))


def test_exposure_and_power_scale_the_signal_and_the_well_fills():
    camera = make_camera(gain=2.0, full_well=30000.0, dark_current=0.0)
    assert frames(camera, 8, exposure=0.01).mean() - 100 == pytest.approx(5000, rel=2e-3)
    # fluorescence goes as P/(P + 0.5 W): half the power gives 0.524 of the light
    assert frames(camera, 8, power=0.025).mean() - 100 == pytest.approx(10000 * 0.5 * 0.55 / 0.525, rel=2e-3)
    assert frames(camera, 1, exposure=0.2).max() == 15100
    assert frames(camera, 8, power=0.0).mean() == pytest.approx(100.0, abs=0.1)
    tiny = make_camera(gain=0.1)
    assert frames(tiny, 1, exposure=0.1).max() == 65535


def test_fixed_pattern_belongs_to_the_camera():
    flat, dark = fixed_pattern(CameraSettings(height=256, width=256))
    assert flat.mean() == pytest.approx(1.0, abs=1e-3)
    assert flat.std() == pytest.approx(0.01, rel=0.05)
    hot = dark > 100
    assert hot.mean() == pytest.approx(5e-4, rel=0.6)
    again, _ = fixed_pattern(CameraSettings(height=256, width=256))
    assert np.array_equal(flat, again)
    other, _ = fixed_pattern(CameraSettings(height=256, width=256, serial=1))
    assert not np.array_equal(flat, other)


def test_wrong_frame_is_refused():
    camera = make_camera()
    with pytest.raises(ValueError, match="4096 pixels"):
        camera.digitise(np.ones(4096, dtype=np.float32), 0.02, 0.05, np.empty((32, 32), dtype=np.uint16))


def test_beam_falls_to_its_radius():
    grid = make_grid((64, 64), 64e-6, 64)
    beam = beam_profile(OpticsSettings(beam_radius=Resolved(20e-6), beam_center=(0.25, 0.5)), grid)
    assert np.unravel_index(beam.argmax(), beam.shape)[1] in (15, 16)
    assert beam[32, 36] / beam[32, 16] == pytest.approx(np.exp(-2), rel=0.1)


# --- transport --------------------------------------------------------------------------------------------------------


def strip(**law):
    """A bar 20 µm × 5 µm on a 40 µm image, current along it, contacts on the current's path."""

    def box(name, kind, x0, x1, y0, y1):
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        return {"name": name, "kind": kind, "vertices": [(x / 40, y / 40) for x, y in corners]}

    polygons = [box("bar", "sample", 10, 30, 17.5, 22.5)]
    for name, x in (("I+", 10), ("I-", 29.375), ("V+", 15), ("V-", 25)):
        polygons.append(box(name, "lead", x, x + 0.625, 17.5, 22.5))
    loading = Loading.model_validate(
        {"name": "bar", "nominal_pressure": "1 GPa", "field_of_view": "40 um", "polygons": polygons}
    )
    grid = make_grid((64, 64), 40e-6, 256)
    x, y = grid.coordinates()
    mask = grid.to_camera(inside(loading.polygons[0].vertices, x, y, 40e-6).astype(float))
    return loading, grid, mask, TransportTruth(**law)


def test_bar_has_the_resistance_of_a_bar():
    loading, grid, mask, law = strip(contact_resistance=Resolved(1e3))
    network = Network(law, loading, grid, mask, np.zeros_like(mask), np.ones_like(mask), 8e-6, 0.01)
    four, two = network.resistances(300.0)
    rho = normal_resistivity(law, 300.0)
    # voltage probes 10 µm apart; each shorts nothing because its contact resistance is large
    assert four == pytest.approx(rho * 10e-6 / (5e-6 * 8e-6), rel=1e-3)
    assert two == pytest.approx(rho * 19.375e-6 / (5e-6 * 8e-6) + 2e3, rel=1e-3)


def test_bar_vanishes_below_tc_and_is_half_there_when_half_is():
    loading, grid, mask, law = strip(contact_resistance=Resolved(1e3))
    tc = np.where(grid.camera_coordinates()[0] < 0, 80.0, 0.0)
    network = Network(law, loading, grid, mask, tc, np.ones_like(mask), 8e-6, 0.01)
    normal = normal_resistivity(law, 70.0) * 10e-6 / (5e-6 * 8e-6)
    assert network.resistances(70.0)[0] == pytest.approx(normal / 2, rel=0.07)  # a cell in 16
    assert network.resistances(90.0)[0] == pytest.approx(
        normal_resistivity(law, 90.0) * 10e-6 / (5e-6 * 8e-6), rel=1e-3
    )
    whole = Network(law, loading, grid, mask, np.full_like(mask, 80.0), np.ones_like(mask), 8e-6, 0.01)
    assert whole.resistances(70.0)[0] < 1e-3 * normal


def test_missing_contact_reads_nothing():
    loading, grid, mask, law = strip()
    bare = loading.model_copy(update={"polygons": loading.polygons[:-1]})
    network = Network(law, bare, grid, mask, np.zeros_like(mask), np.ones_like(mask), 8e-6, 0.01)
    assert np.isnan(network.resistances(300.0)).all()


def test_bloch_gruneisen_limits():
    # t → 0: J5(∞) t⁵ with J5(∞) = 124.4313; t → ∞: t/4
    assert bloch_gruneisen(np.array([0.01]))[0] / 0.01**5 == pytest.approx(124.4313, rel=1e-5)
    assert bloch_gruneisen(np.array([20.0]))[0] == pytest.approx(5.0, rel=1e-3)
