"""Keithley 6221 + 2182A: the driver's protocol, delta mode in the simulator, and one against the other."""

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from nvscope_drivers.keithley6221 import DeltaModeSettings, DeltaModeTransport, Keithley6221
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.keithley6221 import Keithley6221Settings, SimulatedKeithley6221
from pymeasure.test import expected_protocol

from nvscope.devices.roles import Transport
from nvscope.errors import InstrumentError, LimitError

OK = (b"SYST:ERR?", b'0,"No error"')


# --- the driver's protocol


def test_delta_settings_are_sent_and_checked() -> None:
    pairs = [
        (b"SOUR:DELT:HIGH 0.0001", None),
        OK,
        (b"SOUR:DELT:DEL 0.002", None),
        OK,
        (b"SOUR:DELT:COUN 28", None),
        OK,
        (b"SOUR:DELT:CAB 1", None),
        OK,
        (b"SOUR:CURR:COMP 2", None),
        OK,
    ]
    with expected_protocol(Keithley6221, pairs) as source:
        source.delta_high = 1e-4
        source.delta_delay = 2e-3
        source.delta_count = 28
        source.compliance_abort = True
        source.compliance = 2


def test_meter_settings_go_through_the_relay_port() -> None:
    pairs = [
        (b'SYST:COMM:SER:SEND "VOLT:NPLC 1"', None),
        (b'SYST:COMM:SER:SEND "VOLT:RANG 0.01"', None),
        OK,
    ]
    with expected_protocol(Keithley6221, pairs) as source:
        source.configure_meter(1.0, 0.01)


def test_buffer_is_an_array() -> None:
    with expected_protocol(Keithley6221, [(b"TRAC:DATA?", b"+1.0E-06,-2.5E-06,+9.910000E+37")]) as source:
        assert source.buffer().tolist() == [1e-6, -2.5e-6, 9.91e37]


def test_limits_of_the_source_are_strict() -> None:
    with expected_protocol(Keithley6221, []) as source, pytest.raises(ValueError, match="not in range"):
        source.delta_high = 0.2


# --- driver against simulator

Bench = tuple[BenchWorld, SimulatedKeithley6221, Host]


@pytest.fixture
def bench() -> Iterator[Bench]:
    world = BenchWorld()
    source = SimulatedKeithley6221(world, Keithley6221Settings())
    with Host(world.timeline) as host:
        host.serve(source)
        yield world, source, host


def connect(host: Host, **changes: object) -> DeltaModeTransport:
    return DeltaModeTransport.connect(host.address(host.servers[0]), DeltaModeSettings.model_validate(changes))


def test_connecting_changes_nothing(bench: Bench) -> None:
    world, source, host = bench
    host.call(source.core.execute, "SOUR:CURR 1e-5;:OUTP ON")
    transport = connect(host)
    assert isinstance(transport, Transport)
    assert transport.identify().model == "MODEL 6221"
    assert transport.readings() == {"output": True, "armed": False, "compliance": 10.0}
    transport.close()
    assert world.ports.excitation.current == 1e-5


def test_resistance_and_its_error_are_those_of_the_noise(bench: Bench) -> None:
    world, _, host = bench
    world.offset, world.offset_drift = 20e-6, 1e-6
    transport = connect(host)
    transport.start(1e-4, 400)
    assert not transport.finished()
    host.advance(35.0)
    assert transport.finished()
    volts = transport.fetch()
    assert volts.shape == (400,)
    assert world.ports.excitation.current == 0.0
    # (V1 − 2 V2 + V3)/4 of conversions with 20 nV each: √6/4 × 20 nV, and no trace of offset or linear drift
    expected = math.sqrt(6) / 4 * 20e-9
    assert volts.std(ddof=1) == pytest.approx(expected, rel=4 / math.sqrt(2 * 400))
    assert volts.mean() == pytest.approx(0.5e-4, abs=4 * expected / math.sqrt(400))
    # every third reading shares no conversion with its neighbour
    centred = volts - volts.mean()
    assert abs(np.mean(centred[1:] * centred[:-1]) / np.var(volts)) < 4 / math.sqrt(400)
    transport.close()


def test_neighbouring_readings_share_conversions(bench: Bench) -> None:
    _, source, host = bench
    for command in ("SYST:COMM:SER:SEND 'VOLT:NPLC 1'", "SOUR:DELT:COUN 2000", "SOUR:DELT:ARM", "INIT:IMM"):
        host.call(source.core.execute, command)
    host.advance(60.0)
    volts = np.array([reading.voltage for reading in source.delta.buffer])
    assert volts.size == 2000
    centred = volts - volts.mean()
    lag = [float(np.mean(centred[n:] * centred[: volts.size - n]) / np.var(volts)) for n in (1, 2, 3)]
    assert lag == pytest.approx([2 / 3, 1 / 6, 0.0], abs=0.08)


def test_a_negative_current_gives_negative_voltages(bench: Bench) -> None:
    _, _, host = bench
    transport = connect(host)
    transport.start(-1e-4, 5)
    host.advance(2.0)
    assert transport.fetch().mean() == pytest.approx(-0.5e-4, rel=1e-2)
    transport.close()


def test_current_reverses_and_ends(bench: Bench) -> None:
    world, _, host = bench
    transport = connect(host)
    transport.start(1e-4, 3)
    seen = []
    for _ in range(5):
        seen.append(world.ports.excitation.current)
        host.advance(0.025)
    assert seen == [1e-4, -1e-4, 1e-4, -1e-4, 1e-4]
    host.advance(1.0)
    assert world.ports.excitation.current == 0.0
    transport.close()


def test_compliance_ends_the_measurement_and_says_so(bench: Bench) -> None:
    world, source, host = bench
    world.lead_ohms = 1e6
    transport = connect(host)
    transport.start(1e-4, 5)
    host.advance(0.1)
    with pytest.raises(InstrumentError, match="compliance of 2 V"):
        transport.finished()
    assert world.ports.excitation.current == 0.0
    assert not source.delta.armed
    with pytest.raises(InstrumentError, match="no resistance measurement is running"):
        transport.fetch()
    world.lead_ohms = 10.0  # the contact is mended: the next measurement is as good as any
    transport.start(1e-4, 5)
    host.advance(1.0)
    assert transport.fetch().mean() == pytest.approx(0.5e-4, rel=1e-2)
    transport.close()


def test_an_overflow_is_not_a_number(bench: Bench) -> None:
    world, _, host = bench
    world.sample_ohms = 500.0
    transport = connect(host)
    transport.start(1e-4, 4)
    host.advance(1.0)
    assert np.isnan(transport.fetch()).all()
    transport.close()


def test_without_a_nanovoltmeter_nothing_starts(bench: Bench) -> None:
    world, source, host = bench
    source.meter.connected = False
    transport = connect(host)
    with pytest.raises(InstrumentError, match="no 2182A"):
        transport.start(1e-4, 4)
    assert world.ports.excitation.current == 0.0
    transport.close()


def test_limits(bench: Bench) -> None:
    _, source, host = bench
    transport = connect(host, current_limit="0.1 mA")
    for current, readings in [(1.1e-4, 5), (0.0, 5), (math.nan, 5), (1e-5, 0), (1e-5, 40000)]:
        with pytest.raises(LimitError):
            transport.start(current, readings)
    assert not source.delta.armed
    transport.close()


def test_a_run_that_died_armed_is_taken_over_and_made_safe(bench: Bench) -> None:
    world, source, host = bench
    first = connect(host)
    first.start(1e-4, 1000)
    host.advance(0.5)
    first.close()
    assert source.delta.running
    second = connect(host)
    second.make_safe()
    second.make_safe()
    assert world.ports.excitation.current == 0.0
    second.start(2e-4, 4)
    host.advance(1.0)
    assert second.fetch().mean() == pytest.approx(1e-4, rel=1e-2)
    second.close()


# --- the simulator's refusals and registers


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)


def ask(source: SimulatedKeithley6221, message: str) -> str | None:
    return source.core.execute(message)


def test_armed_delta_refuses_settings_and_idle_delta_refuses_reading() -> None:
    source = SimulatedKeithley6221(BenchWorld())
    for command, refusal in [
        ("SENS:DATA?", '-221,"Settings conflict"'),
        ("INIT:IMM", '-221,"Settings conflict"'),
        ("TRAC:DATA?", '-230,"Data corrupt or stale"'),
    ]:
        assert ask(source, command) is None
        assert ask(source, "SYST:ERR?") == refusal
    ask(source, "SOUR:DELT:HIGH 2e-5")
    assert ask(source, "SOUR:DELT:LOW?") == "-2.000000E-05"
    ask(source, "SOUR:DELT:ARM")
    for command in ("SOUR:DELT:HIGH 1e-3", "SOUR:CURR:COMP 5", "SOUR:DELT:COUN INF", "SOUR:DELT:ARM"):
        ask(source, command)
        assert ask(source, "SYST:ERR?") == '413,"Not allowed with mode arm"'
    assert ask(source, "SENS:DATA:FRESH?") is None
    assert ask(source, "SYST:ERR?") == '-230,"Data corrupt or stale"'
    assert ask(source, "SENS:DATA?") == "+9.910000E+37,+0.000000E+00"
    ask(source, "INIT;INIT")
    assert ask(source, "SYST:ERR?") == '-213,"Init ignored"'
    ask(source, "SOUR:SWE:ABOR")
    assert ask(source, "SOUR:DELT:ARM?;:SYST:ERR?") == '0;0,"No error"'


def test_registers_tell_the_course_of_a_run(bench: Bench) -> None:
    _, source, host = bench

    def at(command: str) -> str | None:
        return host.call(source.core.execute, command)

    at("SOUR:DELT:COUN 4;:TRAC:POIN 4;:SYST:COMM:SER:SEND 'VOLT:NPLC 1';:SOUR:DELT:ARM;:INIT")
    assert at("STAT:OPER:COND?") == "8"
    host.advance(0.101)
    assert at("STAT:MEAS?") == str((1 << 5) | (1 << 7) | (1 << 8) | (1 << 12))
    host.advance(1.0)
    assert at("STAT:MEAS?") == str((1 << 5) | (1 << 9) | (1 << 13))
    assert at("STAT:OPER?") == str((1 << 1) | (1 << 3) | (1 << 10))
    assert at("TRAC:POIN:ACT?;:TRAC:DATA:TYPE?") == "4;DELT"
    at("FORM:ELEM READ,RNUM,COMP,UNIT,SOUR;:UNIT OHMS")
    reply = at("SENS:DATA?")
    assert reply is not None
    value, unit, number, current, limited = reply.split(",")
    assert float(value) == pytest.approx(0.5, rel=1e-3)
    assert (unit, number, float(current), limited) == ("OHM", "0", 1e-3, "F")


def test_dc_output_is_limited_by_compliance() -> None:
    world = BenchWorld(lead_ohms=1e5 - 0.5)
    source = SimulatedKeithley6221(world)
    ask(source, "SOUR:CURR 1e-3;:OUTP ON")
    assert world.ports.excitation.current == pytest.approx(1e-4)  # 10 V over 100 kΩ
    assert ask(source, "STAT:MEAS:COND?") == "8"
    ask(source, "SOUR:CURR:COMP 105")
    assert world.ports.excitation.current == 1e-3
    assert ask(source, "STAT:MEAS:COND?") == "0"
    ask(source, "SOUR:CLE")
    assert world.ports.excitation.current == 0.0


# --- faults


def test_an_open_contact_is_a_compliance_abort(bench: Bench) -> None:
    world, source, host = bench
    transport = connect(host)
    transport.start(1e-4, 50)
    host.advance(0.5)
    host.call(source.set_contact_open, True)
    host.advance(0.1)
    assert world.ports.excitation.current == 0.0
    with pytest.raises(InstrumentError, match="a contact is open"):
        transport.finished()
    transport.close()


def test_a_nonsensical_first_reading_is_not_a_number(bench: Bench) -> None:
    _, source, host = bench
    host.call(source.spoil_next_reading)
    transport = connect(host)
    transport.start(1e-4, 4)
    host.advance(1.0)
    volts = transport.fetch()
    assert np.isnan(volts).tolist() == [True, False, False, False]
    transport.close()


def test_a_client_that_waits_for_the_end_gets_its_answer_at_the_end(bench: Bench) -> None:
    _, _, host = bench
    source = connect(host)._source
    for command in ("SOUR:DELT:COUN 10", "SOUR:DELT:ARM", "INIT:IMM"):
        source.write(command)
    assert source.ask("SYST:ERR?") == '0,"No error"'
    source.write("*OPC?")
    source.write("TRAC:POIN:ACT?")
    source.adapter.timeout = 0.2
    with pytest.raises(InstrumentError, match="did not answer"):
        source.read()
    wait_for(lambda: host.servers[0].connections == 0)  # it has one connection, and the adapter has dropped it
    source.adapter.timeout = 2.0
    source.write("*OPC?")
    host.advance(5.0)
    assert source.read() == "1"
    assert source.ask("TRAC:POIN:ACT?") == "10"
    source.shutdown()
