"""AMI 430: the wire protocol of the driver, the simulated magnet, and one against the other."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvscope_drivers.ami430 import AMI430, AMI430Magnet, AMI430Settings, RampState
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.ami430 import AMI430Settings as MagnetSettings
from nvscope_simulators.instruments.ami430 import SimulatedAMI430
from nvscope_simulators.instruments.ami430_magnet import Segment, State, ramp
from nvscope_simulators.instruments.kepco_bop import SimulatedKepcoBOP
from pymeasure.test import expected_protocol

from nvscope.devices.roles import MagnetState, RampingMagnet
from nvscope.errors import InstrumentError, LimitError
from nvscope.units import Resolved

OK = (b"SYST:ERR?", b'0,"No errors"')
GAUSS = 1e-4
RATE = 10 * GAUSS


# --- the driver's protocol


@pytest.mark.parametrize(("units", "reply", "tesla"), [(b"0", b"0.097", 0.0097), (b"1", b"0.0097", 0.0097)])
def test_field_is_converted_with_the_units_of_the_moment(units: bytes, reply: bytes, tesla: float) -> None:
    pairs = [(b"FIELD:UNITS?", units), (b"FIELD:MAG?", reply), (b"FIELD:UNITS?", units)]
    with expected_protocol(AMI430, pairs) as magnet:
        assert magnet.field == pytest.approx(tesla)


def test_units_that_change_in_between_are_noticed() -> None:
    changing = [
        (b"FIELD:UNITS?", b"0"),
        (b"FIELD:MAG?", b"0.0097"),
        (b"FIELD:UNITS?", b"1"),
        (b"FIELD:UNITS?", b"1"),
        (b"FIELD:MAG?", b"0.0097"),
        (b"FIELD:UNITS?", b"1"),
    ]
    with expected_protocol(AMI430, changing) as magnet:
        assert magnet.field == 0.0097


def test_a_rate_is_sent_in_kilogauss_per_minute_where_they_are_set() -> None:
    pairs = [
        (b"FIELD:UNITS?", b"0"),
        (b"RAMP:RATE:UNITS?", b"1"),
        (b"CONF:RAMP:RATE:SEG 1", None),
        OK,
        (b"CONF:RAMP:RATE:FIELD 1,0.6,0.2", None),
        OK,
    ]
    with expected_protocol(AMI430, pairs) as magnet:
        magnet.set_rate(1e-3, 0.02)  # 10 G/s = 0.01 kG/s = 0.6 kG/min


def test_state_is_named_and_an_unknown_one_refused() -> None:
    with expected_protocol(AMI430, [(b"STATE?", b"10")]) as magnet:
        assert magnet.state is RampState.COOLING_SWITCH
    with expected_protocol(AMI430, [(b"STATE?", b"11")]) as magnet, pytest.raises(InstrumentError, match="11"):
        _ = magnet.state


# --- the simulated magnet


def test_segmented_ramp_against_hand_computed_times() -> None:
    segments = [Segment(1.0, 10.0), Segment(0.5, 20.0), Segment(0.25, math.inf)]
    assert ramp(0.0, 30.0, 10.0, segments) == (10.0, 0.0)
    assert ramp(0.0, 30.0, 30.0, segments) == (20.0, 0.0)
    assert ramp(0.0, 30.0, 34.0, segments) == (21.0, 0.0)
    assert ramp(0.0, 15.0, 100.0, segments) == (15.0, 80.0)
    # 30 A down through zero to −15 A: 40 s + 20 s + 10 s + 10 s + 10 s
    assert ramp(30.0, -15.0, 90.0, segments) == (-15.0, 0.0)
    assert ramp(30.0, -15.0, 65.0, segments) == (5.0, 0.0)


@settings(derandomize=True, max_examples=300)
@given(
    start=st.floats(-60, 60),
    goal=st.floats(-60, 60),
    bounds=st.lists(st.floats(0, 60), min_size=1, max_size=10),
    dt=st.floats(0, 1e4),
)
def test_a_ramp_never_overshoots_whatever_the_segments(
    start: float, goal: float, bounds: list[float], dt: float
) -> None:
    segments = [Segment(0.1 + 0.05 * n, bound) for n, bound in enumerate(bounds)]
    current, left = ramp(start, goal, dt, segments)
    assert min(start, goal) <= current <= max(start, goal)
    assert 0.0 <= left <= dt
    if current != goal:
        assert left == 0.0
        assert 0.1 * dt - 1e-6 <= abs(current - start) <= 0.6 * dt + 1e-6
    halfway, _ = ramp(start, goal, dt / 2, segments)
    assert ramp(halfway, goal, dt - dt / 2, segments)[0] == pytest.approx(current, abs=1e-6)


@pytest.fixture
def bench() -> Iterator[tuple[BenchWorld, SimulatedAMI430, Host]]:
    yield from benched()


@pytest.fixture
def switched() -> Iterator[tuple[BenchWorld, SimulatedAMI430, Host]]:
    yield from benched(switch_installed=True)


def benched(**changes: object) -> Iterator[tuple[BenchWorld, SimulatedAMI430, Host]]:
    world = BenchWorld()
    programmer = SimulatedAMI430(world, MagnetSettings.model_validate(changes))
    with Host(world.timeline) as host:
        host.serve(programmer)
        yield world, programmer, host


Bench = tuple[BenchWorld, SimulatedAMI430, Host]


def connect(host: Host, **changes: object) -> AMI430Magnet:
    settings = {"field_per_current": "10 G/A", "current_limit": "20 A"} | changes
    return AMI430Magnet.connect(host.address(host.servers[0]), AMI430Settings.model_validate(settings))


def test_connecting_changes_nothing(bench: Bench) -> None:
    _, programmer, host = bench
    before = programmer.system.state, programmer.system.target, programmer.system.segments
    magnet = connect(host)
    assert isinstance(magnet, RampingMagnet)
    assert magnet.identify().model == "MODEL 430"
    assert magnet.state() is MagnetState.PAUSED
    assert magnet.readings()["state"] == "paused"
    assert (programmer.system.state, programmer.system.target, programmer.system.segments) == before
    assert len(programmer.core.errors) == 0
    magnet.close()


@pytest.mark.parametrize("tesla", [False, True])
@pytest.mark.parametrize("per_minute", [False, True])
def test_a_ramp_arrives_at_the_asked_rate_in_any_units(tesla: bool, per_minute: bool) -> None:
    for world, _, host in benched(tesla=tesla, per_minute=per_minute):
        magnet = connect(host)
        magnet.start_ramp(97 * GAUSS, RATE / 2)
        host.advance(9.7)
        assert magnet.state() is MagnetState.RAMPING
        assert magnet.field() == pytest.approx(48.5 * GAUSS, abs=0.01 * GAUSS)
        assert world.applied_field()[2] == pytest.approx(48.5 * GAUSS, abs=0.6 * GAUSS)
        host.advance(9.71)
        assert magnet.state() is MagnetState.RAMPING  # arrived, not yet settled
        host.advance(0.5)
        assert magnet.state() is MagnetState.HOLDING
        assert magnet.field() == pytest.approx(97 * GAUSS, abs=0.01 * GAUSS)
        assert world.applied_field()[2] == pytest.approx(97 * GAUSS, rel=1e-9)
        magnet.close()


def test_a_calibrated_gain_scales_field_and_rate(bench: Bench) -> None:
    world, _, host = bench
    magnet = connect(host, gain=1.25, field_at_zero="1 G")
    magnet.start_ramp(51 * GAUSS, 1.25 * RATE / 2)
    host.advance(4.0)
    assert magnet.field() == pytest.approx((1 + 25) * GAUSS, abs=0.02 * GAUSS)
    host.advance(6.0)
    assert magnet.at_target()
    assert magnet.field() == pytest.approx(51 * GAUSS, abs=0.02 * GAUSS)
    assert world.applied_field()[2] == pytest.approx(40 * GAUSS, rel=1e-6)  # the programmer's own constant is too small
    assert magnet.field_limit == pytest.approx(249 * GAUSS)
    with pytest.raises(LimitError, match="limit of ±249"):
        magnet.start_ramp(252 * GAUSS, RATE / 2)
    magnet.close()


def test_pause_is_the_safe_state_and_resting_magnets_are_left_alone(bench: Bench) -> None:
    _, programmer, host = bench
    magnet = connect(host)
    magnet.start_ramp(97 * GAUSS, RATE)
    host.advance(5.0)
    magnet.make_safe()
    assert magnet.state() is MagnetState.PAUSED
    host.advance(100.0)
    assert magnet.field() == pytest.approx(50 * GAUSS, abs=0.01 * GAUSS)
    magnet.start_ramp(97 * GAUSS, RATE)
    host.advance(10.0)
    assert magnet.state() is MagnetState.HOLDING
    magnet.make_safe()
    assert programmer.system.state is State.HOLDING
    magnet.close()


def test_a_new_target_is_approached_at_the_new_rate_only(bench: Bench) -> None:
    _, _, host = bench
    magnet = connect(host)
    magnet.start_ramp(97 * GAUSS, RATE)
    host.advance(12.0)
    magnet.start_ramp(87 * GAUSS, RATE / 10)
    host.advance(5.0)
    assert magnet.field() == pytest.approx(92 * GAUSS, abs=0.01 * GAUSS)
    magnet.close()


def test_limits_are_refused_and_move_nothing(bench: Bench) -> None:
    _, programmer, host = bench
    magnet = connect(host)
    for field, rate in [
        (201 * GAUSS, RATE),
        (math.nan, RATE),
        (0.0, 0.0),
        (0.0, 1e-9),
        (0.0, 21 * GAUSS),
        (0.0, math.nan),
    ]:
        with pytest.raises(LimitError):
            magnet.start_ramp(field, rate)
    assert programmer.system.state is State.PAUSED
    assert programmer.system.target == 0.0
    magnet.close()


def test_a_quench_is_seen_reported_and_never_cleared(bench: Bench) -> None:
    world, programmer, host = bench
    magnet = connect(host)
    magnet.start_ramp(97 * GAUSS, RATE)
    host.advance(12.0)
    host.call(programmer.system.quench)
    assert magnet.state() is MagnetState.QUENCHED
    assert magnet.readings()["quenched"] is True
    host.advance(30.0)
    assert world.applied_field()[2] == 0.0
    with pytest.raises(InstrumentError, match="reset the quench at the programmer"):
        magnet.start_ramp(10 * GAUSS, RATE)
    magnet.make_safe()
    magnet.close()
    assert programmer.system.quenched
    assert programmer.system.target == pytest.approx(9.7)  # the quench did not move the setpoint


def test_a_persistent_magnet_is_never_heated(switched: Bench) -> None:
    world, programmer, host = switched
    host.call(programmer.core.execute, "PS 1")
    host.advance(30.0)
    magnet = connect(host)
    magnet.start_ramp(97 * GAUSS, RATE)
    host.advance(12.0)
    host.call(programmer.core.execute, "PS 0")
    assert magnet.state() is MagnetState.SWITCHING
    with pytest.raises(InstrumentError, match="being heated or cooled"):
        magnet.start_ramp(0.0, RATE)
    host.advance(61.0)
    assert magnet.readings()["persistent"] is True
    host.call(programmer.core.execute, "ZERO")
    host.advance(10.0)
    assert magnet.readings()["supply_current"] == pytest.approx(0.0, abs=1e-3)
    assert magnet.field() == pytest.approx(97 * GAUSS, abs=0.01 * GAUSS)
    assert world.applied_field()[2] == pytest.approx(97 * GAUSS)
    with pytest.raises(InstrumentError, match="switch is cold"):
        magnet.start_ramp(0.0, RATE)
    magnet.make_safe()
    host.advance(100.0)
    assert world.applied_field()[2] == pytest.approx(97 * GAUSS)
    assert not programmer.system.heater
    magnet.close()


def test_opening_the_switch_on_unequal_currents_quenches(switched: Bench) -> None:
    world, programmer, host = switched

    def tell(command: str) -> None:
        host.call(programmer.core.execute, command)

    for command, wait in [("PS 1", 21), ("CONF:CURR:TARG 8", 0), ("RAMP", 90), ("PS 0", 61), ("ZERO", 30), ("PS 1", 0)]:
        tell(command)
        host.advance(wait)
    assert programmer.system.magnet == pytest.approx(8.0)
    host.advance(21.0)
    assert programmer.system.quenched
    host.advance(30.0)
    assert world.applied_field()[2] == 0.0


def test_a_programmer_configured_for_another_coil_is_refused(bench: Bench) -> None:
    _, _, host = bench
    with pytest.raises(InstrumentError, match=r"10 G/A, this rig with 12 G/A"):
        connect(host, field_per_current="12 G/A")
    with pytest.raises(InstrumentError, match="current limit of 50 A"):
        connect(host, current_limit="55 A")


def test_something_else_on_the_port_is_recognised() -> None:
    world = BenchWorld()
    with Host(world.timeline) as host:
        host.serve(SimulatedKepcoBOP(world))
        with pytest.raises(InstrumentError, match="does not greet"):
            connect(host, timeout="0.3 s")


# --- the dialect


def ask(programmer: SimulatedAMI430, message: str) -> str | None:
    return programmer.core.execute(message)


def test_units_change_every_number() -> None:
    programmer = SimulatedAMI430(BenchWorld(), MagnetSettings.model_validate({"coil_constant": "1 kG/A"}))
    assert ask(programmer, "COIL?") == "1"
    ask(programmer, "CONF:FIELD:TARG 12.5")
    assert (ask(programmer, "FIELD:TARG?"), ask(programmer, "CURR:TARG?")) == ("12.5", "12.5")
    ask(programmer, "CONF:FIELD:UNITS 1")
    assert (ask(programmer, "COIL?"), ask(programmer, "FIELD:TARG?"), ask(programmer, "CURR:TARG?")) == (
        "0.1",
        "1.25",
        "12.5",
    )
    ask(programmer, "CONF:RAMP:RATE:CURR 1,0.5,50")
    assert ask(programmer, "RAMP:RATE:FIELD:1?") == "0.05,5"
    ask(programmer, "CONF:RAMP:RATE:UNITS 1")
    assert ask(programmer, "RAMP:RATE:CURR:1?") == "30,50"


def test_refusals_have_the_programmers_own_numbers() -> None:
    programmer = SimulatedAMI430(BenchWorld())
    cases = {
        "FROBNICATE": '-101,"Unrecognized command"',
        "CONF:FIELD:TARG abc": '-102,"Invalid argument"',
        "CONF:FIELD:UNITS ON": '-103,"Non-boolean argument"',
        "CONF:RAMP:RATE:CURR 1,0.1": '-104,"Missing parameter"',
        "CONF:CURR:TARG 51": '-105,"Out of range"',
        "CONF:RAMP:RATE:CURR 2,0.1,10": '-105,"Out of range"',
        "PS 1": '-107,"No switch installed"',
        "STATUS?": '-201,"Unrecognized query"',
    }
    for command, refusal in cases.items():
        assert ask(programmer, command) is None
        assert ask(programmer, "SYST:ERR?") == refusal, command
    assert ask(programmer, "SYST:ERR?") == '0,"No errors"'
    ask(programmer, "QU 1")
    for command in ("RAMP", "ZERO", "INCR", "DECR", "PAUSE"):
        ask(programmer, command)
        assert ask(programmer, "SYST:ERR?") == '-302,"Quench condition"'
    assert ask(programmer, "STATE?") == "7"
    assert ask(programmer, "*STB?") == "4"
    ask(programmer, "QU 0")
    assert (ask(programmer, "STATE?"), ask(programmer, "QU:COUN?"), ask(programmer, "*STB?")) == ("3", "1", "0")


def test_a_full_error_buffer_says_so() -> None:
    programmer = SimulatedAMI430(BenchWorld())
    for _ in range(15):
        ask(programmer, "FROB")
    assert ask(programmer, "SYST:ERR:COUN?") == "10"
    errors = [ask(programmer, "SYST:ERR?") for _ in range(11)]
    assert errors[9:] == ['-304,"Error buffer overflow"', '0,"No errors"']


def test_states_of_zeroing_and_manual_ramps(bench: Bench) -> None:
    _, programmer, host = bench

    def after(command: str, seconds: float) -> State:
        host.call(programmer.core.execute, command)
        host.advance(seconds)
        return host.call(lambda: programmer.system.state)

    assert after("CONF:RAMP:RATE:CURR 1,1,50", 0.0) is State.PAUSED
    assert after("INCR", 5.0) is State.MANUAL_UP
    assert after("PAUSE", 10.0) is State.PAUSED
    assert after("DECR", 2.0) is State.MANUAL_DOWN
    assert after("ZERO", 2.0) is State.ZEROING
    assert after("STATE?", 5.0) is State.AT_ZERO
    assert programmer.system.magnet == 0.0


def test_settings_accept_quantities() -> None:
    assert MagnetSettings.model_validate({"coil_constant": "10 G/A"}).coil_constant == pytest.approx(1e-3)
    assert MagnetSettings.model_validate({"coil_constant": Resolved(1e-3)}).coil_constant == 1e-3


# --- faults


def test_a_state_that_never_leaves_ramping_does_not_hide_the_field(bench: Bench) -> None:
    _, programmer, host = bench
    host.call(programmer.set_stuck_ramping, True)
    magnet = connect(host)
    magnet.start_ramp(97 * GAUSS, RATE)
    host.advance(100.0)
    assert magnet.state() is MagnetState.RAMPING
    assert magnet.field() == pytest.approx(97 * GAUSS, abs=0.01 * GAUSS)
    host.call(programmer.set_stuck_ramping, False)
    assert magnet.state() is MagnetState.HOLDING
    magnet.close()


def test_a_state_that_is_late(bench: Bench) -> None:
    _, programmer, host = bench
    host.call(programmer.set_hold_delay, 30.0)
    magnet = connect(host)
    magnet.start_ramp(97 * GAUSS, RATE)
    host.advance(39.0)
    assert magnet.state() is MagnetState.RAMPING
    host.advance(1.0)
    assert magnet.state() is MagnetState.HOLDING
    magnet.close()


def test_one_nonsensical_reading_is_asked_again(bench: Bench) -> None:
    _, programmer, host = bench
    host.call(programmer.spoil_next_reading)
    magnet = connect(host)
    assert magnet.field() == pytest.approx(0.0, abs=0.01 * GAUSS)
    magnet.close()


def test_a_second_controller_that_changes_units_does_not_change_the_field(bench: Bench) -> None:
    _, programmer, host = bench
    magnet = connect(host)
    magnet.start_ramp(50 * GAUSS, RATE)
    host.advance(10.0)
    host.call(programmer.execute, "CONF:FIELD:UNITS 1;CONF:RAMP:RATE:UNITS 1;CONF:RAMP:RATE:SEG 3")
    assert magnet.field() == pytest.approx(50 * GAUSS, abs=0.01 * GAUSS)
    magnet.start_ramp(60 * GAUSS, RATE)
    host.advance(0.5)
    assert magnet.field() == pytest.approx(55 * GAUSS, abs=0.01 * GAUSS)
    magnet.close()
