"""What every simulated instrument is to the server that puts it on a socket."""

from __future__ import annotations

from typing import ClassVar, Protocol


class HangUp(Exception):
    """Raised by a session to have its connection closed, as some instruments do after hours."""


class Session(Protocol):
    """One client's connection: bytes in, bytes out.

    A session of an instrument that answers late has in addition ``attach(send)``; the server calls it with a function
    that sends bytes, and with None when the client has gone.
    """

    def receive(self, data: bytes) -> bytes:
        """Take whatever arrived and return what the instrument answers; keeps a bounded rest, raises only `HangUp`."""
        ...


class SimulatedInstrument(Protocol):
    """An instrument on a TCP port. State lives here and outlives connections; parsing lives in its sessions."""

    model: ClassVar[str]
    max_connections: int

    def open_session(self) -> tuple[bytes, Session]:
        """Accept a connection: the banner (often empty) and its session."""
        ...
