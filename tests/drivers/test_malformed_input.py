"""Malformed, oversized and binary input to every simulated instrument: answered or ignored, never fatal."""

import random
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hammer import VOCABULARY, build, hammer, messages
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.catalogue import MODELS


@pytest.mark.parametrize("model", sorted(MODELS))
@settings(derandomize=True, max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(rng=st.randoms(use_true_random=False))
def test_a_short_conversation_of_nonsense(model: str, rng: random.Random) -> None:
    hammer(model, 20, rng)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_a_long_conversation_of_nonsense(model: str) -> None:
    assert hammer(model, 1000, random.Random(2)).messages == 1000


@pytest.mark.parametrize("model", sorted(MODELS))
def test_nonsense_over_a_socket_leaves_the_server_well(model: str) -> None:
    world = BenchWorld()
    stream = messages(random.Random(3), VOCABULARY.get(model, ()))
    with Host(world.timeline) as host:
        server = host.serve(build(model, world))
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", server.port), timeout=5.0) as client:
                for _ in range(20):
                    client.sendall(next(stream))
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
        assert server.crashes == 0
