"""Sequences inside a sequence: their plans as parts of one run, and conditions on which they begin."""

from __future__ import annotations

import contextlib
import operator
import re
from collections.abc import Mapping
from typing import Any

from nvscope.config import Frozen, find_config, load_toml, validate
from nvscope.devices.rig import RigDevices
from nvscope.errors import ConfigError
from nvscope.plans.sequence import Sequence, find_sequence
from nvscope.plans.verbs import Plan, elapsed, measure_resistance, screened, value_of
from nvscope.units import parse_quantity

_RUN_MESSAGES = ("open_run", "close_run")


def nested(plan: Plan) -> Plan:
    """Yield what `plan` yields except that it neither begins nor ends a run; returns what it returns.

    Whatever is thrown in reaches `plan`, so that it can still clean up.
    """
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            message = plan.send(answer) if error is None else plan.throw(error)
        except StopIteration as end:
            return end.value
        error = answer = None
        if message.command in _RUN_MESSAGES:
            continue
        try:
            answer = yield message
        except GeneratorExit:
            plan.close()
            raise
        except BaseException as raised:
            error = raised


def step_parameters(name: str, given: Mapping[str, Any], source: str) -> tuple[Sequence, Frozen]:
    """Load a sequence by name or path and check its parameters: its own file's, then those `given`.

    Raises
    ------
    ConfigError
        If there is no such sequence, or a parameter is wrong.
    """
    sequence = find_sequence(name)
    data: dict[str, Any] = {}
    with contextlib.suppress(ConfigError):  # a sequence without a file uses its own defaults
        data = load_toml(find_config("sequences", sequence.name))
    return sequence, validate(sequence.parameters, {**data, **given}, source)


_UNITS = {"temperature": "kelvin", "field": "tesla", "resistance": "ohm", "screened": "", "elapsed": "second"}
_RELATIONS = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}
_FORM = re.compile(r"^\s*(?P<quantity>[a-z]+)\s*(?P<relation><=|>=|<|>)\s*(?P<value>.+?)\s*$")


def parse_condition(text: str) -> tuple[str, str, float]:
    """Read a condition such as ``"resistance > 5 mohm"``: quantity, relation, value (SI).

    Quantities are temperature, field, resistance, elapsed (rig time of the run), and screened (the share of the newest
    map in which s is not 1).

    Raises
    ------
    ValueError
        If it is none; the message says what could be written.
    """
    match = _FORM.match(text)
    if match is None or match["quantity"] not in _UNITS:
        known = ", ".join(_UNITS)
        raise ValueError(f'{text!r} is not a condition; write for example "temperature < 80 K" (known: {known})')
    return match["quantity"], match["relation"], parse_quantity(match["value"], _UNITS[match["quantity"]])


def holds(rig: RigDevices, text: str, excitation: float, readings: int) -> Plan:
    """Return whether a condition holds now; one on what is not known, as while planning, does."""
    quantity, relation, limit = parse_condition(text)
    value: float | None
    if quantity == "temperature":
        value = yield from value_of(rig.cryostat, "temperature")
    elif quantity == "field":
        value = yield from value_of(rig.magnet, "field")
    elif quantity == "elapsed":
        value = yield from elapsed()
    elif quantity == "screened":
        value = yield from screened()
    else:
        value = (yield from measure_resistance(rig, excitation, readings)).get("resistance")
    return value is None or bool(_RELATIONS[relation](value, limit))
