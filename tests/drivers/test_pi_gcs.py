"""PI piezo controller: the driver's words, the simulator's answers, and both together over a socket."""

from collections.abc import Iterator

import pytest
import serial
from hypothesis import given, settings
from hypothesis import strategies as st
from nvscope_drivers.pi_gcs import PIFocus, PIPiezo
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.pi_gcs import PIPiezoSettings, SimulatedPIPiezo
from nvscope_simulators.tcp import TcpServer
from pymeasure.test import expected_protocol

from nvscope.devices.roles import Focus
from nvscope.errors import InstrumentError, LimitError

Lab = tuple[Host, SimulatedPIPiezo, TcpServer]


def test_protocol() -> None:
    with expected_protocol(
        PIPiezo,
        [
            ("POS? 1", "1=12.345600"),
            ("MOV 1 20.000000", None),
            ("ERR?", "0"),
            ("MOV? 1", "1=20.000000"),
            ("SVO 1 1", None),
            ("ERR?", "0"),
            ("SVO? 1", "1=1"),
            ("ONT? 1", "1=0"),
            ("TMN? 1", "1=0.000000"),
            ("TMX? 1", "1=100.000000"),
            ("*IDN?", "(c)2014 Physik Instrumente (PI) GmbH & Co. KG, E-709.CRG, 17, 2.004"),
        ],
    ) as piezo:
        assert piezo.position == 12.3456
        piezo.target = 20
        assert piezo.target == 20
        piezo.servo = True
        assert piezo.servo is True
        assert piezo.on_target is False
        assert (piezo.lowest, piezo.highest) == (0, 100)
        assert piezo.identity().model == "E-709.CRG"


@pytest.mark.parametrize(
    ("code", "meaning"),
    [(2, "unknown command"), (5, "servo off"), (7, "out of limits"), (15, "invalid axis"), (99, "manual")],
)
def test_refusals_are_errors(code: int, meaning: str) -> None:
    with (
        expected_protocol(PIPiezo, [("MOV 1 20.000000", None), ("ERR?", str(code))]) as piezo,
        pytest.raises(InstrumentError, match=rf"{meaning}.*error {code}"),
    ):
        piezo.target = 20


@pytest.mark.parametrize("reply", ["2=12.3", "12.3", "1=", "1=abc", "1=1=1", ""])
def test_nonsense_is_an_error(reply: str) -> None:
    with expected_protocol(PIPiezo, [("POS? 1", reply)]) as piezo, pytest.raises(InstrumentError, match="nonsense"):
        _ = piezo.position


def test_somebody_else_is_refused() -> None:
    with (
        expected_protocol(PIPiezo, [("*IDN?", "Stanford Research Systems,SG384,1,1.0")]) as piezo,
        pytest.raises(InstrumentError, match="expected a PI"),
    ):
        piezo.identity()


@pytest.fixture
def bench() -> BenchWorld:
    return BenchWorld()


@pytest.fixture
def lab(bench: BenchWorld) -> Iterator[Lab]:
    sim = SimulatedPIPiezo(bench, PIPiezoSettings(noise=0))
    with Host(bench.timeline) as host:
        yield host, sim, host.serve(sim)


@pytest.fixture
def focus(lab: Lab) -> Iterator[PIFocus]:
    host, _, server = lab
    focus = PIFocus.connect(host.address(server), PIFocus.Settings(timeout="1 s"))
    yield focus
    focus.close()


def test_role_over_the_wire(focus: PIFocus, lab: Lab, bench: BenchWorld) -> None:
    host, *_ = lab
    assert isinstance(focus, Focus)
    assert focus.identify().serial == "0115500620"
    assert focus.travel == pytest.approx((0.0, 1e-4))
    assert focus.position() == pytest.approx(50e-6)
    focus.start_move(60e-6)
    assert not focus.settled()
    host.advance(0.02)
    assert 50e-6 < focus.position() < 60e-6
    focus.make_safe()
    host.advance(0.04)
    assert focus.settled()
    assert focus.readings() == {"position": pytest.approx(60e-6), "servo": True, "on_target": True}
    assert bench.ports.focus.position == pytest.approx(60e-6)
    focus.start_move(focus.travel[1])  # an end of the travel can be reached
    host.advance(0.06)
    assert focus.position() == pytest.approx(1e-4)
    for beyond in (-1e-6, 101e-6, float("nan")):
        with pytest.raises(LimitError, match="outside its travel"):
            focus.start_move(beyond)


def test_a_new_move_replaces_the_old_one(focus: PIFocus, lab: Lab) -> None:
    host, *_ = lab
    focus.start_move(90e-6)
    host.advance(0.01)
    focus.start_move(20e-6)
    host.advance(0.06)
    assert focus.settled()
    assert focus.position() == pytest.approx(20e-6)


def test_servo_off_refuses_or_is_switched_on_without_a_jump(lab: Lab, bench: BenchWorld) -> None:
    host, sim, server = lab
    host.call(sim.lose_servo)
    careful = PIFocus.connect(host.address(server), PIFocus.Settings(servo=False))
    with pytest.raises(InstrumentError, match=r"servo off.*error 5"):
        careful.start_move(60e-6)
    with pytest.raises(InstrumentError, match="servo is off"):
        careful.settled()
    careful.close()
    host.advance(1.0)
    bold = PIFocus.connect(host.address(server), PIFocus.Settings())
    assert bold.readings()["servo"] is False  # connecting changes nothing
    bold.start_move(60e-6)
    assert bench.ports.focus.position == pytest.approx(50e-6)
    host.advance(0.06)
    assert bold.settled()
    bold.close()


def test_an_old_error_is_not_the_new_moves(focus: PIFocus, lab: Lab) -> None:
    host, sim, _ = lab
    host.call(sim.respond, "NONSENSE")
    focus.start_move(60e-6)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("MOV 1 60", 0),
        ("mov 1 60", 0),
        ("MOV 1 100", 0),
        ("MOV 1 100.1", 7),
        ("MOV 1 -0.1", 7),
        ("MVR 1 60", 7),
        ("MOV 2 60", 15),
        ("POS? 2", 15),
        ("MOV 1", 24),
        ("MOV 1 60 1", 24),
        ("MOV 1 abc", 25),
        ("MOV 1 nan", 25),
        ("SVO 1 2", 17),
        ("STP", 10),
        ("NONSENSE 1", 2),
    ],
)
def test_errors_are_told_once(bench: BenchWorld, line: str, error: int) -> None:
    sim = SimulatedPIPiezo(bench, PIPiezoSettings())
    assert sim.respond(line) is None
    assert [sim.respond("ERR?"), sim.respond("ERR?")] == [str(error), "0"]
    assert sim.moving == (error == 0)


def test_help_lists_every_command_in_lines_that_say_whether_more_follow(bench: BenchWorld) -> None:
    reply = SimulatedPIPiezo(bench, PIPiezoSettings()).respond("HLP?")
    assert isinstance(reply, str)
    *lines, last = reply.split("\n")
    assert all(line.endswith(" ") for line in lines)
    assert not last.endswith(" ")
    assert {"MOV ", "MVR ", "POS? ", "ONT? ", "SVO ", "#5 ", "STP "} <= set(lines)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=40),
        st.builds("{} 1 {}".format, st.sampled_from(["MOV", "MVR", "SVO", "POS?"]), st.text(max_size=12)),
    ).filter(str.strip)
)
def test_no_line_moves_it_out_of_its_travel(line: str) -> None:
    sim = SimulatedPIPiezo(BenchWorld(), PIPiezoSettings())
    sim.respond(line)
    target = sim.respond("MOV? 1")
    assert isinstance(target, bytes)
    assert 0 <= float(target.partition(b"=")[2]) <= 100


def test_a_terminal_program(lab: Lab) -> None:
    """What scripts do: line feeds, and #5 in the middle of everything without one."""
    host, _, server = lab
    with serial.serial_for_url(f"socket://127.0.0.1:{server.port}", timeout=1) as port:
        port.write(b"MOV 1 10\n\x05POS?\n")
        assert port.readline() == b"1\n"
        assert port.readline() == b"1=50.000000\n"
        host.advance(1.0)
        port.write(b"\x05MOV 1 80\n\x18ERR?\n")
        assert [port.readline(), port.readline()] == [b"0\n", b"10\n"]
