"""Tasks: channels, properties and the state machine of NI-DAQmx."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from nidaqmx.constants import AcquisitionType, EveryNSamplesEventType, SampleTimingType, Signal, TriggerType

from nvscope_simulators.nidaqmx_card import tables
from nvscope_simulators.nidaqmx_card.channels import Channel, Engine, Stream
from nvscope_simulators.nidaqmx_card.errors import STOPPED_BEFORE_DONE, Code, DAQmxError
from nvscope_simulators.nidaqmx_card.names import expand
from nvscope_simulators.nidaqmx_card.properties import PropertySet
from nvscope_simulators.nidaqmx_card.triggers import StartTrigger

if TYPE_CHECKING:
    from nvscope_simulators.nidaqmx_card.card import Card

MAX_CHANNELS = 64


class State(IntEnum):
    """States of the NI-DAQmx task model, in the order a task goes through them."""

    UNVERIFIED = 0
    VERIFIED = 1
    RESERVED = 2
    COMMITTED = 3
    RUNNING = 4


class Task:
    """One task."""

    def __init__(self, name: str, card: Card) -> None:
        self.name = name
        self.card = card
        self.channels: list[Channel] = []
        self.state = State.UNVERIFIED
        self._resting = State.UNVERIFIED
        self._finished = asyncio.Event()
        self._finished.set()
        self._reserved: list[str] = []
        self.streams: dict[str, Stream] = {}
        self.sample_interval = 0
        self.engine: Engine | None = None
        self.groups: dict[str, PropertySet] = {}
        self._trigger: StartTrigger | None = None

    # ------------------------------------------------------------------ description

    @property
    def kind(self) -> int:
        """NI's number for the type of its channels; 0 while there are none."""
        return self.channels[0].kind if self.channels else 0

    @property
    def running(self) -> bool:
        """Whether it is in the running state (done or not)."""
        return self.state is State.RUNNING

    @property
    def done(self) -> bool:
        """Whether nothing is going on."""
        return self._finished.is_set()

    def properties(self, group: str) -> PropertySet:
        """Return a group of properties: ``timing``, ``trigger``, ``export``, ``buffer``, ``read`` or ``write``."""
        if not self.channels:
            raise self.error(Code.CAN_NOT_PERFORM_OP_WHEN_NO_CHANS_IN_TASK)
        if group not in self.groups:
            table = {
                "timing": lambda: tables.timing(self.kind),
                "trigger": lambda: tables.trigger(self.kind),
                "export": lambda: tables.export(self.kind),
                "buffer": lambda: tables.buffer(self.kind),
                "read": tables.read,
                "write": tables.write,
            }[group]()
            self.groups[group] = PropertySet(table, self, {"Task_Name": self.name})
        return self.groups[group]

    @property
    def sample_clock_terminal(self) -> str:
        """The terminal its sample clock comes from."""
        source = self.properties("timing")["SAMP_CLK_SRC"]
        return str(source or self.card.onboard_clock(self.kind))

    @property
    def start_trigger_terminal(self) -> str:
        """The terminal its start trigger appears on."""
        return self.card.start_trigger(self.kind)

    @property
    def timing_type(self) -> int:
        """How samples are timed (NI's number)."""
        return int(self.properties("timing")["SAMP_TIMING_TYPE"])

    @property
    def on_demand(self) -> bool:
        """Whether nothing but calls times the samples."""
        return self.timing_type == SampleTimingType.ON_DEMAND.value

    @property
    def continuous(self) -> bool:
        """Whether it goes on until stopped."""
        return bool(self.properties("timing")["SAMP_QUANT_SAMP_MODE"] == AcquisitionType.CONTINUOUS.value)

    @property
    def samples(self) -> int:
        """Samples per channel asked for."""
        return int(self.properties("timing")["SAMP_QUANT_SAMP_PER_CHAN"])

    def error(self, code: Code, **details: object) -> DAQmxError:
        """Return an error that names this task."""
        return DAQmxError(code, **details, Task_Name=self.name)

    def channel(self, name: str) -> Channel:
        """Return one channel by name."""
        for channel in self.channels:
            if channel.name.lower() == name.lower():
                return channel
        raise self.error(Code.VIRTUAL_CHAN_DOES_NOT_EXIST, Channel_Name=name[:80])

    def select(self, names: str) -> list[Channel]:
        """Return the channels of a list; all of them for an empty one."""
        if not self.channels:
            raise self.error(Code.CAN_NOT_PERFORM_OP_WHEN_NO_CHANS_IN_TASK)
        if not names.strip():
            return list(self.channels)
        known = [c for c in self.channels if c.name.lower() == names.strip().lower()]
        found = known or [self.channel(name) for name in expand(names)]
        if not found:
            raise self.error(Code.VIRTUAL_CHAN_DOES_NOT_EXIST, Channel_Name=names[:80])
        return found

    def add(self, channel: Channel, engine: Callable[[Task], Engine]) -> None:
        """Add a channel; all channels of a task are of one type."""
        if self.state > State.VERIFIED:
            raise self.error(Code.CANNOT_CREATE_CHANNEL_AFTER_TASK_VERIFIED)
        if self.channels and channel.kind != self.kind:
            raise self.error(Code.MULTI_CHAN_TYPES_IN_TASK)
        if any(channel.name.lower() == other.name.lower() for other in self.channels):
            raise self.error(Code.CHAN_ALREADY_IN_TASK, Channel_Name=channel.name)
        if len(self.channels) >= MAX_CHANNELS:
            raise self.error(Code.TOO_MANY_CHANS)
        self.channels.append(channel)
        self.state = State.UNVERIFIED
        if self.engine is None:
            self.engine = engine(self)

    # ------------------------------------------------------------------ state machine

    def _need_engine(self) -> Engine:
        if self.engine is None:
            raise self.error(Code.CAN_NOT_PERFORM_OP_WHEN_NO_CHANS_IN_TASK)
        return self.engine

    def reach(self, state: State) -> None:
        """Go up to `state` (at most committed), through the states between."""
        engine = self._need_engine()
        if self.state < State.VERIFIED <= state:
            engine.verify()
            self._trigger = StartTrigger(self)
            self._trigger.verify()
            self._exports()
            self.state = State.VERIFIED
        if self.state < State.RESERVED <= state:
            exports = [terminal for _, terminal in self._exports()]
            self._reserved = self.card.reserve(self, [*engine.resources(), *exports])
            self.state = State.RESERVED
        if self.state < State.COMMITTED <= state:
            engine.commit()
            for source, terminal in self._exports():
                self.card.wiring.connect(source, terminal)
            self.state = State.COMMITTED

    def _exports(self) -> list[tuple[str, str]]:
        """Return the routes of its exported trigger and clock: source and destination terminals."""
        properties, routes = self.properties("export"), []
        sources = {
            "START_TRIG_OUTPUT_TERM": self.start_trigger_terminal,
            "SAMP_CLK_OUTPUT_TERM": self.sample_clock_terminal,
        }
        for name, source in sources.items():
            if name in properties:
                routes += [(source, self.card.check_destination(text)) for text in expand(properties[name])]
        return routes

    def _release(self) -> None:
        self._need_engine().release()
        for source, terminal in self._exports():
            self.card.wiring.disconnect(source, terminal)

    def unreserve(self) -> None:
        """Give everything back."""
        if self.running:
            raise self.error(Code.CAN_NOT_PERFORM_OP_WHILE_TASK_RUNNING)
        if self.state >= State.COMMITTED:
            self._release()
        self.card.release(self._reserved)
        self._reserved = []
        self.state = min(self.state, State.VERIFIED)

    def changed(self) -> None:
        """Forget the verification after a property changed."""
        if self.state is State.VERIFIED:
            self.state = State.UNVERIFIED

    def start(self) -> None:
        """Start: verify, reserve and commit as needed, then wait for the trigger or begin."""
        if self.running:
            raise self.error(Code.CAN_NOT_PERFORM_OP_WHILE_TASK_RUNNING)
        engine = self._need_engine()
        self._resting = max(self.state, State.VERIFIED)
        before = self.state
        try:
            self.reach(State.COMMITTED)
            engine.ready()
        except DAQmxError:
            if before < State.RESERVED <= self.state:
                self.unreserve()
            raise
        self.state = State.RUNNING
        if engine.timed:
            self._finished.clear()
        assert self._trigger is not None
        self._trigger.arm(self._begin)

    def _begin(self) -> None:
        self.card.wiring.pulse(self.start_trigger_terminal)
        self._need_engine().begin()

    def finish(self, status: int = 0) -> None:
        """The engine has made everything it was asked for."""
        if self._trigger is not None and self._trigger.rearm():
            return
        if not self._finished.is_set():
            self._finished.set()
            self._tell("done", {"status": status})

    def stop(self) -> int:
        """Stop; returns 0, or the warning that a finite task had not finished."""
        if not self.running:
            return 0
        early = not self.done and not self._need_engine().endless
        self._halt()
        self.state = State.COMMITTED
        if self._resting < State.COMMITTED:
            self._release()
            self.state = State.RESERVED
        if self._resting < State.RESERVED:
            self.unreserve()
        return STOPPED_BEFORE_DONE if early else 0

    def _halt(self) -> None:
        if self._trigger is not None:
            self._trigger.disarm()
        self._need_engine().stop()
        self._finished.set()

    def abort(self) -> None:
        """Stop and give everything back, whatever the state."""
        if self.running:
            self._halt()
            self.state = State.COMMITTED
        if self.engine is not None and self.state > State.VERIFIED:
            self.unreserve()
        self.state = min(self.state, State.VERIFIED)

    def _tell(self, key: str, fields: dict[str, Any]) -> None:
        stream = self.streams.get(key)
        if stream is not None:
            stream.send(fields)

    def signal(self, which: int) -> None:
        """A hardware event occurred; tell whoever registered for it."""
        self._tell(f"signal {which}", {"signal_id": which})

    def sampled(self, before: int, after: int, kind: int = EveryNSamplesEventType.ACQUIRED_INTO_BUFFER.value) -> None:
        """Samples were acquired or generated; tell whoever registered for every N of them, and for each of them."""
        if self.sample_interval:
            fields = {
                "every_n_samples_event_type": kind,
                "every_n_samples_event_type_raw": kind,
                "n_samples": self.sample_interval,
            }
            for _ in range(after // self.sample_interval - before // self.sample_interval):
                self._tell(f"samples {kind}", fields)
        if f"signal {Signal.SAMPLE_COMPLETE.value}" in self.streams:
            for _ in range(after - before):
                self.signal(Signal.SAMPLE_COMPLETE.value)

    async def wait(self, timeout: float) -> None:
        """Wait (wall time) until done.

        Raises
        ------
        DAQmxError
            -200560 when `timeout` seconds have passed; negative waits for ever, until the client gives up.
        """
        if math.isnan(timeout):
            raise self.error(Code.INVALID_TIMEOUT_VAL, Requested_Value=timeout)
        self._need_engine()
        if self.done:
            return
        if timeout == 0:
            raise self.error(Code.WAIT_UNTIL_DONE_DOES_NOT_INDICATE_DONE)
        try:
            await asyncio.wait_for(self._finished.wait(), None if timeout < 0 else min(timeout, 1e8))
        except TimeoutError:
            raise self.error(Code.WAIT_UNTIL_DONE_DOES_NOT_INDICATE_DONE) from None

    def digital_edge(self, name: str) -> Any:
        """Whether the trigger `name` (``START`` or ``ARM_START``) is a digital edge."""
        properties = self.properties("trigger")
        key = f"{name}_TRIG_TYPE"
        return key in properties and properties[key] == TriggerType.DIGITAL_EDGE.value
