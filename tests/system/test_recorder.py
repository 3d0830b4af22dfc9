"""The recorder as a process of its own, and what is left when it, or the run, is killed."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import pytest
import xarray as xr

from nvscope.store import files
from nvscope.store.layout import reserve_run
from nvscope.store.reader import RunReader
from nvscope.store.recorder import Patience, run_recorder, start_recorder
from nvscope.store.writer import RunWriter
from nvscope.stream.messages import (
    BlockClosed,
    Committed,
    Document,
    Fault,
    Finish,
    Finished,
    Frame,
    Heartbeat,
    HistoryRow,
    JournalEntry,
    Maps,
    Message,
    PointClosed,
    PointOpened,
    Ready,
    Rejected,
)
from nvscope.stream.sockets import Receiver, Sender

SHAPE = (6, 7)
STEPS = 4
PER_STEP = 3
LONG = 60.0


def image_of(point: int, block: int, number: int) -> np.ndarray:
    """A frame anybody can compute again."""
    return np.random.default_rng([point, block, number]).integers(0, 65536, SHAPE, np.uint16)


def frames_of(point: int, block: int) -> list[tuple[Frame, np.ndarray]]:
    return [
        (Frame(point, block, block, n // PER_STEP, n, False, float(n), SHAPE), image_of(point, block, n))
        for n in range(STEPS * PER_STEP)
    ]


def sum_of(point: int, block: int) -> np.ndarray:
    images = np.array([image for _, image in frames_of(point, block)], np.uint64)
    return images.reshape(STEPS, PER_STEP, *SHAPE).sum(axis=1)


def opened(point: int) -> PointOpened:
    return PointOpened(point, "odmr", [2.8e9 + 1e6 * step for step in range(STEPS)], SHAPE, 0.0, {"T": 20.0 + point})


def closed(point: int, block: int, valid: bool = True) -> BlockClosed:
    return BlockClosed(point, block, STEPS * PER_STEP, 1, valid, 1.0)


class Run:
    """The run's side of the sockets, and a recorder at the other end."""

    def __init__(self, run_dir: Path, start: Callable[[str, str], Any] | None = None, **patience: float) -> None:
        self.run_dir = run_dir
        self.sender = Sender.bind("the recorder")
        self.reports = Receiver.bind("the recorder")
        limits = Patience(**{"fitter": 5.0, **patience})
        begin = start or (lambda data, reports: start_recorder(run_dir, data, reports, limits))
        self.process = begin(self.sender.endpoint, self.reports.endpoint)
        self.heard: list[Message] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self.process, subprocess.Popen):
            self.process.kill()
            self.process.wait(LONG)
        self.sender.close(0)
        self.reports.close(0)

    def send(self, message: Message, *arrays: np.ndarray) -> None:
        self.sender.send(message, *arrays, timeout=LONG)

    def send_block(self, point: int, block: int) -> None:
        for frame, image in frames_of(point, block):
            self.send(frame, image)
        self.send(closed(point, block))

    def wait(self, *kinds: type[Message]) -> Message:
        deadline = time.monotonic() + LONG
        while time.monotonic() < deadline:
            received = self.reports.receive(0.1)
            if received is not None:
                self.heard.append(received.message)
                if isinstance(received.message, kinds):
                    return received.message
        raise AssertionError(f"no {kinds} came; heard {self.heard[-5:]}")

    def finish(self) -> int:
        self.send(Finish("done"))
        self.wait(Finished)
        return int(self.process.wait(LONG))


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return reserve_run(tmp_path, "zfc-fw", "S1", 21e9)


@pytest.fixture
def run(run_dir: Path) -> Iterator[Run]:
    with Run(run_dir) as run:
        yield run


def test_a_run_from_end_to_end(run: Run, run_dir: Path) -> None:
    ready = run.wait(Ready)
    assert isinstance(ready, Ready)
    with Sender.connect(ready.endpoint, "the recorder") as fitter:
        fitter.send(Heartbeat("fitter", {}))
        run.send(Document("start", {"uid": "u"}))
        for point in (0, 1):
            run.send(opened(point))
            run.send(HistoryRow(float(point), {"temperature": 20.0 + point}))
            for block in range(3):
                run.send_block(point, block)
                committed = run.wait(Committed, Rejected)
                assert committed == Committed(point, block, STEPS * PER_STEP)
            for sweeps in (1, 2, 3):
                maps = Maps(point, sweeps, sweeps == 3, 2.0, SHAPE, ["b_z", "b_z_err"], {"median_b_err": 1e-6})
                fitter.send(maps, *np.full((2, *SHAPE), 10 * point + sweeps, np.float32))
            run.send(PointClosed(point, 3.0, {"T": 20.5 + point}))
        run.send(PointOpened(2, "transport", [], (0, 0), 4.0))
        run.send(PointClosed(2, 5.0, {"resistance": 3.0}))
        run.send(JournalEntry("decision", 5.0, {"what": "enough"}))
        run.send(Document("stop", {"uid": "v"}))
        run.send(Finish("done"))
        # the last maps of all come after the run has ended
        fitter.send(Maps(1, 9, False, 2.0, SHAPE, ["b_z"], {}), np.zeros(SHAPE, np.float32))
        fitter.send(Finished("fitter", {}))
        finished = run.wait(Finished)
    assert run.process.wait(LONG) == 0
    assert isinstance(finished, Finished)
    assert finished.counts["frames"] == 6 * STEPS * PER_STEP
    assert finished.counts["committed"] == 6
    assert any(isinstance(message, Heartbeat) for message in run.heard)

    reader = RunReader(run_dir)
    assert reader.outcome.outcome == "done"
    assert [name for name, _ in reader.documents()] == ["start", "stop"]
    assert reader.lines("decision", "run")[0].data == {"what": "enough"}
    assert reader.points == [0, 1, 2]
    for point in (0, 1):
        stored = reader.point(point)
        total = sum(sum_of(point, block) for block in range(3))
        np.testing.assert_allclose(stored.mean(), total / (3 * PER_STEP))
        assert stored.attrs["T"] == 20.5 + point
        maps_stored = stored.maps()
        assert maps_stored is not None
        assert (maps_stored.b_z == 10 * point + 3).all()
        assert bool(maps_stored.attrs["final"])
    assert reader.point(2).attrs["resistance"] == 3.0
    np.testing.assert_array_equal(reader.history().temperature, [20.0, 21.0])


DAMAGE: list[tuple[Callable[[list[Any]], list[Any]], str]] = [
    (lambda frames: frames[:5] + frames[6:], "frame number 6"),
    (lambda frames: frames[:5] + frames[4:], "frame number 4"),
    (lambda frames: frames[:-1], "11 arrived"),
    (lambda frames: [*frames[:3], frames[4], frames[3], *frames[5:]], "frame number 4"),
    (lambda frames: [(Frame(7, 0, 0, 0, 0, False, 0.0, SHAPE), frames[0][1]), *frames[1:]], "point 7"),
    (lambda frames: [(msgspec.structs.replace(frames[0][0], step=9), frames[0][1]), *frames[1:]], "step 9"),
    (lambda frames: [], "0 arrived"),
]


def test_a_damaged_block_is_refused_and_the_next_is_not(run: Run, run_dir: Path) -> None:
    run.send(opened(0))
    for case, (damage, told) in enumerate(DAMAGE):
        for frame, image in damage(frames_of(0, 2 * case)):
            run.send(frame, image)
        run.send(closed(0, 2 * case))
        rejected = run.wait(Committed, Rejected)
        assert isinstance(rejected, Rejected)
        assert told in rejected.reason
        run.send_block(0, 2 * case + 1)
        assert isinstance(run.wait(Committed, Rejected), Committed)
    assert run.finish() == 0
    reader = RunReader(run_dir)
    assert [commit.block for commit in reader.point(0).commits] == [2 * case + 1 for case in range(len(DAMAGE))]
    assert all(
        told in line.data["reason"] for (_, told), line in zip(DAMAGE, reader.lines("block-rejected"), strict=True)
    )


def test_blocks_the_run_takes_back_or_leaves_open_are_not_kept(run: Run, run_dir: Path) -> None:
    run.send(opened(0))
    for frame, image in frames_of(0, 0):
        run.send(frame, image)
    run.send(closed(0, 0, valid=False))
    for frame, image in frames_of(0, 1)[:5]:
        run.send(frame, image)
    run.send(PointClosed(0, 1.0))
    run.send(opened(1))
    run.send_block(1, 0)
    run.send_block(1, 0)
    for frame, image in frames_of(1, 2)[:5]:
        run.send(frame, image)
    assert run.finish() == 0
    assert [type(message) for message in run.heard if isinstance(message, Committed | Rejected)] == [
        Committed,
        Rejected,
    ]
    reader = RunReader(run_dir)
    assert reader.point(0).commits == ()
    assert [commit.block for commit in reader.point(1).commits] == [0]
    assert [line.data["reason"] for line in reader.lines("block-discarded")] == [
        "",
        "the point was closed inside it",
        "the run ended inside it",
    ]


def test_maps_that_were_never_final_are_kept_at_the_end(run: Run, run_dir: Path) -> None:
    ready = run.wait(Ready)
    assert isinstance(ready, Ready)
    run.send(opened(0))
    run.send_block(0, 0)
    run.wait(Committed)
    with Sender.connect(ready.endpoint) as fitter:
        fitter.send(Maps(0, 1, False, 2.0, SHAPE, ["b_z"], {}), np.ones(SHAPE, np.float32))
        while not run.wait(Heartbeat).counts["maps"]:  # type: ignore[attr-defined]
            pass
        fitter.send(Finished("fitter", {}))
        assert run.finish() == 0
    maps = RunReader(run_dir).point(0).maps()
    assert maps is not None
    assert not maps.attrs["final"]


def test_maps_far_ahead_of_their_points_wait_for_them(run: Run, run_dir: Path) -> None:
    """The fitter may be done with points whose opening is still on its way here, behind their frames."""
    ready = run.wait(Ready)
    assert isinstance(ready, Ready)
    with Sender.connect(ready.endpoint) as fitter:
        for point in range(12):
            fitter.send(Maps(point, 1, True, 2.0, SHAPE, ["b_z"], {}), np.full(SHAPE, point, np.float32))
        time.sleep(0.3)
        for point in range(12):
            run.send(opened(point))
            run.send_block(point, 0)
            run.send(PointClosed(point, 3.0))
        while run.wait(Heartbeat).counts["maps"] < 12:  # type: ignore[attr-defined]
            pass
        fitter.send(Finished("fitter", {}))
        assert run.finish() == 0
    for point in range(12):
        maps = RunReader(run_dir).point(point).maps()
        assert maps is not None
        assert (maps.b_z == point).all()


def test_garbage_is_counted_and_noted(run: Run, run_dir: Path) -> None:
    ready = run.wait(Ready)
    assert isinstance(ready, Ready)
    run.send(opened(0))
    for parts in ([b"\x80\x04."], [b'{"type":"frame"}', b"x"], [b"", b"", b""]):
        run.sender.send_parts(parts)
    with Sender.connect(ready.endpoint) as stranger:
        stranger.send_parts([b"GET / HTTP/1.1"])
        stranger.send(Fault("stranger", "not for you"))
    run.send_block(0, 0)
    assert isinstance(run.wait(Committed, Rejected), Committed)
    assert run.finish() == 0
    assert sum(line.data["count"] for line in RunReader(run_dir).lines("malformed-messages")) == 4


def test_a_run_killed_without_a_word_leaves_a_whole_directory(run_dir: Path, tmp_path: Path) -> None:
    # a run of its own, so that it can be killed; it sends one block and part of another and then only lives
    script = tmp_path / "run.py"
    script.write_text(
        f"import sys, time; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_recorder import Run, Committed, Path, frames_of, opened\n"
        "run = Run(Path(sys.argv[1]), connection=1.0)\n"
        "run.send(opened(0)); run.send_block(0, 0); run.wait(Committed)\n"
        "[run.send(*pair) for pair in frames_of(0, 1)[:5]]\n"
        "print(run.process.pid, flush=True); time.sleep(600)\n",
        encoding="utf-8",
    )
    process = subprocess.Popen([sys.executable, str(script), str(run_dir)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert int(process.stdout.readline())
    process.kill()
    process.wait(LONG)
    process.stdout.close()
    deadline = time.monotonic() + LONG
    while RunReader(run_dir).outcome.outcome == "unfinished" and time.monotonic() < deadline:
        time.sleep(0.1)
    reader = RunReader(run_dir)
    assert reader.outcome.outcome == "aborted"
    assert reader.outcome.reason.startswith("run process vanished")
    assert [commit.block for commit in reader.point(0).commits] == [0]
    np.testing.assert_allclose(reader.point(0).mean(), sum_of(0, 0) / PER_STEP)
    # the directory is free again: nobody writes it any more
    while time.monotonic() < deadline:
        try:
            files.WriteLock(run_dir).release()
            break
        except Exception:
            time.sleep(0.1)


def test_a_run_that_falls_silent_is_given_up(run_dir: Path) -> None:
    with Run(run_dir, silence=1.0) as run:
        run.send(opened(0))
        for _ in range(4):
            time.sleep(0.5)
            run.send(Heartbeat("run", {}))
        finished = run.wait(Finished)
        assert isinstance(finished, Finished)
        assert run.process.wait(LONG) == 1
    assert "said nothing for 1 s" in RunReader(run_dir).outcome.reason


def test_a_recorder_told_to_end_leaves_a_whole_directory(run: Run, run_dir: Path) -> None:
    run.send(opened(0))
    run.send_block(0, 0)
    run.wait(Committed)
    if os.name == "posix":
        run.process.terminate()
        run.wait(Finished)
        assert run.process.wait(LONG) == 1
        assert RunReader(run_dir).outcome.outcome == "aborted"
    else:
        # there, terminating is killing
        run.process.terminate()
        run.process.wait(LONG)
    assert len(RunReader(run_dir).point(0).commits) == 1


def test_a_second_recorder_says_why_it_will_not(run: Run, run_dir: Path) -> None:
    run.wait(Ready)
    with Run(run_dir) as other:
        fault = other.wait(Fault)
        assert isinstance(fault, Fault)
        assert "another process" in fault.reason
        assert other.process.wait(LONG) == 1
    assert run.finish() == 0


def test_ctrl_c_in_the_terminal_is_the_runs_business(run: Run) -> None:
    run.wait(Ready)
    if os.name == "posix":
        run.process.send_signal(signal.SIGINT)
        assert os.getpgid(run.process.pid) != os.getpgid(0)
        assert os.getsid(run.process.pid) == os.getsid(0)  # or Linux would not weigh its threads against the fitter's
    run.send(opened(0))
    run.send_block(0, 0)
    assert isinstance(run.wait(Committed, Rejected), Committed)
    assert run.finish() == 0


class InProcess(threading.Thread):
    """A recorder in a thread, so that its disk can be made slow or full."""

    def __init__(self, run_dir: Path, data: str, reports: str) -> None:
        super().__init__(daemon=True)
        self._arguments = (str(run_dir), data, reports)
        self.code = -1
        self.start()

    def run(self) -> None:
        self.code = run_recorder(*self._arguments)

    def wait(self, timeout: float) -> int:
        self.join(timeout)
        return self.code


def test_a_full_disk_is_told_and_costs_only_what_did_not_fit(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = files.sync

    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Run(run_dir, lambda data, reports: InProcess(run_dir, data, reports)) as run:
        run.send(opened(0))
        run.send_block(0, 0)
        run.wait(Committed)
        monkeypatch.setattr(files, "sync", full)
        run.send_block(0, 1)
        rejected = run.wait(Rejected)
        assert isinstance(rejected, Rejected)
        assert "No space left" in rejected.reason
        fault = run.wait(Fault)
        assert isinstance(fault, Fault)
        assert "No space left" in fault.reason
        monkeypatch.setattr(files, "sync", real)
        run.send_block(0, 2)
        assert isinstance(run.wait(Committed, Rejected), Committed)
        assert run.finish() == 1
    point = RunReader(run_dir).point(0)
    assert [commit.block for commit in point.commits] == [0, 2]
    np.testing.assert_allclose(point.mean(), (sum_of(0, 0) + sum_of(0, 2)) / (2 * PER_STEP))


def test_a_slow_disk_holds_the_run_up_and_loses_nothing(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = RunWriter.commit

    def slowly(*arguments: Any) -> None:
        time.sleep(0.05)
        commit(*arguments)

    monkeypatch.setattr(RunWriter, "commit", slowly)
    with Run(run_dir, lambda data, reports: InProcess(run_dir, data, reports)) as run:
        run.send(opened(0))
        for block in range(20):
            run.send_block(0, block)
        assert run.finish() == 0
    point = RunReader(run_dir).point(0)
    assert [commit.block for commit in point.commits] == list(range(20))
    np.testing.assert_allclose(point.mean(), sum(sum_of(0, block) for block in range(20)) / (20 * PER_STEP))


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment_what_was_committed_is_there(run_dir: Path, seed: int) -> None:
    rng = random.Random(seed)
    told: set[tuple[int, int]] = set()
    with Run(run_dir) as run:
        run.wait(Ready)
        # somewhere in the writing of some block, or between two
        killer = threading.Timer(rng.uniform(0.0, 0.25), run.process.kill)
        killer.start()
        point, block = 0, 0
        run.send(opened(0))
        while run.process.poll() is None:
            parts = [*frames_of(point, block), (closed(point, block),)]
            for part in parts:
                while not run.sender.try_send(*part) and run.process.poll() is None:
                    time.sleep(0.001)
            block += 1
            if block == 6:
                point, block = point + 1, 0
                run.sender.try_send(opened(point))
            while (received := run.reports.receive(0.0)) is not None:
                if isinstance(received.message, Committed):
                    told.add((received.message.point, received.message.block))
        killer.join(LONG)
        while (received := run.reports.receive(0.2)) is not None:
            if isinstance(received.message, Committed):
                told.add((received.message.point, received.message.block))

    reader = RunReader(run_dir)
    assert reader.outcome.outcome == "unfinished"
    found = set()
    for number in reader.points:
        stored = reader.point(number)
        data = stored.dataset()
        assert stored.frame_counts().tolist() == [[PER_STEP] * STEPS] * len(stored.commits)
        for row, commit in enumerate(stored.commits):
            np.testing.assert_array_equal(data.signal[row].values, sum_of(number, commit.block))
            found.add((number, commit.block))
        if stored.commits:
            expected = sum(sum_of(number, commit.block) for commit in stored.commits)
            np.testing.assert_allclose(stored.mean(), expected / (PER_STEP * len(stored.commits)))
        # and plain xarray, which knows nothing of the journal, reads whole blocks too
        with xr.open_zarr(run_dir / "data.zarr", group=f"points/{number:04d}") as plain:
            assert plain.sizes["block"] >= len(stored.commits)
            for row, block in enumerate(plain.block.values):
                np.testing.assert_array_equal(plain.signal[row].values, sum_of(number, int(block)))
    assert told <= found
