"""Cryostation: counted messages, cooldown and warm-up, driver and a foreign client."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvscope_drivers.montana import Cryostation, MontanaCryostat
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.montana import (
    CountedSession,
    CryostationSettings,
    SimulatedCryostation,
    State,
)
from nvscope_simulators.tcp import TcpServer
from nvscope_simulators.world.settings import CryostatSettings
from nvscope_simulators.world.thermal import Thermal
from pymeasure.test import expected_protocol

from nvscope.devices.roles import Cryostat
from nvscope.errors import InstrumentError, LimitError

Lab = tuple[Host, SimulatedCryostation, TcpServer]


@dataclass
class CoolerBench(BenchWorld):
    """A bench with a real cryostat whose compressor can stop."""

    def __post_init__(self) -> None:
        self.thermal = Thermal(CryostatSettings())
        self.thermal.advance(1e-6, 0.0, 0.0)  # compiles, if nobody has yet, before a client waits for an answer
        self.seen = 0.0

    def temperature(self, sensor: str) -> float:
        elapsed, self.seen = self.timeline.now - self.seen, self.timeline.now
        heat = self.ports.heaters.power.get(1, 0.0)
        self.thermal.advance(elapsed, heat, 0.0, cooling=self.ports.cooler.running)
        return self.thermal.temperature(sensor)


def test_protocol() -> None:
    with expected_protocol(
        Cryostation,
        [
            (b"03GST", b"0677.350"),
            (b"09STSP20.00", b"02OK"),
            (b"04GTSP", b"0520.00"),
            (b"03GAS", b"01F"),
            (b"03SCD", b"20Error: already cold."),
        ],
    ) as cryostat:
        assert cryostat.sample_temperature == 77.35
        cryostat.setpoint = 20
        assert cryostat.setpoint == 20
        assert cryostat.alarm is False
        with pytest.raises(InstrumentError, match="refused a command: 'Error: already cold"):
            cryostat.command("SCD")


@pytest.mark.parametrize("reply", [b"xx", b"05abcde", b"04\xff\xff\xff\xff"])
def test_nonsense_is_refused(reply: bytes) -> None:
    with expected_protocol(Cryostation, [(b"03GST", reply)]) as cryostat:
        with pytest.raises(InstrumentError):
            _ = cryostat.sample_temperature
        cryostat.adapter._read_buffer = None


@pytest.fixture
def bench() -> CoolerBench:
    return CoolerBench()


@pytest.fixture
def lab(bench: CoolerBench) -> Iterator[Lab]:
    sim = SimulatedCryostation(bench, CryostationSettings(setpoint="20 K"))
    with Host(bench.timeline) as host:
        yield host, sim, host.serve(sim)


@pytest.fixture
def cryostat(lab: Lab) -> Iterator[MontanaCryostat]:
    host, _, server = lab
    cryostat = MontanaCryostat.connect(host.address(server), MontanaCryostat.Settings(timeout="1 s"))
    yield cryostat
    cryostat.close()


def test_cooldown_regulation_and_warm_up(cryostat: MontanaCryostat, lab: Lab, bench: CoolerBench) -> None:
    host, sim, _ = lab
    assert isinstance(cryostat, Cryostat)
    host.advance(600)
    assert cryostat.temperature() == pytest.approx(295, abs=0.1)  # nothing runs, nothing cools
    assert cryostat.readings()["pressure"] == pytest.approx(101325, rel=1e-3)
    with pytest.raises(InstrumentError, match="already warm"):
        cryostat.warm_up()

    cryostat.cool_down()
    host.advance(300)
    assert sim.state is State.EVACUATING
    assert cryostat.temperature() > 290
    seen = set()
    for _ in range(240):
        host.advance(15)
        seen.add(sim.state)
    assert {State.COOLING, State.COLD} <= seen
    assert sim.state is State.COLD
    assert cryostat.temperature() == pytest.approx(20, abs=0.1)
    assert float(cryostat.readings()["pressure"]) < 1.0
    assert 0 <= float(cryostat.instrument.sample_stability) < 0.01
    with pytest.raises(InstrumentError, match="already cold"):
        cryostat.cool_down()

    cryostat.start_ramp(25, 2 / 60)
    host.advance(120)
    assert cryostat.temperature() == pytest.approx(25, abs=0.05)
    with pytest.raises(LimitError, match="cannot ramp"):
        cryostat.start_ramp(80, 2 / 60)

    cryostat.warm_up()
    for _ in range(240):
        host.advance(15)
        seen.add(sim.state)
    assert {State.WARMING, State.VENTING, State.READY} <= seen
    assert cryostat.temperature() == pytest.approx(295, abs=5)  # the cold head lags behind
    assert not bench.ports.cooler.running
    assert bench.ports.heaters.power[1] == 0.0


def test_compressor_fault_raises_the_alarm(cryostat: MontanaCryostat, lab: Lab, bench: CoolerBench) -> None:
    host, sim, _ = lab
    cryostat.cool_down()
    host.advance(3600)
    assert cryostat.readings()["alarm"] is False
    host.call(sim.set_compressor_fault, True)
    assert cryostat.readings()["alarm"] is True
    before = cryostat.sensors()["cooler_2"]
    host.advance(1800)
    assert cryostat.sensors()["cooler_2"] > before + 1
    host.call(sim.set_compressor_fault, False)
    assert bench.ports.cooler.running


def test_standby_and_stop(lab: Lab, bench: CoolerBench) -> None:
    _, sim, _ = lab
    assert sim.respond("SSB") == "Error: not evacuated"
    assert sim.respond("SCD") == "OK"
    assert sim.respond("STP") == "OK"
    assert sim.state is State.READY
    assert sim.respond("STSP999") == "Error: setpoint out of range"
    assert sim.respond("STSPcold") == "Error: invalid value"
    assert sim.respond("NONSENSE") == "Error: unknown command"


def test_connecting_changes_nothing(lab: Lab) -> None:
    host, sim, server = lab
    before = host.call(sim.respond, "GTSP"), sim.state
    MontanaCryostat.connect(host.address(server), MontanaCryostat.Settings()).close()
    assert (host.call(sim.respond, "GTSP"), sim.state) == before


@settings(max_examples=400, deadline=None)
@given(st.lists(st.binary(max_size=130), max_size=6))
def test_no_bytes_break_the_framing(chunks: list[bytes]) -> None:
    sim = SimulatedCryostation(CoolerBench(), CryostationSettings())
    session = CountedSession(sim.respond)
    for chunk in chunks:
        session.receive(chunk)
    # at most one unfinished message is ahead; 101 further bytes end it, then it answers again
    session.receive(b"x" * 101)
    assert session.receive(b"04GTSP").endswith(b"044.00")


def test_qcodes_contrib_driver(lab: Lab) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from qcodes_contrib_drivers.drivers.MontanaInstruments.cryostation import MontanaInstruments_Cryostation

        _, sim, server = lab
        foreign = MontanaInstruments_Cryostation("cryo", address="127.0.0.1", port=server.port, timeout=2)
        try:
            foreign.temp_setpoint(30.0)
            assert foreign.temp_setpoint() == 30.0
            assert foreign.temp_sample() == pytest.approx(295, abs=0.1)
            assert foreign.temp_stage2() > 290
            assert foreign.power_heater_platform() == 0.0
            foreign.start_cooldown()
        finally:
            foreign.close()
    assert sim.state is State.EVACUATING
