"""An entry of a triggered list that is not a number: microwaves off there, on again afterwards."""

import math
from collections.abc import Iterator

import pytest
from nvscope_drivers.sg384 import SG384Source
from nvscope_drivers.smb100a import SMB100ASource
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments import sg384, smb100a

NAN = math.nan
LIST = [NAN, 2.8e9, 2.9e9, NAN, NAN, 3.0e9]


@pytest.fixture(params=[(sg384.SimulatedSG384, sg384.SG384Settings, SG384Source),
                        (smb100a.SimulatedSMB100A, smb100a.SMB100ASettings, SMB100ASource)])  # fmt: skip
def rig(request) -> Iterator[tuple]:
    simulated, settings, driver = request.param
    bench = BenchWorld()
    with Host(bench.timeline) as host:
        server = host.serve(simulated(bench, settings()))
        source = driver.connect(host.address(server), driver.Settings())
        yield source, host, bench
        source.close()


def test_entries_that_are_no_number_switch_off(rig):
    source, host, bench = rig
    source.set_power_dbm(-5)
    source.set_output(True)
    source.load_list(LIST)
    port = bench.ports.microwave

    def step() -> float:
        bench.ports.triggers.fire("sweep")
        return port.frequency if port.on and port.power_dbm > -100 else NAN

    stepped = [host.call(step) for _ in LIST]
    assert stepped == pytest.approx(LIST, abs=1e-3, nan_ok=True)
    source.load_list([2.8e9, 2.9e9])
    source.set_output(True)
    assert [host.call(step) for _ in range(2)] == pytest.approx([2.8e9, 2.9e9], abs=1e-3)
