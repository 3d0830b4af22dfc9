"""Things that go wrong between pulses and frames: each must be noticed by what a driver can see."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from nvscope_drivers.micromanager import MicroManagerCamera, MicroManagerSettings
from nvscope_drivers.ni_timing import NITiming, NITimingSettings
from nvscope_simulators.camera import CameraLink, CameraSettings

from nvscope.config import validate
from nvscope.devices.sweeper import FramesLost
from nvscope.errors import InstrumentError, InstrumentTimeout


@pytest.fixture
def link(lab) -> Iterator[CameraLink]:
    async def start() -> CameraLink:
        link = CameraLink(lab.world, CameraSettings())
        link.port = await link.start()  # type: ignore[attr-defined]
        return link

    link = lab.call(start())
    yield link
    lab.call(link.stop())


@pytest.fixture
def camera(link) -> Iterator[MicroManagerCamera]:
    settings = {"python_device": "nvscope_simulators.camera_device:LabCamera"}
    camera = MicroManagerCamera.connect(
        f"tcp://127.0.0.1:{link.port}", validate(MicroManagerSettings, settings, "test")
    )
    camera.set_exposure(0.001)
    yield camera
    camera.close()


@pytest.fixture
def timing(card) -> Iterator[NITiming]:
    driver = NITiming.connect(f"grpc://127.0.0.1:{card.port}", validate(NITimingSettings, {"timeout": "0.4 s"}, "test"))
    yield driver
    driver.close()


def sweep(lab, timing: NITiming, camera: MicroManagerCamera, pulses: int) -> list[int]:
    """Do a hardware-timed sweep; returns the numbers of the frames that came."""
    camera.arm(pulses, external=True)
    timing.prepare_train(pulses, 100.0)
    timing.start_train()
    lab.advance((pulses + 2) / 100.0)
    assert timing.train_done()
    timing.stop_train()
    numbers: list[int] = []
    quiet = 0
    while len(numbers) < pulses and quiet < 3:
        frames = camera.pop(0.1)
        quiet = 0 if frames else quiet + 1
        numbers += [frame.number for frame in frames]
    camera.disarm()
    return numbers


def test_in_health_every_pulse_makes_a_frame(lab, timing, camera):
    for pulses in (1, 17, 200):
        assert sweep(lab, timing, camera, pulses) == list(range(pulses))


def test_a_lost_frame_leaves_a_gap_in_the_numbers(lab, link, timing, camera):
    lab.do(lambda: lab.world.timeline.after(0.055, lambda: link.lose_frames(2)))
    with pytest.raises(FramesLost, match="frame 8 came when frame 6 was due"):
        sweep(lab, timing, camera, 20)
    assert sweep(lab, timing, camera, 20) == list(range(20))


def test_a_missed_pulse_leaves_a_frame_too_few(lab, card, timing, camera):
    lab.do(lambda: card.lose_pulses(1))
    assert sweep(lab, timing, camera, 20) == list(range(19))
    assert sweep(lab, timing, camera, 20) == list(range(20))


def test_a_doubled_pulse_is_ignored_by_the_camera_but_counted(lab, card, link, edges, timing, camera):
    lab.do(lambda: card.double_pulses(1))
    assert sweep(lab, timing, camera, 20) == list(range(20))
    assert len(edges) == 21  # what steps on every edge is one step ahead
    assert link.ignored == 1


def test_an_ignored_exposure_is_noticed_when_arming(lab, link, timing, camera):
    assert sweep(lab, timing, camera, 2) == [0, 1]
    lab.do(lambda: link.set_exposure_ignored(True))
    camera.set_exposure(0.004)
    with pytest.raises(InstrumentError, match=r"asked for an exposure of 0.004 s, it is 0.001 s"):
        camera.arm(2, external=True)
    lab.do(lambda: link.set_exposure_ignored(False))
    camera.set_exposure(0.004)
    assert sweep(lab, timing, camera, 2) == [0, 1]


def test_a_hung_camera_is_bounded(lab, link, camera, monkeypatch):
    monkeypatch.setattr("nvscope_simulators.camera_device._ANSWER", 0.3)
    lab.do(lambda: link.set_hung(True))
    began = time.monotonic()
    with pytest.raises(InstrumentError, match="no answer from the lab's camera"):
        camera.arm(2, external=True)
    assert time.monotonic() - began < 10.0
    lab.do(lambda: link.set_hung(False))
    camera.arm(2, external=True)


def test_a_hung_card_is_bounded_and_recovers(lab, card, timing, camera):
    lab.do(lambda: card.set_hung(True))
    with pytest.raises(InstrumentTimeout):
        timing.prepare_train(3, 100.0)
    with pytest.raises(InstrumentTimeout):
        timing.make_safe()
    lab.do(lambda: card.set_hung(False))
    assert sweep(lab, timing, camera, 5) == list(range(5))
