"""Faults on purpose: when they strike, what they do on a wire and in an instrument, and that a seed repeats them."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from nvscope_drivers.cobolt import CoboltLaser
from nvscope_drivers.lakeshore336 import LakeShore336Cryostat
from nvscope_drivers.sg384 import SG384Source
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.camera import CameraLink, CameraSettings
from nvscope_simulators.faults import FaultPlan
from nvscope_simulators.hammer import build
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.catalogue import MODELS
from nvscope_simulators.instruments.troubles import TROUBLES
from nvscope_simulators.lab import Lab, LabRequest
from nvscope_simulators.nidaqmx_server import NIDAQmxServer, NISettings
from nvscope_simulators.world.cell import Cell
from nvscope_simulators.world.conductor import Leads

from nvscope.config import Loading, Sample, read_model
from nvscope.config import Rig as RigModel
from nvscope.config.pairs import parse_pairs
from nvscope.errors import ConfigError, InstrumentError, InstrumentTimeout

Fault = dict[str, object]


class Rig:
    """One SG384, one Lake Shore 336 and one laser, with faults."""

    def __init__(self, host: Host, bench: BenchWorld, *faults: Fault, seed: int = 1) -> None:
        self.host, self.bench = host, bench
        self.plan = FaultPlan(faults, "rig.toml", bench.timeline, bench.ports.triggers, seed)
        self.plan.check_names(["source", "cryostat", "laser"])
        self.source = self._open("source", "SG384", SG384Source, SG384Source.Settings(timeout="0.3 s"))
        self.cryostat = self._open(
            "cryostat", "Model336", LakeShore336Cryostat, LakeShore336Cryostat.Settings(timeout="0.3 s")
        )
        self.laser = self._open("laser", "Cobolt", CoboltLaser, CoboltLaser.Settings(timeout="0.3 s"))

    def _open(self, name, model, driver, settings):  # type: ignore[no-untyped-def]
        instrument = build(model, self.bench)
        server = self.host.serve(instrument, faults=self.plan.wire(name))
        role = driver.connect(self.host.address(server), settings)
        self.host.call(self.plan.attach, name, instrument, server)
        return role

    def close(self) -> None:
        for role in (self.source, self.cryostat, self.laser):
            role.close()

    @property
    def kinds(self) -> list[str]:
        return [kind for _, _, kind in self.plan.struck]


@pytest.fixture
def rig() -> Iterator[object]:
    bench = BenchWorld()
    made: list[Rig] = []
    with Host(bench.timeline) as host:

        def make(*faults: Fault, seed: int = 1) -> Rig:
            made.append(Rig(host, bench, *faults, seed=seed))
            return made[-1]

        yield make
        for one in made:
            one.close()


def fault(kind: str, instrument: str = "source", **more: object) -> Fault:
    return {"instrument": instrument, "kind": kind, **more}


# -- the schema


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"instrument": "source", "kind": "drop"}, "say when"),
        (fault("drop", at="5 K"), r"faults\[0\].at"),
        (fault("drop", at="5"), "has no unit"),
        (fault("drop", probability=2), "probability"),
        (fault("drop", command="["), "not a regular expression"),
        (fault("command", at="1 s"), "needs its text"),
        (fault("drop", att="1 s"), "did you mean 'at'"),
        (fault("slow", "disk", at="1 s", detail="-1"), r"faults\[0\].detail: a write takes 0 to 60 s longer"),
        (fault("clock-step", "computer", at="1 s", detail="nan"), "give seconds as a number"),
        (fault("hang", "disk", at="1 s"), "a disk cannot have 'hang'; possible: full, slow"),
        ({**fault("drop", at="1 s"), "instrument": "toaster"}, "no instrument called 'toaster'"),
    ],
)
def test_mistakes_name_file_and_key(wrong: Fault, message: str) -> None:
    bench = BenchWorld()
    with pytest.raises(ConfigError, match=message) as caught:
        FaultPlan([wrong], "rig.toml", bench.timeline, bench.ports.triggers, 1).check_names(["source"])
    assert "rig.toml" in str(caught.value)


@pytest.mark.parametrize("kind", ["quench", "nonsense"])
def test_a_kind_the_instrument_cannot_have(rig, kind: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=rf"SG384 cannot have '{kind}'; possible: .*unlocked"):
        rig(fault(kind, at="1 s"))


def test_command_line_form_is_the_same_table(rig) -> None:  # type: ignore[no-untyped-def]
    pairs = parse_pairs("instrument=laser, kind=interlock ,at=60 s, count=1", "--fault")
    assert pairs == {"instrument": "laser", "kind": "interlock", "at": "60 s", "count": "1"}
    lab = rig(pairs)
    lab.host.advance(61)
    assert lab.kinds == ["interlock"]
    for wrong, message in (("laser", "'laser' is not key=value"), ("at=1 s,at=2 s", "at is given twice")):
        with pytest.raises(ConfigError, match=message):
            parse_pairs(wrong, "--fault")


def test_every_trouble_exists_in_its_instrument() -> None:
    """Every named trouble can begin and end on a fresh instrument."""
    seen = set()
    others = (NIDAQmxServer(BenchWorld(), NISettings()), CameraLink(BenchWorld(), CameraSettings()), Cell(Leads()))
    for instrument in (*(build(model, BenchWorld()) for model in MODELS), *others):
        for kind, trouble in TROUBLES.get(instrument.model, {}).items():
            trouble(instrument, True, "")
            trouble(instrument, False, "")
            seen.add((instrument.model, kind))
    assert seen == {(model, kind) for model, kinds in TROUBLES.items() for kind in kinds}


# -- on the wire


def test_drop_on_a_command_after_others_passed(rig) -> None:  # type: ignore[no-untyped-def]
    lab = rig(fault("drop", command="FREQ", skip=3))
    lab.source.set_frequency(2.8e9)  # two messages
    with pytest.raises(InstrumentError, match="connection lost"):
        lab.source.set_frequency(2.9e9)  # the fourth is lost
    lab.source.set_frequency(2.9e9)
    assert lab.kinds == ["drop"]


def test_timed_drop_is_healed_without_anybody_noticing(rig) -> None:  # type: ignore[no-untyped-def]
    lab = rig(fault("drop", at="10 s"))
    lab.source.set_frequency(2.8e9)
    lab.host.advance(11)
    time.sleep(0.05)
    assert lab.source.readings()["frequency"] == 2.8e9
    assert lab.plan.struck == [(10.0, "source", "drop")]
    assert lab.source.instrument.adapter.opened == 2


@pytest.mark.parametrize("kind", ["delay", "garble", "truncate"])
def test_bad_replies_are_errors_and_the_next_call_is_right(rig, kind: str) -> None:  # type: ignore[no-untyped-def]
    lab = rig(fault(kind, command=r"AMPR\?", duration="0.6 s"))
    lab.source.set_frequency(2.8e9)
    expected = InstrumentError if kind == "garble" else InstrumentTimeout
    with pytest.raises(expected):
        lab.source.readings()
    assert lab.source.readings()["frequency"] == 2.8e9
    assert lab.kinds == [kind]


def test_stale_reply_does_not_pass_for_the_setting(rig) -> None:  # type: ignore[no-untyped-def]
    lab = rig(fault("stale", command=r"FREQ\?", skip=1))
    lab.source.set_frequency(2.8e9)
    with pytest.raises(InstrumentError, match=r"frequency is 2800000000\.0 Hz after setting 2900000000\.0 Hz"):
        lab.source.set_frequency(2.9e9)
    lab.source.set_frequency(2.9e9)


def test_hang_and_recovery(rig) -> None:  # type: ignore[no-untyped-def]
    lab = rig(fault("hang", command="SETP", duration="0.8 s"))
    with pytest.raises(InstrumentTimeout):
        lab.source.instrument.ask("SETP?")
    with pytest.raises(InstrumentTimeout):
        lab.source.readings()
    assert lab.cryostat.temperature() > 200  # the others are well
    time.sleep(0.6)
    assert lab.source.readings()["locked"] is True


def test_refusing_after_a_cut(rig) -> None:  # type: ignore[no-untyped-def]
    lab = rig(fault("refuse", at="5 s", duration="0.5 s"))
    lab.host.advance(6)
    with pytest.raises(InstrumentError):
        lab.source.readings()
    time.sleep(0.6)
    assert lab.source.readings()["locked"] is True


def test_a_second_controller(rig) -> None:  # type: ignore[no-untyped-def]
    lab = rig(fault("command", at="3 s", detail="FREQ 1 GHz;ENBR 1"))
    lab.source.set_frequency(2.8e9)
    lab.host.advance(4)
    assert lab.source.readings()["frequency"] == 1e9
    assert lab.bench.ports.microwave.on


def test_probability_is_reproducible_from_the_seed(rig) -> None:  # type: ignore[no-untyped-def]
    def pattern(seed: int) -> list[bool]:
        lab = rig(fault("garble", probability=0.3, count=0, command="LSTS"), seed=seed)
        return [_fails(lab) for _ in range(40)]

    first = pattern(7)
    assert first == pattern(7)
    assert first != pattern(8)
    assert 4 <= sum(first) <= 20  # 12 expected, 3 σ = 8.7


def _fails(lab: Rig) -> bool:
    try:
        _ = lab.source.instrument.list_size
    except InstrumentError:
        return True
    return False


# -- in the instrument, and on the trigger wire


def test_troubles_begin_and_end_with_rig_time(rig) -> None:  # type: ignore[no-untyped-def]
    lab = rig(
        fault("interlock", "laser", at="10 s", duration="5 s"),
        fault("unlocked", at="10 s", duration="5 s"),
        fault("sensor-open", "cryostat", at="10 s", duration="5 s", detail="A"),
    )
    lab.laser.set_emission(True)
    lab.host.advance(9)
    assert lab.bench.ports.laser.power > 0
    lab.host.advance(2)
    assert lab.bench.ports.laser.power == 0
    assert "interlock open" in lab.laser.faults()
    assert lab.source.readings()["locked"] is False
    with pytest.raises(InstrumentError, match="open"):
        lab.cryostat.temperature()
    lab.host.advance(5)
    assert lab.laser.faults() == ("interlock error",)  # latched
    lab.source.readings()  # the latched bit is read away
    assert lab.source.readings()["locked"] is True
    assert lab.cryostat.temperature() > 200


def test_trouble_on_a_command(rig) -> None:  # type: ignore[no-untyped-def]
    lab = rig(fault("heater-open", "cryostat", command="RANGE 1,3"))
    lab.cryostat.start_ramp(300, 1 / 60)
    lab.host.advance(1)
    assert lab.cryostat.readings()["heater_range"] == "off"


def test_triggers_missed_and_doubled(rig) -> None:  # type: ignore[no-untyped-def]
    lab = rig(
        fault("trigger-missed", probability=1, skip=2),
        fault("trigger-doubled", probability=1, skip=3),
    )
    lab.source.load_list([2.8e9 + i * 1e6 for i in range(10)])

    def step() -> float:
        lab.bench.ports.triggers.fire("sweep")
        return (lab.bench.ports.microwave.frequency - 2.8e9) / 1e6

    assert [lab.host.call(step) for _ in range(6)] == [0, 1, 1, 3, 4, 5]
    assert sorted(lab.kinds) == ["trigger-doubled", "trigger-missed"]


# -- in the whole lab


def _lab(*faults: Fault) -> Lab:
    rig = read_model(RigModel, "rigs", "simulated").model_copy(update={"faults": faults})
    sample, loading = read_model(Sample, "samples", "s1"), read_model(Loading, "loadings", "s1")
    return Lab(LabRequest(rig, sample, loading, "simulated.toml", image_shape=(16, 16)))


def test_a_rig_file_s_faults_happen_in_the_lab() -> None:
    lab = _lab(
        {"instrument": "laser", "kind": "interlock", "at": "30 s"},
        {"instrument": "camera", "kind": "trigger-missed", "probability": 1.0, "count": 2},
    )

    async def live() -> None:
        await lab.start()
        try:
            await lab.timeline.advance(31.0, wait=False)
            for _ in range(3):
                lab.ports.triggers.fire("sweep")
        finally:
            await lab.stop()

    asyncio.run(live())
    assert [(name, kind) for _, name, kind in lab.faults.struck] == [
        ("laser", "interlock"),
        ("camera", "trigger-missed"),
        ("camera", "trigger-missed"),
    ]


def test_camera_and_card_hang_for_a_time_on_the_wall() -> None:
    """Who waits for their answer holds rig time."""
    lab = _lab(
        {"instrument": "camera", "kind": "hang", "at": "1 s", "duration": "0.2 s"},
        {"instrument": "timing", "kind": "hang", "at": "1 s", "duration": "0.2 s"},
    )
    hung: list[bool] = []

    async def live() -> None:
        await lab.start()
        camera, card = (lab.faults._instruments[name] for name in ("camera", "timing"))
        try:
            await lab.timeline.advance(2.0, wait=False)
            hung.extend([camera._hung, not card._answering.is_set()])
            await asyncio.sleep(0.3)
            hung.extend([camera._hung, not card._answering.is_set()])
        finally:
            await lab.stop()

    asyncio.run(live())
    assert hung == [True, True, False, False]


def test_a_trigger_fault_hears_the_word_trigger(rig) -> None:  # type: ignore[no-untyped-def]
    lab = rig(fault("trigger-missed", command="trigger", count=0), fault("trigger-missed", command="else", count=0))
    lab.source.load_list([2.8e9, 2.81e9])
    lab.host.call(lambda: lab.bench.ports.triggers.fire("sweep"))
    assert lab.kinds == ["trigger-missed"]
    assert lab.source.readings()["list_index"] == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"instrument": "timing", "kind": "trigger-missed", "probability": 0.5}, "'timing' has no trigger input"),
        ({"instrument": "camera", "kind": "drop", "at": "1 s"}, "cannot have 'drop'"),
        ({"instrument": "oven", "kind": "drop", "at": "1 s"}, "no instrument called 'oven'"),
    ],
)
def test_a_fault_that_could_never_happen_is_an_error(wrong: Fault, message: str) -> None:
    async def live() -> None:
        lab = _lab(wrong)
        try:
            await lab.start()
        finally:
            await lab.stop()

    with pytest.raises(ConfigError, match=message):
        asyncio.run(live())
