"""Micro-Manager's core, imported so that the rest of the program does not notice.

Importing pymmcore-plus sets the level of the root logger, and fails where it cannot keep a log file in the user's home.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus
    from pymmcore_plus.experimental.unicore import UniMMCore

__all__ = ["dispose_core", "make_core"]


def _library() -> Any:
    root = logging.getLogger()
    level = root.level
    try:
        try:
            import_module("pymmcore_plus")
        except OSError:
            os.environ["PYMM_LOG_FILE"] = str(Path(tempfile.gettempdir()) / "nvscope-micromanager.log")
        return import_module("pymmcore_plus.experimental.unicore")
    finally:
        root.setLevel(level)


def make_core(folder: str | None) -> UniMMCore:
    """Return a new core that takes compiled and Python devices.

    Parameters
    ----------
    folder : str or None
        Where the compiled device adapters are; None looks for an installed Micro-Manager.
    """
    core: UniMMCore = _library().UniMMCore(mm_path=folder)
    return core


def dispose_core(core: CMMCorePlus) -> None:
    """Unload all devices and let go of the core's callback, without which it may abort the interpreter at its exit."""
    with contextlib.suppress(Exception):
        core.unloadAllDevices()
    library = import_module("pymmcore_plus")
    with contextlib.suppress(Exception):
        super(library.CMMCorePlus, core).registerCallback(None)
