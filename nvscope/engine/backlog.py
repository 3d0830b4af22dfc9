"""Small messages that wait for room at their reader, in order and without holding up whoever says them."""

from __future__ import annotations

from collections import deque

from nvscope.errors import DataError
from nvscope.stream.messages import Message
from nvscope.stream.sockets import Packed, Sender, pack

__all__ = ["Backlog"]

_MOST = 10_000


class Backlog:
    """What one sender could not say yet; for one thread.

    Parameters
    ----------
    sender : Sender
        Lossless.
    reader : str
        Who does not read if too much waits, for the error message.
    """

    def __init__(self, sender: Sender, reader: str) -> None:
        self._sender = sender
        self._reader = reader
        self._waiting: deque[Packed] = deque()

    def post(self, message: Message) -> None:
        """Say it when everything before it has been said; raises `DataError` if 10 000 messages wait."""
        if len(self._waiting) >= _MOST:
            raise DataError(f"{self._reader} has not taken {_MOST} messages; is its disk full or very slow?")
        self._waiting.append(pack(message))
        self.flush()

    def flush(self) -> bool:
        """Say what there is room for; returns whether that was all."""
        while self._waiting and self._sender.try_send_parts(self._waiting[0]):
            self._waiting.popleft()
        return not self._waiting

    def flush_blocking(self, timeout: float) -> None:
        """Say everything, waiting up to `timeout` wall seconds for each; raises `StreamBlocked`."""
        while self._waiting:
            self._sender.send_parts(self._waiting[0], timeout=timeout)
            self._waiting.popleft()
