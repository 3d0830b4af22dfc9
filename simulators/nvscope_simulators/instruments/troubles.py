"""What can go wrong inside each simulated instrument, by model and name of the fault.

Each entry is a function of the instrument, whether the trouble begins (True) or ends (False), and a detail from the
rig file: which sensor, which output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nvscope_simulators.world.cell import KINDS

Trouble = Callable[[Any, bool, str], None]


def _sensor(kind: str) -> Trouble:
    return lambda ls, on, detail: ls.sensors[(detail or "A").upper()].set_trouble(kind if on else "none")


def _heater(kind: str) -> Trouble:
    return lambda ls, on, detail: ls.set_heater_fault(int(detail or 1), kind if on else "none")


def _in_cell(kind: str) -> Trouble:
    return lambda cell, on, detail: cell.strike(kind, on, detail)


def _at_start(run: Callable[[Any], None]) -> Trouble:
    """Make a trouble that happens and is over: it has no end to wait for."""

    def trouble(instrument: Any, on: bool, _: str) -> None:
        if on:
            run(instrument)

    return trouble


_SOURCE: Mapping[str, Trouble] = {
    "unlocked": lambda source, on, _: source.set_unlocked(on),
    "output-off": _at_start(lambda source: source.switch_off()),
}

TROUBLES: Mapping[str, Mapping[str, Trouble]] = {
    "SG384": _SOURCE,
    "SMB100A": _SOURCE,
    "MODEL336": {
        "helium-low": lambda ls, on, _: ls.set_coolant_low(low=on),
        **{f"sensor-{kind}": _sensor(kind) for kind in ("open", "short", "over", "under")},
        "reading-bogus": lambda ls, on, detail: ls.sensors[(detail or "A").upper()].set_trouble(
            "bogus" if on else "none"
        ),
        **{f"heater-{kind}": _heater(kind) for kind in ("open", "short", "runaway")},
    },
    "Cryostation": {"compressor": lambda cryostat, on, _: cryostat.set_compressor_fault(on)},
    "Cobolt 06-DPL": {
        "interlock": lambda laser, on, _: laser.set_interlock(is_open=on),
        "fault": lambda laser, on, detail: laser.set_fault(int(detail or 1) if on else 0),
    },
    "AMI430": {
        "quench": _at_start(lambda magnet: magnet.quench()),
        "stuck-ramping": lambda magnet, on, _: magnet.set_stuck_ramping(on),
        "late-hold": lambda magnet, on, detail: magnet.set_hold_delay(float(detail or 30.0) if on else 0.0),
        "reading-bogus": _at_start(lambda magnet: magnet.spoil_next_reading()),
    },
    "6221": {
        "contact-open": lambda source, on, _: source.set_contact_open(on),
        "meter-missing": lambda source, on, _: source.set_meter_connected(not on),
        "reading-bogus": _at_start(lambda source: source.spoil_next_reading()),
    },
    "NI X-series": {
        "hang": lambda card, on, _: card.set_hung(on),
        "pulses-lost": lambda card, on, detail: card.lose_pulses(int(detail or 1) if on else 0),
        "pulses-doubled": lambda card, on, detail: card.double_pulses(int(detail or 1) if on else 0),
    },
    "Micro-Manager": {
        "hang": lambda camera, on, _: camera.set_hung(on),
        "frames-lost": lambda camera, on, detail: camera.lose_frames(int(detail or 1) if on else 0),
        "buffer-overflow": _at_start(lambda camera: camera.overflow()),
        "exposure-ignored": lambda camera, on, _: camera.set_exposure_ignored(on),
    },
    "2400": {
        "contact-open": lambda source, on, _: source.set_contact_open(on),
        "output-off": _at_start(lambda source: source.switch_off()),
    },
    "BOP": {
        "output-off": _at_start(lambda supply: supply.switch_off()),
        "reading-bogus": _at_start(lambda supply: supply.spoil_next_reading()),
    },
    "E-709": {"servo-lost": _at_start(lambda piezo: piezo.lose_servo())},
    "cell": {kind: _in_cell(kind) for kind in KINDS},
    "SR830": {"contact-open": lambda lockin, on, _: lockin.set_contact_open(on)},
}
