"""Faults on purpose: what goes wrong in a simulated lab; reproducible from a seed.

A rig file lists them as ``[[faults]]``, the command line as ``--fault "instrument=laser, kind=interlock, at=60 s"``:
see `nvscope.config.faults`; those of disk, computer and viewer are the run's own business. Wire faults disturb one
instrument's connection, trigger faults its trigger input, and the others happen inside the instrument
(`nvscope_simulators.instruments.troubles`).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nvscope.config.faults import HOST_KINDS, FaultSpec, Occasion, fault_specs
from nvscope.errors import ConfigError
from nvscope_simulators.instruments.base import SimulatedInstrument
from nvscope_simulators.instruments.troubles import TROUBLES
from nvscope_simulators.nidaqmx_server import NIDAQmxServer
from nvscope_simulators.ports import TriggerBus
from nvscope_simulators.tcp import Delivery, Faults, TcpServer
from nvscope_simulators.timeline import Timeline
from nvscope_simulators.world.cell import Cell, read_detail

WIRE_KINDS: Mapping[str, str] = {
    "drop": "the connection is cut and the message lost",
    "delay": "the reply comes `duration` (wall) late",
    "garble": "some bytes of the reply are wrong",
    "truncate": "only the first half of the reply comes, without its end",
    "stale": "the reply is the one before",
    "hang": "nothing is heard or answered for `duration` (wall), connections stay open",
    "refuse": "the connection is cut and new ones are turned away for `duration` (wall)",
    "command": "somebody else sends `detail` to the instrument",
}
"""For instruments on a TCP port."""
TRIGGER_KINDS: Mapping[str, str] = {
    "trigger-missed": "the instrument does not notice a trigger",
    "trigger-doubled": "the instrument takes one trigger for two",
}
"""For instruments with a trigger input."""
_TRIGGER = "trigger"
"""What a trigger says as an occasion."""
_LINE = re.compile(rb"[^\r\n]*[\r\n]+|[^\r\n]+")
_DEFAULT_DURATION = {"delay": 3.0, "hang": 3600.0, "refuse": 5.0}


class WireFaults(Faults):
    """The faults of one instrument that strike on its messages."""

    def __init__(self, occasions: Sequence[Occasion], strike: Callable[[Occasion], None]) -> None:
        self._occasions = occasions
        self._strike = strike
        self._deaf_until = 0.0
        self._closed_until = 0.0
        self._previous = b""

    def hang(self, seconds: float) -> None:
        """Hear and answer nothing for `seconds` (wall)."""
        self._deaf_until = time.monotonic() + seconds

    def refuse(self, seconds: float) -> None:
        """Turn new connections away for `seconds` (wall)."""
        self._closed_until = time.monotonic() + seconds

    def admits(self) -> bool:
        """Whether a new connection is let in."""
        return time.monotonic() >= self._closed_until

    def pieces(self, data: bytes) -> Sequence[bytes]:
        """Cut what arrived into lines, so that a command is an occasion however the network has joined it to others."""
        return _LINE.findall(data) if self._occasions else (data,)

    def exchange(self, message: bytes, process: Callable[[bytes], bytes]) -> Delivery:
        """Let the faults that strike on `message` do so."""
        if time.monotonic() < self._deaf_until:
            return Delivery(b"")
        text = message.decode("latin-1")
        for occasion in self._occasions:
            if occasion.spec.timed or not occasion.strikes(text):
                continue
            self._strike(occasion)
            kind = occasion.spec.kind
            if kind in ("drop", "refuse", "hang"):
                return Delivery(b"", close=kind != "hang")
            if kind in _ON_REPLY:
                return self._disturbed(occasion, process(message))
        reply = process(message)
        self._previous = reply or self._previous
        return Delivery(reply)

    def _disturbed(self, occasion: Occasion, reply: bytes) -> Delivery:
        previous, self._previous = self._previous, reply or self._previous
        kind = occasion.spec.kind
        if kind == "delay":
            return Delivery(reply, delay=_duration(occasion.spec))
        if kind == "garble":
            return Delivery(occasion.garbled(reply))
        if kind == "truncate":
            return Delivery(reply[: len(reply) // 2].rstrip(b"\r\n"))
        return Delivery(previous or reply)  # stale


_ON_REPLY = frozenset({"delay", "garble", "truncate", "stale"})


def _duration(spec: FaultSpec) -> float:
    return _DEFAULT_DURATION.get(spec.kind, 0.0) if spec.duration is None else spec.duration


class FaultPlan:
    """All faults of a lab.

    Parameters
    ----------
    faults : sequence of mappings
        ``[[faults]]`` of the rig and those of the command line.
    source : str
        The rig file, for messages.
    timeline : Timeline
        Rig time.
    triggers : TriggerBus
        The lab's trigger wires.
    seed : int
        Every fault draws from its own stream made of this seed and its place in the list.
    """

    def __init__(
        self, faults: Sequence[Mapping[str, Any]], source: str, timeline: Timeline, triggers: TriggerBus, seed: int
    ) -> None:
        self._occasions = [
            Occasion(spec, lambda: timeline.now, f"{seed}:{place}")
            for place, spec in enumerate(fault_specs(faults, source))
        ]
        self._source = source
        self._timeline = timeline
        self._triggers = triggers
        self._wires: dict[str, WireFaults] = {}
        self._servers: dict[str, TcpServer] = {}
        self._instruments: dict[str, Any] = {}
        self.struck: list[tuple[float, str, str]] = []
        """What happened: rig time (s), instrument, kind."""

    def wire(self, name: str) -> WireFaults:
        """Return the wire faults of the instrument called `name`, to be given to `serve_tcp`."""
        occasions = [o for o in self._occasions if o.spec.instrument == name and o.spec.kind not in TRIGGER_KINDS]
        self._wires[name] = WireFaults(occasions, self._strike)
        return self._wires[name]

    def attach(self, name: str, instrument: SimulatedInstrument | Any, server: TcpServer | None = None) -> None:
        """Say that `name` is being served: its timed faults are scheduled, its trigger input is disturbed.

        Raises
        ------
        ConfigError
            If a fault is of a kind that this instrument cannot have.
        """
        self._instruments[name] = instrument
        if server is not None:
            self._servers[name] = server
        for place, occasion in enumerate(self._occasions):
            if occasion.spec.instrument == name:
                self._check(place, occasion.spec, instrument, served=server is not None)
                if occasion.spec.kind in TRIGGER_KINDS:
                    if not self._triggers.wrap(instrument, self._disturb_trigger(occasion)):
                        raise ConfigError(f"{self._source}: faults[{place}]: {name!r} has no trigger input")
                elif occasion.spec.timed:
                    self._schedule(occasion, occasion.spec.at or 0.0)
                elif server is None:
                    self._watch(place, occasion, instrument)

    def check_names(self, known: Sequence[str]) -> None:
        """Raise `ConfigError` if a fault names an instrument that is not there."""
        for place, occasion in enumerate(self._occasions):
            if occasion.spec.instrument not in (*known, *HOST_KINDS):
                raise ConfigError(
                    f"{self._source}: faults[{place}].instrument: no instrument called "
                    f"{occasion.spec.instrument!r}; there are {', '.join((*known, *HOST_KINDS))}"
                )

    def _check(self, place: int, spec: FaultSpec, instrument: Any, *, served: bool) -> None:
        model = instrument.model
        triggered = () if isinstance(instrument, Cell) else TRIGGER_KINDS
        possible = {*(WIRE_KINDS if served else ()), *triggered, *TROUBLES.get(model, ())}
        if spec.kind not in possible:
            raise ConfigError(
                f"{self._source}: faults[{place}].kind: {model} cannot have {spec.kind!r}; "
                f"possible: {', '.join(sorted(possible))}"
            )
        if isinstance(instrument, Cell):
            if not spec.timed:
                raise ConfigError(
                    f"{self._source}: faults[{place}]: the cell hears no messages; say when with at alone"
                )
            try:
                read_detail(spec.kind, spec.detail)
            except ValueError as error:
                raise ConfigError(f"{self._source}: faults[{place}].detail: {error}") from None
        if spec.timed and spec.kind in _ON_REPLY and spec.at is not None:
            raise ConfigError(
                f"{self._source}: faults[{place}]: {spec.kind!r} strikes on a message; "
                'add command = "." for the next one'
            )

    def _schedule(self, occasion: Occasion, when: float) -> None:
        def strike() -> None:
            if occasion.strikes():
                self._strike(occasion)

        self._timeline.at(when, strike)

    def _watch(self, place: int, occasion: Occasion, instrument: Any) -> None:
        """Have a fault of an instrument without a TCP port strike on its calls (the card) or triggers (the camera)."""

        def strike(message: str) -> None:
            if occasion.strikes(message):
                self._strike(occasion)

        if isinstance(instrument, NIDAQmxServer):
            instrument.listen(strike)
            return

        def disturb(listener: Callable[[], None]) -> Callable[[], None]:
            def hear() -> None:
                strike(_TRIGGER)
                listener()

            return hear

        if not self._triggers.wrap(instrument, disturb):
            raise ConfigError(f"{self._source}: faults[{place}]: {occasion.spec.instrument!r} has no trigger input")

    def _disturb_trigger(self, occasion: Occasion) -> Callable[[Callable[[], None]], Callable[[], None]]:
        def disturb(listener: Callable[[], None]) -> Callable[[], None]:
            def hear() -> None:
                if not occasion.strikes(_TRIGGER):
                    listener()
                    return
                self._note(occasion)
                if occasion.spec.kind == "trigger-doubled":
                    listener()
                    listener()

            return hear

        return disturb

    def _note(self, occasion: Occasion) -> None:
        self.struck.append((self._timeline.now, occasion.spec.instrument, occasion.spec.kind))

    def _strike(self, occasion: Occasion) -> None:
        """Let a fault happen, as far as it is not a matter of one reply."""
        spec = occasion.spec
        self._note(occasion)
        if spec.kind in _ON_REPLY:
            return
        name, kind = spec.instrument, spec.kind
        if kind in ("drop", "refuse"):
            self._servers[name].drop_all()
        if kind == "refuse":
            self._wires[name].refuse(_duration(spec))
        elif kind == "hang" and name in self._wires:
            self._wires[name].hang(_duration(spec))
        elif kind == "command":
            self._instruments[name].open_session()[1].receive(spec.detail.encode("latin-1", "replace") + b"\r\n")
        elif kind != "drop":
            instrument = self._instruments[name]
            trouble = TROUBLES[instrument.model][kind]
            trouble(instrument, True, spec.detail)
            if kind == "hang":  # of camera or card: rig time stands still while their answer is waited for
                asyncio.get_running_loop().call_later(_duration(spec), trouble, instrument, False, spec.detail)
            elif spec.duration is not None:
                self._timeline.after(spec.duration, lambda: trouble(instrument, False, spec.detail))
