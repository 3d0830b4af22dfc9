"""SMB100A: simulator, driver and Rohde & Schwarz's own package."""

import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvscope_drivers.smb100a import SMB100A, SMB100ASource
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.smb100a import SimulatedSMB100A, SMB100ASettings
from nvscope_simulators.tcp import TcpServer
from pymeasure.test import expected_protocol

from nvscope.devices.roles import MicrowaveSource
from nvscope.errors import InstrumentError, LimitError

Lab = tuple[Host, SimulatedSMB100A, TcpServer]
WELL = ("SYST:ERR?", '0,"No error"')


def test_protocol() -> None:
    with expected_protocol(
        SMB100A,
        [
            ("FREQ 2870000000.000", None),
            WELL,
            ("FREQ?", "2870000000"),
            ("POW -3.50", None),
            WELL,
            ("OUTP 1", None),
            WELL,
            ("OUTP?", "1"),
            ("FREQ:MODE LIST", None),
            WELL,
            ("FREQ:MODE?", "LIST"),
            ("LIST:FREQ?", "1000000000,2000000000"),
        ],
    ) as smb:
        smb.frequency = 2.87e9
        assert smb.frequency == 2.87e9
        smb.power = -3.5
        smb.output_enabled = True
        assert smb.output_enabled is True
        smb.frequency_mode = "LIST"
        assert smb.frequency_mode == "LIST"
        assert smb.read_list() == [1e9, 2e9]


def test_a_refused_setting_is_an_error() -> None:
    with (
        expected_protocol(
            SMB100A, [("POW 20.00", None), ("SYST:ERR?", '-221,"Settings conflict"'), ("SYST:ERR?", '0,"No error"')]
        ) as smb,
        pytest.raises(InstrumentError, match="refuses: -221 Settings conflict"),
    ):
        smb.power = 20


@pytest.fixture
def bench() -> BenchWorld:
    return BenchWorld()


@pytest.fixture
def lab(bench: BenchWorld) -> Iterator[Lab]:
    sim = SimulatedSMB100A(bench, SMB100ASettings())
    with Host(bench.timeline) as host:
        yield host, sim, host.serve(sim)


@pytest.fixture
def source(lab: Lab) -> Iterator[SMB100ASource]:
    host, _, server = lab
    source = SMB100ASource.connect(host.address(server), SMB100ASource.Settings(timeout="1 s"))
    yield source
    source.close()


@pytest.mark.parametrize(
    ("message", "reply", "error"),
    [
        ("FREQ 2.87GHz;:FREQ?", "2870000000", None),
        ("SOUR1:FREQ:CW 2.87e9 Hz;MODE?", "CW", None),
        ("FREQ? MAX;FREQ? MIN", "6000000000;9000", None),
        ("POW?;:OUTP?", "-30;0", None),
        ("FOO:BAR 1", None, -113),
        ("FREQ", None, -109),
        ("FREQ 1,2", None, -108),
        ("FREQ 9e9", None, -222),
        ("POW:LIM -10;:POW 0", None, -221),
        ("FREQ:MODE BANANA", None, -224),
        ("FREQ abc", None, -120),
        ("FREQ:MODE LIST", None, -221),
        ("LIST:FREQ 1e9", None, -221),
    ],
)
def test_answers_and_refusals(lab: Lab, message: str, reply: str | None, error: int | None) -> None:
    _, sim, _ = lab
    sim.core.clear()
    assert sim.core.execute(message) == reply
    assert int((sim.core.execute("SYST:ERR?") or "").split(",")[0]) == (error or 0)
    assert sim.core.execute("SYST:ERR?") == '0,"No error"'


def test_error_queue_and_status_byte(lab: Lab) -> None:
    _, sim, _ = lab
    sim.core.execute("*CLS;*ESE 32")
    for _ in range(40):
        sim.core.execute("FOO")
    assert sim.core.execute("SYST:ERR:COUN?") == "30"
    assert int(sim.core.execute("*STB?") or "") & 36 == 36
    errors = (sim.core.execute("SYST:ERR:ALL?") or "").split(",-")
    assert len(errors) == 30
    assert "350" in errors[-1]
    assert int(sim.core.execute("*ESR?") or "") & 32


def test_role(source: SMB100ASource, bench: BenchWorld, lab: Lab) -> None:
    host, sim, _ = lab
    assert isinstance(source, MicrowaveSource)
    source.set_frequency(2.87e9)
    source.set_power_dbm(-3.25)
    source.set_output(True)
    port = bench.ports.microwave
    assert (port.frequency, port.power_dbm, port.on) == (2.87e9, -3.25, True)
    assert source.readings()["locked"] is True
    host.call(sim.set_unlocked, True)
    assert source.readings()["locked"] is False
    host.call(sim.set_unlocked, False)
    for call in (lambda: source.set_frequency(4e9), lambda: source.set_power_dbm(25), lambda: source.load_list([])):
        with pytest.raises(LimitError):
            call()
    source.make_safe()
    assert not port.on


@pytest.mark.parametrize("first", [0, 1])
def test_list_steps_on_the_trigger_wire(lab: Lab, bench: BenchWorld, first: int) -> None:
    host, _, server = lab
    source = SMB100ASource.connect(host.address(server), SMB100ASource.Settings(first_trigger=first))
    source.set_power_dbm(-5)
    frequencies = [2.8e9 + 1234.567 * i for i in range(2000)]
    source.load_list(frequencies)

    def step() -> float:
        bench.ports.triggers.fire("sweep")
        return bench.ports.microwave.frequency

    if first:
        step_before = host.call(step)  # this simulator selects entry 0 first: the rotated list begins with the last
        assert step_before == pytest.approx(frequencies[-1], abs=1e-3)
    assert [host.call(step) for _ in range(3)] == pytest.approx(frequencies[:3], abs=1e-3)
    assert bench.ports.microwave.power_dbm == -5
    source.leave_list()
    assert source.readings()["list_enabled"] is False
    source.close()


def test_a_second_source_does_not_feed_the_cell(bench: BenchWorld) -> None:
    sim = SimulatedSMB100A(bench, SMB100ASettings(feeds_cell=False))
    sim.core.execute("FREQ 1.5e9;:OUTP 1")
    assert bench.ports.microwave.frequency == 2.87e9
    assert not bench.ports.microwave.on


def test_it_hangs_up_after_hours_and_is_found_again(lab: Lab, source: SMB100ASource) -> None:
    host, _, server = lab
    source.set_frequency(2.5e9)
    host.advance(7 * 3600)
    with pytest.raises(InstrumentError, match="connection lost"):
        source.readings()
    assert source.readings()["frequency"] == 2.5e9
    assert server.crashes == 0


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.builds(
            "{} {}".format,
            st.sampled_from(["LIST:FREQ", "FREQ", "POW", "LIST:SEL", "*ESE", "SWE:POIN"]),
            st.text(alphabet="0123456789eE.,-+'\"; ", max_size=30),
        ),
    )
)
def test_no_message_breaks_it(message: str) -> None:
    sim = SimulatedSMB100A(BenchWorld(), SMB100ASettings())
    sim.core.execute("LIST:SEL 'x';:LIST:FREQ 1e9,2e9;:LIST:POW 0;:FREQ:MODE LIST;:LIST:MODE STEP")
    sim.core.execute(message)
    sim.core.execute("*TRG")
    assert (sim.core.execute(":*IDN?") or sim.core.execute("*IDN?") or "").startswith("Rohde&Schwarz,SMB100A")


def test_rohde_and_schwarz_own_package(lab: Lab, bench: BenchWorld) -> None:
    from RsInstrument import RsInstrException, RsInstrument

    host, _, server = lab
    foreign = RsInstrument(host.address(server), True, False, "SelectVisa='socket'")
    try:
        assert foreign.idn_string.startswith("Rohde&Schwarz,SMB100A")
        foreign.write_float("SOURce:FREQuency:CW ", 2.87e9)
        foreign.write_float("SOURce:POWer:LEVel:IMMediate:AMPLitude ", -12.5)
        foreign.write_bool("OUTPut:STATe ", True)
        assert foreign.query_float("FREQ?") == 2.87e9
        assert foreign.query_bool("OUTP?") is True
        assert foreign.query_opc()
        with pytest.raises(RsInstrException, match="Undefined header"):
            foreign.write_str("NONSENSE 1")
        assert foreign.query_all_errors() is None
    finally:
        foreign.close()
    port = bench.ports.microwave
    assert (port.frequency, port.power_dbm, port.on) == (2.87e9, -12.5, True)


def test_qcodes_contrib_driver(lab: Lab, bench: BenchWorld) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from qcodes_contrib_drivers.drivers.RohdeSchwarz.SMB100A import RohdeSchwarz_SMB100A

        host, _, server = lab
        foreign = RohdeSchwarz_SMB100A("smb", host.address(server), visalib="@py", timeout=2)
        try:
            foreign.frequency(1.5e9)
            foreign.power(-20)
            assert foreign.frequency() == 1.5e9
            assert foreign.power() == -20
            foreign.sweep_freq_start(1e9)
            foreign.sweep_freq_stop(2e9)
            foreign.sweep_step(1e6)
            assert foreign.sweep_points() == 1001
            assert foreign.sweep_dwell_time() > 0
        finally:
            foreign.close()
    assert bench.ports.microwave.frequency == 1.5e9


@pytest.mark.parametrize("first_trigger", [0, 1])
def test_a_list_stands_at_its_beginning_after_all_its_triggers(lab: Lab, first_trigger: int) -> None:
    host, sim, server = lab
    settings = SMB100ASource.Settings(first_trigger=first_trigger)
    source = SMB100ASource.connect(host.address(server), settings)
    source.load_list([2.5e9, 2.6e9, 2.7e9])
    positions = []
    for _ in range(4):
        host.call(sim.external_trigger)
        positions.append(source.list_position())
    assert positions == [1, 2, 0, 1]
    source.close()


def test_what_went_wrong_meanwhile_is_told_once(lab: Lab, source: SMB100ASource) -> None:
    host, sim, _ = lab
    source.set_output(True)
    assert source.faults() == ()
    host.call(sim.set_unlocked, True)
    assert source.faults() == source.faults()  # as long as it lasts
    host.call(sim.set_unlocked, False)
    host.call(sim.set_unlocked, True)
    host.call(sim.set_unlocked, False)
    source.instrument.write("NONSENSE")
    doubt, error = source.faults()
    assert "is or was in doubt" in doubt
    assert error.startswith("-113")
    assert source.faults() == ()
    host.call(sim.switch_off)
    assert source.faults() == ("the output has gone off by itself",)
