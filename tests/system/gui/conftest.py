"""A made-up run for the window: every message a real one sends, from closed forms, over real sockets or to disk."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import pytest
from numpy.typing import NDArray

from nvscope.store.info import describe_run, write_info
from nvscope.store.layout import reserve_run
from nvscope.store.sums import BlockSums
from nvscope.store.writer import RunWriter
from nvscope.stream.control import Control, ControlServer, Reply, RunInfo, announce
from nvscope.stream.messages import (
    BlockClosed,
    Finish,
    Frame,
    HistoryRow,
    JournalEntry,
    Maps,
    Message,
    PointClosed,
    PointOpened,
    RunStatus,
)
from nvscope.stream.viewing import Publisher

GAMMA = 28.024951e9
FIELD = 97e-4
TC = 80.0
LOADING = {
    "name": "s1",
    "nominal_pressure": 21e9,
    "field_of_view": 64e-6,
    "polygons": [
        {"name": "flake", "kind": "sample", "vertices": [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]},
        {"name": "wire", "kind": "wire", "vertices": [[0.0, 0.88], [1.0, 0.9], [1.0, 0.97], [0.0, 0.95]]},
    ],
}
Sent = tuple[Message, list[NDArray[Any]]]


class MadeUpRun:
    """Messages of a run whose s is known in closed form: a ring of 0.95 and a spot of 1.03, both gone at `TC`."""

    def __init__(self, temperatures: tuple[float, ...] = (20.0, 40.0, 60.0, 70.0, 76.0, 84.0), side: int = 24) -> None:
        self.temperatures = temperatures
        self.shape = (side, side)
        self.name = "0001-zfc-fw-S1-21GPa"
        self.rng = np.random.default_rng(7)
        self.time = 1000.0
        y, x = np.mgrid[0:side, 0:side] / side - 0.5
        radius = np.hypot(x, y)
        self.depth = np.where((radius > 0.15) & (radius < 0.32), -0.05, 0.0) + np.where(radius < 0.08, 0.03, 0.0)
        self.light = 9000 * np.exp(-(radius**2) / 0.3)

    def s(self, temperature: float) -> NDArray[np.float64]:
        """The true ratio."""
        return np.asarray(1 + self.depth * max(0.0, 1 - (temperature / TC) ** 4))

    def messages(self, *, frames: bool = True) -> Iterator[Sent]:
        """Everything, in the order a run sends it."""
        purposes = ["reference", "zfc"] + ["fw"] * (len(self.temperatures) - 1)
        temperatures = (110.0, *self.temperatures)
        steps = [
            {"text": f"map ({p}) at {t:g} K", "duration": 600.0} for p, t in zip(purposes, temperatures, strict=True)
        ]
        yield (
            JournalEntry("plan", self.time, {"duration": 600.0 * len(steps), "points": len(steps), "steps": steps}),
            [],
        )
        yield JournalEntry("state", self.time, {"state": "running"}), []
        for number, (purpose, temperature) in enumerate(zip(purposes, temperatures, strict=True)):
            yield JournalEntry("step", self.time, {"step": steps[number]["text"]}), []
            yield from self._approach(temperature)
            yield from self._point(number, purpose, temperature, frames=frames)
            yield self.status("running", str(steps[number]["text"]), (number + 1) / len(steps)), []

    def status(self, state: str, step: str, progress: float) -> RunStatus:
        """What the run says of itself."""
        values = {"temperature": 20.0, "field": FIELD, "frames_per_second": 180.0}
        return RunStatus(self.name, state, step, progress, self.time, values, 120.0)  # type: ignore[arg-type]

    def maps(self, temperature: float, noise: float = 1.0) -> dict[str, NDArray[np.float32]]:
        """Fitted maps with noise."""
        shape = self.shape
        half = GAMMA * FIELD * self.s(temperature)
        half_err = np.full(shape, 4e5 * noise)
        half = half + self.rng.normal(0, 4e5 * noise, shape)
        center = np.full(shape, 3.08e9) + self.rng.normal(0, 2e5, shape)
        maps = {
            "half_splitting": half,
            "half_splitting_err": half_err,
            "center": center,
            "center_err": half_err,
            "f_minus": center - half,
            "f_plus": center + half,
            "f_minus_err": half_err * 1.4,
            "f_plus_err": half_err * 1.4,
            "contrast_minus": np.full(shape, -0.02),
            "contrast_plus": np.full(shape, -0.02),
            "width_minus": np.full(shape, 6e6),
            "width_plus": np.full(shape, 6e6),
            "b_z": half / GAMMA,
            "b_z_err": half_err / GAMMA,
            "chi2_reduced": self.rng.normal(1.0, 0.1, shape),
            "status": np.zeros(shape),
            "n_lines": np.full(shape, 2.0),
        }
        maps["status"][:2, :2] = 3.0
        for name in ("b_z", "b_z_err", "half_splitting"):
            maps[name][:2, :2] = np.nan
        return {name: values.astype(np.float32) for name, values in maps.items()}

    def _approach(self, temperature: float) -> Iterator[Sent]:
        for k in range(5):
            self.time += 60.0
            row = {"temperature": temperature + 4 * math.exp(-k), "field": FIELD, "laser_power": 0.05}
            yield HistoryRow(self.time, row), []

    def _point(self, number: int, purpose: str, temperature: float, *, frames: bool) -> Iterator[Sent]:
        offsets = np.linspace(-75e6, 75e6, 21)
        axis = np.concatenate([3.08e9 - GAMMA * FIELD + offsets, 3.08e9 + GAMMA * FIELD + offsets])
        attrs = {
            "purpose": purpose,
            "temperature": temperature,
            "field": FIELD,
            "resistance": 0.02 + 0.03 / (1 + math.exp((TC - temperature) / 2)),
            "resistance_err": 2e-4,
            "pixel_size": 64e-6 / self.shape[1],
            "camera_gain": 2.0,
            "camera_offset": 100.0,
            "read_noise": 2.0,
            "saturation": 12000,
        }
        yield PointOpened(number, "odmr", axis.tolist(), self.shape, self.time, attrs), []
        sent = 0
        for step in range(axis.size if frames else 0):
            for _ in range(2):
                self.time += 0.02
                image = self.frame(axis[step], temperature)
                yield Frame(number, 0, 0, step, sent, False, self.time, self.shape), [image]
                sent += 1
        yield self._maps_message(number, temperature, final=False, noise=2.0)
        yield BlockClosed(number, 0, sent, 1, True, self.time), []
        verdict = {"protocol": purpose, "verdict": "valid", "reason": "the recorded history is what the protocol asks"}
        yield JournalEntry("certificate", self.time, verdict), []
        yield PointClosed(number, self.time, {"certificate": verdict, "frames": sent}), []
        yield self._maps_message(number, temperature, final=True, noise=1.0)

    def frame(self, frequency: float, temperature: float) -> NDArray[np.uint16]:
        """One exposure with shot noise."""
        half = GAMMA * FIELD * self.s(temperature)
        signal = np.ones(self.shape)
        for line in (3.08e9 - half, 3.08e9 + half):
            signal -= 0.02 / (1 + ((frequency - line) / 6e6) ** 2)
        electrons = self.rng.poisson(2 * self.light * signal)
        return (electrons / 2 + 100 + 0.5).astype(np.uint16)

    def _maps_message(self, number: int, temperature: float, *, final: bool, noise: float) -> Sent:
        maps = self.maps(temperature, noise)
        summary = {"median_b_err": 4e5 * noise / GAMMA, "lost": 0.0, "fitted_fraction": 0.99}
        message = Maps(number, 1, final, self.time, self.shape, list(maps), summary)
        return message, list(maps.values())


@pytest.fixture
def made_up() -> MadeUpRun:
    return MadeUpRun()


def write_run(run: MadeUpRun, runs: Path, outcome: str = "done") -> Path:
    """Write a run directory with the recorder's own writer."""
    directory = reserve_run(runs, "zfc-fw", "S1", 21e9)
    parameters = {"field": FIELD, "until": 2e-5}
    info = describe_run("zfc-fw", parameters, rig={"name": "made up"}, sample={"name": "S1"}, loading=LOADING,
                        nominal_pressure=21e9, operator="somebody")  # fmt: skip
    write_info(directory, info)
    with RunWriter(directory) as writer:
        sums: BlockSums | None = None
        for message, arrays in run.messages():
            if isinstance(message, PointOpened):
                writer.open_point(message)
                sums = BlockSums(message)
            elif isinstance(message, Frame) and sums is not None:
                sums.add(message, arrays[0])
            elif isinstance(message, BlockClosed) and sums is not None:
                writer.commit(message, sums.take())
            elif isinstance(message, PointClosed):
                writer.close_point(message)
            elif isinstance(message, Maps) and message.final:
                writer.write_maps(message, dict(zip(message.names, arrays, strict=True)))
            elif isinstance(message, JournalEntry):
                writer.entry(message)
            elif isinstance(message, HistoryRow):
                writer.history(message)
        writer.entry(JournalEntry("warning", run.time, {"text": "housekeeping: the thermometer hesitated"}))
        writer.finish(Finish(outcome))  # type: ignore[arg-type]
    return directory


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(MadeUpRun(), tmp_path_factory.mktemp("made-up"))


class Broadcast:
    """A made-up run on the air: publisher, control socket, announcement; sends when told to."""

    def __init__(self, run: MadeUpRun, directory: Path, pid: int | None = None) -> None:
        self.run = run
        self.publisher = Publisher.bind("viewers")
        self.asked: list[Control] = []
        self.state = "running"
        self._server = ControlServer(self._answer)
        info = RunInfo(run.name, str(directory), pid or os.getpid(), self._server.endpoint, self.publisher.endpoint)
        self._announced = announce(info)

    def _answer(self, request: Control) -> Reply:
        if request.verb != "status":
            self.asked.append(request)
        if request.verb in ("pause", "resume"):
            self.state = "paused" if request.verb == "pause" else "running"
        return Reply(True, f"{request.verb}: done")

    def send(self, message: Message, *arrays: NDArray[Any]) -> None:
        self.publisher.send(message, *arrays)

    def status(self) -> None:
        self.send(self.run.status(self.state, "map (fw) at 40 K", 0.4))

    def play(self, meanwhile: Callable[[], object] = lambda: None, **options: Any) -> None:
        """Send the whole run, unhurried enough for a lossy reader, which works `meanwhile`."""
        for message, arrays in self.run.messages(**options):
            if not isinstance(message, BlockClosed):
                self.send(message, *arrays)
                meanwhile()
                time.sleep(0.002)

    def close(self) -> None:
        self._announced.unlink(missing_ok=True)
        self._server.close()
        self.publisher.close(0.0)


@pytest.fixture
def broadcast(
    made_up: MadeUpRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Broadcast]]:
    monkeypatch.setenv("NVSCOPE_STATE", str(tmp_path / "state"))
    opened: list[Broadcast] = []

    def begin(run: MadeUpRun | None = None, directory: Path | None = None, pid: int | None = None) -> Broadcast:
        made = Broadcast(run or made_up, directory or tmp_path / "nowhere", pid)
        opened.append(made)
        return made

    yield begin
    for one in opened:
        one.close()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait, bounded, until something is true."""

    def wait(true: Callable[[], object], patience: float = 30.0) -> None:
        deadline = time.monotonic() + patience
        pause = threading.Event()
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {patience:g} s")
            pause.wait(0.01)

    return wait
