"""SG384: the driver's words, the simulator's answers, and both together over a socket."""

import itertools
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvscope_drivers.sg384 import SG384, SG384Source
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.sg384 import LIST_CAPACITY, SG384Settings, SimulatedSG384, highest_power
from nvscope_simulators.tcp import Delivery, Faults, TcpServer
from pymeasure.test import expected_protocol

from nvscope.devices.roles import MicrowaveSource
from nvscope.errors import InstrumentError, InstrumentTimeout, LimitError

KEEP = ",N" * 14


# -- what the driver says on the wire, as in the manual


def test_protocol_of_the_properties() -> None:
    with expected_protocol(
        SG384,
        [
            ("FREQ 2870000000.000000", None),
            ("FREQ?", "2870000000.000000"),
            ("AMPR -10.50", None),
            ("AMPR?", "-10.50"),
            ("ENBR 1", None),
            ("ENBR?", "1"),
            ("TYPE 1", None),
            ("TYPE?", "5"),
            ("LSTE?", "0"),
            ("LSTI 3", None),
            ("ORNG? 1", "0"),
            ("INSR?", "16"),
        ],
    ) as sg:
        sg.frequency = 2.87e9
        assert sg.frequency == 2.87e9
        sg.power = -10.5
        assert sg.power == -10.5
        sg.output_enabled = True
        assert sg.output_enabled is True
        sg.modulation_type = "FM"
        assert sg.modulation_type == "blank"
        assert sg.list_enabled is False
        sg.list_index = 3
        assert sg.output_over_range is False
        assert sg.instrument_status == 16


def test_protocol_of_a_list() -> None:
    with expected_protocol(
        SG384,
        [
            ("LSTD", None),
            ("LSTC? 2", "1"),
            (f"LSTP 0,2870000000.000000{KEEP}\nLSTP 1,2880000000.500000{KEEP}", None),
            ("LSTP? 0\nLSTP? 1", f"2870000000.000000{KEEP}"),
            (None, f"N{KEEP}"),
        ],
    ) as sg:
        sg.create_list(2)
        sg.write_list([2.87e9, 2.8800000005e9])
        first, second = sg.read_list(2)
        assert first == 2.87e9
        assert second != second  # NaN: this entry keeps the frequency


def test_wrong_numbers_are_errors_and_nothing_is_sent() -> None:
    with expected_protocol(SG384, []) as sg:
        for value in (99e9, 0.0, -1.0):
            with pytest.raises(ValueError):
                sg.frequency = value
        with pytest.raises(ValueError):
            sg.power = 17.0
        with pytest.raises(ValueError):
            sg.output_enabled = 2


@pytest.mark.parametrize("reply", ["maybe", "2", "", "1,1"])
def test_nonsense_is_an_instrument_error(reply: str) -> None:
    with expected_protocol(SG384, [("ENBR?", reply)]) as sg, pytest.raises(InstrumentError):
        _ = sg.output_enabled


def test_error_codes_are_named() -> None:
    with (
        expected_protocol(SG384, [("LERR?", "111"), ("LERR?", "10"), ("LERR?", "0")]) as sg,
        pytest.raises(InstrumentError, match=r"111 \(undefined command\), 10 \(illegal value\)"),
    ):
        sg.check_errors()


def test_a_stuck_error_does_not_loop_for_ever() -> None:
    with expected_protocol(SG384, [("LERR?", "45")] * 21) as sg, pytest.raises(InstrumentError, match="45"):
        sg.check_errors()


# -- what the simulator answers


@pytest.fixture
def bench() -> BenchWorld:
    return BenchWorld()


@pytest.fixture
def sim(bench: BenchWorld) -> SimulatedSG384:
    return SimulatedSG384(bench, SG384Settings())


@pytest.mark.parametrize("command", ["FREQ2.87e9", "FREQ 2.87 GHz", "freq 2870MHz", "FREQ 2870000 kHz", "FREQ+2.87E+9"])
def test_spellings_of_a_frequency(sim: SimulatedSG384, bench: BenchWorld, command: str) -> None:
    assert sim.respond(command) is None
    assert sim.respond("FREQ?") == "2870000000.000000"
    assert float(sim.respond("FREQ? GHz") or "") == 2.87
    assert bench.ports.microwave.frequency == 2.87e9


def test_power_units(sim: SimulatedSG384) -> None:
    sim.respond("AMPR 0.6325 Vpp")  # 0 dBm into 50 ohm is 0.6325 V peak to peak
    assert float(sim.respond("AMPR?") or "") == pytest.approx(0.0, abs=0.01)
    assert float(sim.respond("AMPR? rms") or "") == pytest.approx(0.2236, abs=1e-3)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("FOO 1", 111),
        ("FREQUENCY 1e9", 111),
        ("FREQ", 116),
        ("FREQ 1,2", 115),
        ("FREQ abc", 118),
        ("FREQ 9e9", 10),
        ("FREQ 1 parsec", 127),
        ("ENBR 2", 10),
        ("ENBR 0.5", 120),
        ("LSTS", 113),
        ("*TRG?", 112),
        ("LSTE 1", 12),
        ("LSTP 0", 116),
        (f"LSTP 0,2.87e9{KEEP}", 10),
        ("*RCL 5", 13),
        ("?", 126),
        ("OPTN? 9", 10),
    ],
)
def test_refusals_are_reported_by_number(sim: SimulatedSG384, command: str, code: int) -> None:
    before = sim.respond("FREQ?;ENBR?;AMPR?")
    assert sim.respond(command) is None
    assert sim.respond("LERR?") == str(code)
    assert sim.respond("LERR?") == "0"
    assert sim.respond("FREQ?;ENBR?;AMPR?") == before


def test_error_buffer_is_bounded(sim: SimulatedSG384) -> None:
    for _ in range(50):
        sim.respond("FOO")
    codes = [sim.respond("LERR?") for _ in range(21)]
    assert codes == ["111"] * 19 + ["254", "0"]


def test_status_registers(sim: SimulatedSG384) -> None:
    assert sim.respond("*ESR?") == "128"
    sim.respond("*ESE 48;*SRE 32;FREQ 9e9")
    assert int(sim.respond("*STB?") or "") & 0b1100000 == 0b1100000
    assert sim.respond("*ESR?") == "16"
    assert sim.respond("*STB?") == "0"
    sim.respond("*CLS")
    assert sim.respond("LERR?") == "0"


def test_output_reaches_the_world_only_where_it_exists(sim: SimulatedSG384, bench: BenchWorld) -> None:
    sim.respond("AMPR 10;ENBR 1")
    assert bench.ports.microwave.on
    sim.respond("FREQ 900 kHz")
    assert not bench.ports.microwave.on
    assert sim.respond("ORNG? 1") == "1"
    sim.respond("FREQ 4 GHz;AMPR 16.5")
    assert bench.ports.microwave.power_dbm == pytest.approx(
        13.0
    )  # the data sheet's 16.5 dBm less 3.5 dB/GHz from 3 GHz
    assert highest_power(2e9) == 16.5


def test_list_refusals_and_limits(sim: SimulatedSG384) -> None:
    assert sim.respond("LSTC? 2001") == "0"
    assert sim.respond("LSTC? 0") == "0"
    assert sim.respond(f"LSTC? {LIST_CAPACITY}") == "1"
    assert sim.respond("LSTS?") == "2000"
    sim.respond("LSTE 1")
    assert sim.respond("LSTC? 5") == "0"
    sim.respond(f"LSTP 0,2.8e9{KEEP}")
    assert sim.respond("LERR?") == "12"
    sim.respond("LSTD")
    assert sim.respond("LSTS?;LSTE?") == "0;0"


def test_triggers_step_from_entry_zero_and_start_over(sim: SimulatedSG384, bench: BenchWorld) -> None:
    sim.respond("FREQ 1e9;ENBR 1")
    assert sim.respond("LSTC? 3") == "1"
    for index in range(3):
        sim.respond(f"LSTP {index},{2.8e9 + index * 1e6}{KEEP}")
    bench.ports.triggers.fire("sweep")
    assert bench.ports.microwave.frequency == 1e9  # not enabled yet
    sim.respond("LSTE 1")
    seen = []
    for _ in range(4):
        bench.ports.triggers.fire("sweep")
        seen.append(bench.ports.microwave.frequency)
    sim.respond("*TRG")
    assert seen == [2.800e9, 2.801e9, 2.802e9, 2.800e9]
    assert bench.ports.microwave.frequency == 2.801e9
    assert bench.ports.microwave.on
    sim.respond("LSTR")
    assert sim.respond("LSTI?") == "0"


def test_entries_keep_or_set_every_field(sim: SimulatedSG384) -> None:
    sim.respond("LSTC? 1;FREQ 1e9;AMPR 0")
    sim.respond("LSTP 0,2.8e9,45,N,N,-20,2,5,1,0,2000,5000,N,N,N,N")
    assert sim.respond("LSTP? 0") == "2800000000.000000,45.000,N,N,-20.00,2,5,1,0,2000.000000,5000,N,N,N,N"
    sim.respond("LSTE 1;*TRG")
    assert sim.respond("FREQ?;PHAS?;AMPR?;MODL?;ENBL?;ENBR?;TYPE?;FDEV?") == (
        "2800000000.000000;45.000;-20.00;1;0;1;1;5000.0"
    )


def test_unlock_shows_in_the_status_and_on_the_wire(sim: SimulatedSG384, bench: BenchWorld) -> None:
    sim.respond("FREQ 2.87e9")
    sim.set_unlocked(True)
    assert int(sim.respond("INSR?") or "") & 16
    assert bench.ports.microwave.frequency != 2.87e9
    sim.set_unlocked(False)
    sim.respond("INSR?")
    assert sim.respond("INSR?") == "0"
    assert bench.ports.microwave.frequency == 2.87e9


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.builds(
            "{}{}{}".format,
            st.sampled_from(
                ["FREQ", "LSTP", "LSTC?", "LSTE", "LSTI", "AMPR?", "*RCL", "*SAV", "TYPE", "OPTN?", "ORNG?"]
            ),
            st.sampled_from(["", " ", "  "]),
            st.text(alphabet="0123456789+-.eE,N ;?", max_size=40),
        ),
    )
)
def test_no_line_breaks_the_simulator(line: str) -> None:
    sim = SimulatedSG384(BenchWorld(), SG384Settings())
    sim.respond("LSTC? 2")
    sim.respond(line)
    sim.respond("*TRG")
    assert sim.respond("*IDN?") == "Stanford Research Systems,SG384,s/n001013,ver1.24.26"


# -- driver and simulator over a socket


class Trip(Faults):
    """Disturbs the n-th message that contains `word`."""

    def __init__(self) -> None:
        self.word, self.nth, self.delivery = b"", 0, Delivery(b"")

    def exchange(self, message: bytes, process) -> Delivery:  # type: ignore[no-untyped-def]
        reply = process(message)
        if self.word and self.word in message:
            self.nth -= 1
            if self.nth == 0:
                self.word = b""
                return self.delivery
        return Delivery(reply)


@pytest.fixture
def lab(bench: BenchWorld, sim: SimulatedSG384) -> Iterator[tuple[Host, TcpServer, Trip]]:
    trip = Trip()
    with Host(bench.timeline) as host:
        yield host, host.serve(sim, faults=trip), trip


@pytest.fixture
def source(lab: tuple[Host, TcpServer, Trip]) -> Iterator[SG384Source]:
    host, server, _ = lab
    source = SG384Source.connect(host.address(server), SG384Source.Settings(timeout="1.5 s"))
    yield source
    source.close()


def test_role_over_the_wire(source: SG384Source, bench: BenchWorld) -> None:
    assert isinstance(source, MicrowaveSource)
    assert source.identify().model == "SG384"
    source.set_frequency(2.87e9)
    source.set_power_dbm(-3.25)
    source.set_output(True)
    port = bench.ports.microwave
    assert (port.frequency, port.power_dbm, port.on) == (2.87e9, -3.25, True)
    assert source.readings() == {
        "frequency": 2.87e9,
        "power_dbm": -3.25,
        "output": True,
        "list_enabled": False,
        "list_index": 0.0,
        "locked": True,
    }
    source.make_safe()
    source.make_safe()
    assert not port.on


def test_connecting_changes_nothing(lab: tuple[Host, TcpServer, Trip], sim: SimulatedSG384) -> None:
    host, server, _ = lab
    everything = "FREQ?;AMPR?;ENBR?;LSTE?;LSTS?;MODL?;*ESE?;LERR?"
    host.call(sim.respond, "FREQ 3e9;ENBR 1;MODL 1;LSTC? 2;LSTE 1")
    before = host.call(sim.respond, everything)
    SG384Source.connect(host.address(server), SG384Source.Settings()).close()
    assert host.call(sim.respond, everything) == before


def test_a_full_list_loads_and_steps(source: SG384Source, lab: tuple[Host, TcpServer, Trip], bench: BenchWorld) -> None:
    host, *_ = lab
    frequencies = [2.7e9 + 123456.789 * i for i in range(LIST_CAPACITY)]
    source.load_list(frequencies)
    source.load_list(frequencies[::-1])  # a second load replaces the first

    def step() -> float:
        bench.ports.triggers.fire("sweep")
        return bench.ports.microwave.frequency

    stepped = [host.call(step) for _ in range(5)]
    assert stepped == pytest.approx(frequencies[:-6:-1], abs=1e-6)
    assert source.readings()["list_index"] == 5.0
    source.set_frequency(2.87e9)
    assert source.readings()["list_enabled"] is False


def test_leaving_the_list_returns_to_the_fixed_frequency(
    source: SG384Source, lab: tuple[Host, TcpServer, Trip], bench: BenchWorld
) -> None:
    host, *_ = lab
    source.set_frequency(2.87e9)
    source.load_list([2.8e9, 2.9e9])
    host.call(bench.ports.triggers.fire, "sweep")
    source.load_list([2.81e9, 2.91e9])
    source.leave_list()
    assert bench.ports.microwave.frequency == 2.87e9
    host.call(bench.ports.triggers.fire, "sweep")
    assert bench.ports.microwave.frequency == 2.87e9


def test_refusals_of_the_role(source: SG384Source, lab: tuple[Host, TcpServer, Trip], sim: SimulatedSG384) -> None:
    host, *_ = lab
    for bad in ([], [2.87e9] * 2001, [99e9]):
        with pytest.raises(LimitError):
            source.load_list(bad)
    with pytest.raises(LimitError, match="17 dBm"):
        source.set_power_dbm(17)
    with pytest.raises(LimitError):
        source.set_frequency(5e9)
    assert host.call(sim.respond, "LERR?") == "0"


def test_a_list_entry_that_got_lost_is_noticed(source: SG384Source, sim: SimulatedSG384) -> None:
    original, count = sim._run, itertools.count()

    def lossy(command):  # type: ignore[no-untyped-def]
        if command.header == "LSTP" and not command.query and next(count) == 57:
            return None
        return original(command)

    sim._run = lossy  # type: ignore[method-assign]
    with pytest.raises(InstrumentError, match="entry 57 holds nan Hz"):
        source.load_list([2.87e9 + i for i in range(200)])


def test_timeouts_do_not_shift_answers(source: SG384Source, lab: tuple[Host, TcpServer, Trip]) -> None:
    _, _, trip = lab
    source.set_frequency(2.87e9)
    trip.word, trip.nth, trip.delivery = b"AMPR?", 1, Delivery(b"-5.00\r\n", delay=2.5)
    with pytest.raises(InstrumentTimeout, match=r"SG384 at TCPIP.*'AMPR\?'"):
        source.readings()
    assert source.readings()["frequency"] == 2.87e9


def test_a_connection_lost_while_loading_leaves_no_doubt(
    source: SG384Source, lab: tuple[Host, TcpServer, Trip]
) -> None:
    _, _, trip = lab
    trip.word, trip.nth, trip.delivery = b"LSTP?", 1, Delivery(b"", close=True)
    with pytest.raises(InstrumentError):
        source.load_list([2.87e9 + i for i in range(300)])
    source.load_list([2.87e9 + i for i in range(300)])


def test_another_model_is_refused(lab: tuple[Host, TcpServer, Trip]) -> None:
    host, server, trip = lab
    trip.word, trip.nth, trip.delivery = b"*IDN?", 1, Delivery(b"Keithley,2400,1,2\r\n")
    with pytest.raises(InstrumentError, match=r"expected a SG384 at TCPIP.*Keithley,2400"):
        SG384Source.connect(host.address(server), SG384Source.Settings())


# -- other people's software


def test_pymeasure_own_driver(lab: tuple[Host, TcpServer, Trip], bench: BenchWorld) -> None:
    from pymeasure.instruments.srs import SG380

    host, server, _ = lab
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        foreign = SG380(
            host.address(server), visa_library="@py", read_termination="\r\n", write_termination="\n", timeout=1000
        )
        foreign.frequency = 2.87e9
        foreign.mod_type = "FM"
        assert foreign.frequency == 2.87e9
        assert foreign.mod_type == "FM"
        assert "SG384" in foreign.id
        foreign.adapter.close()
    assert bench.ports.microwave.frequency == 2.87e9


def test_qcodes_driver(lab: tuple[Host, TcpServer, Trip], bench: BenchWorld) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from qcodes.instrument_drivers import stanford_research

        host, server, _ = lab
        foreign = stanford_research.SG384("source", host.address(server), visalib="@py", terminator="\r\n", timeout=2)
        try:
            foreign.frequency(2.9e9)
            foreign.amplitude_RF(-7.5)
            foreign.enable_RF("ON")
            assert foreign.frequency() == 2.9e9
            assert foreign.amplitude_RF() == -7.5
            assert foreign.enable_RF() == "ON"
            assert foreign.get_idn()["model"] == "SG384"
            assert foreign.snapshot(update=True)["parameters"]["phase"]["value"] == 0.0
        finally:
            foreign.close()
    port = bench.ports.microwave
    assert (port.frequency, port.power_dbm, port.on) == (2.9e9, -7.5, True)


# -- what is asked after a sweep


def test_what_went_wrong_meanwhile_is_told_once(
    lab: tuple[Host, TcpServer, Trip], sim: SimulatedSG384, source: SG384Source
) -> None:
    host, *_ = lab
    source.set_output(True)
    assert source.faults() == ()
    host.call(sim.set_unlocked, True)
    host.call(sim.set_unlocked, False)
    source.instrument.write("NONSENSE")
    assert source.faults() == ("the 4 GHz PLL is or was out of lock", "111 (undefined command)")
    assert source.faults() == ()
    host.call(sim.switch_off)
    assert source.faults() == source.faults() == ("the output has gone off by itself",)
    source.set_output(False)
    assert source.faults() == ()


def test_a_list_that_ends_dark_leaves_no_fault_and_says_where_it_stands(
    lab: tuple[Host, TcpServer, Trip], sim: SimulatedSG384, source: SG384Source
) -> None:
    host, *_ = lab
    source.set_output(True)
    source.load_list([2.8e9, 2.9e9, float("nan")])
    assert [_triggered(host, sim, source) for _ in range(4)] == [1, 2, 0, 1]
    host.call(sim.trigger)
    host.call(sim.trigger)
    assert not sim._world.ports.microwave.on
    assert source.faults() == ()


def _triggered(host: Host, sim: SimulatedSG384, source: SG384Source) -> int:
    host.call(sim.trigger)
    return source.list_position()
