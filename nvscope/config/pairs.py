"""Tables written on the command line: ``key=value`` pairs separated by commas."""

from __future__ import annotations

from nvscope.errors import ConfigError

__all__ = ["parse_pairs"]


def parse_pairs(text: str, option: str) -> dict[str, str]:
    """Read ``"instrument=laser, kind=interlock, at=60 s"`` as one table of a TOML file would be.

    Parameters
    ----------
    text : str
        The pairs; a value may hold anything but a comma.
    option : str
        The command-line option it came from, for messages (``"--fault"``).

    Raises
    ------
    ConfigError
        If a part is not ``key=value``, or a key comes twice.
    """
    table: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key:
            raise ConfigError(f"{option} {text!r}: {part.strip()!r} is not key=value")
        if key in table:
            raise ConfigError(f"{option} {text!r}: {key} is given twice")
        table[key] = value
    return table
