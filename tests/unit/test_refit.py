"""`nvscope fit`: stored points fitted again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nvscope.analysis.refit import refit_run
from nvscope.errors import DataError
from nvscope.nv import GAMMA
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


def write_run(run_dir: Path, frame: np.ndarray, points: int = POINTS) -> Path:
    """Write a finished run of odmr points of three blocks, with frames of steady light beside them."""
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
