"""Every simulated instrument takes as many clients as the real one, and serves the next when one leaves."""

import socket
import time

import pytest
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hammer import build
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.catalogue import MODELS
from nvscope_simulators.tcp import TcpServer


def wait_until(server: TcpServer, connections: int) -> None:
    deadline = time.monotonic() + 10.0
    while server.connections != connections and time.monotonic() < deadline:
        time.sleep(0.005)
    assert server.connections == connections


@pytest.mark.parametrize("model", sorted(MODELS))
def test_one_client_too_many_is_turned_away(model: str) -> None:
    world = BenchWorld()
    with Host(world.timeline) as host:
        instrument = build(model, world)
        server = host.serve(instrument, banner_delay=0.0)
        where = ("127.0.0.1", server.port)
        clients = [socket.create_connection(where, timeout=5.0) for _ in range(instrument.max_connections)]
        wait_until(server, len(clients))
        with socket.create_connection(where, timeout=5.0) as unwanted:
            assert unwanted.recv(100) == b""
        assert server.refused == 1
        clients.pop().close()
        wait_until(server, len(clients))
        clients.append(socket.create_connection(where, timeout=5.0))
        wait_until(server, len(clients))
        for client in clients:
            client.close()
        assert 1 <= instrument.max_connections <= 8
