"""Where compiled kernels are kept.

numba keeps machine code beside a module and looks only at that module's age: a kernel that calls one of another module
would go on with the old one after an update. So our kernels are kept in a folder named after all their sources. It lies
in the package, in the user's cache folder, or, where neither can be written, in a private temporary one; numba alone
would raise there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numba
import platformdirs

__all__ = ["kernel_cache"]

_PACKAGE = Path(__file__).parent
_FORGOTTEN = 14 * 86400.0  # s after which folders of other versions are removed


@contextlib.contextmanager
def kernel_cache() -> Iterator[Path]:
    """Let kernels imported inside be kept in, and loaded from, a folder of their own; yields it."""
    folder = _choose() / f"kernels-{_fingerprint()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        _forget_others(folder)
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        yield folder
    finally:
        numba.config.CACHE_DIR = before


def _fingerprint() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(_PACKAGE.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _choose() -> Path:
    given = os.environ.get("NUMBA_CACHE_DIR")
    wanted = [Path(given)] if given else []
    wanted += [_PACKAGE / "__pycache__", Path(platformdirs.user_cache_dir("nvscope", appauthor=False))]
    for folder in wanted:
        if _can_write(folder):
            return folder
    return _private_folder()


def _can_write(folder: Path) -> bool:
    """Whether a file can be made in `folder`, creating the folder if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _private_folder() -> Path:
    """Return a temporary folder that is this user's alone: cached code is loaded and run."""
    owner = os.getuid() if hasattr(os, "getuid") else None
    folder = Path(tempfile.gettempdir()) / (f"nvscope-{owner}" if owner is not None else "nvscope")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if owner is None or (
            stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not stat.S_IMODE(found.st_mode) & 0o077
        ):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="nvscope-"))


def _forget_others(folder: Path) -> None:
    for other in folder.parent.glob("kernels-*"):
        if other != folder and time.time() - other.stat().st_mtime > _FORGOTTEN:
            shutil.rmtree(other, ignore_errors=True)
