"""`nvscope fit`: stored points fitted again."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nvscope.analysis import refit
from nvscope.analysis.refit import refit_run
from nvscope.errors import ConfigError, DataError
from nvscope.nv import GAMMA
from nvscope.store import files, refits
from nvscope.store.files import WriteLock
from nvscope.store.layout import reserve_run
from nvscope.store.reader import RunReader
from nvscope.store.sums import Sums
from nvscope.store.writer import RunWriter
from nvscope.stream.messages import BlockClosed, Finish, PointOpened

FREQUENCIES = np.linspace(2.75e9, 3.41e9, 67)
SHAPE = (4, 4)
CENTRE, FIELD, FRAMES, LEVEL = 3.08e9, 97e-4, 4, 40_000.0
HALF = GAMMA * FIELD
POINTS = 3


def spectrum(half: float, contrast: float = 0.02, width: float = 7e6) -> np.ndarray:
    """Return counts of a frame, (frequency, y, x), with a pair of this half splitting."""
    dips = sum(contrast / (1 + ((FREQUENCIES - CENTRE - sign * half) / width) ** 2) for sign in (-1, 1))
    return np.broadcast_to((LEVEL * (1 - dips))[:, None, None], (len(FREQUENCIES), *SHAPE))


def write_run(run_dir: Path, frame: np.ndarray, points: int = POINTS, finished: bool = True) -> Path:
    """Write a run of odmr points of three blocks, with frames of steady light beside them."""
    rng = np.random.default_rng(1)
    counts = np.full(len(FREQUENCIES), FRAMES, np.int64)
    light = np.full(frame.shape, FRAMES * LEVEL, np.uint32)
    attrs = {"field": FIELD, "camera_gain": 1.0}
    with RunWriter(run_dir) as writer:
        for point in range(points):
            writer.open_point(PointOpened(point, "odmr", FREQUENCIES.tolist(), SHAPE, 1.0, attrs))
            for block in range(3):
                signal = rng.poisson(FRAMES * frame).astype(np.uint32)
                writer.commit(BlockClosed(point, block, 1, 1, True, 2.0), Sums(signal, counts, light, counts))
        if finished:
            writer.finish(Finish("done"))
    return run_dir


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_run(reserve_run(tmp_path / "runs", "odmr", "S1"), spectrum(HALF))


def chunk(run_dir: Path, point: int, kind: str, block: int) -> Path:
    return run_dir / f"data.zarr/points/{point:04d}/{kind}/c.{block}.0.0.0"


@pytest.mark.parametrize("kind", ["signal", "reference"])
@pytest.mark.parametrize(("content", "problem"), [(None, "missing"), (b"", "damaged"), (b"garbage", "damaged")])
def test_a_point_that_lost_frames_is_refused(run_dir: Path, kind: str, content: bytes | None, problem: str) -> None:
    file = chunk(run_dir, 1, kind, 2)
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=rf"point 1 block 2: .*0001/{kind}/c\.2\.0\.0\.0 is {problem}.*--point"):
        refit_run(run_dir, "again", baseline="constant", points=[1])
    assert RunReader(run_dir).point(1).refits() == []
    assert refit_run(run_dir, "again", baseline="constant", points=[0, 2]) == [0, 2]


@pytest.mark.parametrize("lines", [2, "auto"])
def test_a_pair_that_the_field_does_not_allow_is_no_measurement(tmp_path: Path, lines: int | str) -> None:
    run_dir = write_run(reserve_run(tmp_path, "odmr", "S1"), spectrum(0.5 * HALF), points=1)
    refit_run(run_dir, "again", lines=lines, baseline="constant")
    refit = RunReader(run_dir).point(0).refit("again")
    assert refit is not None
    assert not np.isfinite(refit.half_splitting.values).any()


@pytest.fixture
def no_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a refit that computes before it refuses."""

    def fit(*_: object, **__: object) -> None:
        pytest.fail("fitted before it was refused")

    monkeypatch.setattr(refit, "fit", fit)


def again(run_dir: Path, points: list[int] | None = None) -> list[int]:
    return refit_run(run_dir, "again", baseline="constant", points=points)


def test_a_refit_that_was_cut_short_says_what_is_missing(run_dir: Path, request: pytest.FixtureRequest) -> None:
    again(run_dir, [0, 0])
    request.getfixturevalue("no_fit")
    with pytest.raises(DataError, match=r"point 0 has a refit 'again' .*points 1, 2 have none.*--point 1 --point 2,"):
        again(run_dir)
    with pytest.raises(DataError, match=r"point 0 has a refit 'again' already.*; choose another --name"):
        again(run_dir, [0])


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize("name", ["zarr.json", "Zarr.JSON", "__reserved", "again.partial", "a/b", ""])
def test_a_name_that_zarr_or_the_store_needs_is_refused(run_dir: Path, name: str) -> None:
    with pytest.raises(DataError, match="is no name for a refit"):
        refit_run(run_dir, name)
    assert not (run_dir / "data.zarr/points/0000/refits").exists()


@pytest.mark.usefixtures("no_fit")
def test_a_run_that_goes_on_is_refused_at_once(tmp_path: Path) -> None:
    run_dir = reserve_run(tmp_path, "odmr", "S1")
    with RunWriter(run_dir) as writer:
        writer.open_point(PointOpened(0, "odmr", FREQUENCIES.tolist(), SHAPE, 1.0))
        began = time.monotonic()
        with pytest.raises(DataError, match="being written by another process; wait for that run"):
            again(run_dir)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(("name", "finished"), [(".refit", False), (".writer", True)])
def test_a_refit_waits_for_others_and_for_the_end_of_a_recorder(tmp_path: Path, name: str, finished: bool) -> None:
    run_dir = reserve_run(tmp_path, "odmr", "S1")
    write_run(run_dir, spectrum(HALF), points=1, finished=finished)
    lock = WriteLock(run_dir, name=name)
    released = threading.Timer(0.3, lock.release)
    released.start()
    assert again(run_dir) == [0]
    released.join()


def test_a_refit_does_not_wait_for_ever(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refits, "_PATIENCE", 0.1)
    lock = WriteLock(run_dir, name=".refit")
    with pytest.raises(DataError, match="being written"):
        again(run_dir)
    lock.release()


@pytest.mark.usefixtures("no_fit")
def test_a_folder_that_cannot_be_written_is_refused(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", read_only)
    with pytest.raises(DataError, match=r"data\.zarr cannot be written: Read-only file system; see"):
        again(run_dir)
    (run_dir / ".refit").unlink()
    (run_dir / ".refit").mkdir()
    with pytest.raises(DataError, match=rf"{run_dir.name} cannot be written: .*; see"):
        again(run_dir)


@pytest.mark.parametrize("wrong", [{"model": "foo"}, {"lines": 3}, {"lines": "some"}, {"baseline": "cubic"}])
def test_a_fit_that_does_not_exist_is_refused_before_anything_is_read(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must be"):
        refit_run(tmp_path / "no run", "again", **wrong)
