"""SR830: the driver's protocol, the simulated lock-in against closed forms, and one against the other."""

import math
import struct
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from nvscope_drivers.sr830 import SR830, LockInSettings, LockInTransport
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.lockin import FilterChain, FilteredNoise
from nvscope_simulators.instruments.sr830 import SimulatedSR830, SR830Settings
from nvscope_simulators.instruments.sr830_buffer import as_raw
from pymeasure.test import expected_protocol
from scipy.special import gammainc

from nvscope.devices.roles import Transport
from nvscope.errors import InstrumentError, LimitError

OK = (b"*ESR?", b"0")
Bench = tuple[BenchWorld, SimulatedSR830, Host]


# --- the driver's protocol


def test_settings_are_sent_as_codes_and_checked() -> None:
    pairs = [
        (b"SENS 17", None),
        OK,
        (b"OFLT 8", None),
        OK,
        (b"OFSL 3", None),
        OK,
        (b"SRAT 4", None),
        OK,
        (b"SLVL 0.100", None),
        OK,
    ]
    with expected_protocol(SR830, pairs) as lockin:
        lockin.sensitivity = 1e-3
        lockin.time_constant = 0.1
        lockin.slope = 24
        lockin.sample_rate = 1.0
        lockin.sine_voltage = 0.1


def test_a_value_the_lockin_does_not_have_is_refused() -> None:
    with expected_protocol(SR830, []) as lockin, pytest.raises(ValueError, match="not in"):
        lockin.sensitivity = 3e-3


def test_a_refusal_shows_in_the_event_byte() -> None:
    refusal = [(b"FREQ 1000", None), (b"*ESR?", b"16")]
    with expected_protocol(SR830, refusal) as lockin, pytest.raises(InstrumentError, match="refuses a value"):
        lockin.frequency = 1000.0


def test_trace_is_an_array() -> None:
    with expected_protocol(SR830, [(b"TRCA?1,0,3", b"1e-3,2e-3,-3e-3")]) as lockin:
        assert lockin.trace(1, 0, 3).tolist() == [1e-3, 2e-3, -3e-3]


# --- the simulated detector


@pytest.mark.parametrize("poles", [1, 2, 3, 4])
def test_step_response_is_the_incomplete_gamma_function(poles: int) -> None:
    # n equal poles answer a step with P(n, t/τ), the regularised lower incomplete gamma function
    chain = FilterChain()
    chain.advance(1.0 + 0.5j, 0.07, 0.1)
    chain.advance(1.0 + 0.5j, 0.18, 0.1)
    assert chain.output(poles) == pytest.approx((1 + 0.5j) * gammainc(poles, 2.5), rel=1e-12)


@pytest.mark.parametrize(("poles", "factor"), [(1, 1 / 4), (2, 1 / 8), (4, 5 / 64)])
def test_noise_has_the_bandwidth_of_the_filter(poles: int, factor: float) -> None:
    noise = FilteredNoise(np.random.default_rng(5))
    values = np.array([noise.advance(6e-9, 10.0, 0.1, poles) for _ in range(4000)])
    expected = 6e-9 * math.sqrt(factor / 0.1)
    assert np.std(values.real) == pytest.approx(expected, rel=0.05)
    assert np.std(values.imag) == pytest.approx(expected, rel=0.05)


def test_raw_numbers_decode_as_the_manual_says() -> None:
    values = [1.2345e-6, -0.5, 0.0, 3.25e-9]
    words = np.frombuffer(as_raw(values), dtype="<i2").reshape(-1, 2)
    decoded = words[:, 0] * 2.0 ** (words[:, 1] - 124.0)
    assert decoded == pytest.approx(values, rel=1e-4)


@pytest.fixture
def bench() -> Iterator[Bench]:
    world = BenchWorld(lead_ohms=10.0, offset=1e-5)
    lockin = SimulatedSR830(world, SR830Settings())
    with Host(world.timeline) as host:
        host.serve(lockin)
        yield world, lockin, host


def connect(host: Host, **changes: object) -> LockInTransport:
    values = {"series_resistance": "100 kohm", "full_scale": 1e-5, "current_limit": "50 uA"} | changes
    return LockInTransport.connect(host.address(host.servers[0]), LockInSettings.model_validate(values))


def test_resistance_from_independent_samples(bench: Bench) -> None:
    _, lockin, host = bench
    transport = connect(host, time_constant="30 ms")
    assert isinstance(transport, Transport)
    assert transport.identify().model == "SR830"
    transport.start(1.003e-5, 200)
    assert not transport.finished()
    host.advance(2 + 200 * transport.seconds_per_reading)
    assert transport.finished()
    volts = transport.fetch()
    assert volts.shape == (200,)
    # offset of 10 µV is not in phase with anything; the leads take 1e-4 of the current
    noise = 6e-9 * math.sqrt(5 / 64 / 0.03)
    assert volts.mean() == pytest.approx(0.5 * 1.003e-5, abs=5 * noise / math.sqrt(200) + 2e-4 * 5e-6)
    assert volts.std(ddof=1) == pytest.approx(noise, rel=4 / math.sqrt(400))
    centred = volts - volts.mean()
    assert abs(np.mean(centred[1:] * centred[:-1])) < 4 / math.sqrt(200) * np.var(volts)
    assert lockin.detector.real["SLVL"] == pytest.approx(4e-3)
    transport.close()


def test_an_overload_spoils_the_measurement_even_when_it_is_over(bench: Bench) -> None:
    world, _, host = bench
    transport = connect(host)
    transport.start(1e-5, 3)
    host.advance(2.0)
    world.sample_ohms = 5.0  # a contact jumps and comes back
    host.advance(2.0)
    world.sample_ohms = 0.5
    host.advance(30.0)
    with pytest.raises(InstrumentError, match="output was overloaded"):
        transport.fetch()
    transport.start(1e-5, 3)
    host.advance(30.0)
    assert transport.fetch().mean() == pytest.approx(5e-6, rel=2e-2)
    transport.close()


def test_limits_and_impossible_settings(bench: Bench) -> None:
    _, lockin, host = bench
    transport = connect(host)
    for current, readings in [(1e-4, 5), (1e-8, 5), (math.nan, 5), (math.inf, 5), (1e-5, 0), (1e-5, 20000)]:
        with pytest.raises(LimitError):
            transport.start(current, readings)
    assert lockin.detector.real["SLVL"] == 1.0
    transport.close()
    for changes, words in [({"full_scale": 3e-5}, "nearest is 2e-05 V"), ({"time_constant": "1000 s"}, "too long")]:
        with pytest.raises(LimitError, match=words):
            connect(host, **changes)


# --- the simulator's registers and refusals


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)


def ask(lockin: SimulatedSR830, message: str) -> str | None:
    reply = lockin.execute(message)
    assert not isinstance(reply, bytes)
    return reply


def test_commands_with_and_without_spaces() -> None:
    lockin = SimulatedSR830(BenchWorld())
    assert ask(lockin, "SENS22;SENS?") == "22"
    assert ask(lockin, "sens 21; SENS ?") == "21"
    assert ask(lockin, "SRAT8.000000;SRAT ?") == "8"
    assert ask(lockin, "AUXV1,2.5;AUXV?1;AUXV ? 1") == "2.500\n2.500"
    assert ask(lockin, "DDEF 1,1,0;DDEF? 1") == "1,0"
    assert ask(lockin, "*ESR?") == "128"


def test_refusals_set_bits_and_reading_clears_them() -> None:
    lockin = SimulatedSR830(BenchWorld())
    ask(lockin, "*CLS")
    for command, bit in [("FROB", 32), ("SENS 27", 16), ("SENS", 16), ("SENS x", 32), ("SNAP? 1", 16), ("OUTP? 5", 16)]:
        ask(lockin, command)
        assert ask(lockin, "*ESR?") == str(bit), command
    assert ask(lockin, "*ESR?") == "0"
    ask(lockin, "SENS 27;FMOD 0;FREQ 100")
    assert ask(lockin, "*ESR? 4") == "1"
    assert ask(lockin, "*ESR?") == "0"


def test_status_byte_summarises_what_is_enabled() -> None:
    lockin = SimulatedSR830(BenchWorld())
    ask(lockin, "*CLS;*ESE 48;*SRE 32;LIAE 3,1;FMOD 0;SENS 99")
    assert ask(lockin, "*STB?") == str(64 + 32 + 8 + 2 + 1)
    assert ask(lockin, "LIAS? 3") == "1"  # no reference


def test_overload_is_latched_until_read(bench: Bench) -> None:
    world, lockin, host = bench
    world.sample_ohms = 0.7  # 7 µV

    def at(command: str) -> str | None:
        return host.call(ask, lockin, command)

    at("SENS 10;LIAS?")  # 5 µV full scale
    host.advance(5.0)
    assert at("LIAS?") == "4"
    at("SENS 17")
    assert at("LIAS?") == "4"  # noticed between the two
    assert at("LIAS?") == "0"


def test_autogain_blocks_everything_but_the_status_byte(bench: Bench) -> None:
    _, lockin, host = bench
    transport = connect(host)
    client = transport._lockin
    host.advance(5.0)
    client.write("AGAN")
    assert client.values("*STB?")[0] == 1  # executing
    client.adapter.timeout = 0.3
    client.write("SENS?")
    with pytest.raises(InstrumentError, match="did not answer"):
        client.read()
    assert lockin.busy
    wait_for(lambda: host.servers[0].connections == 0)  # it has one connection, and the adapter has dropped it
    client.write("SENS?")
    host.advance(4.0)
    assert client.read() == "11"  # 1 V over 100 kΩ leaves 5 µV at 0.5 Ω: 10 µV is the smallest scale with room
    transport.close()


def test_snap_reads_one_instant(bench: Bench) -> None:
    _, lockin, host = bench
    host.advance(5.0)
    x, y, r, theta = (float(part) for part in str(host.call(ask, lockin, "SNAP? 1,2,3,4")).split(","))
    assert r == pytest.approx(math.hypot(x, y), rel=1e-4)
    assert theta == pytest.approx(math.degrees(math.atan2(y, x)), rel=1e-3, abs=1e-4)


def test_autophase_and_offset(bench: Bench) -> None:
    world, _, host = bench
    lockin = SimulatedSR830(world, SR830Settings(signal_phase=0.6))
    host.advance(5.0)
    lockin.execute("APHS")
    host.advance(5.0)
    assert float(str(lockin.execute("PHAS?"))) == pytest.approx(math.degrees(0.6), abs=0.2)
    assert abs(float(str(lockin.execute("OUTP? 2")))) < 1e-7
    lockin.execute("SENS 11;AOFF 1")
    assert abs(float(str(lockin.execute("OUTP? 1")))) < 1e-7
    assert float(str(lockin.execute("OEXP? 1")).split(",")[0]) == pytest.approx(50.0, abs=1.0)


def test_buffer_fills_stops_and_is_read_in_three_formats(bench: Bench) -> None:
    _, lockin, host = bench

    def at(command: str) -> str | bytes | None:
        return host.call(lockin.execute, command)

    at("SRAT 7;SEND 0;REST;STRT")
    host.advance(1.01)
    assert at("SPTS?") == "8"
    at("PAUS")
    host.advance(5.0)
    assert at("SPTS?") == "8"
    text = [float(part) for part in str(at("TRCA? 1,2,4")).split(",")]
    binary = at("TRCB? 1,2,4")
    assert isinstance(binary, bytes)
    assert struct.unpack("<4f", binary) == pytest.approx(text, rel=1e-5)
    raw = at("TRCL? 1,2,4")
    assert isinstance(raw, bytes)
    assert len(raw) == 16
    at("*CLS;TRCA? 1,6,4")
    assert at("*ESR?") == "16"


def test_one_message_cannot_keep_the_lab_busy(bench: Bench) -> None:
    _, lockin, host = bench
    host.call(lockin.execute, "SRAT 13;SEND 0;REST;STRT")
    host.advance(40.0)
    reply = host.call(ask, lockin, ";".join(["TRCA?1,0,16383"] * 1000))
    assert reply is not None
    assert 1 < reply.count("\n") + 1 < 10
    assert host.call(ask, lockin, "*ESR? 2") == "1"
