"""The processes and the clock of a run, brought up; each is taken down when the run's exit stack closes."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

from nvscope.clock import Clock, ClockEventLoop, DrivenClock, WallClock
from nvscope.engine.link import RunLink
from nvscope.engine.processes import LabProcess, Workers, read_addresses
from nvscope.engine.request import RunRequest
from nvscope.odmr.worker import run_fitter
from nvscope.store.recorder import run_recorder

FRAME_BYTES = 2 * 512 * 512
"""A usual frame, for the bounds of queues that are made before the camera is known."""

_RESTARTS = 3
"""Times that a fitter is started again in one run."""

_TIMEOUT = 60.0
"""Wall seconds; on a fresh installation lab and fitter compile first."""


def start_lab(request: RunRequest, directory: Path, stack: ExitStack) -> LabProcess | None:
    """Start a simulated lab for this run; None for a real rig, or where one is served already."""
    if request.rig.simulator is None or request.lab_addresses is not None:
        return None
    lab = LabProcess(
        [*request.lab_arguments, "--truth", str(directory / "truth.zarr")], directory / "lab-addresses.json"
    )
    stack.callback(lab.stop)
    return lab


def lab_addresses(request: RunRequest, lab: LabProcess | None) -> dict[str, dict[str, str]]:
    """Return the addresses of the lab's instruments by name; none for a real rig, whose file has them."""
    if request.lab_addresses is not None:
        return read_addresses(request.lab_addresses)
    return lab.wait_addresses(_TIMEOUT) if lab is not None else {}


def make_clock(addresses: dict[str, dict[str, str]], stack: ExitStack) -> tuple[Clock, asyncio.AbstractEventLoop]:
    """Return rig time and the loop that runs by it: a simulated lab's clock if it has one, else the wall's."""
    if "clock" not in addresses:
        return WallClock(), asyncio.SelectorEventLoop()
    host, _, port = addresses["clock"]["address"].removeprefix("tcp://").rpartition(":")
    clock = DrivenClock(host, int(port))
    stack.callback(clock.close)
    return clock, ClockEventLoop(clock)


def start_workers(request: RunRequest, directory: Path, link: RunLink, stack: ExitStack) -> Workers:
    """Start recorder and fitter and wait until both are connected."""
    workers = Workers()
    stack.callback(workers.join, 5.0)
    ends = (link.recorder.endpoint, link.reports.endpoint)
    workers.start("recorder", run_recorder, str(directory), *ends, None, FRAME_BYTES, request.rig.faults, request.seed)
    recorder = link.wait_ready("recorder", _TIMEOUT)
    _start_fitter(workers, link, link.fitter.endpoint, recorder)
    link.wait_ready("fitter", _TIMEOUT)
    return workers


def _start_fitter(workers: Workers, link: RunLink, frames: str, recorder: str) -> None:
    workers.start("fitter", run_fitter, frames, recorder, link.reports.endpoint)


def watch_workers(workers: Workers, link: RunLink) -> None:
    """Start a fitter that dies again, a few times: data are safe without it. Any other worker's end is the run's."""
    left = _RESTARTS

    def died(name: str, why: str) -> bool:
        nonlocal left
        if name != "fitter" or left == 0:
            link.lose(name, why)
            return False
        left -= 1
        _start_fitter(workers, link, link.lose_fitter(why), link.wait_ready("recorder", _TIMEOUT))
        return True

    workers.watch(died)
