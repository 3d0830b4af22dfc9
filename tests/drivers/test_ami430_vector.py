"""Three AMI 430 programmers as a vector magnet: straight lines, limits, and one axis failing the others."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from nvscope_drivers.ami430_vector import AMI430Vector, AMI430VectorSettings
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.ami430 import AMI430Settings, SimulatedAMI430

from nvscope.config import validate
from nvscope.devices.roles import MagnetState, RampingMagnet
from nvscope.errors import ConfigError, InstrumentError, LimitError

GAUSS = 1e-4
RATE = 10 * GAUSS
AXIS = {"field_per_current": "10 G/A", "current_limit": "20 A"}
Bench = tuple[BenchWorld, list[SimulatedAMI430], Host]


def vector_settings(**changes: object) -> AMI430VectorSettings:
    values = {"x": AXIS, "y": AXIS, "z": AXIS, "vector_limit": "150 G"} | changes
    return validate(AMI430VectorSettings, values, "test")


@pytest.fixture
def bench() -> Iterator[Bench]:
    world = BenchWorld()
    programmers = [SimulatedAMI430(world, AMI430Settings.model_validate({"axis": axis})) for axis in "xyz"]
    with Host(world.timeline) as host:
        for programmer in programmers:
            host.serve(programmer)
        yield world, programmers, host


def connect(host: Host, **changes: object) -> AMI430Vector:
    address = ", ".join(host.address(server) for server in host.servers)
    return AMI430Vector.connect(address, vector_settings(**changes))


def test_the_field_moves_along_a_straight_line_at_the_asked_rate(bench: Bench) -> None:
    world, _, host = bench
    magnet = connect(host)
    assert isinstance(magnet, RampingMagnet)
    start, end = np.array([40.0, -30.0, 0.0]) * GAUSS, np.array([-20.0, 30.0, 120.0]) * GAUSS
    magnet.start_vector_ramp(start, RATE)
    host.advance(10.0)
    assert magnet.vector() == pytest.approx(start, abs=0.01 * GAUSS)
    magnet.start_vector_ramp(end, RATE)
    length = float(np.linalg.norm(end - start))
    for seconds in range(1, math.floor(length / RATE)):
        host.advance(1.0)
        on_the_line = start + (end - start) * seconds * RATE / length
        # the world is told of a current ten times a second
        assert world.applied_field() == pytest.approx(on_the_line, abs=1.5 * GAUSS)
        assert magnet.vector() == pytest.approx(on_the_line, abs=0.02 * GAUSS)
        assert magnet.state() is MagnetState.RAMPING
    host.advance(5.0)
    assert magnet.state() is MagnetState.HOLDING
    assert magnet.vector() == pytest.approx(end, abs=0.01 * GAUSS)
    magnet.close()


def test_along_its_direction_it_is_an_ordinary_magnet(bench: Bench) -> None:
    world, _, host = bench
    magnet = connect(host, direction=(1.0, 0.0, 1.0))
    assert magnet.field_limit == pytest.approx(150 * GAUSS)
    magnet.start_ramp(100 * GAUSS, RATE)
    host.advance(12.0)
    assert magnet.field() == pytest.approx(100 * GAUSS, abs=0.02 * GAUSS)
    assert world.applied_field() == pytest.approx(np.array([1, 0, 1]) * 100 * GAUSS / math.sqrt(2), rel=1e-6)
    assert magnet.state() is MagnetState.HOLDING
    readings = magnet.readings()
    assert readings["field"] == pytest.approx(100 * GAUSS, abs=0.02 * GAUSS)
    assert readings["state_x"] == "holding"
    magnet.close()


def test_an_axis_with_next_to_no_way_does_not_stop_the_others(bench: Bench) -> None:
    _, _, host = bench
    magnet = connect(host)
    magnet.start_ramp(100 * GAUSS, 0.02 * GAUSS)  # x and y stay where they are, within their noise
    host.advance(50.0)
    assert magnet.field() == pytest.approx(1 * GAUSS, abs=0.01 * GAUSS)
    assert magnet.state() is MagnetState.RAMPING
    magnet.close()


def test_limits_of_vector_axis_and_rate(bench: Bench) -> None:
    _, programmers, host = bench
    magnet = connect(host, vector_limit="250 G")
    for target, rate in [
        ((0, 0, 201 * GAUSS), RATE),
        ((180 * GAUSS, 180 * GAUSS, 0), RATE),
        ((math.nan, 0, 0), RATE),
        ((0, 0, 10 * GAUSS), 0.0),
        ((0, 0, 10 * GAUSS), 1.0),
    ]:
        with pytest.raises(LimitError):
            magnet.start_vector_ramp(target, rate)
    assert all(programmer.system.target == 0.0 for programmer in programmers)
    magnet.close()


def test_pause_stops_all_and_a_quench_of_one_is_the_magnets(bench: Bench) -> None:
    _, programmers, host = bench
    magnet = connect(host)
    magnet.start_vector_ramp((50 * GAUSS, 50 * GAUSS, 50 * GAUSS), RATE)
    host.advance(4.0)
    magnet.make_safe()
    assert magnet.state() is MagnetState.PAUSED
    before = magnet.vector()
    host.advance(20.0)
    assert magnet.vector() == pytest.approx(before, abs=0.01 * GAUSS)
    host.call(programmers[1].system.quench)
    assert magnet.state() is MagnetState.QUENCHED
    with pytest.raises(InstrumentError, match="quenched"):
        magnet.start_vector_ramp((0, 0, 10 * GAUSS), RATE)
    assert [programmer.system.state.name for programmer in programmers] == ["PAUSED", "QUENCH", "PAUSED"]
    magnet.close()


def test_an_axis_lost_on_the_way_pauses_the_others(bench: Bench) -> None:
    _, programmers, host = bench
    magnet = connect(host)
    host.run(host.servers[2].close())
    with pytest.raises(InstrumentError):
        magnet.start_vector_ramp((50 * GAUSS, 50 * GAUSS, 50 * GAUSS), RATE)
    with pytest.raises(InstrumentError, match="AMI 430"):
        magnet.make_safe()
    host.advance(5.0)
    assert programmers[0].system.magnet == 0.0
    magnet.close()


def test_addresses_and_direction_are_checked() -> None:
    with pytest.raises(InstrumentError, match="three addresses"):
        AMI430Vector.connect("TCPIP::127.0.0.1::1::SOCKET", vector_settings())
    with pytest.raises(ConfigError, match="no direction"):
        vector_settings(direction=(0.0, 0.0, 0.0))
