"""Trouble on purpose around the recorder: a disk that is full or slow, a computer's clock that jumps."""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from typing import Any

from nvscope.config.faults import Occasion, fault_specs
from nvscope.stream.messages import JournalEntry, Message

_SLOW = 0.3
"""Wall seconds a write takes longer on a slow disk, unless told."""
_CLOCK_STEP = 3600.0
"""Seconds the clock jumps, unless told."""


class Disturbance:
    """The faults of a run's disk and computer; without any, nothing is disturbed.

    They strike by rig time, as the messages tell it, or on the steps of the plan: `Occasion`'s messages are the texts
    of the steps.

    Parameters
    ----------
    faults : sequence of dict
        ``[[faults]]`` of the rig; those of instruments are ignored.
    seed : int
        Of the lab.
    """

    def __init__(self, faults: Sequence[dict[str, Any]] = (), seed: int = 0) -> None:
        self._rig_time = 0.0
        self._full_until = self._slow_until = -float("inf")
        self._delay = 0.0
        self._clock_error = 0.0
        self._occasions = [
            Occasion(spec, lambda: self._rig_time, f"{seed}:{place}")
            for place, spec in enumerate(fault_specs(faults, "faults"))
            if spec.instrument in ("disk", "computer")
        ]

    def hear(self, message: Message) -> list[dict[str, Any]]:
        """Let faults strike whose time or step has come; returns what struck, for the journal."""
        if not self._occasions:
            return []
        self._rig_time = max(self._rig_time, getattr(message, "rig_time", None) or 0.0)
        step = message.data.get("step") if isinstance(message, JournalEntry) and message.kind == "step" else None
        struck = []
        for occasion in self._occasions:
            if (occasion.spec.timed or step is not None) and occasion.strikes(str(step)):
                self._strike(occasion)
                struck.append({"instrument": occasion.spec.instrument, "kind": occasion.spec.kind})
        return struck

    def _strike(self, occasion: Occasion) -> None:
        spec = occasion.spec
        end = float("inf") if spec.duration is None else time.monotonic() + spec.duration
        if spec.kind == "full":
            self._full_until = end
        elif spec.kind == "slow":
            self._slow_until, self._delay = end, float(spec.detail or _SLOW)
        else:
            self._clock_error += float(spec.detail or _CLOCK_STEP)

    def wall_time(self) -> float:
        """Return what the computer's clock says (s since the epoch)."""
        return time.time() + self._clock_error

    def press(self) -> None:
        """Be the disk: take time, or refuse with `OSError`; called before every write."""
        now = time.monotonic()
        if now < self._slow_until:
            time.sleep(self._delay)
        if now < self._full_until:
            raise OSError(errno.ENOSPC, "No space left on device")
