"""The lab's camera through Micro-Manager's core and the driver: frames exact, numbered, none lost unnoticed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st
from nvscope_drivers.micromanager import MicroManagerCamera, MicroManagerSettings
from nvscope_simulators.camera import CameraLink, CameraSettings
from nvscope_simulators.camera_device import LabCamera
from nvscope_simulators.camera_wire import Start, decode_reply, decode_request, encode
from pymmcore_plus.experimental.unicore import UniMMCore

from nvscope.config import validate
from nvscope.devices.driver import find_driver
from nvscope.devices.roles import Camera, CameraFrame
from nvscope.devices.sweeper import FramesLost
from nvscope.errors import ConfigError, InstrumentError, LimitError

DEVICE = "nvscope_simulators.camera_device:LabCamera"


class Link:
    """A camera link of the lab, with its address."""

    def __init__(self, lab, **chosen) -> None:
        async def start() -> tuple[CameraLink, int]:
            link = CameraLink(lab.world, validate(CameraSettings, chosen, "test"))
            return link, await link.start()

        self.link, port = lab.call(start())
        self.address = f"tcp://127.0.0.1:{port}"


@contextlib.contextmanager
def connected(address: str, **chosen) -> Iterator[MicroManagerCamera]:
    camera = MicroManagerCamera.connect(
        address, validate(MicroManagerSettings, {"python_device": DEVICE} | chosen, "test")
    )
    try:
        yield camera
    finally:
        camera.close()


@pytest.fixture
def link(lab) -> Iterator[Link]:
    link = Link(lab)
    yield link
    lab.call(link.link.stop())


@pytest.fixture
def camera(link) -> Iterator[MicroManagerCamera]:
    with connected(link.address) as camera:
        yield camera


def fire(lab, times: list[float]) -> None:
    """Put edges on the sweep line, rig seconds from now."""
    lab.do(lambda: [lab.world.timeline.after(t, lambda: lab.world.ports.triggers.fire("sweep")) for t in times])


def collect(camera: MicroManagerCamera, count: int, patience: float = 10.0) -> list[CameraFrame]:
    frames: list[CameraFrame] = []
    deadline = time.monotonic() + patience
    while len(frames) < count and time.monotonic() < deadline:
        frames += camera.pop(0.2)
    return frames


def test_it_is_found_by_name_and_plays_the_role(camera):
    assert find_driver("micromanager").Settings is MicroManagerSettings
    assert isinstance(camera, Camera)
    assert camera.identify().model == "LabCamera"
    assert camera.identify().serial == "SN0001"
    assert camera.shape == (8, 12)
    assert camera.saturation == 65535
    assert camera.readings()["roi"] == "0 0 12 8"


def test_one_trigger_one_exposure_at_its_time(lab, camera):
    camera.set_exposure(0.02)
    camera.arm(5, external=True)
    fire(lab, [0.1 * k for k in range(1, 6)])
    lab.advance(1.0)
    frames = collect(camera, 5)
    camera.disarm()
    assert [frame.number for frame in frames] == list(range(5))
    assert np.allclose(lab.world.exposures, [(0.1 * k + 0.02, 0.02) for k in range(1, 6)])
    for k, frame in enumerate(frames):
        assert frame.image.dtype == np.uint16
        assert frame.image.shape == (8, 12)
        expected = np.arange(96, dtype=np.uint16)
        expected[:2] = k + 1, round((0.1 * (k + 1) + 0.02) * 1e3)
        assert np.array_equal(frame.image.reshape(-1), expected)
        frame.image[:] = 0  # owned by the receiver


def test_no_trigger_between_arming_and_the_first_poll_is_missed(lab, camera):
    camera.set_exposure(0.001)
    for _ in range(20):
        camera.arm(3, external=True)
        fire(lab, [0.001, 0.003, 0.005])
        lab.advance(0.01)
        assert len(collect(camera, 3)) == 3
        camera.disarm()


def test_nothing_is_exposed_without_a_trigger_or_after_disarming(lab, camera):
    fire(lab, [0.1])
    lab.advance(1.0)
    camera.arm(2, external=True)
    lab.advance(1.0)
    assert camera.pop(0.0) == []
    began = time.monotonic()
    camera.disarm()
    camera.disarm()
    assert time.monotonic() - began < 1.5  # and not the two seconds UniMMCore waits for a thread it cannot stop
    fire(lab, [0.1])
    lab.advance(1.0)
    assert lab.world.exposures == []
    assert camera.pop(0.0) == []


def test_triggers_during_an_exposure_are_ignored_and_counted(lab, camera, link):
    camera.set_exposure(0.1)
    camera.arm(10, external=True)
    fire(lab, [0.0, 0.05, 0.0999, 0.1003, 0.1006, 0.3])
    lab.advance(1.0)
    frames = collect(camera, 3)
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert np.allclose([t for t, _ in lab.world.exposures], [0.1, 0.2006, 0.4])
    assert link.link.ignored == 3


def test_extra_triggers_after_the_last_frame_expose_nothing(lab, camera):
    camera.set_exposure(0.001)
    camera.arm(2, external=True)
    fire(lab, [0.01, 0.02, 0.03, 0.04])
    lab.advance(1.0)
    assert len(collect(camera, 2)) == 2
    assert len(lab.world.exposures) == 2
    assert camera.pop(0.05) == []


def test_free_running_keeps_its_own_pace(lab, camera):
    camera.set_exposure(0.04)
    camera.arm(4, external=False)
    lab.advance(1.0)
    assert len(collect(camera, 4)) == 4
    assert np.allclose([t for t, _ in lab.world.exposures], [0.04 + k * 0.0405 for k in range(4)])


def test_driven_time_waits_until_frames_are_taken(lab):
    """More frames than fit the window, in one jump of time: none is lost, and time stands while nobody takes them."""
    link = Link(lab, buffer_bytes=65536)
    window = 65536 // (2 * 8 * 12)
    with connected(link.address) as camera:
        camera.set_exposure(0.0001)
        camera.arm(3 * window, external=True)
        fire(lab, [0.001 * k for k in range(1, 3 * window + 1)])
        lab.advance(1.1)
        frames = collect(camera, 3 * window)
    assert [frame.number for frame in frames] == list(range(3 * window))
    assert link.link.dropped == 0
    lab.call(link.link.stop())


def test_driven_time_does_not_wait_for_ever(lab):
    link = Link(lab, buffer_bytes=65536, patience=0.3)
    client = zmq.Context.instance().socket(zmq.DEALER)
    client.setsockopt(zmq.LINGER, 0)
    client.connect(link.address)
    client.send(encode(Start("nobody", 1, 1e-4, True, 0, (0, 0, 12, 8))))
    assert client.poll(5000)
    fire(lab, [0.001 * k for k in range(1, 1001)])
    began = time.monotonic()
    assert lab.advance(2.0) == pytest.approx(2.0)
    assert time.monotonic() - began < 10.0
    assert link.link.dropped == 1000 - 65536 // 192
    client.close()
    lab.call(link.link.stop())


def test_with_nobody_driving_time_a_full_buffer_loses_frames_and_the_gap_is_an_error(lab):
    lab.world.image_shape = (512, 512)
    link = Link(lab, buffer_bytes=65536)  # the least it can be given: four frames
    with connected(link.address) as camera:
        camera.set_exposure(0.0001)
        camera.arm(11, external=True)
        fire(lab, [0.001 * k for k in range(1, 11)])
        lab.advance(1.0, wait=False)
        assert link.link.dropped == 6
        assert [frame.number for frame in collect(camera, 4)] == [0, 1, 2, 3]
        deadline = time.monotonic() + 10.0
        while link.link._sequence.waiting and time.monotonic() < deadline:
            time.sleep(0.01)
        fire(lab, [0.001])
        lab.advance(1.0)
        with pytest.raises(FramesLost, match="frame 10 came when frame 4 was due") as caught:
            collect(camera, 1)
        assert caught.value.received == 4
        camera.disarm()
    lab.call(link.link.stop())


def test_an_overflowing_circular_buffer_is_an_error(lab):
    lab.world.image_shape = (512, 512)
    link = Link(lab)
    with connected(link.address, buffer_megabytes=2) as camera:
        camera.set_exposure(0.001)
        camera.arm(20, external=True)
        fire(lab, [0.01 * k for k in range(1, 8)])
        lab.advance(1.0)
        deadline = time.monotonic() + 10.0
        while not camera._core.isBufferOverflowed() and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(FramesLost, match="buffer_megabytes") as caught:
            collect(camera, 20)
        assert isinstance(caught.value, InstrumentError)
        camera.arm(2, external=True)  # and the camera is usable again
        fire(lab, [0.01, 0.02])
        lab.advance(1.0)
        assert len(collect(camera, 2)) == 2
    lab.call(link.link.stop())


def test_a_loop_that_cannot_watch_sockets_serves_the_camera_all_the_same(lab, monkeypatch):
    def unsupported(*_):
        raise NotImplementedError

    monkeypatch.setattr(lab._loop, "add_reader", unsupported)
    link = Link(lab)
    with connected(link.address) as camera:
        camera.set_exposure(0.001)
        camera.arm(3, external=True)
        fire(lab, [0.01, 0.02, 0.03])
        lab.advance(1.0)
        assert len(collect(camera, 3)) == 3
    lab.call(link.link.stop())


def test_a_finished_sequence_leaves_the_camera_to_others(lab, link, camera):
    camera.set_exposure(0.001)
    camera.arm(1, external=False)
    lab.advance(1.0)
    assert len(collect(camera, 1)) == 1
    with connected(link.address) as other:
        other.arm(1, external=True)


def test_loading_disturbs_nobody_needs_no_home_and_an_unclosed_camera_does_not_abort_the_interpreter(link):
    """In a process of its own: importing and leaving are what is tested."""
    program = f"""
import logging
from nvscope.config import validate
from nvscope_drivers.micromanager import MicroManagerCamera, MicroManagerSettings
settings = validate(MicroManagerSettings, {{"python_device": "{DEVICE}"}}, "test")
camera = MicroManagerCamera.connect("{link.address}", settings)
assert logging.getLogger().level == logging.WARNING
camera.arm(5, external=True)
print(camera.shape)
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYMM"))}
    nowhere = str(Path(__file__) / "nowhere")
    environment |= {"HOME": nowhere, "XDG_DATA_HOME": nowhere, "XDG_CACHE_HOME": nowhere}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(8, 12)"
    assert "Micro-Manager" not in done.stderr


def test_a_region_is_cut_out_of_the_frame(lab, link):
    with connected(link.address, roi=(3, 2, 5, 4)) as camera:
        assert camera.shape == (4, 5)
        camera.set_exposure(0.001)
        camera.arm(1, external=False)
        lab.advance(0.1)
        (frame,) = collect(camera, 1)
    assert np.array_equal(frame.image, np.arange(96).reshape(8, 12)[2:6, 3:8])


def test_an_error_in_the_sequence_thread_surfaces_in_pop_and_nowhere_else(lab, camera, monkeypatch):
    before = threading.excepthook

    def broken(self, line, *rest):
        line.close()
        yield from ()
        raise RuntimeError("the frame grabber is on fire")

    monkeypatch.setattr(LabCamera, "_frames", broken)
    camera.arm(3, external=True)
    with pytest.raises(InstrumentError, match="the frame grabber is on fire"):
        collect(camera, 1)
    camera.disarm()
    assert threading.excepthook is before


def test_a_lab_that_disappears_is_noticed(lab, link, monkeypatch):
    monkeypatch.setattr("nvscope_simulators.camera_device._ANSWER", 0.3)
    with connected(link.address) as camera:
        camera.set_exposure(0.001)
        lab.call(link.link.stop())
        with pytest.raises(InstrumentError, match=r"no answer from the lab's camera"):
            camera.arm(3, external=True)


def test_another_program_is_refused_until_the_owner_falls_silent(lab, link, camera, monkeypatch):
    camera.arm(3, external=True)
    with connected(link.address) as rival:
        with pytest.raises(InstrumentError, match="in use by another program"):
            rival.arm(1, external=True)
        lab.do(lambda: setattr(link.link._sequence, "heard", time.monotonic() - 60.0))
        # the owner's next sign of life would take it back, so there must be none
        camera._device.abort_sequence()
        time.sleep(0.5)
        rival.arm(1, external=True)
        rival.disarm()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give either device_library and device_name, or python_device"),
        ({"python_device": DEVICE, "device_library": "A", "device_name": "B"}, "give either"),
        ({"python_device": DEVICE, "buffer_megabytes": 0}, "buffer_megabytes"),
        ({"python_device": DEVICE, "exposre": 1}, "exposre"),
    ],
)
def test_settings_that_contradict_themselves(settings, message):
    with pytest.raises(ConfigError, match=message):
        validate(MicroManagerSettings, settings, "rig.toml")


def test_devices_that_cannot_be_loaded():
    for python_device, message in (
        ("nvscope_simulators.camera_device:Nothing", "Nothing"),
        ("no_such_module:Camera", "no_such_module"),
        ("nvscope_simulators.camera_device", "package.module:Class"),
    ):
        with pytest.raises(ConfigError, match=message):
            MicroManagerCamera.connect("", validate(MicroManagerSettings, {"python_device": python_device}, "test"))
    chosen = {"python_device": DEVICE, "python_arguments": {"adress": "x"}}
    with pytest.raises(ConfigError, match="python_arguments"):
        MicroManagerCamera.connect("tcp://127.0.0.1:1", validate(MicroManagerSettings, chosen, "test"))
    chosen = {"device_library": "NoSuchAdapter", "device_name": "Camera"}
    with pytest.raises(InstrumentError, match="NoSuchAdapter"):
        MicroManagerCamera.connect("", validate(MicroManagerSettings, chosen | {"micromanager": "."}, "test"))


def test_exposures_and_regions_the_camera_cannot_do(link, camera):
    for exposure in (0.0, -1.0, float("nan")):
        with pytest.raises(LimitError):
            camera.set_exposure(exposure)
    for exposure in (1e-6, 100.0):
        with pytest.raises(InstrumentError, match="no exposure of"):
            camera.set_exposure(exposure)
    with pytest.raises(InstrumentError, match="not on the sensor"), connected(link.address, roi=(8, 0, 5, 5)):
        pass
    with (
        connected(link.address, trigger_external="Sometimes") as odd,
        pytest.raises(InstrumentError, match="TriggerSource"),
    ):
        odd.arm(1, external=True)


def test_micro_manager_itself_snaps_streams_and_reads_properties(lab, link):
    """What other people's Micro-Manager programs do with a camera."""
    lab.pace(20.0)
    core = UniMMCore(mm_path=".")
    try:
        core.loadPyDevice("Cam", LabCamera(link.address))
        core.initializeDevice("Cam")
        core.setCameraDevice("Cam")
        core.setExposure(5.0)
        assert core.getExposure() == 5.0
        assert core.getAllowedPropertyValues("Cam", "TriggerSource") == ("Internal", "External")
        core.snapImage()
        assert core.getImage().shape == (8, 12)
        core.setROI(0, 0, 6, 4)
        core.snapImage()
        assert core.getImage().shape == (4, 6)
        core.clearROI()
        core.startSequenceAcquisition(5, 0, True)
        deadline = time.monotonic() + 10.0
        while core.isSequenceRunning() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert core.getRemainingImageCount() == 5
        seen = [core.popNextImageAndMD()[1] for _ in range(5)]
        assert [int(tags["FrameNumber"]) for tags in seen] == list(range(5))
        assert np.allclose(np.diff([float(tags["RigTime"]) for tags in seen]), 0.0055)
    finally:
        core.unloadAllDevices()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    for decode in (decode_request, decode_reply):
        with contextlib.suppress(ValueError):
            decode(data)


def test_malformed_messages_are_counted_and_change_nothing(lab, link, camera):
    rng = np.random.default_rng(11)
    client = zmq.Context.instance().socket(zmq.DEALER)
    client.setsockopt(zmq.LINGER, 1000)
    client.connect(link.address)
    camera.set_exposure(0.001)
    camera.arm(2, external=True)
    valid = encode(Start("x", 1, 1e-3, True, 1, (0, 0, 12, 8)))
    for k in range(2000):
        data = bytearray(valid if k % 2 else rng.bytes(int(rng.integers(0, 300))))
        for _ in range(3):
            if data:
                data[int(rng.integers(len(data)))] = int(rng.integers(256))
        parts = [bytes(data)] if k % 5 else [bytes(data), b"more"]
        client.send_multipart(parts)
    client.close()
    fire(lab, [0.01, 0.02])
    deadline = time.monotonic() + 10.0
    while link.link.malformed < 1200 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert link.link.malformed >= 1200
    lab.advance(1.0)
    assert len(collect(camera, 2)) == 2


def test_frames_are_numbered_by_whatever_tag_the_camera_has(lab, link):
    with connected(link.address, number_tags=("Frame", "Number")) as camera:
        camera.set_exposure(0.001)
        camera.arm(1, external=False)
        lab.advance(0.1)
        with pytest.raises(InstrumentError, match=r"none of the numbers Frame, Number; .*FrameNumber"):
            collect(camera, 1)
    with connected(link.address, number_tags=("ImageNumber",)) as camera:
        camera.set_exposure(0.001)
        camera.arm(2, external=False)
        lab.advance(0.1)
        assert [frame.number for frame in collect(camera, 2)] == [0, 1]
