"""``run.json``: what a run was, as resolved when it began."""

from __future__ import annotations

import datetime
import getpass
import importlib.metadata
import platform
import subprocess
import uuid
from pathlib import Path
from typing import Any

import msgspec

from nvscope.errors import DataError
from nvscope.store.files import write_whole
from nvscope.store.layout import INFO

_PACKAGES = ("nvscope", "bluesky", "msgspec", "numba", "numpy", "pymeasure", "pymmcore-plus", "pyvisa", "pyzmq", "zarr")
_GIT_TIMEOUT = 5.0


class RunInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a run is.

    Attributes
    ----------
    uid : str
        Unique for ever.
    started : str
        ISO 8601 with the offset from UTC.
    sequence : str
        Name of the sequence; `parameters` are its parameters as resolved.
    rig, sample, loading : dict
        The configuration as resolved, SI.
    nominal_pressure : float or None
        Pa.
    software : dict
        See `software`.
    """

    uid: str
    started: str
    sequence: str
    parameters: dict[str, Any]
    rig: dict[str, Any]
    sample: dict[str, Any]
    loading: dict[str, Any]
    nominal_pressure: float | None
    operator: str
    host: str
    software: dict[str, Any]
    note: str = ""


def describe_run(
    sequence: str,
    parameters: dict[str, Any],
    *,
    rig: dict[str, Any],
    sample: dict[str, Any],
    loading: dict[str, Any],
    nominal_pressure: float | None = None,
    note: str = "",
    operator: str | None = None,
) -> RunInfo:
    """Describe a run that begins now on this computer; the operator is the logged-in user unless given."""
    return RunInfo(
        uid=str(uuid.uuid4()),
        started=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        sequence=sequence,
        parameters=parameters,
        rig=rig,
        sample=sample,
        loading=loading,
        nominal_pressure=nominal_pressure,
        operator=operator or _user(),
        host=platform.node(),
        software=software(),
        note=note,
    )


def software() -> dict[str, Any]:
    """Return versions of Python, the system and the packages that matter, and the state of the source tree."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "git": _git_state(Path(__file__).resolve().parents[2]),
    }


def write_info(run_dir: Path, info: RunInfo) -> None:
    """Write ``run.json``, whole; done by the run before it starts a recorder."""
    write_whole(run_dir / INFO, msgspec.json.format(msgspec.json.encode(info, enc_hook=str), indent=2) + b"\n")


def read_info(run_dir: Path) -> RunInfo:
    """Read ``run.json``.

    Raises
    ------
    DataError
        If it is missing or not what `write_info` writes.
    """
    try:
        return msgspec.json.decode((run_dir / INFO).read_bytes(), type=RunInfo)
    except (OSError, msgspec.MsgspecError) as error:
        raise DataError(f"{run_dir / INFO} does not describe a run: {error}") from error


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether the tree differs from it; None outside a repository."""
    if not (folder / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_GIT_TIMEOUT, check=True
        )
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
