"""Hammer the simulated NI card with calls no client makes: it must neither break nor hang.

``python -m nvscope_simulators.nidaqmx_hammer --messages 100000`` does it at length.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from nidaqmx._stubs import nidaqmx_pb2

from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.nidaqmx_server import SERVICE, NIDAQmxServer, NISettings
from nvscope_simulators.ports import Ports
from nvscope_simulators.timeline import Timeline
from nvscope_simulators.world.interface import World

_DEADLINE = 10.0
"""Wall seconds given to one call."""
_WAITING_DEADLINE = 0.03
"""The same for calls that wait for something, which they may do for ever."""
_SLOW = 2.0
"""Wall seconds after which a call that does not wait counts as a hang."""

_WAITING = ("Wait", "Read", "Register", "BeginRead", "BeginWait")
_STRINGS = (
    *("", "Dev1", "Dev2", "Dev1/ctr0", "Dev1/ctr1", "Dev1/ctr0:3", "Dev1/port0", "Dev1/port0/line0:7", "Dev1/port2"),
    *("Dev1/port1/line0", "Dev1/freqout", "Dev1/ai0", "/Dev1/PFI12", "PFI0", "/Dev1/Ctr0InternalOutput"),
    *(
        "/Dev1/do/SampleClock",
        "/Dev1/100MHzTimebase",
        "OnboardClock",
        "/Dev1/PFI0, /Dev1/PFI1",
        "Dev1/port0/line0:99999",
    ),
    *(
        "Dev1/ctr0:",
        ":",
        ",,,,",
        "../..",
        "\0",
        "\n",
        "µ",
        "x" * 5000,
        "Dev1/ctr0:999999999999",
        "Dev1/ctr" + "9" * 400,
    ),
)
_INTEGERS = (0, 1, 2, 3, 8, 100, -1, -2, 2**31 - 1, -(2**31), 10178, 10123, 10388, 10451, 10390, 10192, 10214, 10280)
_FLOATS = (0.0, 1.0, 0.5, 10.0, 1e3, 1e5, 1e9, -1.0, 1e-12, 1e300, float("inf"), float("-inf"), float("nan"), 0.01)
_SENSIBLE: dict[str, tuple[dict[str, Any], ...]] = {
    "CreateTask": ({"session_name": "a"}, {"session_name": "b"}, {"session_name": "c"}),
    "CreateCOPulseChanFreq": (
        *(
            {"counter": f"Dev1/ctr{n}", "units_raw": 10373, "idle_state_raw": 10214, "freq": f, "duty_cycle": 0.5}
            for n, f in ((0, 1e3), (1, 50.0), (2, 1e6))
        ),
    ),
    "CreateCOPulseChanTime": (
        {"counter": "Dev1/ctr3", "units_raw": 10364, "idle_state_raw": 10192, "low_time": 0.01, "high_time": 0.02},
    ),
    "CreateDOChan": ({"lines": "Dev1/port0/line0:3"}, {"lines": "Dev1/port1", "line_grouping_raw": 1}),
    "CreateDIChan": ({"lines": "Dev1/port0/line0:3"}, {"lines": "Dev1/port0", "line_grouping_raw": 1}),
    "CreateCICountEdgesChan": ({"counter": "Dev1/ctr1", "edge_raw": 10280, "count_direction_raw": 10128},),
    "CreateCIPulseChanTime": ({"counter": "Dev1/ctr2", "units_raw": 10364, "min_val": 1e-6, "max_val": 1.0},),
    "CreateAIVoltageChan": (
        {
            "physical_channel": "Dev1/ai0:2",
            "terminal_config_raw": -1,
            "min_val": -5.0,
            "max_val": 5.0,
            "units_raw": 10348,
        },
    ),
    "CreateAOVoltageChan": ({"physical_channel": "Dev1/ao0:1", "min_val": -10.0, "max_val": 10.0, "units_raw": 10348},),
    "ReadAnalogF64": ({"num_samps_per_chan": 5, "timeout": 0.01, "array_size_in_samps": 100},),
    "ReadAnalogWaveforms": ({"num_samps_per_chan": -1, "timeout": 0.01, "waveform_attribute_mode_raw": 3},),
    "WriteAnalogF64": ({"num_samps_per_chan": 2, "timeout": 1.0, "write_array": [0.0, 1.0, 2.0, 3.0]},),
    "CfgImplicitTiming": tuple({"sample_mode_raw": mode, "samps_per_chan": 20} for mode in (10178, 10123)),
    "CfgSampClkTiming": tuple(
        {"source": source, "rate": 1e3, "active_edge_raw": 10280, "sample_mode_raw": 10178, "samps_per_chan": 20}
        for source in ("", "/Dev1/Ctr0InternalOutput", "/Dev1/PFI1")
    ),
    "CfgDigEdgeStartTrig": ({"trigger_source": "/Dev1/PFI1", "trigger_edge_raw": 10280},),
    "ConnectTerms": ({"source_terminal": "/Dev1/Ctr0InternalOutput", "destination_terminal": "/Dev1/PFI1"},),
    "DisconnectTerms": ({"source_terminal": "/Dev1/Ctr0InternalOutput", "destination_terminal": "/Dev1/PFI1"},),
    "ExportSignal": ({"signal_id_raw": 12494, "output_terminal": "/Dev1/PFI5"},),
    "StartTask": ({}, {}, {}),
    "StopTask": ({},),
    "TaskControl": tuple({"action_raw": action} for action in range(7)),
    "ClearTask": ({},),
    "IsTaskDone": ({},),
    "WaitUntilTaskDone": ({"time_to_wait": 0.01}, {"time_to_wait": -1.0}),
    "WriteDigitalLines": ({"num_samps_per_chan": 1, "auto_start": True, "timeout": 1.0, "write_array": b"\1\0\1\0"},),
    "WriteDigitalU32": ({"num_samps_per_chan": 20, "timeout": 1.0, "write_array": range(20)},),
    "WriteCtrFreq": ({"num_samps_per_chan": 2, "timeout": 1.0, "frequency": [1e3, 2e3], "duty_cycle": [0.5, 0.2]},),
    "WriteCtrTimeScalar": ({"timeout": 1.0, "high_time": 0.1, "low_time": 0.2},),
    "ReadDigitalU32": ({"num_samps_per_chan": 1, "timeout": 0.01, "array_size_in_samps": 100},),
    "ReadCounterU32": ({"num_samps_per_chan": -1, "timeout": 0.01, "array_size_in_samps": 100},),
    "ReadCtrTime": ({"num_samps_per_chan": 1, "timeout": 0.01, "array_size_in_samps": 100},),
    "RegisterDoneEvent": ({},),
    "RegisterSignalEvent": ({"signal_id_raw": 12494},),
    "SetTrigAttributeBool": ({"attribute_raw": 0x190F, "value": True},),
    "GetWriteAttributeUInt64": ({"attribute_raw": 0x192B},),
}
"""Calls that get the card into states, where random ones hardly ever would; each is sent whole or damaged."""


@dataclass
class Outcome:
    """What came of it.

    Attributes
    ----------
    answers : Counter
        Answers by status and NI error code.
    unclean : list of str
        Answers that are neither a success nor a refusal a client understands.
    slowest : float
        Wall seconds of the slowest call that does not wait.
    """

    answers: Counter[str] = field(default_factory=Counter)
    unclean: list[str] = field(default_factory=list)
    slowest: float = 0.0


class RequestMaker:
    """Makes random requests, reproducible from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._methods = {m.name: m for m in nidaqmx_pb2.DESCRIPTOR.services_by_name["NiDAQmx"].methods}

    def call(self) -> tuple[Any, Any]:
        """Return a method's description and a request for it."""
        pick = self._random
        if pick.random() < 0.25:
            method = self._methods[pick.choice(sorted(self._methods))]
            return method, self._message(getattr(nidaqmx_pb2, method.input_type.name)())
        method = self._methods[pick.choice(sorted(_SENSIBLE))]
        request = getattr(nidaqmx_pb2, method.input_type.name)(**pick.choice(_SENSIBLE[method.name]))
        if "task" in request.DESCRIPTOR.fields_by_name:
            request.task.name = pick.choice("abc")
        if pick.random() < 0.3:
            damaged = self._message(type(request)())
            entry = pick.choice(request.DESCRIPTOR.fields)
            request.ClearField(entry.name)
            request.MergeFrom(_only(damaged, entry.name))
        return method, request

    def pause(self) -> float:
        """Return rig seconds to let pass after a call."""
        return self._random.choice((0.0, 0.0, 0.0, 1e-3, 0.05))

    def _message(self, message: Any) -> Any:
        for entry in message.DESCRIPTOR.fields:
            if self._random.random() < 0.15:
                continue
            if entry.is_repeated:
                count = self._random.choice((0, 1, 2, 8, 100))
                values = getattr(message, entry.name)
                for _ in range(count):
                    if entry.message_type is None:
                        values.append(self._scalar(entry))
                    elif not entry.message_type.GetOptions().map_entry:
                        values.add()
            elif entry.message_type is None:
                setattr(message, entry.name, self._scalar(entry))
            elif entry.name == "task":
                message.task.name = self._random.choice(("a", "b", "c", "", "gone"))
        return message

    def _scalar(self, entry: Any) -> Any:
        pick = self._random
        kind = entry.cpp_type
        if entry.name == "session_name":
            return pick.choice(("a", "b", "c", "", "x" * 1000, "\0"))
        if entry.enum_type is not None:
            return pick.choice([value.number for value in entry.enum_type.values])
        if kind == entry.CPPTYPE_STRING:
            if entry.type == entry.TYPE_BYTES:
                return pick.randbytes(pick.choice((0, 1, 4, 8, 32, 1000)))
            return pick.choice(_STRINGS)
        if kind == entry.CPPTYPE_BOOL:
            return pick.random() < 0.5
        if kind in (entry.CPPTYPE_DOUBLE, entry.CPPTYPE_FLOAT):
            return pick.choice(_FLOATS)
        value = pick.choice(_INTEGERS)
        if entry.name in ("timeout", "n_samples"):
            value = abs(value)
        unsigned = kind in (entry.CPPTYPE_UINT32, entry.CPPTYPE_UINT64)
        return abs(value) % 2**32 if unsigned else value


def _only(message: Any, name: str) -> Any:
    """Return a message with one field of another."""
    for entry in message.DESCRIPTOR.fields:
        if entry.name != name:
            message.ClearField(entry.name)
    return message


async def hammer(server: NIDAQmxServer, world: World, port: int, messages: int, seed: int) -> Outcome:
    """Send `messages` random calls to a running server, letting rig time pass in between."""
    maker, outcome = RequestMaker(seed), Outcome()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(messages):
            method, request = maker.call()
            began = time.monotonic()
            answer = await _answer(channel, method, request)
            took = time.monotonic() - began
            if not method.name.startswith(_WAITING):
                outcome.slowest = max(outcome.slowest, took)
                if took > _SLOW or answer == "DEADLINE_EXCEEDED":
                    outcome.unclean.append(f"{method.name}: {took:.1f} s for {str(request)[:200]!r}")
            if answer.split()[0] not in ("OK", "NI", "ALREADY_EXISTS", "FAILED_PRECONDITION", "DEADLINE_EXCEEDED"):
                outcome.unclean.append(f"{method.name}: {answer} for {str(request)[:200]!r}")
            outcome.answers[answer] += 1
            await world.timeline.advance(world.timeline.now + maker.pause(), wait=False)
    return outcome


async def _answer(channel: grpc.aio.Channel, method: Any, request: Any) -> str:
    path = f"/{SERVICE}/{method.name}"
    response = getattr(nidaqmx_pb2, method.output_type.name)
    try:
        if method.server_streaming:
            stream = channel.unary_stream(path, type(request).SerializeToString, response.FromString)
            call = stream(request, timeout=_WAITING_DEADLINE)
            await call.initial_metadata()
            await call.read()
        else:
            unary = channel.unary_unary(path, type(request).SerializeToString, response.FromString)
            await unary(request, timeout=_WAITING_DEADLINE if method.name.startswith(_WAITING) else _DEADLINE)
    except grpc.aio.AioRpcError as error:
        codes = [str(value) for key, value in error.trailing_metadata() or () if key == "ni-error"]
        return f"NI {codes[0]}" if codes else error.code().name
    return "OK"


async def run(messages: int, seed: int) -> tuple[Outcome, int]:
    """Hammer a card of its own; returns what came of it and how often the card broke."""
    timeline, ports = Timeline(), Ports()
    world = BenchWorld(timeline, ports)
    server = NIDAQmxServer(world, NISettings())
    port = await server.start()
    try:
        outcome = await hammer(server, world, port, messages, seed)
    finally:
        await server.stop()
    return outcome, server.crashes


def main() -> None:
    """Run from the command line; exits with 1 if the card broke, hung or answered what no client understands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    outcome, crashes = asyncio.run(run(chosen.messages, chosen.seed))
    for answer, count in outcome.answers.most_common(30):
        print(f"{count:8d}  {answer}")
    print(f"slowest call {outcome.slowest:.3f} s, {crashes} crashes, {len(outcome.unclean)} unclean answers")
    for line in outcome.unclean[:20]:
        print(line)
    raise SystemExit(1 if crashes or outcome.unclean else 0)


if __name__ == "__main__":
    main()
