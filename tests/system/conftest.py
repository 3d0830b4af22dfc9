"""Running the real command in real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "nvscope.cli"]
TIMEOUT = 240


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    output: str
    runs: Path
    before: int = 0
    """Run directories that were there already."""

    @property
    def directory(self) -> Path:
        """The one run directory it left."""
        found = [path for path in self.runs.glob("*/*") if path.is_dir() and path.name[0].isdigit()]
        assert len(found) == self.before + 1, self.output
        return max(found)

    def journal(self, kind=None):
        """Lines of the journal, of one kind if given."""
        lines = (self.directory / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines]
        return [entry for entry in entries if kind is None or entry.get("kind") == kind]

    def check_estimate(self):
        """The plan's duration, from where the rig was, is within a tenth; averaging to a target may end before."""
        (plan,) = [entry["data"] for entry in self.journal("plan")]
        moments = {entry["data"]["state"]: entry["rig_time"] for entry in self.journal("state")}
        took = moments["done"] - moments["running"]
        # a few seconds for what no plan knows: a ramp that has nowhere to go settles, an instrument answers late
        slack = 0.1 * took + 3
        assert plan["duration"] - plan["spare"] - slack < took < plan["duration"] + slack, (plan["duration"], took)


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Environment in which running runs announce themselves apart from the user's own."""
    return os.environ | {"NVSCOPE_STATE": str(tmp_path_factory.mktemp("state"))}


@pytest.fixture(scope="session")
def nvscope(environment):
    """Run ``nvscope ARGUMENTS`` to the end; ``runs`` is where its run directories go."""

    def call(*arguments: str, runs: Path, timeout: float = TIMEOUT) -> Done:
        extra = ["--runs", str(runs)] if arguments[0] == "run" else []
        before = sum(1 for path in runs.glob("*/*") if path.is_dir())
        done = subprocess.run(
            [*COMMAND, *arguments, *extra],
            env=environment,
            cwd=runs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout, runs, before)

    return call


class Running:
    """A command that is still going."""

    def __init__(self, arguments, runs: Path, environment) -> None:
        self.runs = runs
        self.process = subprocess.Popen(
            [*COMMAND, *arguments, "--runs", str(runs)],
            env=environment,
            cwd=runs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )

    def wait_for(self, condition, timeout: float = TIMEOUT):
        """Poll until `condition` returns something."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            assert self.process.poll() is None, self.process.stdout.read()
            time.sleep(0.05)
        raise AssertionError("it did not happen in time")

    def steps(self):
        """Steps announced so far."""
        for journal in self.runs.glob("*/*/journal.jsonl"):
            lines = journal.read_text(encoding="utf-8").splitlines()
            entries = [json.loads(line) for line in lines if line.endswith("}")]
            return [entry["data"]["step"] for entry in entries if entry.get("kind") == "step"]
        return []

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self.process.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGINT)

    def finish(self, timeout: float = TIMEOUT) -> Done:
        """Wait for the end."""
        output, _ = self.process.communicate(timeout=timeout)
        return Done(self.process.returncode, output, self.runs)


@pytest.fixture
def start_run(environment, tmp_path):
    """Start ``nvscope run ARGUMENTS`` and leave it running."""
    started = []

    def start(*arguments: str) -> Running:
        running = Running(("run", *arguments), tmp_path, environment)
        started.append(running)
        return running

    yield start
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate(timeout=30)


class Lab:
    """``nvscope sim`` in a process of its own."""

    def __init__(self, folder: Path, environment, *arguments: str) -> None:
        self.addresses_file = folder / "addresses.json"
        self.process = subprocess.Popen(
            [*COMMAND, "sim", "--addresses", str(self.addresses_file), "--until-stdin-closes", *arguments],
            stdin=subprocess.PIPE,
            env=environment,
            cwd=folder,
        )
        deadline = time.monotonic() + 90
        while not self.addresses_file.is_file():
            assert self.process.poll() is None, "the lab ended"
            assert time.monotonic() < deadline, "the lab did not come up"
            time.sleep(0.05)
        self.addresses = json.loads(self.addresses_file.read_text(encoding="utf-8"))

    def stop(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait(20)


def _serve(tmp_path_factory, environment):
    served = []

    def serve(*arguments: str) -> Lab:
        served.append(Lab(tmp_path_factory.mktemp("lab"), environment, *arguments))
        return served[-1]

    yield serve
    for one in served:
        one.stop()


@pytest.fixture
def lab(tmp_path_factory, environment):
    """Serve a lab apart from any run, for one test."""
    yield from _serve(tmp_path_factory, environment)


@pytest.fixture(scope="module")
def lasting_lab(tmp_path_factory, environment):
    """Serve a lab apart from any run, for all tests of a module."""
    yield from _serve(tmp_path_factory, environment)
