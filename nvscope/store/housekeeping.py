"""``history.csv``: temperature, field, powers … on rig time, one row a reading, SI throughout.

The header is fixed by the first row; a column that turns up later is added at the right, by rewriting the file whole,
so that any program that reads CSV reads every row. Empty means unknown.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nvscope.store.files import write_whole

RIG_TIME = "rig_time"
WALL_TIME = "wall_time"


class HistoryTable:
    """Appends rows to ``history.csv``; one writer at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: list[str] = []
        if path.is_file() and path.stat().st_size:
            rows = _rows(path)
            # a writer that died may have left half a row; it must not grow into a wrong one
            write_whole(path, _csv(rows))
            self._columns = rows[0] if rows else []

    def append(self, rig_time: float, wall_time: float, values: Mapping[str, float | None]) -> None:
        """Write one row: rig time (s), wall time (s since the epoch), and SI values by column.

        Raises
        ------
        OSError
            If it cannot be written whole; rows written before are intact.
        """
        new = [name for name in values if name not in self._columns]
        if new or not self._columns:
            self._widen([*(self._columns or [RIG_TIME, WALL_TIME]), *new])
        row = {RIG_TIME: rig_time, WALL_TIME: wall_time, **values}
        data = _csv([[_cell(row.get(name)) for name in self._columns]])
        with self._path.open("ab", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                written = file.write(data)
                if written != len(data):
                    raise OSError(f"only {written} of {len(data)} bytes could be written to {self._path.name}")
            except OSError:
                file.truncate(end)
                raise

    def _widen(self, columns: list[str]) -> None:
        rows = _rows(self._path)[1:] if self._columns else []
        missing = [""] * (len(columns) - len(self._columns))
        write_whole(self._path, _csv([columns, *([*row, *missing] for row in rows)]))
        self._columns = columns


def read_history(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read the table, also one that is being written; NaN where unknown, no columns if there is no file.

    Rows that are damaged are left out; without a header there is no table.
    """
    if not path.is_file():
        return {}
    rows = _rows(path, errors="replace")
    if not rows or RIG_TIME not in rows[0]:
        return {}
    body = np.array([numbers for row in rows[1:] if (numbers := _numbers(row)) is not None], np.float64)
    body = body.reshape(-1, len(rows[0]))
    return {name: body[:, column] for column, name in enumerate(rows[0])}


def _rows(path: Path, errors: str = "strict") -> list[list[str]]:
    """Return header and whole rows; a last line without its end is being written."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    text = whole.decode("utf-8", errors).replace("\0", "")
    rows = list(csv.reader(io.StringIO(text)))
    return [row for row in rows if len(row) == len(rows[0])]


def _numbers(row: list[str]) -> list[float] | None:
    try:
        return [float(cell or "nan") for cell in row]
    except ValueError:
        return None


def _cell(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")
