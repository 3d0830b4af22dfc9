"""Asking a run to do something, from a terminal, a window or another program: one request, one reply.

The socket is a ZeroMQ REP on loopback, or elsewhere with CURVE keys (`nvscope.stream.security`). A request and its
reply are one JSON object each, see `Control` and `Reply`; ``docs/control.md`` says what every verb does.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import platformdirs
import zmq
from msgspec import Meta

from nvscope.errors import NvscopeError
from nvscope.stream.security import LOOPBACK, Curve, host_of, secure

Verb = Literal["status", "pause", "resume", "abort", "skip", "note", "parameters", "set", "region"]
MAX_REQUEST = 65536
_POLL = 200  # ms


Fraction = Annotated[float, Meta(ge=-1.0, le=2.0)]


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A polygon of the image, vertices (x, y) as fractions of its width and height; without any it is taken away.

    ``roi`` is where the error of B must reach its target, ``reference`` a place that is followed for comparison.
    """

    kind: Literal["roi", "reference"]
    vertices: Annotated[list[tuple[Fraction, Fraction]], Meta(max_length=1000)] = []


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request; `text` is the note, or the reason of an abort; `settings` are for ``set``, by name, with units."""

    verb: Verb
    text: str = ""
    settings: dict[str, str] = {}
    region: Region | None = None


class Parameter(msgspec.Struct, frozen=True):
    """Something ``set`` can change: its value now, with its unit; empty `choices` means anything."""

    name: str
    value: str
    meaning: str = ""
    unit: str = ""
    choices: list[str] = []


class RunInfo(msgspec.Struct, frozen=True):
    """Where a running run, or instruments held by hand (`kind` "live"), can be reached; addresses of what it holds."""

    run: str
    directory: str
    pid: int
    control: str
    viewers: str
    kind: Literal["run", "live"] = "run"
    instruments: list[str] = []


class Reply(msgspec.Struct, frozen=True):
    """The answer: whether it was accepted, what was said; for ``status`` what the run is doing, and what it is."""

    ok: bool
    text: str = ""
    status: dict[str, Any] = {}
    parameters: list[Parameter] = []
    about: RunInfo | None = None


_requests = msgspec.json.Decoder(Control)
_replies = msgspec.json.Decoder(Reply)


class ControlServer:
    """Answers requests in a thread of its own, one at a time.

    Parameters
    ----------
    handle : callable
        Takes a `Control`, returns a `Reply`; an exception becomes a refusal.
    """

    def __init__(
        self, handle: Callable[[Control], Reply], host: str = LOOPBACK, port: int = 0, curve: Curve | None = None
    ) -> None:
        self._handle = handle
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST)
        try:
            secure(self._socket, host, curve, listens=True)
            self._socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            self._socket.close(0)
            raise NvscopeError(f"cannot listen on {host}:{port} for control requests: {error}") from error
        except BaseException:
            self._socket.close(0)
            raise
        endpoint: Any = self._socket.getsockopt(zmq.LAST_ENDPOINT)
        self.endpoint: str = endpoint.decode().rstrip("\0")
        self._serving = True
        self._thread = threading.Thread(target=self._serve, name="nvscope-control", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._serving:
            if not self._socket.poll(_POLL):
                continue
            parts = self._socket.recv_multipart()
            self._socket.send(msgspec.json.encode(self._answer(parts)))
        self._socket.close()

    def _answer(self, parts: list[bytes]) -> Reply:
        try:
            if len(parts) != 1:
                return Reply(False, "a request is one JSON object in one frame")
            return self._handle(_requests.decode(parts[0]))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Reply(False, f"not understood: {error}")
        except Exception as error:  # the socket must go on answering
            return Reply(False, f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Stop answering."""
        self._serving = False
        self._thread.join(2.0)


def ask(endpoint: str, request: Control, timeout: float = 5.0, curve: Curve | None = None) -> Reply:
    """Send one request and return the reply.

    Raises
    ------
    NvscopeError
        If nobody answers within `timeout` wall seconds.
    """
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
    try:
        socket.setsockopt(zmq.LINGER, 0)
        secure(socket, host_of(endpoint), curve, listens=False)
        socket.connect(endpoint)
        socket.send(msgspec.json.encode(request))
        if not socket.poll(int(timeout * 1000)):
            raise NvscopeError(f"the run at {endpoint} did not answer within {timeout:g} s; has it ended?")
        return _replies.decode(socket.recv())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NvscopeError(f"{endpoint} answered something that is not a reply: {error}") from error
    finally:
        socket.close()


def introducing(handle: Callable[[Control], Reply], info: RunInfo) -> Callable[[Control], Reply]:
    """Return `handle` with `info` added to its answers to ``status``: for whoever cannot read where a run announces."""

    def answer(request: Control) -> Reply:
        reply = handle(request)
        return msgspec.structs.replace(reply, about=info) if request.verb == "status" else reply

    return answer


def whereabouts(endpoint: str, curve: Curve | None, timeout: float = 3.0) -> RunInfo:
    """Ask the run whose control socket is at `endpoint`, on whatever computer, what it is and where it is seen.

    Raises
    ------
    NvscopeError
        If nobody answers in time, or nothing is published there.
    """
    about = ask(endpoint, Control("status"), timeout, curve).about
    if about is None:
        raise NvscopeError(f"the run at {endpoint} does not say where it can be watched")
    # it knows the port it listens on, and we the name by which its computer is reached from here
    seen = f"tcp://{host_of(endpoint)}:{about.viewers.rpartition(':')[2]}"
    return msgspec.structs.replace(about, control=endpoint, viewers=seen)


def registry() -> Path:
    """Return the folder in which running runs announce themselves; ``NVSCOPE_STATE`` overrides the user's own."""
    override = os.environ.get("NVSCOPE_STATE")
    base = Path(override) if override else Path(platformdirs.user_state_dir("nvscope", appauthor=False))
    return base / "running"


def announce(info: RunInfo) -> Path:
    """Announce a running run; returns the file to remove when it ends."""
    folder = registry()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{info.pid}-{info.run}.json"
    temporary = path.with_suffix(".new")
    temporary.write_bytes(msgspec.json.encode(info))
    temporary.replace(path)
    return path


def running() -> list[RunInfo]:
    """Return the runs that answer now, newest first; what is left of dead ones is removed."""
    found = []
    for path in sorted(registry().glob("*.json"), key=_age, reverse=True):
        try:
            info = msgspec.json.decode(path.read_bytes(), type=RunInfo)
            ask(info.control, Control("status"), timeout=1.0)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            continue
        except NvscopeError:
            path.unlink(missing_ok=True)
            continue
        found.append(info)
    return found


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
