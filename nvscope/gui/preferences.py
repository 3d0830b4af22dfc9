"""What a window remembers: layout, theme, levels; in a file of the user's, or another for tests."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
from PySide6.QtCore import QByteArray, QSettings

VERSION = 2
"""Of the layout; another version's is not restored."""


def default_path() -> Path:
    """Return the file; ``NVSCOPE_WINDOW`` overrides the user's own."""
    override = os.environ.get("NVSCOPE_WINDOW")
    if override:
        return Path(override)
    return Path(platformdirs.user_config_dir("nvscope", appauthor=False)) / "window.ini"


class Preferences:
    """Small facts in an INI file; None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._settings = None if path is None else QSettings(str(path), QSettings.Format.IniFormat)

    def text(self, key: str, default: str = "") -> str:
        """Return a text."""
        if self._settings is None:
            return default
        value = self._settings.value(key, default)
        return value if isinstance(value, str) else default

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return numbers; none if what is there is not."""
        try:
            return tuple(float(part) for part in self.text(key).split(";") if part)
        except ValueError:
            return ()

    def blob(self, key: str) -> QByteArray | None:
        """Return bytes as Qt made them."""
        value = None if self._settings is None else self._settings.value(key)
        return value if isinstance(value, QByteArray) else None

    def set(self, key: str, value: str | QByteArray) -> None:
        """Remember a text or bytes."""
        if self._settings is not None:
            self._settings.setValue(key, value)

    def set_numbers(self, key: str, values: tuple[float, ...]) -> None:
        """Remember numbers; none forgets them."""
        # semicolons: QSettings would read back a list after commas
        self.set(key, ";".join(repr(float(value)) for value in values))

    def save(self) -> None:
        """Write the file."""
        if self._settings is not None:
            self._settings.sync()
