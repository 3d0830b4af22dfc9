"""Where sockets may listen: loopback, or anywhere with a CURVE key."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

import zmq

from nvscope.errors import ConfigError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Curve:
    """CURVE keys (Z85 text, as `zmq.curve_keypair` makes them) for sockets beyond this computer.

    Attributes
    ----------
    public
        The listening side's public key; whoever holds it may connect, so hand it out like a password.
    secret
        The listening side's secret key; only that side has it.
    """

    public: str
    secret: str | None = None


def secure(socket: zmq.Socket[bytes], host: str, curve: Curve | None, *, listens: bool) -> None:
    """Set a socket's keys, or refuse an address that needs them.

    Raises
    ------
    ConfigError
        If `host` is not loopback and there is no key, or the key is incomplete or malformed.
    """
    if curve is None:
        if not _is_loopback(host):
            raise ConfigError(
                f"{host}: streams leave this computer only encrypted; configure a CURVE key pair or use {LOOPBACK}"
            )
        return
    if not zmq.has("curve"):
        raise ConfigError("this ZeroMQ has no CURVE; install pyzmq's own wheel or stay on loopback")
    try:
        if listens:
            if curve.secret is None:
                raise ConfigError(f"{host}: the listening side needs the CURVE secret key")
            if zmq.curve_public(curve.secret.encode()) != curve.public.encode():
                raise ConfigError(f"{host}: the CURVE public and secret keys do not belong together")
            socket.curve_server = True
            socket.curve_secretkey = curve.secret.encode()
            return
        public, secret = zmq.curve_keypair()
        socket.curve_publickey = public
        socket.curve_secretkey = secret
        socket.curve_serverkey = curve.public.encode()
    except (zmq.ZMQError, ValueError) as error:
        raise ConfigError(f"{host}: a CURVE key is 40 characters of Z85 ({error})") from error


def host_of(endpoint: str) -> str:
    """Return the host of ``tcp://host:port``.

    Raises
    ------
    ConfigError
        If the endpoint is not of that form.
    """
    try:
        parts = urlsplit(endpoint)
        if parts.scheme == "tcp" and parts.hostname and parts.port:
            return parts.hostname
    except ValueError:
        pass
    raise ConfigError(f"{endpoint!r} is not an endpoint; expected for example tcp://{LOOPBACK}:5555")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
