"""Files that are whole or not there: atomic replacement, durability, one writer at a time."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from nvscope.errors import DataError

_REPLACE_PATIENCE = 2.0
"""Wall seconds to wait for a reader to let go of a file: Windows does not replace a file that is open."""

PARTIAL = ".partial"
"""How the name of a file ends that is not whole yet."""

_RETRY = 0.02
"""Wall seconds between attempts to take a lock that another process holds."""


def need_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, before hours of work for it.

    Raises
    ------
    DataError
        If a file cannot be made there.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path} cannot be written: {error.strerror or error}; see that it is there, that you may write it and that "
        "its disk is not full, or work on a copy elsewhere"
    )


def write_whole(path: Path, *buffers: bytes | memoryview, durable: bool = True) -> None:
    """Write a file so that others see all of it or what was there before.

    Parameters
    ----------
    path
        Where; its folder exists.
    *buffers
        What, one after another.
    durable
        Whether it must survive a power cut once this returns.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is intact.
    """
    temporary = path.with_name(f"{path.name}{PARTIAL}")
    try:
        with temporary.open("wb") as file:
            for buffer in buffers:
                file.write(buffer)
            if durable:
                sync(file)
        _replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def _replace(temporary: Path, path: Path) -> None:
    deadline = time.monotonic() + _REPLACE_PATIENCE
    while True:
        try:
            temporary.replace(path)
            return
        except PermissionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def sync(file: IO[bytes]) -> None:
    """Put a file's content on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Put a folder's list of files on the disk, where the system can (Windows does so by itself)."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class WriteLock:
    """The right to write a run directory, held by one process at a time and lost when that process ends, however.

    Parameters
    ----------
    folder
        The run directory.
    patience
        Wall seconds to wait for another process that holds it.
    name
        Of the file that is locked: what the right is to, if not to all.

    Raises
    ------
    DataError
        If another process holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path, patience: float = 0.0, name: str = ".writer") -> None:
        try:
            self._file = (folder / name).open("a+b")
        except OSError as error:
            raise _unwritable(folder, error) from error
        deadline = time.monotonic() + patience
        while True:
            try:
                _lock(self._file)
                return
            except OSError as error:
                if time.monotonic() >= deadline:
                    self._file.close()
                    raise DataError(
                        f"{folder} is being written by another process; wait for that run or refit to end, or end "
                        "its recorder"
                    ) from error
            time.sleep(_RETRY)

    def release(self) -> None:
        """Give the lock back."""
        self._file.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
