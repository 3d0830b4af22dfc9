"""Cobolt laser: the driver's words, the simulator's answers, and both together over a socket."""

from collections.abc import Iterator

import pytest
import serial
from hypothesis import given, settings
from hypothesis import strategies as st
from nvscope_drivers.cobolt import Cobolt, CoboltLaser
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.cobolt import CoboltSettings, SimulatedCobolt
from nvscope_simulators.tcp import TcpServer
from pymeasure.test import expected_protocol

from nvscope.devices.roles import Laser
from nvscope.errors import InstrumentError, LimitError

Lab = tuple[Host, SimulatedCobolt, TcpServer]


def test_protocol() -> None:
    with expected_protocol(
        Cobolt,
        [
            ("l1", "OK"),
            ("l?", "1"),
            ("p 0.0500", "OK"),
            ("p?", "0.0500"),
            ("pa?", "0.0497"),
            ("ilk?", "0"),
            ("f?", "3"),
            ("gom?", "5"),
            ("@cob1", "OK"),
            ("cf", "OK"),
            ("@cobas 0", "OK"),
            ("glm?", "0532-06-91-0200-100"),
            ("sn?", "1"),
            ("gfv?", "1.0"),
        ],
    ) as laser:
        laser.emission = True
        assert laser.emission is True
        laser.power_setpoint = 0.05
        assert laser.power_setpoint == 0.05
        assert laser.power == 0.0497
        assert laser.interlock_open is False
        assert laser.fault == 3
        assert laser.state == "fault"
        laser.start_sequence()
        laser.clear_fault()
        laser.autostart = False
        assert laser.identity().model == "0532-06-91-0200-100"


def test_refusals_are_errors() -> None:
    with (
        expected_protocol(Cobolt, [("l1", "Syntax error: illegal command")]) as laser,
        pytest.raises(InstrumentError, match="refused a command: 'Syntax error: illegal command'"),
    ):
        laser.emission = True
    with (
        expected_protocol(Cobolt, [("glm?", "ERROR"), ("sn?", "1"), ("gfv?", "1")]) as laser,
        pytest.raises(InstrumentError, match="expected a Cobolt"),
    ):
        laser.identity()


@pytest.fixture
def bench() -> BenchWorld:
    return BenchWorld()


@pytest.fixture
def lab(bench: BenchWorld) -> Iterator[Lab]:
    sim = SimulatedCobolt(bench, CoboltSettings())
    with Host(bench.timeline) as host:
        yield host, sim, host.serve(sim)


@pytest.fixture
def laser(lab: Lab) -> Iterator[CoboltLaser]:
    host, _, server = lab
    laser = CoboltLaser.connect(host.address(server), CoboltLaser.Settings(timeout="1 s"))
    yield laser
    laser.close()


def test_role_over_the_wire(laser: CoboltLaser, bench: BenchWorld) -> None:
    assert isinstance(laser, Laser)
    assert laser.identify().serial == "23456"
    assert bench.ports.laser.power == 0.0
    laser.set_power(0.12)
    assert bench.ports.laser.power == 0.0
    laser.set_emission(True)
    assert bench.ports.laser.power == 0.12
    assert laser.power() == pytest.approx(0.12, rel=0.02)
    readings = laser.readings()
    assert (readings["emission"], readings["state"], readings["faults"]) == (True, "continuous", "")
    laser.make_safe()
    laser.make_safe()
    assert bench.ports.laser.power == 0.0
    assert laser.power() == 0.0
    with pytest.raises(LimitError):
        laser.set_power(0.5)


def test_interlock_stops_latches_and_refuses(laser: CoboltLaser, lab: Lab, bench: BenchWorld) -> None:
    host, sim, _ = lab
    laser.set_emission(True)
    host.call(lambda: sim.set_interlock(is_open=True))
    assert bench.ports.laser.power == 0.0
    assert laser.faults() == ("interlock error", "interlock open")
    with pytest.raises(InstrumentError, match="cannot emit: interlock error, interlock open"):
        laser.set_emission(True)
    with pytest.raises(InstrumentError, match="refused"):
        laser.instrument.emission = True
    with pytest.raises(InstrumentError, match="cause of the fault remains"):
        laser.instrument.clear_fault()
    host.call(lambda: sim.set_interlock(is_open=False))
    assert laser.faults() == ("interlock error",)  # latched
    with pytest.raises(InstrumentError, match="refused"):
        laser.instrument.emission = True
    laser.instrument.clear_fault()
    laser.set_emission(True)
    assert bench.ports.laser.power > 0


def test_other_faults_latch(laser: CoboltLaser, lab: Lab, bench: BenchWorld) -> None:
    host, sim, _ = lab
    laser.set_emission(True)
    host.call(sim.set_fault, 1)
    assert bench.ports.laser.power == 0.0
    assert laser.faults() == ("temperature error",)
    host.call(sim.set_fault, 0)
    assert laser.faults() == ("temperature error",)
    laser.instrument.clear_fault()
    assert laser.faults() == ()


def test_start_sequence_takes_its_time(laser: CoboltLaser, lab: Lab, bench: BenchWorld) -> None:
    host, *_ = lab
    laser.instrument.autostart = True
    with pytest.raises(InstrumentError, match="autostart"):
        laser.instrument.emission = True
    laser.set_emission(True)
    assert laser.readings()["state"] == "waiting"
    host.advance(4.9)
    assert bench.ports.laser.power == 0.0
    host.advance(0.2)
    assert bench.ports.laser.power == 0.05
    laser.set_emission(False)
    laser.set_emission(True)
    laser.set_emission(False)  # stopped during the sequence
    host.advance(10)
    assert bench.ports.laser.power == 0.0


def test_connecting_changes_nothing(lab: Lab, bench: BenchWorld) -> None:
    host, sim, server = lab
    host.call(sim.respond, "l1")
    CoboltLaser.connect(host.address(server), CoboltLaser.Settings()).close()
    assert bench.ports.laser.power == 0.05


def test_a_serial_line_has_one_user(lab: Lab, laser: CoboltLaser) -> None:
    host, _, server = lab
    with pytest.raises(InstrumentError, match="connection lost"):
        CoboltLaser.connect(host.address(server), CoboltLaser.Settings(timeout="0.3 s"))
    assert laser.faults() == ()


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("?", "OK"),
        ("L?", "0"),
        ("p 0.1", "OK"),
        ("p 9", "Syntax error: illegal parameter"),
        ("p abc", "Syntax error: illegal parameter"),
        ("p nan", "Syntax error: illegal parameter"),
        ("nonsense", "Syntax error: illegal command"),
        ("p", "Syntax error: illegal command"),
        ("slc 1300", "OK"),
        ("gam?", "1"),
    ],
)
def test_answers(bench: BenchWorld, line: str, reply: str) -> None:
    assert SimulatedCobolt(bench, CoboltSettings()).respond(line) == reply


def test_constant_current_follows_the_diode(bench: BenchWorld) -> None:
    sim = SimulatedCobolt(bench, CoboltSettings())
    for line in ("ci", "slc 1900", "l1"):
        assert sim.respond(line) == "OK"
    assert bench.ports.laser.power == pytest.approx(0.12)
    sim.respond("slc 500")
    assert bench.ports.laser.power == 0.0  # below threshold


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=40),
        st.builds("{} {}".format, st.sampled_from(["p", "slc", "@cobas", "l"]), st.text(max_size=12)),
    )
)
def test_every_line_is_answered(line: str) -> None:
    sim = SimulatedCobolt(BenchWorld(), CoboltSettings())
    assert sim.respond(line)
    assert sim.respond("?") == "OK"


def test_a_terminal_program(lab: Lab) -> None:
    """What scripts found on the web do: pyserial, carriage return, readline."""
    _, _, server = lab
    with serial.serial_for_url(f"socket://127.0.0.1:{server.port}", timeout=1) as port:
        replies = []
        for command in ("gfv?", "sn?", "p 0.03", "@cobas 0", "l1", "pa?", "l0"):
            port.write(command.encode() + b"\r")
            replies.append(port.readline().decode().strip())
    assert replies[:5] == ["1.4.2", "23456", "OK", "OK", "OK"]
    assert float(replies[5]) == pytest.approx(0.03, rel=0.02)
    assert replies[6] == "OK"
