"""The processes around a run: simulated lab, recorder, fitter. Each may die without taking data along."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nvscope.errors import InstrumentError, NvscopeError


class LabProcess:
    """``nvscope sim`` as a child: it ends when this process does, however that ends.

    Parameters
    ----------
    arguments : sequence of str
        Options for ``nvscope sim`` besides ``--addresses``.
    addresses : Path
        Where the lab writes its addresses.
    """

    def __init__(self, arguments: Sequence[str], addresses: Path) -> None:
        self._addresses = addresses
        addresses.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "nvscope.cli",
                "sim",
                "--addresses",
                str(addresses),
                "--until-stdin-closes",
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # Ctrl-C in the terminal is for the run: the lab must still answer while the run makes it safe
            **_own_group(),
        )

    def wait_addresses(self, timeout: float) -> dict[str, dict[str, str]]:
        """Return the lab's addresses once it serves; raises if it does not come up."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._addresses.is_file():
                return read_addresses(self._addresses)
            if self._process.poll() is not None:
                raise InstrumentError(
                    f"the simulated lab ended with exit code {self._process.returncode} before it served; see above"
                )
            time.sleep(0.02)
        raise InstrumentError(f"the simulated lab did not come up within {timeout:g} s")

    def alive(self) -> bool:
        """Whether it is running."""
        return self._process.poll() is None

    def stop(self, timeout: float = 10.0) -> None:
        """Close its standard input, which ends it; kill it if that does not help."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5.0)
        self._addresses.unlink(missing_ok=True)


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def read_addresses(path: Path) -> dict[str, dict[str, str]]:
    """Read the address file of ``nvscope sim``."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): {str(k): str(v) for k, v in entry.items()} for name, entry in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise NvscopeError(f"{path}: not an address file of `nvscope sim`: {error}") from error


def _start_quietly(target: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    """Run a worker process; Ctrl-C is for the run, which tells its workers when to finish."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target(*arguments)


class Workers:
    """Recorder and fitter, and what happens if one of them dies."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._processes: dict[str, Any] = {}
        self._watching = True
        self._thread: threading.Thread | None = None

    def start(self, name: str, target: Callable[..., object], *arguments: Any) -> None:
        """Start a worker process, in the place of an earlier one; arguments are plain strings and numbers."""
        process = self._context.Process(target=_start_quietly, args=(target, arguments), name=f"nvscope-{name}")
        process.daemon = True
        process.start()
        self._processes[name] = process

    def watch(self, died: Callable[[str, str], bool]) -> None:
        """Call `died` with name and reason for a worker that ends while it should be working.

        It returns whether the worker was started again; if not, nobody is watched any more.
        """

        def look() -> None:
            while self._watching:
                for name, process in list(self._processes.items()):
                    if not process.is_alive() and self._watching:
                        why = f"the {name} process ended unexpectedly (exit code {process.exitcode})"
                        if not died(name, why):
                            return
                time.sleep(0.2)

        self._thread = threading.Thread(target=look, name="nvscope-workers", daemon=True)
        self._thread.start()

    def expect_exit(self) -> None:
        """From now on workers may end."""
        self._watching = False

    def join(self, timeout: float) -> None:
        """Wait for all to end; kill what does not."""
        self._watching = False
        deadline = time.monotonic() + timeout
        for process in self._processes.values():
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join(2.0)
