"""Lake Shore 336: the driver's words, the simulator's answers, both over a socket, and a cryostat under control."""

import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvscope_drivers.lakeshore336 import LakeShore336Cryostat
from nvscope_drivers.lakeshore336_instrument import LakeShore336, Zone
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.lakeshore336 import SimulatedLakeShore336
from nvscope_simulators.instruments.lakeshore336_sensor import SensorSettings
from nvscope_simulators.instruments.lakeshore336_settings import LakeShore336Settings
from nvscope_simulators.instruments.lakeshore_curves import CURVES
from nvscope_simulators.tcp import TcpServer
from nvscope_simulators.world.settings import CryostatSettings
from nvscope_simulators.world.thermal import Thermal
from pymeasure.test import expected_protocol

from nvscope.devices.roles import Cryostat
from nvscope.errors import InstrumentError, LimitError

QUIET = {"A": SensorSettings(world="sample", noise=0.0), "B": SensorSettings(world="stage", noise=0.0)}


@dataclass
class CryostatBench(BenchWorld):
    """A bench with a real cryostat: the lab's three thermal nodes, heater 1 on the stage."""

    def __post_init__(self) -> None:
        self.thermal = Thermal(CryostatSettings())
        self.thermal.advance(1e-6, 0.0, 0.0)  # compiles, if nobody has yet, before a client waits for an answer
        self.seen = 0.0

    def temperature(self, sensor: str) -> float:
        elapsed, self.seen = self.timeline.now - self.seen, self.timeline.now
        self.thermal.advance(elapsed, self.ports.heaters.power.get(1, 0.0), self.ports.heaters.power.get(2, 0.0))
        return self.thermal.temperature(sensor)


# -- what the driver says


def test_protocol() -> None:
    with expected_protocol(
        LakeShore336,
        [
            ("KRDG? A", "+77.3500"),
            ("SRDG? B", "+205.670"),
            ("RDGST? C", "000"),
            ("TLIMIT D,310.00", None),
            ("SETP 1,20.0000", None),
            ("SETP? 2", "+4.20000"),
            ("RAMP 1,1,5.0", None),
            ("RAMP? 1", "1,005.0"),
            ("RAMPST? 1", "0"),
            ("PID 1,50.0,20.0,0.0", None),
            ("PID? 1", "+0050.0,+0020.0,+0000.0"),
            ("OUTMODE 1,2,1,0", None),
            ("OUTMODE? 1", "2,1,0"),
            ("RANGE 2,3", None),
            ("RANGE? 2", "1"),
            ("HTR? 1", "+012.5"),
            ("HTRST? 1", "2"),
            ("ZONE 1,3,35.000,48.0,100.0,0,0.00,3,0,5.0", None),
            ("ZONE? 1,1;ZONE? 1,2", "+15.0000,+0022.0,+0100.0,+0000,+0.00000,3,0,+005.0;+0.00000,+0000.0,0,0,0,0,0,0"),
            ("KRDG? A;RDGST? A;KRDG? B;RDGST? B", "+77.3500;0;+0.00000;128"),
        ],
    ) as ls:
        assert ls.input_a.kelvin == 77.35
        assert ls.input_b.sensor == 205.67
        assert ls.input_c.status == 0
        ls.input_d.limit = 310
        ls.output_1.setpoint = 20
        assert ls.output_2.setpoint == 4.2
        ls.output_1.ramp = (True, 5)
        assert ls.output_1.ramp == (True, 5.0)
        assert ls.output_1.ramping is False
        ls.output_1.pid = (50, 20, 0)
        assert ls.output_1.pid == [50, 20, 0]
        ls.output_1.mode = (2, 1, 0)
        assert ls.output_1.mode == [2, 1, 0]
        ls.output_2.range = "high"
        assert ls.output_2.range == "low"
        assert ls.output_1.percent == 12.5
        assert ls.output_1.fault == 2
        ls.output_1.set_zone(3, Zone(35, 48, 100, 0, 0, 3, 0, 5))
        assert ls.output_1.zones(2)[0] == Zone(15, 22, 100, 0, 0, 3, 0, 5)
        assert ls.read_inputs("AB") == [(77.35, 0), (0.0, 128)]


@pytest.mark.parametrize(
    ("status", "words"), [(1, "invalid reading"), (32, "over range"), (128, "open"), (80, "under range.*zero")]
)
def test_sensor_faults_are_named(status: int, words: str) -> None:
    with (
        expected_protocol(LakeShore336, [("KRDG? A;RDGST? A", f"+0.00000;{status}")]) as ls,
        pytest.raises(InstrumentError, match=f"input A reports .*{words}"),
    ):
        ls.input_a.valid_kelvin()


@pytest.mark.parametrize("reply", ["+0.00000;0", "-3.00000;0", "77", "77;0;1", "seven;0", ";"])
def test_senseless_readings_are_refused(reply: str) -> None:
    with expected_protocol(LakeShore336, [("KRDG? A;RDGST? A", reply)]) as ls, pytest.raises(InstrumentError):
        ls.input_a.valid_kelvin()


# -- what the simulator answers


@pytest.fixture
def bench() -> BenchWorld:
    return BenchWorld()


@pytest.fixture
def sim(bench: BenchWorld) -> SimulatedLakeShore336:
    return SimulatedLakeShore336(bench, LakeShore336Settings(inputs=QUIET))


def advance(bench: BenchWorld, seconds: float) -> None:
    import asyncio

    asyncio.run(bench.timeline.advance(bench.timeline.now + seconds, wait=True))


@pytest.mark.parametrize(
    ("query", "pattern"),
    [
        ("*IDN?", r"LSCI,MODEL336,\w{7}/#{7},\d\.\d"),
        ("KRDG? A", r"\+295\.000"),
        ("KRDG? 0", r"[+-][\d.]{7}(,[+-][\d.]{7}){3}"),
        ("CRDG? A", r"\+21\.8500"),
        ("SRDG? A", r"\+60\.\d{4}"),
        ("RDGST? D", "1"),
        ("SETP? 1", r"\+0\.00000"),
        ("PID? 1", r"\+0050\.0,\+0020\.0,\+0000\.0"),
        ("RAMP? 1", r"0,000\.0"),
        ("HTR? 1", r"\+000\.0"),
        ("HTRSET? 1", r"1,0,\+1\.732,2"),
        ("OUTMODE? 2", "1,2,0"),
        ("TLIMIT? A", r"\+0\.00000"),
        ("CRVHDR? 21", r"CX-1050-SD {5},X01234 {4},4,\+325\.000,1"),
        ("INNAME? A", "Sample {9}"),
        ("*STB?", "0"),
    ],
)
def test_formats(sim: SimulatedLakeShore336, query: str, pattern: str) -> None:
    assert re.fullmatch(pattern, sim.respond(query) or "")


@pytest.mark.parametrize("name", CURVES)
def test_curves_invert_and_know_their_ends(name: str) -> None:
    _, curve = CURVES[name]
    for kelvin in (curve.lowest, curve.highest, 40.0, 77.35, 100.0, 295.0):
        assert curve.kelvin(curve.units(kelvin)) == pytest.approx(kelvin, rel=1e-9)


def test_sensor_units_are_the_published_ones(sim: SimulatedLakeShore336, bench: BenchWorld) -> None:
    bench.kelvin["sample"] = 4.2
    assert float(sim.respond("SRDG? A") or "") == pytest.approx(3507.2, rel=1e-4)  # CX-1050, catalogue


def test_chaining_and_standard_event_status(sim: SimulatedLakeShore336) -> None:
    assert sim.respond("*ESR?") == "128"
    assert sim.respond("SETP 1,50;SETP? 1;*ESR?") == "+50.0000;000"
    assert sim.respond("FOO 1;*ESR?") == "032"
    assert sim.respond("SETP 3,50;*ESR?") == "016"
    assert sim.respond("RANGE 1,9;*ESR?") == "016"
    assert sim.respond("SETP 1;*ESR?") == "032"
    assert sim.respond(":SETP 1,51;:SETP? 1;*ESR?") == "+51.0000;000"
    assert sim.respond("") is None


def test_setpoint_moves_while_ramping(sim: SimulatedLakeShore336, bench: BenchWorld) -> None:
    sim.respond("SETP 1,100;RAMP 1,1,6;SETP 1,90")
    advance(bench, 30)
    assert sim.respond("SETP? 1;RAMPST? 1") == "+97.0000;1"
    sim.respond("SETP 1,99")  # a new target starts from where the setpoint is
    advance(bench, 10)
    assert sim.respond("SETP? 1;RAMPST? 1") == "+98.0000;1"
    advance(bench, 10)
    assert sim.respond("SETP? 1;RAMPST? 1") == "+99.0000;0"
    sim.respond("SETP 1,80")
    advance(bench, 60)
    sim.respond("RAMP 1,0,6")
    advance(bench, 60)
    assert sim.respond("SETP? 1;RAMPST? 1") == "+93.0000;0"
    sim.respond("RAMP 1,1,0;SETP 1,50")  # rate 0 is infinitely fast
    assert sim.respond("SETP? 1") == "+50.0000"


def test_zones_have_rates_of_their_own(sim: SimulatedLakeShore336, bench: BenchWorld) -> None:
    sim.respond("ZONE 1,1,50,10,20,0,0,3,1,60;ZONE 1,2,100,20,20,0,0,3,1,6")
    sim.respond("SETP 1,40;OUTMODE 1,2,1,0;RAMP 1,1,1;SETP 1,60")
    advance(bench, 5)
    assert float(sim.respond("SETP? 1") or "") == pytest.approx(45.0)
    advance(bench, 5 + 50)
    assert float(sim.respond("SETP? 1") or "") == pytest.approx(55.0)
    sim.respond("SETP 1,45")
    advance(bench, 50 + 2)
    assert float(sim.respond("SETP? 1") or "") == pytest.approx(48.0)


def test_control_law_is_the_manual_s(sim: SimulatedLakeShore336, bench: BenchWorld) -> None:
    bench.kelvin["sample"] = 100.0
    sim.respond("PID 1,10,20,0;SETP 1,101;OUTMODE 1,1,1,0;RANGE 1,3")
    advance(bench, 50)
    # P [e + (I/1000) ∫ e dt] = 10 [1 + 0.02 × 50] = 20 %, of 1.732² A² × 25 ohm = 75 W
    assert float(sim.respond("HTR? 1") or "") == pytest.approx(20.0, abs=0.11)
    assert bench.ports.heaters.power[1] == pytest.approx(0.20 * 75, rel=1e-2)
    sim.respond("HTRSET 1,1,0,1.732,1")  # output now linear in current
    assert bench.ports.heaters.power[1] == pytest.approx(0.20**2 * 75, rel=2e-2)


def test_ranges_scale_by_ten(sim: SimulatedLakeShore336, bench: BenchWorld) -> None:
    sim.respond("OUTMODE 1,3,0,0;MOUT 1,50;HTRSET 1,1,2,0,2")
    powers = []
    for heater_range in (1, 2, 3, 0):
        sim.respond(f"RANGE 1,{heater_range}")
        advance(bench, 1)
        powers.append(bench.ports.heaters.power[1])
    assert powers == pytest.approx([0.125, 1.25, 12.5, 0.0])  # half of 1 A² × 25 ohm


def test_temperature_limit_shuts_every_output(sim: SimulatedLakeShore336, bench: BenchWorld) -> None:
    sim.respond("OUTMODE 1,3,0,0;MOUT 1,50;RANGE 1,3;OUTMODE 2,3,0,0;MOUT 2,50;RANGE 2,3;RANGE 3,1;TLIMIT B,300")
    advance(bench, 1)
    assert bench.ports.heaters.power[1] > 0
    bench.kelvin["stage"] = 301.0
    advance(bench, 1)
    assert sim.respond("RANGE? 1;RANGE? 2;RANGE? 3") == "0;0;0"
    assert bench.ports.heaters.power == {1: 0.0, 2: 0.0}


@pytest.mark.parametrize(("fault", "code"), [("open", "1"), ("short", "2")])
def test_broken_heater_switches_off_and_says_why_once(
    sim: SimulatedLakeShore336, bench: BenchWorld, fault: str, code: str
) -> None:
    sim.respond("OUTMODE 1,3,0,0;MOUT 1,50;RANGE 1,3")
    sim.set_heater_fault(1, fault)
    advance(bench, 1)
    assert sim.respond("RANGE? 1;HTRST? 1;HTRST? 1") == f"0;{code};0"
    assert bench.ports.heaters.power[1] == 0.0


def test_runaway_heats_until_switched_off(sim: SimulatedLakeShore336, bench: BenchWorld) -> None:
    bench.kelvin["sample"] = 100.0
    sim.respond("SETP 1,50;RANGE 1,3")
    sim.set_heater_fault(1, "runaway")
    advance(bench, 1)
    assert bench.ports.heaters.power[1] == pytest.approx(75, rel=1e-3)
    sim.respond("RANGE 1,0")
    assert bench.ports.heaters.power[1] == 0.0


@pytest.mark.parametrize(("trouble", "bits"), [("open", 128), ("short", 64), ("over", 32), ("under", 16)])
def test_broken_sensor_stops_its_loop(sim: SimulatedLakeShore336, bench: BenchWorld, trouble: str, bits: int) -> None:
    sim.respond("SETP 1,300;RANGE 1,3")
    advance(bench, 1)
    assert bench.ports.heaters.power[1] > 0
    sim.sensors["A"].set_trouble(trouble)  # type: ignore[arg-type]
    advance(bench, 1)
    assert sim.respond("RDGST? A;KRDG? A;RANGE? 1") == f"{bits};+0.00000;0"
    assert bench.ports.heaters.power[1] == 0.0


def test_beyond_the_curve_is_over_range(sim: SimulatedLakeShore336, bench: BenchWorld) -> None:
    bench.kelvin["sample"] = 330.0
    assert sim.respond("RDGST? A") == "32"
    bench.kelvin["sample"] = 1.0
    assert sim.respond("RDGST? A") == "16"


def test_no_output_no_ticks(sim: SimulatedLakeShore336, bench: BenchWorld) -> None:
    sim.respond("SETP 1,300;RANGE 1,3")
    advance(bench, 10)
    assert bench.timeline._queue
    sim.respond("RANGE 1,0")
    advance(bench, 1)
    assert not bench.timeline._queue


MNEMONICS = [
    *("SETP", "ZONE", "PID", "RAMP", "RANGE", "OUTMODE", "HTRSET", "INTYPE", "ALARM", "TLIMIT", "MOUT", "NET"),
    *("KRDG?", "ZONE?", "CRVPT?", "CRVHDR?", "RELAY", "FILTER", "INNAME", "MDAT?", "*SRE", "OPSTE"),
]


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(max_size=80),
        st.builds(
            "{} {}".format,
            st.sampled_from(MNEMONICS),
            st.text(alphabet='0123456789ABCD,.-+e";: ', max_size=40),
        ),
    )
)
def test_no_line_breaks_the_simulator(line: str) -> None:
    bench = BenchWorld()
    sim = SimulatedLakeShore336(bench, LakeShore336Settings())
    sim.respond("SETP 1,300;RANGE 1,3")
    sim.respond(line)
    advance(bench, 2)
    assert (sim.respond("*IDN?") or "").startswith("LSCI,MODEL336,")


# -- driver and simulator over a socket


@pytest.fixture
def cold() -> CryostatBench:
    return CryostatBench()


@pytest.fixture
def lab(cold: CryostatBench) -> Iterator[tuple[Host, SimulatedLakeShore336, TcpServer]]:
    sim = SimulatedLakeShore336(cold, LakeShore336Settings())
    with Host(cold.timeline) as host:
        yield host, sim, host.serve(sim)


@pytest.fixture
def cryostat(lab: tuple[Host, SimulatedLakeShore336, TcpServer]) -> Iterator[LakeShore336Cryostat]:
    host, _, server = lab
    cryostat = LakeShore336Cryostat.connect(host.address(server), LakeShore336Cryostat.Settings(timeout="1 s"))
    yield cryostat
    cryostat.close()


def test_connecting_changes_nothing(lab: tuple[Host, SimulatedLakeShore336, TcpServer]) -> None:
    host, sim, server = lab
    state = "SETP? 1;RANGE? 1;OUTMODE? 1;PID? 1;ZONE? 1,1;RAMP? 1;TLIMIT? A"
    host.call(sim.respond, "SETP 1,50;RANGE 1,2;RAMP 1,1,3")
    before = host.call(sim.respond, state)
    LakeShore336Cryostat.connect(host.address(server), LakeShore336Cryostat.Settings()).close()
    assert host.call(sim.respond, state) == before


def test_role_readings(cryostat: LakeShore336Cryostat) -> None:
    assert isinstance(cryostat, Cryostat)
    assert cryostat.identify().manufacturer == "LSCI"
    assert cryostat.temperature() == pytest.approx(295, abs=0.01)
    readings = cryostat.readings()
    assert readings["heater_range"] == "off"
    assert readings["heater_percent"] == 0.0
    assert {"sample", "stage", "platform"} <= set(readings)


def test_cool_warm_and_settle(
    cryostat: LakeShore336Cryostat, lab: tuple[Host, SimulatedLakeShore336, TcpServer], cold: CryostatBench
) -> None:
    """Every step stays within 0.2 K beyond its target and is within 0.05 K one minute after its ramp."""
    host, *_ = lab
    steps = [
        (100.0, 10),
        (20.0, 10),
        (25.0, 2),
        (40.0, 10),
        (60.0, 5),
        (80.0, 10),
        (100.0, 10),
        (200.0, 10),
        (20.0, 10),
    ]
    for target, per_minute in steps:
        start = host.call(cold.temperature, "sample")
        before = cold.ports.heaters.power.get(1, 0.0)
        cryostat.start_ramp(target, per_minute / 60)
        host.advance(0.3)
        # the setpoint starts moving at once, and the loop answers; a step of the setpoint would give tens of watts
        assert abs(cold.ports.heaters.power[1] - before) < 7.5
        duration = abs(target - start) / per_minute * 60
        host.advance(duration / 2)
        assert cryostat.setpoint() == pytest.approx(0.5 * (start + target), abs=0.5)
        worst, late = -math.inf, 0.0
        sign = math.copysign(1, target - start)
        for second in range(int(duration / 2) + 120):
            host.advance(1.0)
            beyond = (host.call(cold.temperature, "sample") - target) * sign
            worst = max(worst, beyond)
            if second > duration / 2 + 60:
                late = max(late, abs(beyond))
        assert worst < 0.2
        assert late < 0.05
    assert cryostat.readings()["ramping"] is False


def test_hold_stops_the_ramp_where_it_is(
    cryostat: LakeShore336Cryostat, lab: tuple[Host, SimulatedLakeShore336, TcpServer]
) -> None:
    host, *_ = lab
    cryostat.start_ramp(200, 6 / 60)
    host.advance(100)
    cryostat.hold()
    stopped = cryostat.setpoint()
    assert stopped == pytest.approx(285, abs=0.2)
    host.advance(200)
    assert cryostat.setpoint() == pytest.approx(stopped, abs=1e-3)
    assert cryostat.readings()["heater_range"] == "high"
    cryostat.start_ramp(280, 6 / 60)
    host.advance(5)
    cryostat.make_safe()
    cryostat.make_safe()
    host.advance(60)
    assert cryostat.setpoint() == pytest.approx(284.5, abs=0.3)


def test_a_stale_setpoint_is_not_jumped_to(
    cryostat: LakeShore336Cryostat, lab: tuple[Host, SimulatedLakeShore336, TcpServer], cold: CryostatBench
) -> None:
    host, sim, _ = lab
    host.call(sim.respond, "SETP 1,4.2;RAMP 1,1,1")
    cryostat.start_ramp(300, 6 / 60)
    assert cryostat.setpoint() == pytest.approx(295, abs=0.01)
    host.advance(20)
    assert cryostat.setpoint() == pytest.approx(297, abs=0.01)


def test_limits_and_refusals(
    cryostat: LakeShore336Cryostat, lab: tuple[Host, SimulatedLakeShore336, TcpServer]
) -> None:
    host, sim, _ = lab
    for setpoint, rate in ((1.0, 1 / 60), (500.0, 1 / 60), (50.0, 0.0), (50.0, 1.0), (50.0, 0.25 / 60)):
        with pytest.raises(LimitError):
            cryostat.start_ramp(setpoint, rate)
    host.call(sim.set_heater_fault, 1, "open")
    cryostat.start_ramp(300, 1 / 60)
    host.advance(1)
    host.call(sim.sensors["A"].set_trouble, "open")
    with pytest.raises(InstrumentError, match="sensor units over range"):
        cryostat.temperature()
    assert math.isnan(cryostat.sensors()["sample"])
    assert not math.isnan(cryostat.sensors()["stage"])
    host.call(sim.sensors["A"].set_trouble, "bogus", 1)
    with pytest.raises(InstrumentError, match=r"reads 0\.0 K and calls it valid"):
        cryostat.temperature()
    assert cryostat.temperature() > 200


def test_without_zones_the_instrument_keeps_its_terms(lab: tuple[Host, SimulatedLakeShore336, TcpServer]) -> None:
    host, sim, server = lab
    host.call(sim.respond, "PID 1,77,33,5")
    cryostat = LakeShore336Cryostat.connect(
        host.address(server), LakeShore336Cryostat.Settings(zones=(), heater_range="medium")
    )
    cryostat.start_ramp(290, 1 / 60)
    assert host.call(sim.respond, "PID? 1;OUTMODE? 1;RANGE? 1;ZONE? 1,1").startswith(
        "+0077.0,+0033.0,+0005.0;1,1,0;2;+0.00000"
    )
    cryostat.close()


def test_celsius_is_refused_at_connect(lab: tuple[Host, SimulatedLakeShore336, TcpServer]) -> None:
    host, sim, server = lab
    host.call(sim.respond, "INTYPE A,3,1,0,1,2")
    with pytest.raises(InstrumentError, match="preferred units of input A are not kelvin"):
        LakeShore336Cryostat.connect(host.address(server), LakeShore336Cryostat.Settings())


# -- other people's software


def test_lake_shore_s_own_package(lab: tuple[Host, SimulatedLakeShore336, TcpServer]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lakeshore import InstrumentException, Model336
    host, sim, server = lab
    foreign = Model336(ip_address="127.0.0.1", tcp_port=server.port)
    try:
        assert foreign.model_number == "MODEL336"
        assert foreign.get_all_kelvin_reading()[0] == pytest.approx(295, abs=0.01)
        foreign.set_control_setpoint(1, 120.5)
        assert foreign.get_control_setpoint(1) == 120.5
        foreign.set_heater_pid(1, 40, 27, 10)
        assert foreign.get_heater_pid(1) == {"gain": 40.0, "integral": 27.0, "derivative": 10.0}
        foreign.set_heater_range(1, foreign.HeaterRange.LOW)
        assert foreign.get_heater_range(1) == foreign.HeaterRange.LOW
        foreign.set_setpoint_ramp_parameter(1, True, 10.5)
        assert foreign.get_setpoint_ramp_parameter(1) == {"ramp_enable": True, "rate_value": 10.5}
        foreign.set_heater_setup(1, foreign.HeaterResistance.HEATER_25_OHM, 1.2, foreign.HeaterOutputUnits.POWER)
        assert foreign.get_heater_setup(1)["max_current"] == 1.2
        status = foreign.get_input_reading_status("D")
        assert status.invalid_reading
        assert foreign.get_heater_status(1).name == "NO_ERROR"
        foreign.all_heaters_off()
        assert host.call(sim.respond, "RANGE? 1") == "0"
        with pytest.raises(InstrumentException):
            foreign.query("NONSENSE?")
        with pytest.raises(InstrumentException):
            foreign.command("RANGE 1,9")
    finally:
        foreign.disconnect_tcp()


def test_qcodes_driver(lab: tuple[Host, SimulatedLakeShore336, TcpServer]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from qcodes.instrument_drivers.Lakeshore import LakeshoreModel336

        host, _, server = lab
        foreign = LakeshoreModel336("ls", host.address(server), visalib="@py", terminator="\r\n", timeout=2)
        try:
            assert foreign.A.temperature() == pytest.approx(295, abs=0.01)
            assert foreign.A.sensor_status() == "OK"
            assert foreign.D.sensor_status() == "Invalid Reading"
            assert foreign.A.curve_name().strip() == "CX-1050-SD"
            foreign.output_1.mode("zone")
            assert foreign.output_1.mode() == "zone"
            foreign.output_1.P(33.0)
            assert foreign.output_1.P() == 33.0
            foreign.output_1.output_range("high")
            assert foreign.output_1.output_range() == "high"
            foreign.output_1.setpoint(295.0)
            foreign.output_1.setpoint_ramp_rate(3.0)
            foreign.output_1.setpoint_ramp_enabled(True)
            foreign.output_1.setpoint(294.0)
            assert foreign.output_1.setpoint_ramp_status() is True
            host.advance(3600)
            assert foreign.output_1.setpoint() == 294.0
        finally:
            foreign.close()


def test_pymeasure_own_driver(lab: tuple[Host, SimulatedLakeShore336, TcpServer]) -> None:
    from pymeasure.instruments.lakeshore import LakeShore3xx

    host, _, server = lab
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        foreign = LakeShore3xx(host.address(server), visa_library="@py", write_termination="\n", timeout=1000)
        foreign.output_1.setpoint = 55
        foreign.output_1.range = "medium"
        assert foreign.output_1.setpoint == 55
        assert foreign.output_1.range == "medium"
        assert foreign.input_A.kelvin == pytest.approx(295, abs=0.01)
        foreign.adapter.close()
