"""Verbs that change or measure one thing.

Every state change is written ``checkpoint; set(absolute target); wait; checkpoint``: a pause then replays one ramp to
the same target, never half of one (design, decision 2).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from bluesky import Msg
from bluesky import plan_stubs as bps

from nvscope.devices.cryostat import Temperature
from nvscope.devices.magnet import Field
from nvscope.devices.rig import RigDevices
from nvscope.devices.transport import STANDARD, Excitation, Wiring
from nvscope.errors import LimitError
from nvscope.history import Certificate, Claim

Plan = Generator[Msg, Any, Any]


def announce(step: str) -> Plan:
    """Say what comes next; shown to the operator, written to the journal, a line of ``nvscope plan``."""
    yield Msg("announce", None, step)


def absolute_set(device: Any, value: Any) -> Plan:
    """Set, wait, and leave a checkpoint on either side."""
    yield from bps.checkpoint()
    yield from bps.abs_set(device, value, group=device.name)
    yield from bps.wait(group=device.name)
    yield from bps.checkpoint()


def change_temperature(rig: RigDevices, target: float, rate: float) -> Plan:
    """Ramp the sample to `target` (K) at `rate` (K/s) and settle."""
    yield from announce(f"temperature to {target:g} K at {rate * 60:g} K/min")
    yield from absolute_set(rig.cryostat, Temperature(target, rate))


def ramp_field(rig: RigDevices, target: float, rate: float) -> Plan:
    """Ramp the applied field to `target` (T) at `rate` (T/s) and settle."""
    yield from announce(f"field to {target * 1e4:g} G at {rate * 1e4:g} G/s")
    yield from absolute_set(rig.magnet, Field(target, rate))


def measure_resistance(
    rig: RigDevices,
    current: float,
    readings: int,
    wiring: Wiring = STANDARD,
    *,
    insulation: bool = False,
    may_fail: bool = False,
) -> Plan:
    """Measure the four-probe resistance.

    Returns resistance and its error (ohm) and the current (A); an empty dict without transport, without current, or
    where it `may_fail` and no contacts are found, which is journaled as a warning.
    """
    if rig.transport is None or current == 0:
        return {}
    yield from absolute_set(rig.transport, Excitation(current, readings, wiring, insulation, may_fail))
    if rig.transport.failure:
        yield Msg("warn", None, f"R was not measured: {rig.transport.failure}")
        return {}
    reading = yield from bps.read(rig.transport)
    name = rig.transport.name
    return {key: reading[f"{name}_{key}"]["value"] for key in ("resistance", "resistance_err", "current")}


def resistance_point(
    rig: RigDevices,
    purpose: str,
    current: float,
    readings: int,
    attrs: Mapping[str, Any] | None = None,
    wiring: Wiring = STANDARD,
    *,
    insulation: bool = False,
) -> Plan:
    """Measure R as a point of its own, with temperature and field; returns what `measure_resistance` returns.

    `wiring` names the contacts of I+, I-, V+ and V-; with `insulation` no path for the current is a result, and R the
    least it can be.
    """
    if rig.transport is None:
        raise LimitError(f"{purpose}: rig {rig.config.name!r} has no transport instrument")
    between = "" if wiring == STANDARD else f", I {wiring[0]} to {wiring[1]}, V {wiring[2]} to {wiring[3]}"
    yield from announce(f"R at {current:.3g} A ({purpose}{between})")
    result = yield from measure_resistance(rig, current, readings, wiring, insulation=insulation)
    temperature = yield from value_of(rig.cryostat, "temperature")
    field = yield from value_of(rig.magnet, "field")
    insulated = bool((yield from value_of(rig.transport, "insulated")))
    if insulated or wiring != STANDARD:
        # not the sample's resistance: it must not get into R(T)
        renamed = {f"transfer_{key}" if "resistance" in key else key: value for key, value in result.items()}
        result = {**renamed, "wiring": list(wiring), "insulated": insulated}
    point = {"purpose": purpose, "temperature": temperature, "field": field, **result, **(attrs or {})}
    yield Msg("transport_point", None, point)
    yield from bps.checkpoint()  # a pause from here on must not record it again
    yield from bps.create("resistance")  # a stream has the same devices in every event
    for device in (rig.transport, rig.cryostat, rig.magnet):
        yield from bps.read(device)
    yield from bps.save()
    return result


def certify(claim: Claim) -> Plan:
    """Have the history so far judged; returns the `Certificate`. An invalid one ends the sequence."""
    certificate: Certificate = yield Msg("certify", None, claim)
    return certificate


def elapsed() -> Plan:
    """Return how long the run has been going on (rig s)."""
    return (yield Msg("elapsed"))


def screened() -> Plan:
    """Return the share of the newest map in which s is not 1; None while planning, or without a reference."""
    return (yield Msg("screened"))


def value_of(device: Any, key: str) -> Plan:
    """Read one key of a device."""
    reading = yield from bps.read(device)
    return reading[f"{device.name}_{key}"]["value"]
