"""Calls and bytes no client sends: the simulated card answers each as NI's server would, and goes on."""

from __future__ import annotations

import socket

import grpc
import nidaqmx
import numpy as np
import pytest
from nidaqmx import GrpcSessionOptions
from nidaqmx._stubs import nidaqmx_pb2, nidaqmx_pb2_grpc
from nvscope_simulators.nidaqmx_hammer import hammer


@pytest.mark.parametrize("seed", [1, 2])
def test_random_calls_are_answered_or_refused_in_words_a_client_understands(lab, card, edges, seed):
    outcome = lab.call(hammer(card, lab.world, card.port, 1000, seed), timeout=120.0)
    assert outcome.unclean == []
    assert card.crashes == 0
    assert outcome.answers["OK"] > 100
    assert len(outcome.answers) > 15
    with grpc.insecure_channel(f"127.0.0.1:{card.port}") as channel:
        options = GrpcSessionOptions(channel, "")
        nidaqmx.system.Device("Dev1", grpc_options=options).reset_device()
        edges.clear()
        with nidaqmx.Task(grpc_options=options) as task:
            task.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=100.0)
            task.timing.cfg_implicit_timing(samps_per_chan=3)
            task.start()
            lab.advance(1.0)
    assert len(edges) == 3


def test_bytes_that_are_not_grpc_and_messages_that_are_too_long(card, options):
    rng = np.random.default_rng(5)
    for k in range(50):
        with socket.create_connection(("127.0.0.1", card.port), timeout=5.0) as raw:
            preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if k % 2 else b""
            raw.sendall(preface + rng.bytes(int(rng.integers(1, 4000))))
    with grpc.insecure_channel(f"127.0.0.1:{card.port}") as channel:
        stub = nidaqmx_pb2_grpc.NiDAQmxStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.WriteDigitalLines(nidaqmx_pb2.WriteDigitalLinesRequest(write_array=bytes(5_000_000)), timeout=10.0)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        garbage = channel.unary_unary("/nidaqmx_grpc.NiDAQmx/StartTask", lambda data: data, lambda data: data)
        with pytest.raises(grpc.RpcError) as caught:
            garbage(b"\xff" * 100, timeout=10.0)
        assert caught.value.code() == grpc.StatusCode.INTERNAL
        unknown = channel.unary_unary("/nidaqmx_grpc.NiDAQmx/NoSuchCall", lambda data: data, lambda data: data)
        with pytest.raises(grpc.RpcError) as caught:
            unknown(b"", timeout=10.0)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert nidaqmx.system.System.remote(grpc_options=options).devices.device_names == ["Dev1"]
