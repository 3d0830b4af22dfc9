"""Opening a rig's instruments: every driver in a thread of its own, in parallel, changing nothing."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

from nvscope.clock import Clock
from nvscope.config import InstrumentSpec, Rig, validate
from nvscope.devices.driver import find_driver
from nvscope.devices.roles import Instrument
from nvscope.devices.worker import Worker
from nvscope.errors import ConfigError, InstrumentError
from nvscope.stream.control import running

_CONNECT_TIMEOUT = 30.0
"""Wall seconds for opening one instrument."""


@dataclass(frozen=True)
class Connected:
    """An open instrument and the thread that talks to it."""

    name: str
    spec: InstrumentSpec
    address: str
    role: Instrument
    worker: Worker


def connect_all(rig: Rig, addresses: Mapping[str, str], clock: Clock, source: str) -> dict[str, Connected]:
    """Open every instrument of a rig.

    Parameters
    ----------
    rig : Rig
        The rig.
    addresses : mapping
        Addresses of the simulated lab by instrument name; used where the rig file says ``"simulated"``.
    clock : Clock
        Rig time, held while a call is in flight.
    source : str
        File of the rig, for error messages.

    Raises
    ------
    InstrumentError
        If any cannot be opened; names them all. Those that could are closed again.
    """
    opening: dict[str, tuple[Worker, str, Future[Any]]] = {}
    for name, spec in rig.instruments.items():
        address = _address(name, spec, addresses, source)
        driver = find_driver(spec.driver)
        settings = validate(driver.Settings, spec.settings, source, prefix=f"instruments.{name}.settings")
        worker = Worker(name, clock)
        opening[name] = (worker, address, worker.submit(driver.connect, address, settings))
    connected: dict[str, Connected] = {}
    failures: list[str] = []
    for name, (worker, address, future) in opening.items():
        try:
            role = future.result(_CONNECT_TIMEOUT)
        except FutureTimeout:
            failures.append(f"{name} at {address}: no answer within {_CONNECT_TIMEOUT:g} s")
        except Exception as error:
            failures.append(f"{name} at {address}: {error}")
        else:
            connected[name] = Connected(name, rig.instruments[name], address, role, worker)
    if failures:
        close_all(connected)
        raise InstrumentError("could not connect:\n  " + "\n  ".join(failures))
    return connected


def refuse_held(rig: Rig, addresses: Mapping[str, str], source: str) -> None:
    """Raise `InstrumentError` if a run, or somebody by hand, holds any of the rig's instruments on this computer.

    Parameters as in `connect_all`. Many instruments accept a second master, and then two would move one sample.
    """
    wanted = {_address(name, spec, addresses, source): name for name, spec in rig.instruments.items()}
    for info in running():
        if shared := [wanted[address] for address in info.instruments if address in wanted]:
            raise InstrumentError(
                f"{info.run} (process {info.pid}) holds {', '.join(sorted(shared))}; wait for it, or end it with: "
                f"nvscope abort --run {info.run}"
            )


def _address(name: str, spec: InstrumentSpec, addresses: Mapping[str, str], source: str) -> str:
    if spec.address != "simulated":
        return spec.address
    if name in addresses:
        return addresses[name]
    axes = [addresses[key] for key in (f"{name}_x", f"{name}_y", f"{name}_z") if key in addresses]
    if len(axes) == 3:  # a vector magnet is three programmers behind one role
        return ", ".join(axes)
    raise ConfigError(
        f"{source}: instruments.{name}.address: the simulated lab has no {name!r} "
        f"(it has {', '.join(sorted(addresses)) or 'nothing'}); give an address or add it to [simulator.settings]"
    )


def close_all(connected: Mapping[str, Connected], patience: float = 5.0) -> None:
    """Close every session; outputs stay as they are. Failures are ignored: there is nothing left to do about them."""
    closing = []
    for item in connected.values():
        try:
            closing.append(item.worker.submit(item.role.close))
        except InstrumentError:
            continue
    for future in closing:
        try:
            future.result(patience)
        except Exception:
            continue
    for item in connected.values():
        item.worker.close()
