"""What was moved by hand: the journals of runs do not tell what such a sample has been through.

One small file in the user's state folder holds, by the address of the instrument, when (wall time) it was last moved.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

from nvscope.stream.control import registry

_MOST = 1000
"""Addresses remembered; the oldest are forgotten, long after any history could still connect to them."""


def mark(addresses: Iterable[str]) -> None:
    """Note that these instruments are being moved by hand now.

    Raises
    ------
    OSError
        If it cannot be written down; then nothing must be moved.
    """
    known = _read()
    now = time.time()
    known.update(dict.fromkeys(addresses, now))
    newest = dict(sorted(known.items(), key=lambda item: item[1])[-_MOST:])
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(newest), encoding="utf-8")
    temporary.replace(path)


def last_touched(addresses: Iterable[str]) -> float:
    """Return when any of these was last moved by hand (s since the epoch), minus infinity if none ever was."""
    known = _read()
    return max((known[address] for address in addresses if address in known), default=-float("inf"))


def _path() -> Path:
    return registry().parent / "by-hand.json"


def _read() -> dict[str, float]:
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
        return {str(address): float(when) for address, when in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
