"""A replay of what is left of a run: damaged, half written, or deleted while it is looked at."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nvscope.cli.watch_methods import methods
from nvscope.gui.desk import Desk


def settled(desk: Desk, patience: float = 120.0) -> Desk:
    """Work until everything asked for has come."""
    deadline, quiet = time.monotonic() + patience, 0
    while quiet < 5:
        assert time.monotonic() < deadline, "the desk does not come to rest"
        desk.step()
        quiet = quiet + 1 if desk.idle else 0
        time.sleep(0.005)
    return desk


def truncated(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def hostile_journal(directory: Path) -> None:
    journal = directory / "journal.jsonl"
    kinds = ("step", "plan", "region", "parameters", "certificate", "note", "point-closed")
    data = '{"point":1e12,"kind":"roi","vertices":[["a",1]],"steps":[1,{"text":5}],"settings":{"until":"lots"}}'
    lines = [f'{{"time":1.0,"source":"run","kind":"{kind}","rig_time":null,"data":{data}}}' for kind in kinds]
    journal.write_text(journal.read_text("utf-8") + "\n".join(lines) + "\n", "utf-8")


DAMAGES: dict[str, tuple[Callable[[Path], object], int, str]] = {
    # what is done, how many points are left, and what is said
    "journal cut": (lambda run: truncated(run / "journal.jsonl"), 3, ""),
    "journal gone": (lambda run: (run / "journal.jsonl").unlink(), 0, "no point can be read"),
    "journal hostile": (hostile_journal, 7, ""),
    "history garbage": (lambda run: (run / "history.csv").write_bytes(bytes(range(256))), 7, ""),
    "info garbage": (lambda run: (run / "run.json").write_bytes(b"\xff{"), 7, ""),
    "maps gone": (lambda run: shutil.rmtree(run / "data.zarr/points/0006/maps"), 7, "maps of point 6"),
    "maps damaged": (
        lambda run: [truncated(p) for p in (run / "data.zarr/points/0006/maps").rglob("c*") if p.is_file()],
        7,
        "maps of point 6",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_left_is_shown_and_what_is_wrong_is_said(name: str, run_directory: Path, tmp_path: Path) -> None:
    damage, points, said = DAMAGES[name]
    copy = Path(shutil.copytree(run_directory, tmp_path / run_directory.name))
    damage(copy)
    desk = Desk(methods(), None, copy)
    try:
        settled(desk)
        assert len(desk.session.points) >= points
        assert said in desk.problem
        assert bool(said) == bool(desk.problem)
    finally:
        desk.close()


def test_a_run_deleted_while_it_is_looked_at_is_named(run_directory: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run_directory, tmp_path / run_directory.name))
    desk = Desk(methods(), None, copy, map_budget=1)  # maps are read again whenever they are looked at
    try:
        settled(desk)
        shutil.rmtree(copy)
        desk.show(1)
        settled(desk)
        assert desk.problem
        assert desk.session.points
    finally:
        desk.close()
