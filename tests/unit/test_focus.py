"""Sharpness of images, the focus in the simulated world, and what a plan without hardware says about autofocus."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from nvscope_simulators.lab import Lab, LabRequest
from scipy.ndimage import gaussian_filter

from nvscope.cli.selection import resolve_parameters, select
from nvscope.devices.focus import FocusDevice, Look, Position
from nvscope.devices.sharpness import sharpest, sharpness
from nvscope.engine.planning import planning_rig
from nvscope.errors import DataError, LimitError
from nvscope.plans import OdmrSettings, autofocus, dry_run, find_sequence

SELECTION = select("simulated-focus", "s1", None)


def frames(scene, count, rng):
    return rng.poisson(scene, (count, *scene.shape)).astype(np.uint16)


@pytest.fixture
def scene():
    picture = np.full((32, 32), 9000.0)
    picture[8:24, 10:20] *= 1.1
    return picture


def test_sharpness_has_no_bias_from_noise_and_an_honest_error(scene):
    rng = np.random.default_rng(1)
    truth = sum(((a[2:] - a[:-2]) ** 2).mean() for a in (scene, scene.T)) / scene.mean() ** 2
    found = np.array([sharpness(frames(scene, 8, rng) + 100, 100.0) for _ in range(100)])
    # 100 images: their mean is known to a tenth of an error, the error itself (of 4 pairs) to 4 %
    assert found[:, 0].mean() == pytest.approx(truth, abs=0.4 * found[:, 1].mean())
    assert found[:, 0].std() / math.sqrt((found[:, 1] ** 2).mean()) == pytest.approx(1.0, abs=0.25)


def test_sharpness_falls_with_blur_and_does_not_see_the_laser(scene):
    rng = np.random.default_rng(2)
    values = [sharpness(frames(gaussian_filter(scene, blur), 8, rng), 0.0)[0] for blur in (0.0, 0.8, 1.6, 3.2)]
    assert values == sorted(values, reverse=True)
    brighter = sharpness(frames(3 * scene, 8, rng), 0.0)[0]
    assert brighter == pytest.approx(values[0], rel=0.05)


def test_sharpness_of_the_dark_or_of_too_little_is_an_error(scene):
    with pytest.raises(DataError, match="no light"):
        sharpness(np.full((8, 32, 32), 100, np.uint16), 100.0)
    for images in (np.ones((3, 32, 32), np.uint16), np.ones((8, 32, 6), np.uint16)):
        with pytest.raises(DataError, match="at least"):
            sharpness(images, 0.0)


def test_the_sharpest_place_is_the_top_of_a_parabola():
    z = [0.0, 1.0, 2.0, 3.0]
    assert sharpest(z, [5 - (x - 1.3) ** 2 for x in z]) == pytest.approx(1.3)
    assert sharpest(z, [4.0, 3.0, 2.0, 1.0]) == 0.0
    assert sharpest(z, [1.0, 2.0, 3.0, 4.0]) == 3.0
    assert sharpest(z, [1.0, 2.0, 2.0, 1.0]) == pytest.approx(1.5)


@pytest.fixture(scope="module")
def world():
    rig, sample, loading = SELECTION.rig, SELECTION.sample, SELECTION.loading
    world = Lab(LabRequest(rig, sample, loading, image_shape=(32, 32))).world
    world.ports.laser.power, world.ports.laser.gate_open = 0.05, True
    return world


def test_the_world_is_sharp_where_it_should_be(world):
    assert world.ports.focus.position is None  # no instrument has been plugged in
    still = world.mean_electrons(0.02)

    def seen(position):
        world.ports.focus.position = position
        return world.mean_electrons(0.02)

    places = 50e-6 + 1e-6 * np.arange(-5, 6)
    values = [sharpness(np.stack([seen(z)] * 4).round().astype(np.uint16), 0.0)[0] for z in places]
    # warm, the cell has moved by 0.9 um from where the operator focused at 60 K
    assert sharpest(list(places), values) == pytest.approx(49.1e-6, abs=0.2e-6)
    best = seen(49.093e-6)  # as sharp as where there is nothing to move
    np.testing.assert_allclose(best, still, rtol=1e-3)
    assert np.abs(seen(43e-6) / still - 1).max() > 0.02
    world.ports.focus.position = None
    np.testing.assert_array_equal(world.mean_electrons(0.02), still)


def walk(rig, *settings, shape=(32, 32)):
    sequence = find_sequence("odmr")
    devices = planning_rig(rig, SELECTION.sample, SELECTION.loading, shape)
    return dry_run(sequence.plan(devices, resolve_parameters(sequence, settings)))


def test_a_plan_counts_the_time_of_autofocus():
    without, once = walk(SELECTION.rig), walk(SELECTION.rig, "autofocus=point")
    (step,) = (step for step in once.steps if step.text.startswith("autofocus"))
    assert step.text == "autofocus: 11 positions over 10 um"
    # eleven positions and the one it ends at, 8 frames of 25 ms each, and the moves
    assert 12 * 8 * 0.025 < step.duration < 12 * (8 * 0.025 + 0.1)
    assert once.duration == pytest.approx(without.duration + step.duration)
    assert once.frames == without.frames + 12 * 8


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (["autofocus=point", "focus_range=90 um"], "more than this rig's travel of 80 um"),
        (["autofocus=point", "laser_power=1 W"], "laser power 1 W"),
    ],
)
def test_what_cannot_be_focused_is_refused_before_anything_moves(settings, complaint):
    with pytest.raises(LimitError, match=complaint):
        walk(SELECTION.rig, *settings)


@pytest.mark.parametrize("sequence", ["odmr", "zfc-fw", "flux-trap"])
def test_a_rig_without_a_focus_drive_refuses(sequence):
    found = find_sequence(sequence)
    bare = select("simulated", "s1", None)
    devices = planning_rig(bare.rig, bare.sample, bare.loading, None)
    with pytest.raises(LimitError, match="rig 'simulated' has none"):
        dry_run(found.plan(devices, resolve_parameters(found, ["autofocus=point"])))


def carry_out(plan, position, sharp):
    """Answer a plan's messages as a rig would whose image is as sharp as `sharp(position)`; returns what it did."""
    looked, warnings, answer = math.nan, [], None
    while True:
        try:
            message = plan.send(answer)
        except StopIteration as end:
            return end.value, position, warnings
        answer = None
        if message.command == "set" and isinstance(message.args[0], Position):
            message.obj.check(message.args[0])
            position = message.args[0].target
        elif message.command == "set":
            looked = sharp(position)
        elif message.command == "read":
            values = (position, looked, 0.01)
            keys = ("focus_position", "focus_sharpness", "focus_sharpness_err")
            answer = {key: {"value": value} for key, value in zip(keys, values, strict=True)}
        elif message.command == "warn":
            warnings.append(message.args[0])


@pytest.mark.parametrize(
    ("start", "best", "ends", "warning"),
    [
        (50e-6, 51.3e-6, 51.3e-6, None),  # within the first scan
        (50e-6, 38e-6, 38e-6, None),  # two scans further down
        (12e-6, 14.2e-6, 14.2e-6, None),  # near an end of the travel, where a scan is shifted
        (88e-6, 120e-6, 88e-6, "sharpest at the end"),  # out of reach: back to where it was
        (50e-6, None, 50e-6, "no position is sharper"),  # nothing to see
    ],
)
def test_where_autofocus_ends(start, best, ends, warning):
    rig = planning_rig(SELECTION.rig, SELECTION.sample, SELECTION.loading, (32, 32))
    plan = autofocus(rig, OdmrSettings())

    def sharp(z):
        return 1.0 if best is None else 10 - ((z - best) / 1e-6) ** 2

    said, position, warnings = carry_out(plan, start, sharp)
    assert (said, position) == pytest.approx((ends, ends))
    assert len(warnings) == (warning is not None)
    assert all(warning in text for text in warnings)


def test_the_rig_file_and_the_drive_both_limit_the_travel():
    drive = SimpleNamespace(travel=(0.0, 80e-6))
    device = FocusDevice(drive, None, None, SELECTION.rig.limits, None, SELECTION.rig.detector)
    assert device.travel == pytest.approx((10e-6, 80e-6))
    for beyond in (9e-6, 85e-6):
        with pytest.raises(LimitError, match="outside this rig's 10 to 80 um"):
            device.set(Position(beyond))
    with pytest.raises(LimitError, match="at least 4 frames"):
        device.set(Look(2, 0.02, 0.05))
