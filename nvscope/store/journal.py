"""The journal: one JSON object a line, appended and flushed, never rewritten.

Every line has ``time`` (seconds since the epoch, this computer's clock), ``source`` ("run" or "recorder"), ``kind``,
``rig_time`` (s, or null) and ``data``. What the recorder writes about blocks is what makes them count.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

_encoder = msgspec.json.Encoder()


class JournalLine(msgspec.Struct, frozen=True):
    """One line of the journal."""

    time: float
    source: Literal["run", "recorder"]
    kind: str
    rig_time: float | None
    data: dict[str, Any]


_decoder = msgspec.json.Decoder(JournalLine)


class Journal:
    """Appends to a journal; one writer at a time."""

    def __init__(self, path: Path, wall_time: Callable[[], float] = time.time) -> None:
        self._wall_time = wall_time
        self._file = path.open("ab", buffering=0)
        self._end = self._file.seek(0, os.SEEK_END)
        self._torn = self._end > 0 and _last_byte(path) != b"\n"

    def append(
        self,
        kind: str,
        data: dict[str, Any],
        *,
        rig_time: float | None = None,
        source: Literal["run", "recorder"] = "recorder",
        durable: bool = False,
    ) -> None:
        """Write one line; `durable` waits until it would survive a power cut.

        Raises
        ------
        OSError
            If it cannot be written whole; what was written of it is taken back or left as a torn line, which readers
            skip.
        """
        line = _encoder.encode(JournalLine(self._wall_time(), source, kind, rig_time, data)) + b"\n"
        if self._torn:
            # a writer that died left half a line: end it, so that ours is whole
            line = b"\n" + line
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes could be written to the journal")
            if durable:
                os.fsync(self._file.fileno())
        except OSError:
            self._take_back()
            raise
        self._torn = False
        self._end += len(line)

    def _take_back(self) -> None:
        try:
            self._file.truncate(self._end)
        except OSError:
            self._torn = True

    def close(self) -> None:
        """Put everything on disk and close."""
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


def read_journal(path: Path) -> tuple[list[JournalLine], int]:
    """Read a journal, also one that is being written or was torn.

    Returns
    -------
    lines : list of JournalLine
        Every whole line, in order.
    damaged : int
        How many other lines there are; a last line without its end is not counted, it is being written.
    """
    if not path.is_file():
        return [], 0
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    lines: list[JournalLine] = []
    damaged = 0
    for text in whole.split(b"\n"):
        if not text:
            continue
        try:
            lines.append(_decoder.decode(text))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            damaged += 1
    return lines, damaged


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
