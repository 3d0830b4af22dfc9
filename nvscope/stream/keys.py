"""CURVE keys in files: one with both halves for the computer that listens, one to hand out."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import zmq

from nvscope.errors import ConfigError
from nvscope.stream.security import Curve


def make_keys(path: Path) -> Path:
    """Write a new key pair to `path`, readable by its owner only, and its public half beside it; returns the latter.

    Raises
    ------
    ConfigError
        If there is such a file already, or it cannot be written.
    """
    public, secret = (half.decode() for half in zmq.curve_keypair())
    shared = path.with_name(f"{path.stem}.public{path.suffix}")
    try:
        for file, text, mode in (
            (path, f'public = "{public}"\nsecret = "{secret}"\n', 0o600),
            (shared, f'public = "{public}"\n', 0o644),
        ):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(text)
    except FileExistsError:
        raise ConfigError(f"{file}: there is a key already; whoever uses it would be locked out") from None
    except OSError as error:
        raise ConfigError(f"{file}: {error}") from error
    return shared


def read_keys(path: Path) -> Curve:
    """Read a key file.

    Raises
    ------
    ConfigError
        If it cannot be read, or holds no key.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not a key file: {error}") from error
    public, secret = found.get("public"), found.get("secret")
    if not isinstance(public, str) or not isinstance(secret, str | None) or found.keys() - {"public", "secret"}:
        raise ConfigError(f"{path}: a key file holds `public` and, where a run listens, `secret`; see `nvscope keys`")
    return Curve(public, secret)
