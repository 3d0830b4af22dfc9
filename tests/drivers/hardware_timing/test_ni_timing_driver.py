"""The timing driver against the simulated card, and against servers that hang or die."""

from __future__ import annotations

import socket
import threading
import time

import numpy as np
import pytest
from nvscope_drivers.ni_timing import NITiming, NITimingSettings
from nvscope_simulators.nidaqmx_server import NIDAQmxServer, NISettings

from nvscope.config import validate
from nvscope.devices.driver import find_driver
from nvscope.devices.roles import Timing
from nvscope.errors import ConfigError, InstrumentError, InstrumentTimeout


def connect(card, **settings) -> NITiming:
    return NITiming.connect(f"grpc://127.0.0.1:{card.port}", validate(NITimingSettings, settings, "test"))


@pytest.fixture
def driver(card):
    driver = connect(card)
    yield driver
    driver.close()


def test_it_is_found_by_name_and_plays_the_role(driver):
    assert find_driver("nidaqmx").Settings is NITimingSettings
    assert isinstance(driver, Timing)
    identity = driver.identify()
    assert (identity.manufacturer, identity.model) == ("National Instruments", "PCIe-6363")


def test_connecting_changes_nothing(lab, card, edges):
    lab.do(lambda: setattr(lab.world.ports.laser, "gate_open", True))
    driver = connect(card)
    assert driver.readings() == {}
    driver.close()
    assert lab.world.ports.laser.gate_open is True
    assert edges == []
    assert card.card.tasks == {}


def test_a_train_sends_its_pulses_and_then_says_so(lab, edges, driver):
    driver.prepare_train(6, 200.0)
    lab.advance(1.0)
    assert edges == []
    begin = lab.world.timeline.now
    driver.start_train()
    assert driver.train_done() is False
    assert driver.readings()["train_done"] is False
    lab.advance(0.1)
    assert driver.train_done() is True
    driver.stop_train()
    assert np.allclose(edges, begin + np.arange(6) / 200.0)


def test_trains_follow_each_other_with_other_counts_and_rates(lab, edges, driver):
    for pulses, rate in ((3, 100.0), (5, 100.0), (2, 250.0)):
        edges.clear()
        driver.prepare_train(pulses, rate)
        driver.start_train()
        lab.advance(1.0)
        assert driver.train_done()
        driver.stop_train()
        assert len(edges) == pulses
        assert np.allclose(np.diff(edges), 1.0 / rate)


def test_a_stopped_train_releases_its_counter_and_stop_is_harmless(lab, edges, driver, card):
    driver.stop_train()
    driver.prepare_train(1000, 10.0)
    driver.start_train()
    lab.advance(0.55)
    driver.stop_train()
    driver.stop_train()
    lab.advance(10.0)
    assert len(edges) == 6
    other = connect(card, counter="ctr0", gate_line="port0/line1")
    other.close()


def test_the_gate(lab, card, driver):
    driver.set_gate(True)
    assert lab.world.ports.laser.gate_open is True
    assert driver.readings() == {"gate_open": True}
    driver.set_gate(False)
    assert lab.world.ports.laser.gate_open is False
    inverted = connect(card, gate_inverted=True)
    inverted.set_gate(False)
    assert lab.world.ports.laser.gate_open is True
    inverted.close()
    assert lab.world.ports.laser.gate_open is True  # closing leaves the line


def test_safe_means_no_pulses_and_no_light_also_after_another_process_died(lab, edges, card):
    dead = connect(card)
    dead.set_gate(True)
    dead.prepare_train(10_000, 10.0)
    dead.start_train()
    dead._connection.close()  # the process is gone, its sessions stay on the server
    lab.advance(1.0)
    count = len(edges)
    assert count == 11
    guardian = connect(card)
    guardian.make_safe()
    guardian.make_safe()
    lab.advance(5.0)
    assert len(edges) == count
    assert lab.world.ports.laser.gate_open is False
    guardian.prepare_train(3, 100.0)
    guardian.start_train()
    lab.advance(1.0)
    assert len(edges) == count + 3
    guardian.close()


def test_a_rig_file_chooses_counter_terminal_and_polarity(lab, edges, card):
    driver = connect(card, counter="ctr2", terminal="PFI12", duty_cycle=0.1)
    driver.prepare_train(4, 100.0)
    driver.start_train()
    lab.advance(1.0)
    driver.close()
    assert len(edges) == 4
    with pytest.raises(ConfigError, match="did you mean 'counter'"):
        validate(NITimingSettings, {"counterr": "ctr0"}, "rig.toml")
    with pytest.raises(ConfigError, match="timeout"):
        validate(NITimingSettings, {"timeout": "3 K"}, "rig.toml")


def test_refusals_name_card_and_code(lab, card, driver):
    with pytest.raises(InstrumentError, match="no pulse train has been prepared"):
        driver.start_train()
    with pytest.raises(InstrumentError, match="0 pulses"):
        driver.prepare_train(0, 10.0)
    with pytest.raises(InstrumentError, match=r"Dev1.*-200077"):
        driver.prepare_train(5, 1e9)
    with pytest.raises(InstrumentError, match="-200220"):
        connect(card, device="Dev3")
    driver.prepare_train(100, 10.0)
    driver.start_train()
    rival = connect(card, counter="ctr1", terminal="PFI12")
    rival.prepare_train(5, 10.0)
    with pytest.raises(InstrumentError, match="-50103"):
        rival.start_train()
    rival.close()


def test_an_address_that_cannot_be_read():
    with pytest.raises(InstrumentError, match="grpc://HOST:PORT"):
        NITiming.connect("tcp://127.0.0.1:5", NITimingSettings())


def test_nobody_at_the_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InstrumentTimeout, match="no gRPC device server"):
        NITiming.connect(f"grpc://127.0.0.1:{port}", validate(NITimingSettings, {"timeout": "0.3 s"}, "test"))


def test_a_server_that_hangs_does_not_hang_the_driver(lab, card):
    driver = connect(card, timeout="0.3 s")
    driver.set_gate(True)
    release = threading.Event()
    lab._loop.call_soon_threadsafe(release.wait, 20.0)  # the whole server stands still
    began = time.monotonic()
    with pytest.raises(InstrumentTimeout, match=r"no answer within 0.3 s when asked to close the gate"):
        driver.set_gate(False)
    assert time.monotonic() - began < 10.0
    release.set()
    driver.make_safe()
    assert lab.world.ports.laser.gate_open is False
    driver.close()


def test_a_server_that_dies_is_reported_and_a_new_one_is_found(lab):
    async def start(port: int = 0) -> tuple[NIDAQmxServer, int]:
        server = NIDAQmxServer(lab.world, NISettings())
        return server, await server.start(port=port)

    server, port = lab.call(start())
    driver = NITiming.connect(f"grpc://127.0.0.1:{port}", validate(NITimingSettings, {"timeout": "2 s"}, "test"))
    driver.set_gate(True)
    lab.call(server.stop())
    with pytest.raises(InstrumentError, match="could not close the gate"):
        driver.set_gate(False)
    server, _ = lab.call(start(port))
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline:
        try:
            driver.set_gate(False)
            break
        except InstrumentError:
            time.sleep(0.1)
    assert lab.world.ports.laser.gate_open is False
    driver.close()
    lab.call(server.stop())
