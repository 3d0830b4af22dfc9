"""Faults on purpose in magnets and transport: what the drivers make of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from nvscope_drivers.ami430 import AMI430Magnet
from nvscope_drivers.keithley6221 import DeltaModeTransport
from nvscope_drivers.kepco_bop import KepcoCoil
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.faults import FaultPlan
from nvscope_simulators.hammer import build
from nvscope_simulators.hosting import Host

from nvscope.devices.roles import MagnetState
from nvscope.errors import InstrumentError

GAUSS = 1e-4
RATE = 10 * GAUSS
COIL = {"field_per_current": "10 G/A", "current_limit": "20 A", "timeout": "0.5 s"}
DRIVERS: dict[str, tuple[Any, dict[str, str]]] = {
    "AMI430": (AMI430Magnet, COIL),
    "BOP": (KepcoCoil, COIL),
    "6221": (DeltaModeTransport, {"timeout": "0.5 s"}),
}


class Rig:
    """One instrument with faults, and its driver."""

    def __init__(self, host: Host, world: BenchWorld, model: str, faults: list[dict[str, Any]]) -> None:
        self.host, self.world = host, world
        named = [{"instrument": "it"} | fault for fault in faults]
        self.plan = FaultPlan(named, "rig.toml", world.timeline, world.ports.triggers, 1)
        self.instrument: Any = build(model, world)
        self.server = host.serve(self.instrument, faults=self.plan.wire("it"))
        driver, settings = DRIVERS[model]
        self.role: Any = driver.connect(host.address(self.server), driver.Settings.model_validate(settings))
        host.call(self.plan.attach, "it", self.instrument, self.server)


@pytest.fixture
def lab() -> Iterator[Any]:
    world = BenchWorld()
    rigs: list[Rig] = []
    with Host(world.timeline) as host:

        def make(model: str, *faults: dict[str, Any]) -> Rig:
            rigs.append(Rig(host, world, model, list(faults)))
            return rigs[-1]

        yield make
        for rig in rigs:
            rig.role.close()


def test_a_quench_in_the_middle_of_a_ramp(lab: Any) -> None:
    rig = lab("AMI430", {"kind": "quench", "at": "5 s"})
    rig.role.start_ramp(97 * GAUSS, RATE)
    rig.host.advance(4.9)
    assert rig.role.state() is MagnetState.RAMPING
    rig.host.advance(0.2)
    assert rig.role.state() is MagnetState.QUENCHED
    rig.host.advance(30.0)
    assert rig.world.applied_field()[2] == 0.0
    with pytest.raises(InstrumentError, match="quenched"):
        rig.role.start_ramp(0.0, RATE)
    assert [kind for _, _, kind in rig.plan.struck] == ["quench"]


def test_a_state_stuck_for_a_while(lab: Any) -> None:
    rig = lab("AMI430", {"kind": "stuck-ramping", "at": "1 s", "duration": "60 s"})
    rig.role.start_ramp(10 * GAUSS, RATE)
    rig.host.advance(30.0)
    assert rig.role.state() is MagnetState.RAMPING
    rig.host.advance(40.0)
    assert rig.role.state() is MagnetState.HOLDING


def test_a_connection_cut_in_a_ramp_is_opened_again_and_the_ramp_goes_on(lab: Any) -> None:
    rig = lab("AMI430", {"kind": "drop", "command": r"FIELD:MAG\?", "at": "3 s"})
    rig.role.start_ramp(97 * GAUSS, RATE)
    rig.host.advance(5.0)
    with pytest.raises(InstrumentError):
        rig.role.field()
    assert rig.role.field() == pytest.approx(50 * GAUSS, abs=0.1 * GAUSS)  # greeted anew, and asked again
    rig.host.advance(10.0)
    assert rig.role.state() is MagnetState.HOLDING


def test_a_garbled_reading_is_an_error_and_the_next_one_right(lab: Any) -> None:
    for kind in ("garble", "truncate"):
        rig = lab("BOP", {"kind": kind, "command": r"MEAS:CURR\?"})
        with pytest.raises(InstrumentError):
            rig.role.field()
        assert rig.role.field() == pytest.approx(0.0, abs=0.02 * GAUSS)


def test_a_second_controller_is_noticed(lab: Any) -> None:
    rig = lab(
        "BOP",
        {"kind": "command", "at": "1 s", "detail": "FUNC:MODE VOLT;:VOLT 2;:OUTP ON"},
    )
    rig.role.set_field(2 * GAUSS)
    assert rig.role.state() is not MagnetState.FAULT
    rig.host.advance(2.0)
    assert rig.role.state() is MagnetState.FAULT
    with pytest.raises(InstrumentError, match="somebody else"):
        rig.role.set_field(rig.role.field())


def test_an_output_that_goes_off_takes_the_field_along(lab: Any) -> None:
    rig = lab("BOP", {"kind": "output-off", "at": "2 s"}, {"kind": "reading-bogus", "at": "4 s"})
    rig.role.set_field(4 * GAUSS)
    rig.host.advance(1.0)
    assert rig.role.field() == pytest.approx(4 * GAUSS, abs=0.02 * GAUSS)
    rig.host.advance(4.0)
    assert rig.role.field() == pytest.approx(0.0, abs=0.02 * GAUSS)


def test_a_contact_that_opens_is_reported_and_the_excitation_off(lab: Any) -> None:
    rig = lab("6221", {"kind": "contact-open", "at": "1 s", "duration": "5 s"})
    rig.role.start(1e-4, 50)
    rig.host.advance(1.5)
    with pytest.raises(InstrumentError, match="contact is open"):
        rig.role.finished()
    assert rig.world.ports.excitation.current == 0.0
    rig.host.advance(5.0)
    rig.role.start(1e-4, 5)
    rig.host.advance(1.0)
    assert rig.role.fetch().mean() == pytest.approx(0.5e-4, rel=1e-2)


def test_first_readings_and_a_missing_meter(lab: Any) -> None:
    rig = lab(
        "6221",
        {"kind": "reading-bogus", "at": "0 s"},
        {"kind": "meter-missing", "at": "10 s"},
    )
    rig.host.advance(0.1)
    rig.role.start(1e-4, 4)
    rig.host.advance(1.0)
    assert np.isnan(rig.role.fetch()).sum() == 1
    rig.host.advance(10.0)
    with pytest.raises(InstrumentError, match="no 2182A"):
        rig.role.start(1e-4, 4)
