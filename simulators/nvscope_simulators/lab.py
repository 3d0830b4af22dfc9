"""The lab as a program: one world, its instruments on their wires, and a clock."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from nvscope.config import Frozen, Loading, Rig, Sample, validate
from nvscope.errors import ConfigError
from nvscope_simulators.camera import CameraLink, CameraSettings
from nvscope_simulators.clock_server import ClockServer
from nvscope_simulators.faults import FaultPlan
from nvscope_simulators.instruments.catalogue import MODELS
from nvscope_simulators.nidaqmx_server import NIDAQmxServer, NISettings
from nvscope_simulators.ports import Ports
from nvscope_simulators.tcp import serve_tcp
from nvscope_simulators.timeline import Timeline
from nvscope_simulators.world.cell import NAME as CELL
from nvscope_simulators.world.cell import Cell
from nvscope_simulators.world.lab_world import LabWorld, build_world
from nvscope_simulators.world.settings import WorldSettings
from nvscope_simulators.world.truth import TruthWriter

_SAME_KELVIN, _SAME_TESLA = 0.2, 2e-5
"""Two sweeps this close in T and H are one state as far as the truth file goes."""

_CAMERA, _NI = "Micro-Manager", "NI X-series"


class InstrumentSettings(Frozen):
    """One simulated instrument of a rig."""

    model: str = Field(description=f"one of {', '.join([*MODELS, _CAMERA, _NI])}")
    port: int = Field(default=0, ge=0, le=65535, description="TCP port; 0 takes any free one")
    # pyvisa-py clears a fresh socket until nothing has come for 0.1 s, and would eat an earlier banner
    banner_delay: float = Field(default=0.3, ge=0, le=10, description="wall seconds before a banner is sent")
    settings: dict[str, Any] = Field(default_factory=dict, description="settings of the model")


class LabSettings(Frozen):
    """What ``[simulator.settings]`` of a rig file may say."""

    instruments: dict[str, InstrumentSettings]
    world: WorldSettings = WorldSettings()


@dataclass(frozen=True)
class LabRequest:
    """Everything a lab is built from.

    Attributes
    ----------
    rig, sample, loading
        Configuration; the rig must have a ``[simulator]`` table.
    source : str
        File of the rig, for error messages.
    factor : float
        Rig seconds per wall second while nobody drives time.
    truth : Path or None
        Where to write what the sample really did.
    image_shape : tuple of int or None
        Camera image shape (y, x), in place of the rig file's.
    """

    rig: Rig
    sample: Sample
    loading: Loading
    source: str = "rig"
    factor: float = 1.0
    truth: Path | None = None
    image_shape: tuple[int, int] | None = None


class Lab:
    """A simulated lab; `start` it on a running event loop."""

    def __init__(self, request: LabRequest) -> None:
        if request.rig.simulator is None:
            raise ConfigError(
                f"{request.source}: this rig has no [simulator]; it is a real one and cannot be simulated"
            )
        self.settings = validate(
            LabSettings, request.rig.simulator.settings, request.source, prefix="simulator.settings"
        )
        self._request = request
        self.timeline = Timeline()
        self.ports = Ports()
        world_settings = self.settings.world
        if request.image_shape is not None:
            height, width = request.image_shape
            camera = world_settings.camera.model_copy(update={"height": height, "width": width})
            world_settings = world_settings.model_copy(update={"camera": camera})
        self._seed = request.rig.simulator.seed
        self.world: LabWorld = build_world(
            self.timeline, self.ports, request.sample, request.loading, world_settings, self._seed
        )
        self.faults = FaultPlan(request.rig.faults, request.source, self.timeline, self.ports.triggers, self._seed)
        self.faults.check_names([*self.settings.instruments, CELL])
        self.faults.attach(CELL, Cell(self.world.leads))
        self.clock = ClockServer(self.timeline, request.factor)
        self._stops: list[Callable[[], Any]] = []
        self.addresses: dict[str, dict[str, str]] = {}

    async def start(self) -> None:
        """Put every instrument on its wire; fills `addresses`."""
        clock_port = await self.clock.start()
        self.addresses["clock"] = {"model": "clock", "address": f"tcp://127.0.0.1:{clock_port}"}
        # the source steps first, then the camera exposes: on a trigger wire order of plugging is order of hearing
        if self._request.truth is not None:
            self._record_truth(self._request.truth)
        self._warm_up()
        order = sorted(self.settings.instruments.items(), key=lambda item: item[1].model == _CAMERA)
        for name, spec in order:
            where = f"simulator.settings.instruments.{name}"
            if spec.model == _NI:
                await self._start_ni(name, spec, where)
            elif spec.model == _CAMERA:
                await self._start_camera(name, spec, where)
            else:
                await self._start_tcp(name, spec, where)

    def _warm_up(self) -> None:
        """Compile the kernels before anybody waits for an answer: on a fresh installation that takes seconds."""
        image = np.empty(self.world.image_shape, np.uint16)
        ports = self.ports
        idle = (ports.laser.power, ports.laser.gate_open, ports.microwave.on)
        ports.laser.power, ports.laser.gate_open, ports.microwave.on = 0.05, True, True
        self.world.expose(1e-3, image)
        ports.laser.power, ports.laser.gate_open, ports.microwave.on = idle
        self.world.four_probe_voltage(1e-6)
        self.world.snapshot()

    def _record_truth(self, path: Path) -> None:
        """Write what the sample really does whenever a sweep begins in a state not yet written down."""
        writer = TruthWriter(path, self.world.truth(), {"seed": self._seed, "sample": self._request.sample.name})
        written: list[tuple[float, float]] = []

        def look() -> None:
            temperature, field = self.world.temperature("sample"), float(self.world.applied_field()[2])
            if written and abs(temperature - written[0][0]) < _SAME_KELVIN and abs(field - written[0][1]) < _SAME_TESLA:
                return
            written[:] = [(temperature, field)]
            writer.append(self.world.snapshot())

        self.ports.triggers.plug("sweep", look)

    async def _start_tcp(self, name: str, spec: InstrumentSettings, where: str) -> None:
        if spec.model not in MODELS:
            known = ", ".join([*MODELS, _CAMERA, _NI])
            raise ConfigError(f"{self._request.source}: {where}.model: no simulated {spec.model!r}; known: {known}")
        module_name, class_name, settings_name = MODELS[spec.model]
        module = import_module(f"nvscope_simulators.instruments.{module_name}")
        settings = validate(
            getattr(module, settings_name), spec.settings, self._request.source, prefix=f"{where}.settings"
        )
        instrument = getattr(module, class_name)(self.world, settings)
        server = await serve_tcp(
            instrument, port=spec.port, banner_delay=spec.banner_delay, faults=self.faults.wire(name)
        )
        self._stops.append(server.close)
        self.faults.attach(name, instrument, server)
        self.addresses[name] = {"model": spec.model, "address": f"TCPIP::127.0.0.1::{server.port}::SOCKET"}

    async def _start_ni(self, name: str, spec: InstrumentSettings, where: str) -> None:
        settings = validate(NISettings, spec.settings, self._request.source, prefix=f"{where}.settings")
        server = NIDAQmxServer(self.world, settings)
        port = await server.start(port=spec.port)
        self._stops.append(server.stop)
        self.faults.attach(name, server)
        self.addresses[name] = {"model": spec.model, "address": f"grpc://127.0.0.1:{port}", "device": "Dev1"}

    async def _start_camera(self, name: str, spec: InstrumentSettings, where: str) -> None:
        settings = validate(CameraSettings, spec.settings, self._request.source, prefix=f"{where}.settings")
        link = CameraLink(self.world, settings)
        port = await link.start(port=spec.port)
        self._stops.append(link.stop)
        self.faults.attach(name, link)
        self.addresses[name] = {"model": spec.model, "address": f"tcp://127.0.0.1:{port}"}

    async def stop(self) -> None:
        """Take every instrument off its wire; each within a bounded time."""
        for stop in (*reversed(self._stops), self.clock.stop):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop(), 3.0)


def write_addresses(path: Path, addresses: dict[str, dict[str, str]]) -> None:
    """Write the address file atomically: whoever waits for it never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(addresses, file, indent=2)
    Path(temporary).replace(path)


def serve(
    rig: Rig,
    sample: Sample,
    loading: Loading,
    *,
    source: str,
    addresses: Path,
    until: Callable[[], bool],
    factor: float = 1.0,
    truth: Path | None = None,
    image_shape: tuple[int, int] | None = None,
) -> None:
    """Serve the lab until `until` returns True; the entry point behind ``nvscope sim``.

    Parameters
    ----------
    rig, sample, loading, source, factor, truth, image_shape
        See `LabRequest`.
    addresses : Path
        JSON file written once everything answers.
    until : callable
        Asked every 0.1 s.
    """
    request = LabRequest(rig, sample, loading, source, factor, truth, image_shape)

    async def main() -> None:
        lab = Lab(request)
        try:
            await lab.start()
            write_addresses(addresses, lab.addresses)
            while not until():
                await asyncio.sleep(0.1)
        finally:
            await lab.stop()

    # selector loop everywhere: grpc.aio, pyzmq and TCP all work on it, on Windows too
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())
