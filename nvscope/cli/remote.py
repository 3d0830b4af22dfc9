"""Options about other computers: where a run listens, and where a run on another computer is found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nvscope.errors import ConfigError

if TYPE_CHECKING:
    from nvscope.engine.listen import Listen
    from nvscope.stream.security import Curve

ListenOption = Annotated[
    str | None,
    typer.Option(
        help="Also be controlled from other computers on this HOST:PORT, and watched on the port above; needs --key."
    ),
]
ListenKeyOption = Annotated[Path | None, typer.Option(help="Key file for --listen (nvscope keys).")]
AtOption = Annotated[
    str | None, typer.Option("--at", help="Where a run on another computer listens, HOST:PORT; needs --key.")
]
KeyOption = Annotated[Path | None, typer.Option("--key", help="Key file of that run (nvscope keys).")]

_MOST_PORT = 65534


def listening(address: str | None, key: Path | None) -> Listen | None:
    """Read ``--listen`` and ``--key``; raises `ConfigError` saying what is missing."""
    from nvscope.engine.listen import Listen

    if address is None:
        if key is not None:
            raise ConfigError(f"--key {key}: belongs to --listen HOST:PORT, which is not given")
        return None
    host, port, curve = _place(address, key, "--listen")
    if port > _MOST_PORT:
        raise ConfigError(f"--listen {address}: the port above it is taken too, so at most {_MOST_PORT}")
    return Listen(host, port, curve)


def elsewhere(address: str, key: Path | None) -> tuple[str, Curve]:
    """Read ``--at`` and ``--key``: the control socket of a run on another computer, and its key."""
    host, port, curve = _place(address, key, "--at")
    return f"tcp://{host}:{port}", curve


def _place(address: str, key: Path | None, option: str) -> tuple[str, int, Curve]:
    from nvscope.stream.keys import read_keys
    from nvscope.stream.security import host_of

    if key is None:
        raise ConfigError(f"{option} {address}: needs --key; make one with: nvscope keys lab.toml")
    endpoint = address if "://" in address else f"tcp://{address}"
    try:
        host = host_of(endpoint)
    except ConfigError as error:
        raise ConfigError(f"{option} {address}: write it as HOST:PORT, for example 192.168.1.20:5570") from error
    return host, int(endpoint.rpartition(":")[2]), read_keys(key)
