"""SCPI instruments whose error queue is read after every setting, with an end to it."""

from __future__ import annotations

import time
from typing import Any

from nvscope.devices.roles import Instrument
from nvscope.errors import InstrumentError
from nvscope_drivers.checked import CheckedInstrument

__all__ = ["ScpiInstrument", "first_contact"]

_QUEUE_LIMIT = 20
"""More entries than any of these instruments keeps: beyond it the error is stuck, and asking again will not help."""


class ScpiInstrument(CheckedInstrument):
    """An instrument with a ``SYST:ERR?`` queue.

    Properties declared with ``check_set_errors=True`` raise `InstrumentError` if the instrument refuses the value.
    """

    error_query = "SYST:ERR?"

    def read_errors(self) -> list[str]:
        """Take all errors out of the queue, oldest first; empty if there are none.

        Raises
        ------
        InstrumentError
            If the queue does not become empty.
        """
        errors: list[str] = []
        for _ in range(_QUEUE_LIMIT):
            reply = self.ask(self.error_query)
            code, _, text = reply.partition(",")
            try:
                if int(code) == 0:
                    return errors
            except ValueError:
                raise self.nonsense(self.error_query, reply) from None
            errors.append(f"{int(code)} {text.strip().strip(chr(34))}")
        raise InstrumentError(f"{self._where}: its error queue does not empty; it repeats {errors[-1]!r}")

    def check_errors(self) -> list[Any]:
        """Raise `InstrumentError` with all queued errors, if there are any."""
        errors = self.read_errors()
        if errors:
            raise InstrumentError(f"{self._where} refuses: {'; '.join(errors)}")
        return []

    def check_set_errors(self) -> list[Any]:
        """Raise if the last setting was refused; PyMeasure calls this after setting a checked property."""
        return self.check_errors()

    @property
    def _where(self) -> str:
        address = getattr(self.adapter, "address", "")
        return f"{self.name} at {address}" if address else str(self.name)


def first_contact(role: Instrument, patience: float) -> None:
    """Identify a freshly opened instrument, or close it and raise.

    An instrument with one connection turns a newcomer away until it has noticed that its last client is gone, which
    is after a crash the moment a guardian needs it: while the connection is cut, it is tried again for `patience`
    wall seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            role.identify()
        except InstrumentError as error:
            if isinstance(error.__cause__, OSError) and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            role.close()
            raise
        return
