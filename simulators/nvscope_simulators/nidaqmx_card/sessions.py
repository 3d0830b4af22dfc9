"""The session service of NI's gRPC device server: which devices there are, and resetting the server."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import session_pb2

from nvscope_simulators.nidaqmx_card.card import Card
from nvscope_simulators.nidaqmx_card.model import PRODUCT_TYPE

SERVICE = "nidevice_grpc.SessionUtilities"


def service(card: Card) -> grpc.GenericRpcHandler:
    """Return the service; reservations are not kept, as one client at a time is the rule here."""

    async def enumerate_devices(request: Any, context: Any) -> Any:
        device = session_pb2.DeviceProperties(
            name=card.model.device,
            model=f"NI {PRODUCT_TYPE}",
            vendor="National Instruments",
            serial_number=f"{card.settings.serial:X}",
        )
        return session_pb2.EnumerateDevicesResponse(devices=[device])

    async def reset_server(request: Any, context: Any) -> Any:
        for task in list(card.tasks.values()):
            card.clear(task)
        return session_pb2.ResetServerResponse(is_server_reset=True)

    calls: dict[str, tuple[Any, Any, Any]] = {
        "EnumerateDevices": (
            enumerate_devices,
            session_pb2.EnumerateDevicesRequest,
            session_pb2.EnumerateDevicesResponse,
        ),
        "ResetServer": (reset_server, session_pb2.ResetServerRequest, session_pb2.ResetServerResponse),
    }
    methods = {
        name: grpc.unary_unary_rpc_method_handler(
            function, request_deserializer=request.FromString, response_serializer=response.SerializeToString
        )
        for name, (function, request, response) in calls.items()
    }
    return grpc.method_handlers_generic_handler(SERVICE, methods)
