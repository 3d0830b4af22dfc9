"""Instruments held by hand, without a run: camera running, laser, microwaves, temperature and field as asked for.

One process holds the instruments; windows and terminals talk to its sockets, the same as a run's. However it ends, the
rig is left in the safe state.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import tempfile
import threading
from collections.abc import Coroutine, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from nvscope.clock import WallClock
from nvscope.config import Loading, Rig, Sample
from nvscope.config.assign import changed
from nvscope.config.stored import texts
from nvscope.engine.connect import close_all, connect_all, refuse_held
from nvscope.engine.guardian import run_guardian
from nvscope.engine.hands import ByHand, Hands
from nvscope.engine.listen import Listen
from nvscope.engine.live_camera import FRAME_BYTES, LiveCamera
from nvscope.engine.processes import LabProcess, Workers, read_addresses
from nvscope.engine.safe_state import make_safe
from nvscope.engine.wishes import describe
from nvscope.errors import DataError, InstrumentError, NvscopeError
from nvscope.stream.control import Control, ControlServer, Reply, RunInfo, announce
from nvscope.stream.messages import Finish, Heartbeat, HistoryRow, JournalEntry, RunStatus
from nvscope.stream.sockets import Sender
from nvscope.stream.viewing import Publisher, Publishers

_LAB_START = 60.0
_CALL = 30.0
"""Wall seconds a request may take: every call of it is bounded by its worker."""
_SAFE = 20.0
_STATUS, _READ = 0.2, 1.0


@dataclass(frozen=True)
class LiveRequest:
    """Which instruments to hold; `lab_arguments` and `lab_addresses` as in `RunRequest`."""

    rig: Rig
    sample: Sample
    loading: Loading
    source: str
    lab_addresses: Path | None = None
    lab_arguments: tuple[str, ...] = ()
    listen: Listen | None = None


class LiveSession:
    """Holds the instruments until `stop`; `execute` blocks, everything else may be called from any thread."""

    def __init__(self, request: LiveRequest) -> None:
        self.request = request
        self.name = f"live-{request.rig.name}"
        self.ready = threading.Event()
        self._clock = WallClock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hands: Hands | None = None
        self._ending: asyncio.Event | None = None
        self._stop = threading.Event()
        self._values: dict[str, float] = {}
        self._state = "starting"
        self._one_at_a_time = asyncio.Lock()
        self._newest: RunStatus | None = None
        self._camera: LiveCamera | None = None

    def execute(self) -> dict[str, str]:
        """Hold the instruments until told to stop; returns how each came into its safe state.

        Raises
        ------
        NvscopeError
            If the instruments could not be connected; nothing was moved.
        """
        with ExitStack() as stack:
            by_name, own_lab = self._addresses(stack)
            refuse_held(self.request.rig, by_name, self.request.source)
            instruments = connect_all(self.request.rig, by_name, self._clock, self.request.source)
            stack.callback(close_all, instruments)
            self._publisher = Publishers(Publisher.bind("viewers", frame_bytes=FRAME_BYTES))
            stack.callback(self._publisher.close, 0.5)
            self._guardian = Sender.bind("the guardian", frame_bytes=1024, budget=1 << 16)
            stack.callback(self._guardian.close)
            if not own_lab:  # a lab of our own ends with us: there would be nothing left to make safe
                self._start_guardian(by_name, stack)
            server = ControlServer(self.control)
            stack.callback(server.close)
            held = [item.address for item in instruments.values()]
            info = RunInfo(self.name, "", os.getpid(), server.endpoint, self._publisher.endpoint, "live", held)
            if (listen := self.request.listen) is not None:
                stack.callback(listen.open(self.control, self._publisher, info, FRAME_BYTES).close)
            stack.callback(announce(info).unlink, missing_ok=True)
            request = self.request
            self._introduce()
            self._hands = Hands(
                request.rig, request.sample, request.loading, instruments, self._clock, self._values.update
            )
            safe = asyncio.run(self._work(instruments))
            self._guardian.try_send(Finish("done"))
            return safe

    def stop(self) -> None:
        """Make the rig safe and end; returns at once."""
        self._stop.set()
        if self._loop is not None and self._ending is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._ending.set)

    # --- beginning -------------------------------------------------------------------------------------------------

    def _addresses(self, stack: ExitStack) -> tuple[dict[str, str], bool]:
        request = self.request
        if request.lab_addresses is not None:
            found, own = read_addresses(request.lab_addresses), False
        elif request.rig.simulator is None:
            return {}, False
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nvscope-live-")))
            lab = LabProcess(request.lab_arguments, folder / "lab-addresses.json")
            stack.callback(lab.stop)
            found, own = lab.wait_addresses(_LAB_START), True
        return {name: entry["address"] for name, entry in found.items()}, own

    def _start_guardian(self, by_name: Mapping[str, str], stack: ExitStack) -> None:
        workers = Workers()
        stack.callback(workers.join, 5.0)
        log = Path(tempfile.gettempdir()) / f"nvscope-live-{os.getpid()}-guardian.log"
        workers.start(
            "guardian", run_guardian, self.request.source, json.dumps(by_name), self._guardian.endpoint, str(log)
        )

    # --- on the loop -----------------------------------------------------------------------------------------------

    async def _work(self, instruments: Mapping[str, Any]) -> dict[str, str]:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        if self._stop.is_set():
            self._ending.set()
        self._state = "running"
        self._camera = LiveCamera(self._need(), self._publisher, self._clock, partial(self._say, "warning"))
        tasks = [asyncio.create_task(work) for work in (self._camera.work(), self._read(), self._report())]
        self.ready.set()
        try:
            await self._ending.wait()
        finally:
            self._state = "aborting"
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            safe = await self._end(instruments)
        self._state = "done"
        self._emit()
        return safe

    async def _end(self, instruments: Mapping[str, Any]) -> dict[str, str]:
        """Let a request that is being carried out finish, stop the ramps, make everything safe; each bounded."""
        with contextlib.suppress(NvscopeError, TimeoutError):
            async with asyncio.timeout(_SAFE), self._one_at_a_time:
                await self._need().rest()
        try:
            async with asyncio.timeout(_SAFE):
                return await make_safe(instruments)
        except TimeoutError:
            return {"all": f"no answer within {_SAFE:g} s"}

    async def _read(self) -> None:
        """Read what an operator looks at; what fails is said once, until it works again."""
        hands = self._need()
        complaints: dict[str, str] = {}
        while True:
            for name, read in (
                ("cryostat", hands.devices.cryostat.temperature),
                ("magnet", hands.devices.magnet.field),
                ("laser", self._laser_power),
                ("focus", self._focus),
            ):
                try:
                    await read()
                except InstrumentError as error:
                    if complaints.get(name) != str(error):
                        complaints[name] = str(error)
                        self._say("warning", f"{name}: {error}")
                else:
                    complaints.pop(name, None)
            for failure in hands.failed():
                self._say("alarm", failure)
            row = {name: value if math.isfinite(value) else None for name, value in self._values.items()}
            self._publisher.send(HistoryRow(self._clock.now(), row))
            await asyncio.sleep(_READ)

    async def _laser_power(self) -> None:
        hands = self._need()
        self._values["laser_power"] = float(await hands.call("laser", hands.laser.power))

    async def _focus(self) -> None:
        """Read where the focus is, and say how sharp the newest frames are: by hand one focuses with it, or a knob."""
        hands = self._need()
        self._values["focus_sharpness"] = math.nan
        if self._camera is not None:
            with contextlib.suppress(DataError):  # in the dark, nothing is sharp
                self._values["focus_sharpness"] = await self._camera.sharpness(self.request.rig.detector.offset)
        if hands.devices.focus is not None:
            read = await hands.devices.focus.read()
            self._values["focus_position"] = float(read["focus_position"]["value"])

    def _introduce(self) -> None:
        """Tell viewers what is held, and where the sample should be in the image."""
        request = self.request
        about = {
            "rig": {"name": request.rig.name},
            "sample": {"name": request.sample.name},
            "loading": request.loading.model_dump(mode="json"),
        }
        self._publisher.send(JournalEntry("about", self._clock.now(), {"run": self.name, **about}))

    async def _report(self) -> None:
        while True:
            self._emit()
            self._guardian.try_send(Heartbeat("run", {"frames": 0 if self._camera is None else self._camera.frames}))
            await asyncio.sleep(_STATUS)

    def _emit(self) -> None:
        hands = self._need()
        loading = self.request.loading
        values = {
            **self._values,
            "frames_per_second": 0.0 if self._camera is None else self._camera.rate,
            "saturation": float(hands.saturation),
            "pixel_size": loading.field_of_view / hands.shape[1],
        }
        moving = hands.moving()
        step = f"by hand: {' and '.join(moving)} on the way" if moving else "by hand"
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        state: Any = self._state
        self._newest = RunStatus(self.name, state, step, 0.0, self._clock.now(), finite)
        self._publisher.send(self._newest)

    def _say(self, kind: str, text: str) -> None:
        self._publisher.send(JournalEntry(kind, self._clock.now(), {"text": text}))

    # --- control from outside --------------------------------------------------------------------------------------

    def control(self, request: Control) -> Reply:
        """Carry out a request; called from the control socket's thread."""
        if request.verb == "status":
            newest = self._newest
            return Reply(True, self._state, {} if newest is None else msgspec.to_builtins(newest))
        if self._state != "running" or self._hands is None:
            return Reply(False, f"the instruments are {self._state}; they cannot be asked for that now")
        if request.verb == "abort":
            self.stop()
            return Reply(True, "making the rig safe and letting go of the instruments")
        try:
            if request.verb == "set":
                text = self._wait(self._change(request.settings))
            elif request.verb == "pause":
                self._wait(self._hands.rest())
                text = "ramps stopped where they are"
            elif request.verb == "parameters":
                text = "now"
            else:
                return Reply(False, f"{request.verb}: there is no run; start a sequence")
        except NvscopeError as error:
            return Reply(False, str(error), parameters=self._parameters())
        return Reply(True, text, parameters=self._parameters())

    async def _change(self, settings: Mapping[str, str]) -> str:
        hands = self._need()
        async with self._one_at_a_time:
            if self._state != "running":
                raise NvscopeError(f"the instruments are {self._state}")
            wanted = changed(hands.settings, settings)
            await hands.change(wanted)
        told = texts(ByHand, {name: getattr(wanted, name) for name in settings})
        return ", ".join(f"{name} {text}" for name, text in told.items())

    def _parameters(self) -> list[Any]:
        return describe(self._need().settings, self._need().names)

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        assert self._loop is not None
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL)
        except TimeoutError:
            raise NvscopeError(f"no answer from the instruments within {_CALL:g} s") from None

    def _need(self) -> Hands:
        if self._hands is None:
            raise NvscopeError("the instruments are not connected yet")
        return self._hands
