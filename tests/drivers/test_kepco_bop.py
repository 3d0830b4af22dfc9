"""Kepco BOP: the wire protocol of the driver, the physics of the simulator, and one against the other."""

import math
from collections.abc import Iterator

import pytest
from nvscope_drivers.kepco_bop import KepcoBOP, KepcoCoil, KepcoCoilSettings
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.kepco_bop import KepcoBOPSettings, SimulatedKepcoBOP, settle_current
from pymeasure.test import expected_protocol

from nvscope.devices.roles import MagnetState, SteppedMagnet
from nvscope.errors import InstrumentError, LimitError
from nvscope.units import Resolved

OK = (b"SYST:ERR?", b'0,"No error"')
GAUSS = 1e-4


def coil_settings(**changes: object) -> KepcoCoilSettings:
    values = {"field_per_current": "10 G/A", "current_limit": "20 A"} | changes
    return KepcoCoilSettings.model_validate(values)


def test_setpoint_is_sent_and_the_error_queue_read() -> None:
    with expected_protocol(KepcoBOP, [(b"CURR -1.25", None), OK]) as supply:
        supply.current_setpoint = -1.25


def test_mode_uses_words_to_set_and_numbers_to_read() -> None:
    with expected_protocol(KepcoBOP, [(b"FUNC:MODE CURR", None), OK, (b"FUNC:MODE?", b"1")]) as supply:
        supply.mode = "current"
        assert supply.mode == "current"


def test_measured_values() -> None:
    with expected_protocol(KepcoBOP, [(b"MEAS:CURR?", b"9.70000E0"), (b"MEAS:VOLT?", b"-5.8E0")]) as supply:
        assert supply.current == 9.7
        assert supply.voltage == -5.8


def test_a_refusal_is_an_error_with_the_instruments_words() -> None:
    refusal = [(b"CURR 150", None), (b"SYST:ERR?", b'-222,"Data out of range"'), OK]
    with expected_protocol(KepcoBOP, refusal) as supply, pytest.raises(InstrumentError, match="-222 Data out of range"):
        supply.current_setpoint = 150


def test_a_stuck_error_queue_ends() -> None:
    stuck = [(b"SYST:ERR?", b'-240,"Hardware error"')] * 20
    with expected_protocol(KepcoBOP, stuck) as supply, pytest.raises(InstrumentError, match="does not empty"):
        supply.read_errors()


def test_out_of_range_is_refused_before_it_is_sent() -> None:
    with expected_protocol(KepcoBOP, []) as supply, pytest.raises(ValueError, match="not in range"):
        supply.current_setpoint = 1000


def test_another_instrument_is_not_taken_for_a_kepco() -> None:
    pairs = [(b"*IDN?", b"LSCI,MODEL336,LSA2345/6789,2.9")]
    with expected_protocol(KepcoBOP, pairs) as supply, pytest.raises(InstrumentError, match="LSCI"):
        supply.identity()


def test_current_of_a_driven_coil_follows_the_closed_form() -> None:
    # L di/dt = V − R i from rest: i = V/R (1 − exp(−R t/L)), until it meets the goal
    volts, ohms, henries = 20.0, 0.5, 0.02
    t = 0.004
    expected = volts / ohms * (1 - math.exp(-ohms * t / henries))
    assert settle_current(0.0, 15.0, volts, ohms, henries, t) == pytest.approx(expected, rel=1e-12)
    assert settle_current(0.0, 15.0, volts, ohms, henries, 0.1) == 15.0
    assert settle_current(0.0, -15.0, volts, ohms, henries, t) == pytest.approx(-expected, rel=1e-12)


def test_current_that_the_voltage_cannot_sustain_ends_at_ohms_law() -> None:
    assert settle_current(0.0, 15.0, 5.0, 0.5, 0.02, 10.0) == pytest.approx(10.0, abs=1e-9)
    assert settle_current(15.0, 15.0, 5.0, 0.5, 0.02, 10.0) == pytest.approx(10.0, abs=1e-9)


def test_switched_off_coil_decays_with_its_time_constant() -> None:
    assert settle_current(8.0, 0.0, 0.0, 0.5, 0.02, 0.04) == pytest.approx(8.0 * math.exp(-1.0), rel=1e-12)


@pytest.fixture
def bench() -> Iterator[tuple[BenchWorld, SimulatedKepcoBOP, Host]]:
    world = BenchWorld()
    supply = SimulatedKepcoBOP(world, KepcoBOPSettings())
    with Host(world.timeline) as host:
        host.serve(supply)
        yield world, supply, host


def connect(host: Host, **changes: object) -> KepcoCoil:
    return KepcoCoil.connect(host.address(host.servers[0]), coil_settings(**changes))


def walk(coil: KepcoCoil, host: Host, target: float) -> None:
    """Ramp in steps of 2 G, as the device does."""
    start = coil.field()
    steps = max(1, math.ceil(abs(target - start) / (2 * GAUSS)))
    for step in range(1, steps + 1):
        coil.set_field(start + (target - start) * step / steps)
        host.advance(0.25)


def test_connecting_changes_nothing(bench: tuple[BenchWorld, SimulatedKepcoBOP, Host]) -> None:
    world, supply, host = bench
    coil = connect(host)
    assert isinstance(coil, SteppedMagnet)
    assert coil.identify().manufacturer == "KEPCO"
    assert host.call(supply.execute, "OUTP?;:FUNC:MODE?;:CURR?") == "0;0;2.00000E1"
    assert coil.state() is MagnetState.HOLDING
    coil.close()
    assert world.ports.magnet.current == {"z": 0.0}


def test_a_ramp_of_steps_arrives(bench: tuple[BenchWorld, SimulatedKepcoBOP, Host]) -> None:
    world, _, host = bench
    coil = connect(host)
    walk(coil, host, 97 * GAUSS)
    assert coil.field() == pytest.approx(97 * GAUSS, abs=0.02 * GAUSS)
    assert coil.state() is MagnetState.HOLDING
    assert world.ports.magnet.current["z"] == pytest.approx(9.7, abs=1e-3)
    readings = coil.readings()
    assert readings["coil_resistance"] == pytest.approx(world.coil_ohms, rel=1e-2)
    walk(coil, host, -20 * GAUSS)
    assert coil.field() == pytest.approx(-20 * GAUSS, abs=0.02 * GAUSS)
    coil.close()
    host.advance(10.0)
    assert world.ports.magnet.current["z"] == pytest.approx(-2.0, abs=1e-3)  # closing the session moves nothing


def test_sign_and_offset_of_the_calibration(bench: tuple[BenchWorld, SimulatedKepcoBOP, Host]) -> None:
    world, _, host = bench
    coil = connect(host, field_per_current="-10 G/A", field_at_zero="1 G")
    coil.set_field(2 * GAUSS)
    host.advance(1.0)
    assert world.ports.magnet.current["z"] == pytest.approx(-0.1, abs=1e-3)
    assert coil.field() == pytest.approx(2 * GAUSS, abs=0.02 * GAUSS)
    assert coil.field_limit == pytest.approx(199 * GAUSS)
    coil.close()
    coil = connect(host, gain=1.25)
    coil.set_field(-2.5 * GAUSS)
    host.advance(1.0)
    assert world.ports.magnet.current["z"] == pytest.approx(-0.2, abs=1e-3)
    assert coil.field() == pytest.approx(-2.5 * GAUSS, abs=0.02 * GAUSS)
    assert coil.field_limit == pytest.approx(250 * GAUSS)
    coil.close()


def test_limits_are_refused_and_move_nothing(bench: tuple[BenchWorld, SimulatedKepcoBOP, Host]) -> None:
    world, _, host = bench
    coil = connect(host)
    with pytest.raises(LimitError, match="beyond the coil's limit"):
        coil.set_field(201 * GAUSS)
    with pytest.raises(LimitError, match="more than one step"):
        coil.set_field(50 * GAUSS)
    with pytest.raises(LimitError, match="beyond"):
        coil.set_field(math.nan)
    host.advance(1.0)
    assert world.ports.magnet.current["z"] == 0.0
    coil.close()


def test_a_step_towards_zero_is_never_refused(bench: tuple[BenchWorld, SimulatedKepcoBOP, Host]) -> None:
    world, _, host = bench
    coil = connect(host)
    walk(coil, host, 80 * GAUSS)
    coil.set_field(0.0)
    host.advance(1.0)
    assert world.ports.magnet.current["z"] == pytest.approx(0.0, abs=1e-3)
    coil.close()


def test_somebody_elses_voltage_mode_is_left_alone(bench: tuple[BenchWorld, SimulatedKepcoBOP, Host]) -> None:
    world, supply, host = bench
    host.call(supply.execute, "FUNC:MODE VOLT;:CURR MAX;:VOLT 1.2;:OUTP ON")
    host.advance(1.0)
    assert world.ports.magnet.current["z"] == pytest.approx(2.0, abs=1e-3)
    coil = connect(host)
    assert coil.state() is MagnetState.FAULT
    with pytest.raises(InstrumentError, match="regulates voltage"):
        coil.set_field(20 * GAUSS)
    coil.make_safe()
    host.advance(1.0)
    assert world.ports.magnet.current["z"] == pytest.approx(2.0, abs=1e-3)
    coil.close()


def test_a_coil_too_warm_for_the_voltage_is_a_fault(bench: tuple[BenchWorld, SimulatedKepcoBOP, Host]) -> None:
    world, _, host = bench
    coil = connect(host, voltage_limit=6.5)
    walk(coil, host, 97 * GAUSS)
    world.coil_ohms = 0.9  # 9.7 A would need 8.7 V
    host.advance(5.0)
    assert world.ports.magnet.current["z"] == pytest.approx(6.5 / 0.9, rel=1e-3)
    assert coil.state() is MagnetState.RAMPING
    host.advance(1.0)
    assert coil.state() is MagnetState.FAULT
    coil.close()


def test_an_overheated_coil_is_stepped_down_by_each_safe_call(
    bench: tuple[BenchWorld, SimulatedKepcoBOP, Host],
) -> None:
    world, _, host = bench
    coil = connect(host, hot_resistance="0.8 ohm")
    walk(coil, host, 97 * GAUSS)
    coil.make_safe()
    host.advance(1.0)
    assert world.ports.magnet.current["z"] == pytest.approx(9.7, abs=2e-3)
    world.coil_ohms = 0.9
    host.advance(1.0)
    assert coil.state() is MagnetState.FAULT
    for expected in (9.2, 8.7, 8.2):
        coil.make_safe()
        host.advance(1.0)
        assert world.ports.magnet.current["z"] == pytest.approx(expected, abs=3e-3)
    coil.close()


def ask(supply: SimulatedKepcoBOP, message: str) -> str | None:
    return supply.execute(message)


def test_refusals_and_status_as_the_card_gives_them() -> None:
    supply = SimulatedKepcoBOP(BenchWorld())
    assert ask(supply, "*ESR?") == "128"  # power on
    assert ask(supply, "CURR 21") is None
    assert ask(supply, "VOLT -1;FROB;CURR 1") is None  # a command error ends its message
    assert ask(supply, "*ESR?") == "48"
    assert [ask(supply, "SYST:ERR?") for _ in range(3)] == [
        '-222,"Data out of range"',
        '-113,"Undefined header"',
        '0,"No error"',
    ]
    assert ask(supply, "*ESE 48;*SRE 36;FROB") is None
    assert ask(supply, "*STB?") == str(64 + 32 + 4)
    assert ask(supply, "*CLS;*STB?") == "0"


def test_path_of_a_compound_message() -> None:
    supply = SimulatedKepcoBOP(BenchWorld())
    assert ask(supply, "FUNC:MODE CURR;MODE?;:CURR 1.5;CURR?") == "1;1.50024E0"
    assert ask(supply, "STAT:OPER:ENAB 5;ENAB?") == "5"


def test_limits_of_the_regulated_quantity_follow_the_mode() -> None:
    supply = SimulatedKepcoBOP(BenchWorld())
    assert ask(supply, "CURR? MIN;CURR? MAX;VOLT? MIN") == "0.00000E0;2.00000E1;-2.00000E1"
    assert ask(supply, "FUNC:MODE CURR;:CURR? MIN;VOLT? MIN") == "-2.00000E1;0.00000E0"


def test_si_text_and_floats_configure_alike() -> None:
    assert coil_settings(field_per_current=Resolved(1e-3)) == coil_settings()


def test_one_nonsensical_reading_is_asked_again(bench: tuple[BenchWorld, SimulatedKepcoBOP, Host]) -> None:
    _, supply, host = bench
    host.call(supply.spoil_next_reading)
    coil = connect(host)
    assert coil.field() == pytest.approx(0.0, abs=0.02 * GAUSS)
    coil.close()


def test_an_output_that_switches_off_by_itself_is_seen(bench: tuple[BenchWorld, SimulatedKepcoBOP, Host]) -> None:
    _, supply, host = bench
    coil = connect(host)
    walk(coil, host, 50 * GAUSS)
    host.call(supply.switch_off)
    host.advance(2.0)
    assert coil.field() == pytest.approx(0.0, abs=0.02 * GAUSS)
    assert coil.readings()["output"] is False
    # going on from here means starting again in steps, not jumping back
    with pytest.raises(LimitError, match="more than one step"):
        coil.set_field(50 * GAUSS)
    coil.close()
