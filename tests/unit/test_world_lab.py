"""The whole simulated lab: what its instruments would see."""

import numpy as np
import pytest
import zarr
from nvscope_simulators.ports import Ports
from nvscope_simulators.timeline import Timeline
from nvscope_simulators.world.interface import World
from nvscope_simulators.world.lab_world import LabWorld, build_world
from nvscope_simulators.world.settings import WorldSettings
from nvscope_simulators.world.truth import TruthWriter

from nvscope.config import Loading, Sample, read_model
from nvscope.errors import ConfigError


def make(sample: str = "s1", seed: int = 1, pressure: float = 21e9, **settings: object) -> LabWorld:
    loading = read_model(Loading, "loadings", "s1").model_copy(update={"nominal_pressure": pressure})
    rig = WorldSettings.model_validate(settings)
    return build_world(Timeline(), Ports(), read_model(Sample, "samples", sample), loading, rig, seed)


def wait(world: LabWorld, seconds: float, step: float = 1.0) -> None:
    """Let rig time pass as the lab does, without its event loop."""
    end = world.timeline.now + seconds
    while world.timeline.now < end - 1e-9:
        world.timeline.now = min(end, world.timeline.now + step)
        world.advance()


def regulate(world: LabWorld, target: float, seconds: float = 3000.0) -> None:
    """Reach `target` (K) by the heater, as a controller would, from either side without overshooting."""
    integral = 0.0
    for _ in range(int(seconds / 0.5)):
        wait(world, 0.5, 0.5)
        error = target - world.temperature("sample")
        integral = min(max(integral + 0.02 * error, 0.0), 50.0) if abs(error) < 5 else max(integral, 0.0)
        world.ports.heaters.power[1] = min(max(5.0 * error + integral, 0.0), 50.0)
        if abs(error) < 1e-3 and _ > 200:
            return
    raise AssertionError(f"stuck at {world.temperature('sample')} K on the way to {target} K")


def light(world: LabWorld, frequency: float | None = None) -> None:
    world.ports.laser.power, world.ports.laser.gate_open = 0.05, True
    world.ports.microwave.on = frequency is not None
    world.ports.microwave.power_dbm = 0.0
    world.ports.microwave.frequency = frequency or 2.87e9
    wait(world, 10.0)


@pytest.fixture(scope="module")
def cold() -> LabWorld:
    """S1 at 20 K after zero-field cooling, 97 G switched on."""
    world = make()
    wait(world, 5.0)
    world.ports.magnet.current["z"] = -world.applied_field()[2] / 1.003e-3  # null the residual along Z
    regulate(world, 20.0)
    world.ports.magnet.current["z"] += 97e-4 / 1.003e-3
    wait(world, 2.0)
    return world


def test_is_a_world():
    world: World = make()
    assert world.image_shape == (64, 64)
    assert world.temperature("sample") == pytest.approx(295.0)


@pytest.mark.parametrize("sample", ["s1", "s2", "s3", "bscco", "empty", "no-trap", "array"])
def test_every_sample_comes_with_a_loading_and_gives_frames(sample):
    loading = read_model(Loading, "loadings", sample)
    rig = WorldSettings.model_validate({"camera": {"height": 24, "width": 40}})  # not square, not a power of two
    world = build_world(Timeline(), Ports(), read_model(Sample, "samples", sample), loading, rig, 1)
    light(world, 2.9e9)
    out = np.zeros((24, 40), dtype=np.uint16)
    world.expose(0.02, out)
    assert 5000 < out.mean() < 25000
    snapshot = world.snapshot()
    assert all(np.isfinite(value).all() for value in snapshot.values())
    assert snapshot["f_plus"].shape == (24, 40)
    assert all(value.shape == (24, 40) for value in world.truth().values())
    assert 690e-9 < world.ruby_wavelength() < 705e-9


def test_simulation_table_is_checked():
    sample = read_model(Sample, "samples", "s1").model_copy(update={"simulation": {"body": {"thicknes": "8 um"}}})
    loading = read_model(Loading, "loadings", "s1")
    with pytest.raises(ConfigError, match=r"simulation\.body\.thicknes: unknown key; did you mean 'thickness'"):
        build_world(Timeline(), Ports(), sample, loading, WorldSettings(), 1)


def test_ring_screens_and_hole_does_not(cold):
    s = np.asarray(cold.snapshot()["s"])
    x, y = cold.maps.grid.camera_coordinates()
    r = np.hypot(x, y)
    ring = (r > 6.5e-6) & (r < 8.5e-6) & (x > -5e-6)  # away from the paramagnetic patch
    assert np.median(s[ring]) == pytest.approx(0.947, abs=0.004)
    assert 1.008 < s[r < 2e-6].mean() < 1.02
    assert s[r > 13e-6].max() <= 1.01
    assert s[(x < -7e-6) & (np.abs(y + 2e-6) < 1.5e-6)].max() > 1.03  # the patch adds field


def test_frame_has_the_photon_budget(cold):
    light(cold)
    dark_free = cold.mean_electrons(0.02)
    # in the middle of the beam, where the sample sends 5 % back; single pixels differ by the camera's 1 %
    expected = 1.05 * 20000 * np.exp(-2 * (0.8 / 50) ** 2)
    assert dark_free[30:34, 30:34].mean() == pytest.approx(expected, rel=0.01)
    out = np.empty((64, 64), dtype=np.uint16)
    cold.expose(0.02, out)
    expected = dark_free + cold.settings.camera.offset
    # 4096 pixels, 1 % noise each
    assert (out / expected - 1).mean() == pytest.approx(0.0, abs=5 * 0.012 / 64)
    cold.ports.laser.gate_open = False
    cold.expose(0.02, out)
    assert out.mean() == pytest.approx(cold.settings.camera.offset, abs=0.2)


def test_aligned_line_has_contrast_and_width_of_the_budget(cold):
    light(cold, 2.87e9)
    snapshot = cold.snapshot()
    row, column = 32, 32
    f_plus = float(snapshot["f_plus"][row, column])
    offsets = np.arange(-25e6, 25.1e6, 0.25e6)
    values = []
    for offset in offsets:
        cold.ports.microwave.frequency = f_plus + offset
        values.append(cold.mean_electrons(0.02)[row, column])
    cold.ports.microwave.on = False
    base = cold.mean_electrons(0.02)[row, column]
    cold.ports.microwave.on = True
    rise = np.array(values) / base - 1
    assert rise.max() == pytest.approx(0.02, rel=0.12)  # the wire's ripple and the line's share of the pair move it
    assert offsets[rise.argmax()] == pytest.approx(0.0, abs=0.3e6)
    above = offsets[rise > rise.max() / 2]
    assert (above[-1] - above[0]) / 2 == pytest.approx(6e6, rel=0.12)


def test_lines_sit_where_the_experiment_found_them(cold):
    snapshot = cold.snapshot()
    center = (np.asarray(snapshot["f_plus"]) + np.asarray(snapshot["f_minus"])) / 2
    body = cold.truth()["mask"] > 0.5
    assert np.median(center[body]) == pytest.approx(3.08e9, abs=0.01e9)  # D ≈ 3.08 GHz at 21 GPa
    for name in ("f_minus", "f_plus"):  # a window of 150 MHz holds every pixel's line with three widths to spare
        lines = np.asarray(snapshot[name])
        assert np.abs(lines - np.median(lines)).max() < 75e6 - 3 * 6e6


def test_frames_do_not_disturb_readings_and_seeds_decide():
    out = np.empty((64, 64), dtype=np.uint16)
    first, second = make(seed=3), make(seed=3)
    light(first)
    light(second)
    first.expose(0.02, out)
    assert first.rng.normal() == second.rng.normal()
    other = np.empty_like(out)
    second.expose(0.02, other)
    assert np.array_equal(out, other)


def test_picture_is_worked_out_once_per_state(cold, monkeypatch):
    light(cold, 2.87e9)
    out = np.empty((64, 64), dtype=np.uint16)
    cold.expose(0.02, out)
    calls = []
    spins = cold._microscope.spins
    real = spins.positions
    monkeypatch.setattr(spins, "positions", lambda *a: calls.append(a) or real(*a))
    for k in range(20):
        cold.ports.microwave.frequency = 2.8e9 + 1e6 * (k % 5)
        cold.expose(0.02, out)
    assert calls == []
    cold.ports.magnet.current["z"] += 0.01
    cold.expose(0.02, out)
    cold.ports.magnet.current["z"] -= 0.01
    cold.expose(0.02, out)
    assert len(calls) == 2


def test_stress_scales_with_pressure():
    for pressure, low, high in ((16e9, 13e9, 18e9), (21e9, 17.06e9, 23.63e9)):
        truth = make(pressure=pressure).truth()
        inside = truth["mask"] > 0.99
        assert truth["sigma_zz"][inside].mean() == pytest.approx(pressure, rel=0.01)
        assert truth["sigma_zz"][inside].min() > low
        assert truth["sigma_zz"][inside].max() < high
        assert np.ptp(truth["sigma_zz"][inside]) > 0.8 * (high - low)


def test_local_tc_follows_pressure():
    highest = {p: make(pressure=p * 1e9).truth()["tc"].max() for p in (14, 15, 16, 21, 25)}
    assert highest[14] == 0.0
    assert highest[15] < 20.0
    assert 20.0 < highest[16] < 60.0
    assert highest[21] == pytest.approx(80.0, abs=1.0)
    assert 60.0 < highest[25] < 72.0


def test_resistance_drops_where_the_first_places_superconduct():
    world = make()
    readings = {}
    for temperature in (100.0, 84.0, 74.0, 60.0):
        regulate(world, temperature)
        readings[temperature] = world.four_probe_voltage(1e-3) - world.four_probe_voltage(0.0)
    assert 0.8 < readings[84.0] / readings[100.0] < 1.0  # a metal above Tc
    assert readings[74.0] < 0.5 * readings[84.0]
    assert readings[60.0] < 0.05 * readings[84.0]
    assert world.two_probe_voltage(1e-3) > 8e-3


def test_long_waits_are_cheap_in_steps():
    # a jump of ten hours in one call and the same in single seconds end in the same place
    once, often = make(), make()
    once.timeline.now = 36000.0
    once.advance()
    wait(often, 36000.0, 1.0)
    assert once.temperature("sample") == pytest.approx(often.temperature("sample"), abs=1e-6)


def test_truth_is_written_and_read_back(cold, tmp_path):
    writer = TruthWriter(tmp_path / "truth.zarr", cold.truth(), {"sample": "S1"})
    writer.append(cold.snapshot())
    writer.append(cold.snapshot())
    group = zarr.open_group(str(tmp_path / "truth.zarr"), mode="r")
    assert group.attrs["sample"] == "S1"
    np.testing.assert_allclose(group["static/tc"][...], cold.truth()["tc"], rtol=1e-6)
    assert group["snapshots/s"].shape == (2, 64, 64)
    np.testing.assert_allclose(group["snapshots/f_plus"][1], cold.snapshot()["f_plus"], rtol=1e-12)
    assert group["snapshots/temperature"][0] == pytest.approx(cold.snapshot()["temperature"])
    assert group["snapshots/b_z"].attrs["units"] == "T"
    with pytest.raises(FileExistsError, match=r"truth\.zarr: exists"):
        TruthWriter(tmp_path / "truth.zarr", cold.truth())
