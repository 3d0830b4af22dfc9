"""The card on the network: NI's gRPC device interface, to which the official Python package talks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar

import grpc
import grpc.aio
from nidaqmx._stubs import nidaqmx_pb2

from nvscope_simulators.nidaqmx_card import (
    events,
    rpc_analog,
    rpc_attributes,
    rpc_channels,
    rpc_config,
    rpc_read,
    rpc_system,
    rpc_tasks,
    rpc_write,
    sessions,
)
from nvscope_simulators.nidaqmx_card.card import Card, NISettings
from nvscope_simulators.nidaqmx_card.errors import DAQmxError
from nvscope_simulators.nidaqmx_card.rpc import Fields, Handler, missing
from nvscope_simulators.world.interface import World

SERVICE = "nidaqmx_grpc.NiDAQmx"
MAX_CALLS = 64
"""Calls served at once; a further one is refused with RESOURCE_EXHAUSTED."""

__all__ = ["NIDAQmxServer", "NISettings"]

_log = logging.getLogger(__name__)


class NIDAQmxServer:
    """An X-series card served over gRPC on the lab's event loop.

    Parameters
    ----------
    world : World
    settings : NISettings
    """

    model: ClassVar[str] = "NI X-series"

    def __init__(self, world: World, settings: NISettings) -> None:
        self.card = Card(world, settings)
        self.crashes = 0
        self._answering = asyncio.Event()
        self._answering.set()
        self._listeners: list[Callable[[str], None]] = []
        self._server: grpc.aio.Server | None = None
        self._handlers: dict[str, Handler] = {
            **rpc_attributes.handlers(),
            **rpc_tasks.HANDLERS,
            **rpc_channels.HANDLERS,
            **rpc_config.HANDLERS,
            **rpc_read.HANDLERS,
            **rpc_write.HANDLERS,
            **rpc_analog.HANDLERS,
            **rpc_system.HANDLERS,
            **events.HANDLERS,
        }

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Start serving; returns the port."""
        options = [("grpc.so_reuseport", 0)]
        server = grpc.aio.server(options=options, maximum_concurrent_rpcs=MAX_CALLS)
        server.add_generic_rpc_handlers((self._service(), sessions.service(self.card)))
        bound = server.add_insecure_port(f"{host}:{port}")
        await server.start()
        self._server = server
        return int(bound)

    async def stop(self) -> None:
        """End all calls and tasks."""
        for task in list(self.card.tasks.values()):
            self.card.clear(task)
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None

    def set_hung(self, on: bool) -> None:
        """Answer no call until this is taken back; what was called meanwhile is done then, unless given up."""
        if on:
            self._answering.clear()
        else:
            self._answering.set()

    def listen(self, listener: Callable[[str], None]) -> None:
        """Have `listener` told the name of every call before it is answered."""
        self._listeners.append(listener)

    def lose_pulses(self, count: int) -> None:
        """Let the next `count` pulses vanish in the cables."""
        self.card.spoil_pulses(count, 0)

    def double_pulses(self, count: int) -> None:
        """Let the next `count` pulses arrive twice."""
        self.card.spoil_pulses(count, 2)

    def _service(self) -> grpc.GenericRpcHandler:
        methods = {}
        for method in nidaqmx_pb2.DESCRIPTOR.services_by_name["NiDAQmx"].methods:
            request = getattr(nidaqmx_pb2, method.input_type.name)
            response = getattr(nidaqmx_pb2, method.output_type.name)
            make = (
                (grpc.unary_stream_rpc_method_handler, self._stream)
                if method.server_streaming
                else (grpc.unary_unary_rpc_method_handler, self._unary)
            )
            methods[method.name] = make[0](
                make[1](method.name, request, response),
                response_serializer=response.SerializeToString,
            )
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _unary(self, name: str, request_type: Any, response: Any) -> Callable[[Any, Any], Awaitable[Any]]:
        handler = self._handlers.get(name, _not_modelled(name))

        async def call(data: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            for listener in self._listeners:
                listener(name)
            await self._answering.wait()
            request = await _parse(name, request_type, data, context)
            try:
                fields = handler(self.card, request)
                if not isinstance(fields, dict):
                    fields = await fields
                return response(**fields)
            except Exception as error:
                await self._refuse(name, error, context)

        return call

    def _stream(self, name: str, request_type: Any, response: Any) -> Callable[[Any, Any], AsyncIterator[Any]]:
        register = events.STREAMS[name]

        async def call(data: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            for listener in self._listeners:
                listener(name)
            await self._answering.wait()
            request = await _parse(name, request_type, data, context)
            try:
                stream = register(self.card, request)
            except Exception as error:
                await self._refuse(name, error, context)
                return
            # clients take the initial metadata for "registered"
            await context.send_initial_metadata(())
            async for fields in stream:
                yield response(**fields)

        return call

    async def _refuse(self, name: str, error: Exception, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """End a call the way NI's server does: the error code in trailing metadata, the text in the details."""
        if isinstance(error, DAQmxError):
            await context.abort(grpc.StatusCode.UNKNOWN, str(error), (("ni-error", str(error.code)),))
        if isinstance(error, rpc_tasks.SessionError):
            code = grpc.StatusCode.ALREADY_EXISTS if error.exists else grpc.StatusCode.FAILED_PRECONDITION
            await context.abort(code, str(error))
        self.crashes += 1
        _log.exception("the simulated card failed on %s", name, exc_info=error)
        await context.abort(grpc.StatusCode.INTERNAL, f"{name}: {type(error).__name__}: {error}")


async def _parse(name: str, request_type: Any, data: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
    try:
        return request_type.FromString(data)
    except Exception as error:  # protobuf's own kind, which has no type hints
        await context.abort(grpc.StatusCode.INTERNAL, f"cannot read the request of {name}: {error}")


def _not_modelled(name: str) -> Handler:
    def handler(card: Card, request: Any) -> Fields:
        raise missing(f"the call {name}")

    return handler
