"""Ways to NI-DAQmx: the driver in this computer, or a gRPC device server, every call of which has a deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import grpc
import nidaqmx
import nidaqmx.errors
import nidaqmx.system
from nidaqmx.grpc_session_options import GrpcSessionOptions, SessionInitializationBehavior

from nvscope.errors import InstrumentError, InstrumentTimeout

SCHEME = "grpc://"


class Connection(Protocol):
    """Where tasks are made."""

    address: str
    device_name: str

    def device(self) -> Any:
        """Return nidaqmx's object for the card."""
        ...

    def driver_version(self) -> str:
        """Return the version of NI-DAQmx."""
        ...

    def task(self, name: str) -> Any:
        """Make a task."""
        ...

    def leftover(self, name: str) -> Any | None:
        """Return a task of this name that another process left behind, or None."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


def _version(system: Any) -> str:
    version = system.driver_version
    return f"{version.major_version}.{version.minor_version}.{version.update_version}"


class LocalConnection:
    """NI-DAQmx in this computer."""

    def __init__(self, device: str) -> None:
        self.address = "this computer"
        self.device_name = device

    def device(self) -> Any:
        """Return nidaqmx's object for the card."""
        return nidaqmx.system.Device(self.device_name)

    def driver_version(self) -> str:
        """Return the version of NI-DAQmx."""
        return _version(nidaqmx.system.System.local())

    def task(self, name: str) -> Any:
        """Make a task."""
        return nidaqmx.Task(name)

    def leftover(self, name: str) -> Any | None:
        """Return None: the driver clears the tasks of a process that ends."""
        return None

    def close(self) -> None:
        """Nothing to hang up."""


class _CallDetails(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: Any
    compression: Any


class DeadlineInterceptor(grpc.UnaryUnaryClientInterceptor):
    """Gives every call that has no deadline one; nidaqmx passes none, so a hung server would hang its caller.

    Parameters
    ----------
    timeout : float
        Wall seconds per call.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """Pass the call on with a deadline."""
        details = client_call_details
        timeout = details.timeout if details.timeout is not None else self._timeout
        return continuation(
            _CallDetails(
                details.method,
                timeout,
                details.metadata,
                details.credentials,
                details.wait_for_ready,
                details.compression,
            ),
            request,
        )


class GrpcConnection:
    """A gRPC device server.

    Parameters
    ----------
    address : str
        ``"grpc://HOST:PORT"``.
    device : str
        Name of the card on that computer.
    timeout : float
        Wall seconds per call, and for the connection.
    """

    def __init__(self, address: str, device: str, timeout: float) -> None:
        self.address = address
        self.device_name = device
        target = address.removeprefix(SCHEME)
        # calls in this process must not share a dead connection with an earlier session
        self._channel = grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])
        try:
            grpc.channel_ready_future(self._channel).result(timeout=timeout)
        except grpc.FutureTimeoutError:
            self._channel.close()
            raise InstrumentTimeout(
                f"no gRPC device server answered at {target} within {timeout:g} s; is it running there?"
            ) from None
        self._bounded = grpc.intercept_channel(self._channel, DeadlineInterceptor(timeout))

    def _options(self, name: str = "", behaviour: int = SessionInitializationBehavior.AUTO) -> GrpcSessionOptions:
        return GrpcSessionOptions(self._bounded, name, initialization_behavior=behaviour)

    def device(self) -> Any:
        """Return nidaqmx's object for the card."""
        return nidaqmx.system.Device(self.device_name, grpc_options=self._options())

    def driver_version(self) -> str:
        """Return the version of NI-DAQmx."""
        return _version(nidaqmx.system.System.remote(self._options()))

    def task(self, name: str) -> Any:
        """Make a task; a session of that name must not exist."""
        options = self._options(name, SessionInitializationBehavior.INITIALIZE_SERVER_SESSION)
        return nidaqmx.Task(name, grpc_options=options)

    def leftover(self, name: str) -> Any | None:
        """Return the session of this name, or None if there is none."""
        options = self._options(name, SessionInitializationBehavior.ATTACH_TO_SERVER_SESSION)
        try:
            return nidaqmx.Task(name, grpc_options=options)
        except nidaqmx.errors.RpcError as error:
            if error.rpc_code == grpc.StatusCode.FAILED_PRECONDITION:
                return None
            raise

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


def open_connection(address: str, device: str, timeout: float) -> Connection:
    """Connect to a gRPC device server (``grpc://HOST:PORT``) or to a card in this computer (its name)."""
    if address.startswith(SCHEME):
        return GrpcConnection(address, device, timeout)
    if "://" in address or not address:
        raise InstrumentError(f'cannot read the address {address!r} of an NI card; write "grpc://HOST:PORT" or "Dev1"')
    return LocalConnection(address)
