"""Starting runs from the window: the sequences, forms and plans that only the command line can know."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from inspect import get_annotations
from pathlib import Path
from typing import Any

import platformdirs

from nvscope.cli.selection import resolve_parameters, select
from nvscope.config import config_folders
from nvscope.engine.wishes import describe
from nvscope.errors import ConfigError
from nvscope.gui.launch import Plan, PlanStep, Request
from nvscope.plans import dry_run, find_sequence
from nvscope.stream.control import Parameter


class CommandLauncher:
    """Implements `nvscope.gui.launch.Launcher` with what ``nvscope plan`` and ``nvscope run`` use.

    Parameters
    ----------
    arguments, live_arguments : sequence of str
        More arguments for every ``nvscope run`` and ``nvscope live`` it starts.

    Attributes
    ----------
    processes : list of Popen
        What was started here and had not ended when the last was started.
    """

    def __init__(self, arguments: Sequence[str] = (), live_arguments: Sequence[str] = ()) -> None:
        self._arguments = tuple(arguments)
        self._live_arguments = tuple(live_arguments)
        self.processes: list[subprocess.Popen[bytes]] = []

    def sequences(self) -> dict[str, str]:
        """Return the installed sequences with a line about each."""
        names = sorted(entry.name for entry in entry_points(group="nvscope.sequences"))
        return {name: find_sequence(name).summary for name in names}

    def rigs(self) -> list[str]:
        """Return the names of the rig files there are."""
        return _names("rigs")

    def samples(self) -> list[str]:
        """Return the names of the sample files there are."""
        return _names("samples")

    def fields(self, sequence: str) -> list[Parameter]:
        """Return a sequence's parameters with the values a run would use now, its own before those it shares."""
        found = find_sequence(sequence)
        resolved = resolve_parameters(found, [])
        known = found.parameters.model_fields
        own_first = [name for model in found.parameters.__mro__ for name in get_annotations(model)]
        names = list(dict.fromkeys([*(name for name in own_first if name in known), *known]))
        return describe(resolved, names)

    def plan(self, request: Request) -> Plan:
        """Walk the plan; raises `NvscopeError` naming what is wrong."""
        from nvscope.engine.planning import planning_rig

        sequence = find_sequence(request.sequence)
        selection = select(request.rig, request.sample, None)
        parameters = resolve_parameters(sequence, _settings(request.settings))
        devices = planning_rig(selection.rig, selection.sample, selection.loading, None)
        walked = dry_run(sequence.plan(devices, parameters), sequence.begins(parameters))
        steps = tuple(PlanStep(s.text, s.start, s.duration, s.temperature, s.field) for s in walked.steps)
        summary = f"{len(steps)} steps, {walked.points} points, {walked.frames} frames; within the rig's limits"
        return Plan(steps, walked.duration, summary)

    def start(self, request: Request) -> str:
        """Start ``nvscope run`` as a process that outlives the window; returns the file its output goes to."""
        self.plan(request)  # refuse here, in words, rather than in a file
        command = [sys.executable, "-m", "nvscope.cli", "run", request.sequence]
        command += ["--rig", request.rig, "--sample", request.sample]
        for setting in _settings(request.settings):
            command += ["--set", setting]
        if request.note:
            command += ["--note", request.note]
        return self._spawn("run", [*command, *self._arguments], subprocess.DEVNULL)

    def live(self, rig: str, sample: str) -> str:
        """Start ``nvscope live`` as a process that ends, safely, with this one; returns the file its output goes to."""
        select(rig, sample, None)
        command = [sys.executable, "-m", "nvscope.cli", "live", "--no-window", "--until-stdin-closes"]
        command += ["--rig", rig, "--sample", sample]
        return self._spawn("live", [*command, *self._live_arguments], subprocess.PIPE)

    def _spawn(self, verb: str, command: list[str], stdin: int) -> str:
        folder = Path(platformdirs.user_log_dir("nvscope", appauthor=False))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            folder = Path(tempfile.gettempdir())
        log = folder / f"{verb}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=stdin, stdout=output, stderr=subprocess.STDOUT, **_detached())
        self.processes = [*(one for one in self.processes if one.poll() is None), process]
        return str(log)


def require_window() -> None:
    """Raise `ConfigError` if there is nothing to open a window with."""
    for package in ("PySide6", "pyqtgraph"):
        if find_spec(package) is None:
            raise ConfigError(f'--watch needs {package}; install it with: pip install "nvscope[gui]"')


def open_window() -> subprocess.Popen[bytes]:
    """Open the window on the run of this process, as a process that neither holds it up nor ends with it."""
    command = [sys.executable, "-m", "nvscope.cli", "watch", "--process", str(os.getpid())]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **_detached())


def _detached() -> dict[str, Any]:
    """Return what makes a process outlive the window, and Ctrl-C in the window's terminal."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _settings(settings: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in settings.items()]


def _names(kind: str) -> list[str]:
    return sorted({file.stem for folder in config_folders() for file in (folder / kind).glob("*.toml")})
