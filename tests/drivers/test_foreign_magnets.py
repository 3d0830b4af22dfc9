"""Other people's drivers against the simulated magnets: QCoDeS's and PyMeasure's own, unchanged."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.ami430 import AMI430Settings, SimulatedAMI430
from nvscope_simulators.instruments.kepco_bop import KepcoBOPSettings, SimulatedKepcoBOP
from pymeasure.instruments.ami import AMI430
from pymeasure.instruments.kepco import KepcoBOP3612
from qcodes.instrument_drivers.american_magnetics import AMIModel430, AMIModel4303D


@contextmanager
def running(host: Host) -> Iterator[None]:
    """Let rig time pass while a client blocks, 0.2 s at a time."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.002):
            host.advance(0.2)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def serve_axis(world: BenchWorld, host: Host, axis: str, **changes: object) -> tuple[SimulatedAMI430, str]:
    settings = AMI430Settings.model_validate({"axis": axis} | changes)
    magnet = SimulatedAMI430(world, settings)
    server = host.serve(magnet, banner_delay=0.3)
    return magnet, host.address(server)


@pytest.fixture
def lab() -> Iterator[tuple[BenchWorld, Host]]:
    world = BenchWorld()
    with Host(world.timeline) as host:
        yield world, host


def test_qcodes_ramps_an_ami430(lab: tuple[BenchWorld, Host]) -> None:
    world, host = lab
    simulated, address = serve_axis(world, host, "z")
    magnet = AMIModel430("magnet", address, visalib="@py")
    try:
        assert magnet.get_idn()["vendor"] == "AMERICAN MAGNETICS INC."
        assert magnet.ramping_state() == "paused"
        assert magnet.field.unit == "kG"
        magnet.ramp_rate(0.0005)
        with running(host):
            magnet.set_field(0.05)
        assert magnet.ramping_state() == "holding"
        assert magnet.field() == pytest.approx(0.05, abs=1e-5)
        assert world.applied_field()[2] == pytest.approx(5e-3)
        magnet.field_units("tesla")
        magnet.ramp_rate_units("minutes")
        assert magnet.field() == pytest.approx(5e-3, abs=1e-6)
        assert magnet.coil_constant() == pytest.approx(1e-3)
        assert magnet.ramp_rate() == pytest.approx(0.0005 / 10 * 60)
        magnet.set_quenched()
        assert magnet.is_quenched()
        assert magnet.ramping_state() == "quench detected"
        with pytest.raises(Exception, match="Cannot ramp in current state"):
            magnet.set_field(1e-3)
        magnet.reset_quench()
        assert magnet.ramping_state() == "paused"
        magnet.snapshot(update=True)
        assert magnet.get_error() == '0,"No errors"'
        assert len(simulated.core.errors) == 0
    finally:
        magnet.close()


def test_qcodes_works_a_persistent_switch(lab: tuple[BenchWorld, Host]) -> None:
    world, host = lab
    _, address = serve_axis(world, host, "z", switch_installed=True)
    magnet = AMIModel430("magnet", address, visalib="@py")
    try:
        with running(host):
            assert magnet.switch_heater.enabled()
            magnet.switch_heater.heat_time(5)
            magnet.switch_heater.cool_time(5)
            magnet.ramp_rate(0.0005)
            magnet.switch_heater.state(True)
            magnet.set_field(0.02)
            magnet.switch_heater.state(False)
            assert magnet.switch_heater.in_persistent_mode()
            with pytest.raises(Exception, match="Cannot ramp"):
                magnet.set_field(0.0)
        assert world.applied_field()[2] == pytest.approx(2e-3)
    finally:
        magnet.close()


def test_qcodes_sets_a_vector_with_three_programmers(lab: tuple[BenchWorld, Host]) -> None:
    world, host = lab
    axes = [AMIModel430(axis, serve_axis(world, host, axis)[1], visalib="@py") for axis in "xyz"]
    vector = AMIModel4303D("vector", *axes, field_limit=1.0)
    try:
        for axis in axes:
            axis.ramp_rate(0.0005)
        with running(host):
            vector.cartesian((0.01, -0.02, 0.03))
        assert world.applied_field() == pytest.approx([1e-3, -2e-3, 3e-3])
        assert vector.spherical_measured()[0] == pytest.approx(0.0374166, abs=2e-5)
    finally:
        vector.close()
        for axis in axes:
            axis.close()


def test_pymeasure_ramps_an_ami430(lab: tuple[BenchWorld, Host]) -> None:
    world, host = lab
    _, address = serve_axis(world, host, "z", switch_installed=True)
    magnet = AMI430(address, visa_library="@py", read_termination="\r\n")
    try:
        assert magnet.magnet_status == "PAUSED"
        assert magnet.coilconst == pytest.approx(0.01)
        with running(host):
            magnet.ramp_to_field(0.05, 0.01)
            magnet.wait_for_holding(timeout=10)
        assert magnet.field == pytest.approx(0.05, abs=1e-5)
        assert magnet.ramp_rate_field == [0.01, 1.0]
        assert world.applied_field()[2] == pytest.approx(5e-3)
        assert magnet.next_error[0] == 0
    finally:
        magnet.adapter.close()


def test_pymeasure_drives_a_kepco(lab: tuple[BenchWorld, Host]) -> None:
    world, host = lab
    simulated = SimulatedKepcoBOP(world, KepcoBOPSettings(rated_voltage=36, rated_current=12))
    supply = KepcoBOP3612(host.address(host.serve(simulated)), visa_library="@py")
    try:
        assert "KEPCO" in supply.id
        supply.operating_mode = "CURR"
        assert supply.operating_mode == "CURR"
        supply.voltage_setpoint = 10
        supply.current_setpoint = 5
        supply.output_enabled = True
        assert supply.output_enabled is True  # asked first: commands are still on their way when a write returns
        host.advance(1.0)
        assert supply.current == pytest.approx(5.0, abs=1e-3)
        assert supply.voltage == pytest.approx(3.0, abs=5e-3)
        assert world.ports.magnet.current["z"] == pytest.approx(5.0, abs=1e-3)
        supply.beep()
        supply.wait_to_continue()
        assert supply.confidence_test == 0
        assert supply.check_errors() == []
        supply.write("CURR 13")
        assert supply.check_errors() == [[-222, '"Data out of range"']]
    finally:
        supply.adapter.close()
