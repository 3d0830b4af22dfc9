"""Keithley 2400: the driver's protocol, the simulated SourceMeter, and one against the other."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from nvscope_drivers.keithley2400 import Keithley2400, SourceMeterSettings, SourceMeterTransport
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.keithley2400 import Keithley2400Settings, SimulatedKeithley2400
from pymeasure.test import expected_protocol

from nvscope.devices.roles import Transport
from nvscope.errors import InstrumentError, LimitError

OK = (b"SYST:ERR?", b'+0,"No error"')
Bench = tuple[BenchWorld, SimulatedKeithley2400, Host]


# --- the driver's protocol


def test_settings_are_sent_and_checked() -> None:
    pairs = [
        (b"SOUR:FUNC CURR", None),
        OK,
        (b"SENS:VOLT:PROT 2", None),
        OK,
        (b"SYST:RSEN 1", None),
        OK,
        (b"TRIG:COUN 10", None),
        OK,
    ]
    with expected_protocol(Keithley2400, pairs) as meter:
        meter.source_function = "current"
        meter.compliance_voltage = 2
        meter.four_wire = True
        meter.trigger_count = 10


def test_buffer_is_a_table() -> None:
    reply = b"+1.000000E-03,+2.151600E+04,-1.000000E-03,+2.151600E+04"
    with expected_protocol(Keithley2400, [(b"TRAC:DATA?", reply)]) as meter:
        assert meter.buffer().tolist() == [[1e-3, 21516.0], [-1e-3, 21516.0]]


# --- driver against simulator


@pytest.fixture
def bench() -> Iterator[Bench]:
    world = BenchWorld()
    meter = SimulatedKeithley2400(world, Keithley2400Settings())
    with Host(world.timeline) as host:
        host.serve(meter)
        yield world, meter, host


def connect(host: Host, **changes: object) -> SourceMeterTransport:
    return SourceMeterTransport.connect(host.address(host.servers[0]), SourceMeterSettings.model_validate(changes))


def test_connecting_changes_nothing(bench: Bench) -> None:
    world, meter, host = bench
    host.call(meter.execute, "SOUR:FUNC CURR;:SOUR:CURR 1e-5;:OUTP ON")
    transport = connect(host)
    assert isinstance(transport, Transport)
    assert transport.identify().model == "MODEL 2400"
    assert transport.readings() == {"output": True, "compliance": 21.0}
    transport.close()
    assert world.ports.excitation.current == pytest.approx(1e-5)


def test_resistance_free_of_offset_and_leads(bench: Bench) -> None:
    world, _, host = bench
    world.offset = 1e-4
    transport = connect(host)
    transport.start(1e-3, 200)
    assert not transport.finished()
    host.advance(0.5 * 200 * 0.054)
    assert not transport.finished()
    host.advance(0.5 * 200 * 0.054 + 0.1)
    assert transport.finished()
    volts = transport.fetch()
    noise = 5e-7 / math.sqrt(2)
    assert volts.shape == (200,)
    assert volts.mean() == pytest.approx(0.5e-3, abs=5 * noise / math.sqrt(200))
    assert volts.std(ddof=1) == pytest.approx(noise, rel=0.2)
    assert world.ports.excitation.current == 0.0
    transport.start(-1e-3, 3)
    host.advance(1.0)
    assert transport.fetch().mean() == pytest.approx(-0.5e-3, abs=5 * noise)
    transport.close()


def test_compliance_ends_the_measurement_and_says_so(bench: Bench) -> None:
    world, _, host = bench
    world.lead_ohms = 1e5
    transport = connect(host)
    transport.start(1e-3, 5)
    host.advance(0.2)
    assert world.ports.excitation.current == pytest.approx(-2 / 100000.5, rel=1e-3)
    with pytest.raises(InstrumentError, match="compliance of 2 V"):
        transport.finished()
    assert world.ports.excitation.current == 0.0
    transport.close()


def test_readings_taken_in_compliance_are_not_numbers(bench: Bench) -> None:
    world, _, host = bench
    transport = connect(host)
    transport.start(1e-3, 4)
    host.advance(0.06)
    world.lead_ohms = 1e5
    host.advance(0.08)
    world.lead_ohms = 100.0
    host.advance(1.0)
    assert transport.finished()
    valid = np.isfinite(transport.fetch())
    assert 0 < valid.sum() < 4
    transport.close()


def test_limits(bench: Bench) -> None:
    _, meter, host = bench
    transport = connect(host)
    for current, readings in [(2e-3, 5), (0.0, 5), (math.nan, 5), (1e-4, 0), (1e-4, 1251)]:
        with pytest.raises(LimitError):
            transport.start(current, readings)
    assert not meter.meter.output
    transport.close()


# --- the simulator's refusals


def ask(meter: SimulatedKeithley2400, message: str) -> str | None:
    return meter.execute(message)


def test_reading_with_the_output_off_is_refused() -> None:
    meter = SimulatedKeithley2400(BenchWorld())
    assert ask(meter, "READ?") is None
    assert ask(meter, "SYST:ERR?") == '803,"Not permitted with OUTPUT off"'
    ask(meter, "FETC?")
    assert ask(meter, "SYST:ERR?") == '-230,"Data corrupt or stale"'
    ask(meter, "TRIG:COUN 2500;:ARM:COUN 2")
    assert ask(meter, "SYST:ERR?") == '-221,"Settings conflict"'


def test_voltage_source_and_current_compliance() -> None:
    world = BenchWorld()
    meter = SimulatedKeithley2400(world)
    ask(meter, "SOUR:VOLT 0.01;:SENS:CURR:PROT 1e-3;:OUTP ON;:FORM:ELEM VOLT,CURR")
    volts, amperes = (float(part) for part in str(ask(meter, "READ?")).split(","))
    assert volts == pytest.approx(0.01, abs=5e-6)
    assert amperes == pytest.approx(0.01 / 100.5, rel=1e-5)
    ask(meter, "SOUR:VOLT 1")
    assert world.ports.excitation.current == pytest.approx(1e-3)
    assert ask(meter, "SENS:CURR:PROT:TRIP?") == "1"
    assert ask(meter, "STAT:MEAS:COND?") == str(1 << 14)
    assert float(str(ask(meter, "READ?")).split(",")[0]) == pytest.approx(0.1005, rel=1e-3)


def test_elements_and_what_is_not_measured() -> None:
    meter = SimulatedKeithley2400(BenchWorld())
    ask(meter, "SOUR:FUNC CURR;:SOUR:CURR 1e-3;:SENS:FUNC:OFF 'CURR';:SENS:FUNC 'VOLT';:OUTP ON")
    voltage, current, ohms, time, status = (float(part) for part in str(ask(meter, "READ?")).split(","))
    assert voltage == pytest.approx(0.1005, rel=1e-3)
    assert (current, ohms, time, status) == (pytest.approx(1e-3, rel=1e-5), 9.91e37, 0.0, 0.0)
    assert ask(meter, "SENS:FUNC?") == '"VOLT:DC"'
    ask(meter, "SENS:FUNC 'FROB'")
    assert ask(meter, "SYST:ERR?") == '-224,"Illegal parameter value"'
    ask(meter, 'SENS:FUNC "RES";:FORM:ELEM RES')
    assert float(str(ask(meter, "READ?"))) == pytest.approx(100.5, rel=1e-3)


def test_a_change_of_function_switches_the_output_off() -> None:
    world = BenchWorld()
    meter = SimulatedKeithley2400(world)
    ask(meter, "SOUR:VOLT 0.01;:OUTP ON")
    assert world.ports.excitation.current != 0.0
    ask(meter, "SOUR:FUNC CURR")
    assert ask(meter, "OUTP?") == "0"
    assert world.ports.excitation.current == 0.0


def test_statistics_of_the_buffer() -> None:
    meter = SimulatedKeithley2400(BenchWorld())
    ask(meter, "SOUR:FUNC CURR;:SOUR:CURR 1e-3;:SENS:FUNC 'VOLT';:FORM:ELEM VOLT;:OUTP ON")
    ask(meter, "TRAC:POIN 50;:TRAC:FEED SENS;:TRAC:FEED:CONT NEXT;:TRIG:COUN 50")
    values = [float(part) for part in str(ask(meter, "READ?")).split(",")]
    for name, expected in [("MEAN", np.mean(values)), ("SDEV", np.std(values, ddof=1)), ("MAX", max(values))]:
        assert float(str(ask(meter, f"CALC3:FORM {name};DATA?"))) == pytest.approx(float(expected), rel=1e-2)
    assert ask(meter, "TRAC:POIN:ACT?;:TRAC:FEED:CONT?") == "50;NEV"


def test_one_message_cannot_keep_the_lab_busy() -> None:
    meter = SimulatedKeithley2400(BenchWorld())
    ask(meter, "SOUR:FUNC CURR;:SOUR:CURR 1e-3;:OUTP ON;:TRIG:COUN 2500;:FORM:ELEM VOLT")
    reply = ask(meter, ";".join(["READ?"] * 1000))
    assert reply is not None
    assert reply.count(",") == 2499
    assert ask(meter, "SYST:ERR?") == '-225,"Out of memory"'


def test_an_open_contact_is_found(bench: Bench) -> None:
    world, meter, host = bench
    transport = connect(host)
    transport.start(1e-4, 50)
    host.advance(0.5)
    host.call(meter.set_contact_open, True)
    assert world.ports.excitation.current == 0.0
    with pytest.raises(InstrumentError, match="a contact is open"):
        transport.finished()
    transport.close()
