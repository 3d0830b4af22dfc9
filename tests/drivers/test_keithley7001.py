"""Keithley 7001 with a matrix card: wire protocol of the driver, relays of the simulator, one against the other."""

from collections.abc import Iterator

import pytest
from nvscope_drivers.keithley7001 import Keithley7001, Keithley7001Settings, KeithleyMatrix
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.keithley7001 import SimulatedKeithley7001
from pydantic import ValidationError
from pymeasure.test import expected_protocol

from nvscope.devices.roles import ContactMatrix
from nvscope.errors import InstrumentError, LimitError

OK = (b"SYST:ERR?", b'0,"No error"')
STANDARD = ("I+", "I-", "V+", "V-")


@pytest.fixture
def bench() -> Iterator[tuple[BenchWorld, SimulatedKeithley7001, KeithleyMatrix]]:
    world = BenchWorld()
    switch = SimulatedKeithley7001(world)
    with Host(world.timeline) as host:
        host.serve(switch)
        matrix = KeithleyMatrix.connect(host.address(host.servers[0]), Keithley7001Settings())
        yield world, switch, matrix
        matrix.close()


def test_relays_are_closed_by_card_row_and_column() -> None:
    with expected_protocol(Keithley7001, [(b"ROUT:CLOS (@1!1!3,1!2!5)", None), OK]) as switch:
        switch.close(frozenset({(1, 2, 5), (1, 1, 3)}))


def test_the_state_is_read_back() -> None:
    pairs = [(b"ROUT:CLOS:STAT?", b"(@ 1!1!1, 1!4!10)"), (b"ROUT:CLOS:STAT?", b"(@)")]
    with expected_protocol(Keithley7001, pairs) as switch:
        assert switch.closed() == {(1, 1, 1), (1, 4, 10)}
        assert switch.closed() == frozenset()


def test_nonsense_is_an_error() -> None:
    pairs = [(b"ROUT:CLOS:STAT?", b"1,0")]
    with expected_protocol(Keithley7001, pairs) as switch, pytest.raises(InstrumentError, match="nonsense"):
        switch.closed()


def test_connecting_switches_nothing_and_a_wiring_is_switched_whole(bench) -> None:
    world, _, matrix = bench
    assert isinstance(matrix, ContactMatrix)
    assert world.ports.matrix.closed == frozenset()
    matrix.route(STANDARD)
    assert world.ports.matrix.closed == {(0, 0), (1, 1), (2, 2), (3, 3)}
    matrix.route(("V+", "gasket", "V+", "gasket"))
    assert world.ports.matrix.closed == {(0, 2), (1, 4), (2, 2), (3, 4)}
    matrix.make_safe()
    assert world.ports.matrix.closed == {(0, 2), (1, 4), (2, 2), (3, 4)}


def test_a_wiring_that_cannot_be_is_refused_before_a_relay_moves(bench) -> None:
    world, _, matrix = bench
    matrix.route(STANDARD)
    for wrong, why in ((("I+", "I+", "V+", "V-"), "shorts"), (("I+", "anvil", "V+", "V-"), "no column")):
        with pytest.raises(LimitError, match=why):
            matrix.route(wrong)
    assert world.ports.matrix.closed == {(0, 0), (1, 1), (2, 2), (3, 3)}
    with pytest.raises(ValidationError, match="column of its own"):
        Keithley7001Settings(columns={"I+": 1, "I-": 1, "V+": 3, "V-": 4})


@pytest.mark.parametrize(
    ("line", "code"), [("ROUT:CLOS", -109), ("ROUT:CLOS (@1!5!1)", -222), ("ROUT:CLOS 1!1!1", -171), ("ROUT:FOO", -113)]
)
def test_the_switch_refuses_what_it_does_not_understand(bench, line, code) -> None:
    _, switch, _ = bench
    switch.core.execute(line)
    assert switch.core.execute("SYST:ERR?").startswith(f"{code},")


def test_single_relays_open_and_tell(bench) -> None:
    _, switch, matrix = bench
    matrix.route(STANDARD)
    assert switch.core.execute("ROUT:CLOS? (@1!1!1,1!1!2)") == "1,0"
    switch.core.execute("ROUT:OPEN (@1!1!1)")
    assert switch.core.execute(":ROUTE:CLOSE:STATE?") == "(@1!2!2,1!3!3,1!4!4)"
    switch.core.execute("*RST")
    assert switch.core.execute("CLOS:STAT?") == "(@)"
