"""Hammer simulated instruments with input no manual foresees: an instrument must neither break nor hang nor run away.

``python -m nvscope_simulators.hammer --messages 100000`` does it to every instrument there is.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module

from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.instruments.base import HangUp, Session, SimulatedInstrument
from nvscope_simulators.instruments.catalogue import MODELS
from nvscope_simulators.instruments.scpi import MAX_MESSAGE
from nvscope_simulators.ports import Ports

VOCABULARY: dict[str, tuple[str, ...]] = {
    model: tuple("".join(words).split("|"))
    for model, words in {
        "2400": (
            "SOUR:FUNC|SOUR:CURR|SOUR:VOLT|OUTP|READ?|INIT|SENS:VOLT:PROT|TRIG:COUN|TRAC:DATA?|SOUR:LIST:CURR|",
            "SOUR:CURR:MODE LIST|FORM:ELEM|TRAC:FEED:CONT|CALC3:DATA?|SENS:FUNC 'VOLT'|MEAS:RES?|ARM:COUN",
        ),
        "6221": (
            "SOUR:DELT:HIGH|SOUR:DELT:COUN|SOUR:DELT:ARM|INIT:IMM|SENS:DATA?|TRAC:DATA?|TRAC:POIN|SOUR:SWE:ABOR|",
            "SOUR:CURR|OUTP|FORM:ELEM|UNIT|SYST:COMM:SER:SEND|SYST:COMM:SER:ENT?|SOUR:CURR:COMP|SENS:AVER:COUN",
        ),
        "AMI430": (
            "CONF:FIELD:TARG|CONF:RAMP:RATE:FIELD|CONF:RAMP:RATE:SEG|RAMP|PAUSE|ZERO|STATE?|PS|QU|CONF:PS|FIELD:MAG?|",
            "CONF:COIL|CONF:FIELD:UNITS|RAMP:RATE:FIELD:1?|INCR|CONF:CURR:LIM|CONF:PS:HTIME|CONF:VOLT:LIM|VOLT:SUPP?",
        ),
        "BOP": ("FUNC:MODE|CURR|VOLT|OUTP|MEAS:CURR?|MEAS:VOLT?|CURR:MODE|STAT:OPER:COND?|FUNC:MODE CURR|OUTP ON",),
        "Cobolt": ("l1|l0|l?|p|pa?|p?|f?|cf|ilk?|@cob1|sn?",),
        "Cryostation": ("04GTSP|09STSP20.00|03GPT|03GST|03SCD|03SWU|03SSB|03STP|03GCP|08STSPNaN.|99STSP|00|0",),
        "E-709": ("MOV 1|MVR 1|SVO 1|POS? 1|ONT? 1|SVO? 1|TMN?|TMX? 1|ERR?|STP|HLT|SAI?|\x05|\x18|MOV 2|MOV? 1",),
        "Model336": ("KRDG?|SETP|RANGE|RAMP|PID|OUTMODE|HTR?|ZONE|TLIMIT|RDGST?|CRVPT|INTYPE",),
        "SG384": ("FREQ|AMPR|ENBR|MODL|TYPE|LSTC?|LSTP|LSTE|LSTD|LSTR|*TRG|LERR?",),
        "SMB100A": (
            "FREQ|POW|OUTP|FREQ:MODE LIST|LIST:SEL 'x'|LIST:FREQ|LIST:POW|LIST:LEAR|LIST:MODE STEP|LIST:IND|LIST:RES|",
            "SWE:POIN|SWE:STEP|FREQ:STAR|FREQ:STOP|POW:LIM|SYST:ERR:ALL?|LIST:DEL:ALL|*TRG|LIST:TRIG:SOUR EXT",
        ),
        "SR830": (
            "SENS|OFLT|SLVL|FREQ|PHAS|OUTP?|SNAP?|LIAS?|AGAN|SRAT|STRT|TRCA?|TRCB?|TRCL?|DDEF|OEXP|AOFF|APHS|AUXV|",
            "*STB?|*ESE|SEND|REST|FMOD|HARM|TRIG|OFSL|RMOD",
        ),
    }.items()
}
"""Commands worth breaking, by model; a model without any gets the common ones only."""
_COMMON = ("*IDN?", "*RST", "*CLS", "*ESR?", "*ESE", "*SRE", "*STB?", "*OPC?", "SYST:ERR?", "?", ":", "::::", "*")
_ARGUMENTS = ("0", "1", "-1", "ON", "1e3", "1e-3", "9e99", "-9e999", "nan", "inf", "1,2,3", "'a,b;c'", '"', "#H1F")
_PROBE = {"Cobolt": b"l?\r", "Cryostation": b"04GTSP"}
_LONGEST_TASK = 60.0
"""Rig seconds within which an instrument has done with whatever one command can start."""
_LARGEST = 1e4
"""Nothing an instrument puts on its port may be larger than this, whatever the unit."""


def messages(rng: random.Random, vocabulary: Sequence[str]) -> Iterator[bytes]:
    """Yield malformed, oversized, binary and now and then correct messages, for ever."""
    words = (*vocabulary, *_COMMON)
    while True:
        kind = rng.randrange(10)
        command = rng.choice(words)
        if rng.random() < 0.6:
            command += rng.choice((" ", "", "  ", ":", "\t")) + rng.choice(_ARGUMENTS)
        if kind == 0:
            yield bytes(rng.randrange(256) for _ in range(rng.randrange(1, 40)))
        elif kind == 1:
            place = rng.randrange(len(command) + 1)
            yield (command[:place] + chr(rng.randrange(256)) + command[place:]).encode("latin-1") + b"\r\n"
        elif kind == 2:
            yield command[rng.randrange(len(command)) :].encode("latin-1") + b"\n"
        elif kind == 3:
            yield command.encode("latin-1")  # without an end: the next message continues it
        elif kind == 4:
            joined = rng.choice((";", ";:", ",", " ")).join([command] * rng.randrange(2, 30))
            yield joined.encode("latin-1") + b"\r\n"
        elif kind == 5 and rng.random() < 0.05:
            filler = rng.choice((b"A", b"9", b";", b":", b",", b"\x00", b"\xff", b"*IDN?;", b"'"))
            yield (filler * (MAX_MESSAGE + 10))[: MAX_MESSAGE + rng.randrange(10)] + rng.choice((b"", b"\r\n"))
        else:
            yield command.encode("latin-1") + rng.choice((b"\r\n", b"\n", b"\r", b"\r\n\r\n"))


@dataclass
class Report:
    """What came of it: messages sent, bytes answered, and the slowest answer (wall s)."""

    messages: int = 0
    answered: int = 0
    slowest: float = 0.0


def build(model: str, world: BenchWorld) -> SimulatedInstrument:
    """Make one simulated instrument with its default settings."""
    module_name, class_name, settings_name = MODELS[model]
    module = import_module(f"nvscope_simulators.instruments.{module_name}")
    instrument: SimulatedInstrument = getattr(module, class_name)(world, getattr(module, settings_name)())
    return instrument


def hammer(model: str, count: int, rng: random.Random) -> Report:
    """Send `count` messages to a new instrument, letting time pass now and then, and see that it still answers.

    Raises
    ------
    AssertionError
        If it no longer answers, or has put nonsense on its port.
    """
    world = BenchWorld()
    instrument = build(model, world)
    report = Report()
    session = instrument.open_session()[1]
    stream = messages(rng, VOCABULARY.get(model, ()))
    for _ in range(count):
        message = next(stream)
        began = time.perf_counter()
        try:
            report.answered += len(session.receive(message))
        except HangUp:
            session = instrument.open_session()[1]
        report.slowest = max(report.slowest, time.perf_counter() - began)
        report.messages += 1
        if rng.random() < 0.05:
            session = instrument.open_session()[1]
        if rng.random() < 0.1:
            asyncio.run(world.timeline.advance(world.timeline.now + rng.choice((1e-3, 0.5, 10.0)), wait=True))
        _check_ports(model, world.ports)
    _check_alive(model, instrument, world)
    return report


def _check_ports(model: str, ports: Ports) -> None:
    values = (
        *ports.magnet.current.values(),
        *ports.heaters.power.values(),
        ports.excitation.current,
        ports.laser.power,
        ports.microwave.power_dbm,
        ports.microwave.frequency / 1e9,
        ports.focus.position or 0.0,
    )
    if not all(math.isfinite(value) and abs(value) < _LARGEST for value in values):
        raise AssertionError(f"{model} has put nonsense on its port: {ports}")


def _check_alive(model: str, instrument: SimulatedInstrument, world: BenchWorld) -> None:
    asyncio.run(
        world.timeline.advance(world.timeline.now + _LONGEST_TASK, wait=True)
    )  # whatever it was busy with is over
    session: Session = instrument.open_session()[1]
    reply = session.receive(_PROBE.get(model, b"*IDN?\r\n"))
    if not reply.strip():
        raise AssertionError(f"{model} no longer answers")


def main() -> None:
    """Hammer every instrument and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", choices=sorted(MODELS), action="append")
    arguments = parser.parse_args()
    for model in arguments.model or sorted(MODELS):
        began = time.perf_counter()
        report = hammer(model, arguments.messages, random.Random(arguments.seed))
        seconds = time.perf_counter() - began
        print(
            f"{model:10} {report.messages} messages, {report.answered} bytes answered, "
            f"slowest {report.slowest * 1e3:.1f} ms, {seconds:.0f} s"
        )


if __name__ == "__main__":
    main()
