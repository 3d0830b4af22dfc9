"""One run of one sequence: processes up, instruments connected, plan executed, everything made safe and written."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
from bluesky import RunEngine
from numpy.typing import NDArray

from nvscope.clock import Clock, WallClock
from nvscope.config import Frozen
from nvscope.config.faults import fault_specs
from nvscope.devices.base import Assumed
from nvscope.devices.rig import RigDevices
from nvscope.engine.assembly import assemble
from nvscope.engine.commands import Commands
from nvscope.engine.connect import Connected, close_all, connect_all, refuse_held
from nvscope.engine.driver import Driver
from nvscope.engine.guardian import run_guardian
from nvscope.engine.housekeeping import Housekeeping
from nvscope.engine.link import RunLink
from nvscope.engine.past import read_reference, recall
from nvscope.engine.planning import planning_rig
from nvscope.engine.processes import LabProcess, Workers
from nvscope.engine.progress import Progress
from nvscope.engine.record import run_info, snapshot
from nvscope.engine.reporting import Reporter
from nvscope.engine.request import RunRequest, RunResult
from nvscope.engine.residual import ResidualPairs
from nvscope.engine.safe_state import make_safe
from nvscope.engine.screening import Screening
from nvscope.engine.stalled_viewer import StalledViewers
from nvscope.engine.start import FRAME_BYTES, lab_addresses, make_clock, start_lab, start_workers, watch_workers
from nvscope.engine.vocabulary import Vocabulary
from nvscope.engine.wishes import Wishes
from nvscope.errors import NvscopeError
from nvscope.plans import PlanSummary, dry_run
from nvscope.store.info import write_info
from nvscope.store.layout import reserve_run
from nvscope.stream.control import Control, ControlServer, Reply, RunInfo
from nvscope.stream.control import announce as announce_run
from nvscope.stream.messages import Maps, RunStatus

_STATUS_INTERVAL = 0.2
_FINISH_TIMEOUT = 30.0
_SAFE_TIMEOUT = 20.0
_WORKERS = ("recorder", "fitter")
_STEPS_JOURNALED = 2000
"""Steps of a plan written down; a journal line has a limited size."""


class Session:
    """Executes one run.

    Parameters
    ----------
    request : RunRequest
        What to run.
    on_status : callable
        Called a few times a second with the newest status, from the engine's thread.

    Attributes
    ----------
    made_safe : threading.Event
        Set once the plan has ended and every instrument has been asked into its safe state, or nothing was moved.
    abort : callable
        Makes everything safe and ends the run, from any thread at any time; see `Driver.abort`.
    """

    def __init__(self, request: RunRequest, on_status: Callable[[RunStatus], None] = lambda status: None) -> None:
        self.request = request
        shape = request.image_shape
        self.progress = Progress(self._walk(Assumed(), shape))
        self._wishes = Wishes(request.parameters, lambda wanted: self._walk(Assumed(), shape, wanted))
        self.directory: Path | None = None
        self._driver = Driver(self._safe)
        self.made_safe = self._driver.made_safe
        self.abort = self._driver.abort
        self._on_status = on_status
        self._link: RunLink | None = None
        self._instruments: dict[str, Connected] = {}
        self._housekeeping: Housekeeping | None = None
        self._clock: Clock = WallClock()
        self._reporter: Reporter | None = None
        fault_specs(request.rig.faults, request.source)  # those of disk and viewer would else be found out too late

    def _walk(self, start: Assumed, shape: tuple[int, int] | None, parameters: Frozen | None = None) -> PlanSummary:
        """Walk the plan without hardware; raises `LimitError` for what the rig forbids."""
        request = self.request
        rig = planning_rig(request.rig, request.sample, request.loading, shape)
        return dry_run(request.sequence.plan(rig, parameters or request.parameters), start)

    def _plan_from_here(self, instruments: dict[str, Connected]) -> None:
        """Walk the plan again from where the rig is, so that progress and end are estimated from the truth."""

        def read(name: str, method: str, otherwise: float) -> float:
            item = instruments.get(name)
            return otherwise if item is None else float(item.worker.submit(getattr(item.role, method)).result(15.0))

        cold = Assumed()
        temperature = read("cryostat", "temperature", cold.temperature)
        away = abs(read("cryostat", "setpoint", temperature) - temperature)
        start = Assumed(
            temperature=temperature,
            field=read("magnet", "field", cold.field),
            regulated=away <= 2 * self.request.rig.settling.temperature_band,
        )
        self.progress = Progress(self._walk(start, _camera_shape(instruments)))

    # --- the run -------------------------------------------------------------------------------------------------

    def execute(self) -> RunResult:
        """Run to the end, whatever the end is; returns how it ended.

        Raises
        ------
        NvscopeError
            If the run could not even begin (no instrument, no lab, no disk); nothing was moved.
        """
        request = self.request
        with ExitStack() as stack:
            directory = reserve_run(
                request.runs, request.sequence.name, request.sample.name, request.loading.nominal_pressure
            )
            self.directory = directory
            # lab, recorder and fitter come up side by side: on a fresh installation two of them compile first
            lab = start_lab(request, directory, stack)
            link = self._link = RunLink(self._clock, FRAME_BYTES)
            stack.callback(link.close)
            info = run_info(request)
            write_info(directory, info)
            link.introduce(directory.name, info)
            workers = start_workers(request, directory, link, stack)
            try:
                result = self._connect_and_run(directory, link, lab, workers, stack)
            except NvscopeError as error:
                link.finish("failed", str(error), _WORKERS, _FINISH_TIMEOUT)
                raise
            workers.expect_exit()
            missing = link.finish(result.outcome, result.reason, _WORKERS, _FINISH_TIMEOUT)
            if missing:
                reason = f"{result.reason}; {' and '.join(sorted(missing))} did not finish writing in time".lstrip("; ")
                result = RunResult("failed", reason, directory)
            workers.join(5.0)
        return result

    def _connect_and_run(
        self, directory: Path, link: RunLink, lab: LabProcess | None, workers: Workers, stack: ExitStack
    ) -> RunResult:
        request = self.request
        addresses = lab_addresses(request, lab)
        self._clock, loop = make_clock(addresses, stack)
        link.follow(self._clock)
        by_name = {name: entry["address"] for name, entry in addresses.items()}
        refuse_held(request.rig, by_name, request.source)
        instruments = self._instruments = connect_all(request.rig, by_name, self._clock, request.source)
        stack.callback(close_all, instruments)
        self._plan_from_here(instruments)
        if lab is None:  # a lab of our own ends with us: there would be nothing left to make safe
            log = str(directory / "guardian.log")
            heartbeat = link.guardian.endpoint
            workers.start("guardian", run_guardian, request.source, json.dumps(by_name), heartbeat, log)
        watch_workers(workers, link)
        self._announce(directory, link, stack)
        return self._run_plan(link, instruments, loop, directory)

    def _run_plan(
        self, link: RunLink, instruments: dict[str, Connected], loop: asyncio.AbstractEventLoop, directory: Path
    ) -> RunResult:
        request = self.request
        engine = RunEngine({}, loop=loop, context_managers=[])
        engine.ignore_callback_exceptions = False
        link.attach(loop)
        housekeeping = Housekeeping(link, self._clock, request.rig.history.period)
        addresses = {name: item.address for name, item in instruments.items()}
        past = recall(request.runs, directory, request.sample, request.loading, addresses, self._clock.now())
        housekeeping.biography = past.biography
        if past.run:
            link.journal("history-continued", {"run": past.run, "residual_field": past.residual})
        reference = past.reference
        if request.reference is not None:
            reference = read_reference(request.reference, request.sample, request.loading)
            link.journal("reference", {"path": str(request.reference.resolve())})
        screening = Screening(link.opened, reference)
        residual = ResidualPairs(directory, link.opened, request.loading.miscut)

        def take(maps: Maps, arrays: list[NDArray[Any]]) -> None:
            screening.take(maps, arrays)
            residual.take(maps, arrays)

        link.on_maps = take
        rig = assemble(
            request.rig, request.sample, request.loading, instruments, link, self._clock, housekeeping.observe
        )
        self._housekeeping = housekeeping
        if past.residual != 0:
            asyncio.run_coroutine_threadsafe(rig.magnet.recall(past.residual), loop).result(_SAFE_TIMEOUT)
        stalled = StalledViewers(request.rig.faults, request.seed, link.viewers.endpoint, self._clock, link.journal)
        Vocabulary(
            clock=self._clock,
            link=link,
            housekeeping=housekeeping,
            stalled=stalled,
            screening=screening,
            residual=residual,
            wishes=self._wishes,
            limits=request.rig.history,
            began=self._clock.now(),
            announced=lambda step, now: self.progress.announce(step, now),
            take_skip=self._driver.take_skip,
        ).register(engine)
        self._driver.take(engine, link)
        reporter = self._reporter = Reporter(link, directory.name, self._on_status)
        samplers = [
            asyncio.run_coroutine_threadsafe(stalled.wait(), loop),
            asyncio.run_coroutine_threadsafe(housekeeping.sample(rig), loop),
            asyncio.run_coroutine_threadsafe(reporter.report(self._describe), loop),
        ]
        for calibration in request.calibrations:
            link.journal("calibration", calibration.model_dump(mode="json"))
        link.journal("instruments", snapshot(instruments))
        planned = self.progress.planned
        steps = [{"text": step.text, "duration": step.duration} for step in planned.steps[:_STEPS_JOURNALED]]
        link.journal(
            "plan",
            {
                "duration": planned.duration,
                "spare": planned.spare,
                "points": planned.points,
                "frames": planned.frames,
                "steps": steps,
            },
        )
        link.journal("state", {"state": "running", "sequence": request.sequence.name})
        names = {kind: getattr(request, kind).name for kind in ("sample", "loading", "rig")}
        try:
            outcome, reason = self._driver.drive(
                lambda: request.sequence.plan(rig, request.parameters), {**names, "note": request.note}
            )
        finally:
            for sampler in samplers:
                sampler.cancel()
            stalled.close()
            self._end_devices(rig, loop)
            safe = self._safe(loop)
            self.made_safe.set()
            link.journal("safe-state", safe)
        self._driver.state = outcome
        link.journal("state", {"state": outcome, "reason": reason})
        reporter.emit(*self._describe())
        loop.call_soon_threadsafe(loop.stop)
        engine._th.join(5.0)
        return RunResult(outcome, reason, directory)

    # --- ending --------------------------------------------------------------------------------------------------

    def _end_devices(self, rig: RigDevices, loop: asyncio.AbstractEventLoop) -> None:
        """End what the plan left under way: a point being opened would switch on again what has been made safe."""
        with suppress(Exception):  # whatever it is, the safe state comes next
            asyncio.run_coroutine_threadsafe(rig.end(), loop).result(_SAFE_TIMEOUT)

    def _safe(self, loop: asyncio.AbstractEventLoop) -> dict[str, str]:
        future = asyncio.run_coroutine_threadsafe(make_safe(self._instruments), loop)
        try:
            return future.result(_SAFE_TIMEOUT)
        except Exception as error:
            return {"all": f"no answer within {_SAFE_TIMEOUT:g} s: {type(error).__name__} {error}"}

    def _describe(self) -> tuple[str, Progress, float, dict[str, float]]:
        housekeeping = dict(self._housekeeping.latest) if self._housekeeping is not None else {}
        return self._driver.state, self.progress, self._clock.now(), housekeeping

    # --- control from outside ---

    def _announce(self, directory: Path, link: RunLink, stack: ExitStack) -> None:
        server = ControlServer(self.control)
        stack.callback(server.close)
        where = (server.endpoint, link.viewers.endpoint)
        held = [item.address for item in self._instruments.values()]
        info = RunInfo(directory.name, str(directory.resolve()), os.getpid(), *where, instruments=held)
        if (listen := self.request.listen) is not None:
            beyond = listen.open(self.control, link.viewers, info, link.frame_bytes)
            stack.callback(beyond.close)
        stack.callback(announce_run(info).unlink, missing_ok=True)

    def control(self, request: Control) -> Reply:
        """Carry out a request from a terminal, a window or another program; called from the control socket's thread."""
        engine, state = self._driver.engine, self._driver.state
        if request.verb == "status":
            newest = self._reporter.newest if self._reporter is not None else None
            return Reply(True, state, msgspec.to_builtins(newest) if newest is not None else {})
        if engine is None or state not in ("running", "paused"):
            return Reply(False, f"the run is {state}; it cannot {request.verb} now")
        if request.verb == "abort":
            threading.Thread(target=self.abort, args=(request.text or "asked to abort",), daemon=True).start()
            return Reply(True, "making the rig safe and closing the run")
        if (reply := Commands(self._link_now, engine.loop, self._wishes, self.progress).carry_out(request)) is not None:
            return reply
        return self._driver.carry_out(request.verb)

    @property
    def _link_now(self) -> RunLink:
        if self._link is None:
            raise NvscopeError("the run has no streams yet")
        return self._link


def _camera_shape(instruments: dict[str, Connected]) -> tuple[int, int]:
    shape = getattr(instruments["camera"].role, "shape", (512, 512)) if "camera" in instruments else (512, 512)
    return int(shape[0]), int(shape[1])
