"""How fast the simulated lab's world is, on one core: frames, state changes, lab time, resistance.

Run with ``python benchmarks/world.py``; the targets are those of the simulated lab: a frame of 128 × 128 pixels in
0.4 ms, one of 512 × 512 in 4 ms. Nothing here uses threads; the best CPU time of several repetitions is printed,
because other programs share the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from nvscope_simulators.ports import Ports
from nvscope_simulators.timeline import Timeline
from nvscope_simulators.world.lab_world import LabWorld, build_world
from nvscope_simulators.world.settings import WorldSettings

from nvscope.config import Loading, Sample, read_model


def make(pixels: int, sample: str = "s1") -> LabWorld:
    settings = WorldSettings.model_validate({"camera": {"height": pixels, "width": pixels}})
    loading = read_model(Loading, "loadings", sample)
    world = build_world(Timeline(), Ports(), read_model(Sample, "samples", sample), loading, settings, 1)
    world.ports.laser.power, world.ports.laser.gate_open = 0.05, True
    world.ports.microwave.on, world.ports.microwave.power_dbm = True, 0.0
    return world


def cool(world: LabWorld) -> None:
    """Let the cryostat cool to base, unheated, then switch the field on."""
    while world.timeline.now < 7200:
        world.timeline.now += 1.0
        world.advance()
    world.ports.magnet.current["z"] = 9.7
    world.advance()


def best(action: Callable[[], object], repetitions: int = 7) -> float:
    """Return the shortest CPU time of several runs (s)."""
    times = []
    for _ in range(repetitions):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def frames(pixels: int) -> None:
    world = make(pixels)
    cool(world)
    out = np.empty((pixels, pixels), dtype=np.uint16)
    axis = np.concatenate([np.linspace(2.72e9, 2.87e9, 41), np.linspace(3.27e9, 3.42e9, 41)])

    def sweep() -> None:
        for frequency in axis:
            world.ports.microwave.frequency = float(frequency)
            world.expose(0.02, out)

    def new_sweep() -> None:
        world._present().images.clear()
        sweep()

    def state() -> None:
        world.ports.magnet.current["z"] += 0.01
        world.snapshot()

    sweep()
    fresh, cached, change = best(new_sweep) / axis.size, best(sweep) / axis.size, best(state)
    print(
        f"{pixels:4d} x {pixels:<4d}  frame at a new frequency {fresh * 1e3:6.3f} ms, "
        f"repeated {cached * 1e3:6.3f} ms, change of state {change * 1e3:7.1f} ms"
    )


def hours() -> None:
    world = make(64)

    def day() -> None:
        for _ in range(36000):
            world.timeline.now += 1.0
            world.advance()

    print(f"ten hours of lab time in steps of a second: {best(day, 2):.2f} s")


def resistance() -> None:
    world = make(64)
    network = world.network()
    network.resistances(90.0)
    print(f"resistor network, one temperature: {best(lambda: network.resistances(70.0)) * 1e3:.1f} ms")


def sheet() -> None:
    world = make(64, "bscco")
    cool(world)

    def state() -> None:
        world.ports.magnet.current["z"] += 0.01
        world.snapshot()

    print(f"connected sheet, change of state below the critical current: {best(state, 3) * 1e3:.0f} ms")


if __name__ == "__main__":
    start = time.process_time()
    make(64).snapshot()
    print(f"first picture, compiling or loading what was compiled: {time.process_time() - start:.2f} s")
    for size in (64, 128, 512):
        frames(size)
    hours()
    resistance()
    sheet()
