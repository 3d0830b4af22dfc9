"""Where things are in a run directory, and how one gets its name.

``runs/2026-11-21/0007-zfc-fw-S1-21GPa/`` holds ``run.json``, ``journal.jsonl``, ``history.csv``, ``data.zarr`` and what
others add: ``truth.zarr`` of a simulated lab, ``figures/``, ``report.html``.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path

from nvscope.errors import DataError

INFO = "run.json"
JOURNAL = "journal.jsonl"
HISTORY = "history.csv"
DATA = "data.zarr"
TRUTH = "truth.zarr"
FIGURES = "figures"
REPORT = "report.html"
RECORDER_LOG = "recorder.log"

_NUMBERED = re.compile(r"^(\d{4,})-")
_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_ATTEMPTS = 10_000


def point_path(point: int) -> str:
    """Return the path of a point's group inside ``data.zarr``."""
    return f"points/{point:04d}"


def reserve_run(
    runs: Path,
    sequence: str,
    sample: str,
    pressure: float | None = None,
    *,
    day: datetime.date | None = None,
) -> Path:
    """Make the directory of a new run and return it.

    Parameters
    ----------
    runs
        The folder of all runs; made if missing.
    sequence, sample
        Names; what a file name cannot hold becomes a hyphen.
    pressure
        Nominal pressure (Pa), if there is one.
    day
        The date it is filed under; today by default.

    Returns
    -------
    Path
        ``runs/YYYY-MM-DD/NNNN-sequence-sample-pressureGPa``; no other call, in any process, gets the number.

    Raises
    ------
    DataError
        If the directory cannot be made.
    """
    folder = runs / (day or datetime.date.today()).isoformat()
    parts = [_slug(sequence), _slug(sample)]
    if pressure is not None:
        parts.append(f"{pressure / 1e9:.3g}GPa")
    name = "-".join(part for part in parts if part)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(_next_number(folder), _ATTEMPTS):
            path = _claim(folder, number, name)
            if path is not None:
                return path
    except OSError as error:
        raise DataError(f"cannot make a run directory in {folder}: {error}") from error
    raise DataError(f"{folder} has no number left below {_ATTEMPTS}; move old runs away")


def _claim(folder: Path, number: int, name: str) -> Path | None:
    """Make the directory with this number unless somebody has the number or is about to."""
    marker = folder / f".{number:04d}"
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return None
    try:
        # looked at again under the marker: another process may have finished with this number since
        if any(folder.glob(f"{number:04d}-*")):
            return None
        path = folder / f"{number:04d}-{name}"
        path.mkdir()
        return path
    finally:
        marker.unlink(missing_ok=True)


def _next_number(folder: Path) -> int:
    return 1 + max((int(match[1]) for path in folder.iterdir() if (match := _NUMBERED.match(path.name))), default=0)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.")[:48]


def list_runs(runs: Path) -> list[Path]:
    """Return every run directory under `runs`, oldest first."""
    if not runs.is_dir():
        return []
    days = sorted(path for path in runs.iterdir() if path.is_dir() and _DAY.match(path.name))
    return [path for day in days for path in sorted(day.iterdir()) if path.is_dir() and _NUMBERED.match(path.name)]


def find_run(text: str, runs: Path) -> Path:
    """Return the run directory that `text` means.

    Parameters
    ----------
    text
        A path, ``latest``, a name such as ``0007-zfc-fw-S1-21GPa``, ``2026-11-21/0007``, or a number of the last day
        that has it.
    runs
        The folder of all runs.

    Raises
    ------
    DataError
        If there is no such run.
    """
    path = Path(text)
    if (path / INFO).is_file() or (path / JOURNAL).is_file():
        return path
    known = list_runs(runs)
    if text == "latest" and known:
        return known[-1]
    day, _, name = text.replace("\\", "/").rpartition("/")
    for run in reversed(known):
        if day and run.parent.name != day:
            continue
        if run.name == name or (name.isdigit() and int(run.name.partition("-")[0]) == int(name)):
            return run
    raise DataError(f"no run {text!r}: neither a run directory nor one of the {len(known)} runs in {runs}")
