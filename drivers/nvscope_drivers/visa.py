"""The one place where VISA sessions are opened, and the rules that keep them honest.

- Every read, write and open has a wall-clock limit, whatever the other end does.
- After a time-out, a broken connection or an answer nobody asked for, the session is discarded and the next call opens
  a new one: the late reply of one query can never be taken for the answer to the next. Nothing is ever "cleared".
- Failures are `InstrumentError` or `InstrumentTimeout`, naming the model, the address and the command.

`VisaAdapter` is a PyMeasure adapter, so any PyMeasure `Instrument` class works on it. One thread at a time uses it.
"""

from __future__ import annotations

import logging
import select
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

import pyvisa
from pymeasure.adapters import Adapter

from nvscope.errors import InstrumentError, InstrumentTimeout

__all__ = ["VisaAdapter"]

_log = logging.getLogger(__name__)

MAX_REPLY = 1 << 22
_CHUNK = 4096  # pyvisa-py sends blocks of this size and waits for each without a limit; we wait first
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.4  # s between attempts to open


class VisaAdapter(Adapter):
    r"""A VISA session that survives its instrument.

    Parameters
    ----------
    address : str
        VISA resource name, for example ``TCPIP::192.168.0.5::5025::SOCKET`` or ``ASRL3::INSTR``.
    model : str
        What is expected there; used in messages.
    timeout : float
        Wall seconds within which an instrument has to be reached, to answer, or to take a message.
    read_termination, write_termination : str
        Terminators; an empty `read_termination` is for protocols that count bytes.
    on_open : callable, optional
        Called with this adapter after every successful open: reads a banner, for example.
    library : str
        VISA library, pyvisa-py by default.
    **options
        Further attributes of the pyvisa resource (``baud_rate=115200``).

    Attributes
    ----------
    opened : int
        How many sessions have been opened; more than one means that the connection was lost.

    Notes
    -----
    Read every reply before the next write: unread bytes at a write mean that the conversation is out of step, and the
    session is replaced. To pipeline, put several commands in one message.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        timeout: float = 2.0,
        read_termination: str = "\r\n",
        write_termination: str = "\n",
        on_open: Callable[[VisaAdapter], None] | None = None,
        library: str = "@py",
        **options: Any,
    ) -> None:
        self.connection: Any = None
        super().__init__()
        self.address = address
        self.model = model
        self.timeout = timeout
        self.opened = 0
        self._read_termination = read_termination
        self._write_termination = write_termination
        self._on_open = on_open
        self._library = library
        self._options = options
        self._last_command = ""
        self._closed = False
        self._open()

    def __repr__(self) -> str:
        return f"<VisaAdapter {self.model} at {self.address}>"

    def close(self) -> None:
        """Close the session for good; harmless when closed."""
        self._closed = True
        self.discard()

    def discard(self) -> None:
        """Drop the session now; the next call opens a new one."""
        connection, self.connection = getattr(self, "connection", None), None
        if connection is not None:
            try:
                connection.close()
            except Exception as error:  # a broken session may fail to close in any way; it is gone either way
                _log.debug("%s: closing a broken session: %s", self, error)

    def flush_read_buffer(self) -> None:
        """Discard unread input by discarding the session."""
        self.discard()

    # -- writing

    def _write(self, command: str, **kwargs: Any) -> None:
        self._last_command = command if len(command) < 60 else command[:57] + "..."
        try:
            content = (command + self._write_termination).encode("latin-1")
        except UnicodeEncodeError as error:
            raise InstrumentError(f"{self._who}: {command!r} has characters no instrument understands") from error
        self._send(content)

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        self._last_command = repr(content[:40])
        self._send(content)

    def _send(self, content: bytes) -> None:
        connection = self._in_step()
        link = _socket_of(connection)
        deadline = time.monotonic() + self.timeout
        try:
            for start in range(0, len(content), _CHUNK):
                if link is not None and not select.select([], [link], [], max(0.0, deadline - time.monotonic()))[1]:
                    self._time_out("did not take", None)
                connection.write_raw(content[start : start + _CHUNK])
        except (OSError, pyvisa.Error) as error:
            self._broken(error)

    # -- reading

    def _read(self, **kwargs: Any) -> str:
        raw = self._receive(None, self._read_termination[-1:].encode("latin-1"))
        try:
            return raw.decode("ascii").rstrip("\r\n")
        except UnicodeDecodeError as error:
            self.discard()
            raise InstrumentError(f"{self._who}: garbled reply to {self._last_command!r}: {raw[:40]!r}") from error

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        end = self._read_termination[-1:].encode("latin-1") if break_on_termchar else b""
        return self._receive(count if count >= 0 else None, end)

    def _receive(self, count: int | None, end: bytes) -> bytes:
        """Read `count` bytes, or up to `end`; with neither, whatever comes until nothing has come for the time-out."""
        if self.connection is None:
            raise InstrumentError(f"{self._who}: nothing has been asked since the session was lost")
        connection, link = self.connection, _socket_of(self.connection)
        deadline = time.monotonic() + self.timeout
        reply = bytearray()
        try:
            while not ((count is not None and len(reply) >= count) or (end and reply.endswith(end))):
                wanted = MAX_REPLY - len(reply) if count is None else count - len(reply)
                if wanted <= 0:
                    self.discard()
                    raise InstrumentError(f"{self._who}: endless reply to {self._last_command!r}")
                if link is not None:
                    ready = _available(connection, link, max(0.0, deadline - time.monotonic()))
                    if ready == 0:
                        if count is None and not end:
                            return bytes(reply)
                        self._time_out("did not answer", bytes(reply))
                    reply += _read_raw(connection, min(ready, wanted))
                elif count is None and end:
                    return bytes(connection.read_raw())
                else:
                    reply += _read_raw(connection, wanted)
        except pyvisa.VisaIOError as error:
            if error.error_code == pyvisa.constants.StatusCode.error_timeout:
                self._time_out("did not answer", bytes(reply), error)
            self._broken(error)
        except OSError as error:
            self._broken(error)
        return bytes(reply)

    # -- sessions

    def _in_step(self) -> Any:
        """Return a session with nothing unread in it, opening one if need be."""
        if self._closed:
            raise InstrumentError(f"{self._who}: the session has been closed")
        connection = self.connection
        if connection is not None:
            link = _socket_of(connection)
            try:
                if link is None or _available(connection, link, 0.0) == 0:
                    return connection
                _log.warning("%s: bytes nobody asked for; opening a new session", self)
            except OSError as error:
                _log.warning("%s: connection lost between two commands (%s); opening a new one", self, error)
            self.discard()
        self._open()
        return self.connection

    def _open(self) -> None:
        deadline = time.monotonic() + self.timeout
        pause = _FIRST_PAUSE
        while True:
            try:
                self.connection = self._connect(max(0.1, deadline - time.monotonic()))
                break
            except Exception as error:  # pyvisa-py raises bare Exception when it cannot connect
                if time.monotonic() + pause > deadline:
                    raise InstrumentError(
                        f"{self._who}: cannot connect: {error}; is it switched on, is the address right, and is no "
                        "other program holding its connection?"
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self.opened += 1
        if self._on_open is not None:
            self._on_open(self)

    def _connect(self, patience: float) -> Any:
        manager = pyvisa.ResourceManager(self._library)
        resource: Any = manager.open_resource(self.address, open_timeout=int(1000 * patience), **self._options)
        try:
            resource.timeout = 1000 * self.timeout
            if self._read_termination:
                resource.read_termination = self._read_termination
            link = _socket_of(resource)
            if link is not None:
                # a refused port shows only here: pyvisa-py takes any answer of the network for a connection
                refused = link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if refused:
                    raise OSError(refused, f"connection refused (error {refused})")
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else write-then-query costs 44 ms
                link.settimeout(self.timeout)
        except BaseException:
            resource.close()
            raise
        return resource

    @property
    def _who(self) -> str:
        return f"{self.model} at {self.address}"

    def _time_out(self, what: str, partial: bytes | None, cause: Exception | None = None) -> NoReturn:
        self.discard()
        got = f" (only {partial[:40]!r} came)" if partial else ""
        raise InstrumentTimeout(
            f"{self._who} {what} {self._last_command!r} within {self.timeout:g} s{got}; "
            "the session has been discarded and the next call opens a new one"
        ) from cause

    def _broken(self, error: Exception) -> NoReturn:
        self.discard()
        raise InstrumentError(f"{self._who}: connection lost at {self._last_command!r}: {error}") from error


def _read_raw(resource: Any, count: int) -> bytes:
    with resource.ignore_warning(pyvisa.constants.StatusCode.success_max_count_read):
        return bytes(resource.visalib.read(resource.session, count)[0])


def _socket_of(resource: Any) -> socket.socket | None:
    """Return the socket under a pyvisa-py session; None for other transports and libraries."""
    sessions = getattr(resource.visalib, "sessions", None)
    if not isinstance(sessions, dict):
        return None
    link = getattr(sessions.get(resource.session), "interface", None)
    return link if isinstance(link, socket.socket) else None


def _available(resource: Any, link: socket.socket, patience: float) -> int:
    """Return how many bytes can be read now, waiting up to `patience` (s) for the first; raises if the peer has closed.

    pyvisa-py cannot tell a closed connection from silence and burns a core until its time-out; looking first does.
    """
    pending = len(getattr(resource.visalib.sessions[resource.session], "_pending_buffer", b""))
    if pending:
        return pending
    if not select.select([link], [], [], patience)[0]:
        return 0
    waiting = len(link.recv(65536, socket.MSG_PEEK))
    if waiting == 0:
        raise ConnectionError("the instrument closed the connection (or is at its limit of connections)")
    return waiting
