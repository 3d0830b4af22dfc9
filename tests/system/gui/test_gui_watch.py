"""``nvscope watch`` as people type it, in a process of its own and without a screen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QImage


def watch(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "nvscope.cli", "watch", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", **environment},
    )


def pixels(path: Path) -> Any:
    image = QImage(str(path)).convertToFormat(QImage.Format.Format_RGB888)
    assert not image.isNull()
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def test_a_picture_of_a_finished_run_needs_no_screen(run_directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "window.png"
    done = watch(str(run_directory), "--screenshot", str(path), "--theme", "light", "--point", "1", "--map", "b_z")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(path)
    picture = pixels(path)
    assert picture.shape == (800, 1280, 3)
    middle = picture[150:400, 420:820].reshape(-1, 3).astype(int)
    # the ring is expelled field: dark violet of viridis, on the green of the field around it
    assert ((abs(middle - (68, 1, 84)) < 30).all(axis=1)).sum() > 500
    assert ((middle[:, 1] > 120) & (middle[:, 0] < 120)).sum() > 2000


def test_a_picture_of_a_running_run(broadcast: Callable[..., Any], run_directory: Path, tmp_path: Path) -> None:
    broadcast(directory=run_directory)
    path = tmp_path / "live.png"
    done = watch("--screenshot", str(path), "--size", "1600x1000")
    assert (done.returncode, done.stderr) == (0, "")
    assert pixels(path).shape == (1000, 1600, 3)


def test_a_run_is_named_as_elsewhere(run_directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "latest.png"
    done = watch("latest", "--runs", str(run_directory.parent.parent), "--screenshot", str(path))
    assert done.returncode == 0
    assert path.is_file()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere"], "no run 'nowhere'"),
        (["--theme", "pink"], 'dark" or "light'),
        (["--size", "10x10"], "--size 10x10"),
        (["--map", "colour"], "s_ratio"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    done = watch(*arguments, "--screenshot", str(tmp_path / "no.png"))
    assert done.returncode in (1, 2)
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
