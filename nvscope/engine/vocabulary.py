"""What plans may say besides bluesky's own words."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

from bluesky import Msg, RunEngine

from nvscope.clock import Clock
from nvscope.config import HistoryLimits
from nvscope.engine.housekeeping import Housekeeping
from nvscope.engine.link import RunLink
from nvscope.engine.residual import ResidualPairs
from nvscope.engine.screening import Screening
from nvscope.engine.stalled_viewer import StalledViewers
from nvscope.engine.wishes import Wishes
from nvscope.history import Certificate, certify
from nvscope.plans import OdmrSettings
from nvscope.plans.residual_field import ResidualField


@dataclass(frozen=True)
class Vocabulary:
    """The parts of a run that plans speak to.

    Attributes
    ----------
    began : float
        Rig time (s) at which the plan began.
    announced : callable
        Told each step and the rig time at which it begins.
    take_skip : callable
        Whether the operator has asked to end averaging since it was last asked.
    """

    clock: Clock
    link: RunLink
    housekeeping: Housekeeping
    stalled: StalledViewers
    screening: Screening
    residual: ResidualPairs
    wishes: Wishes
    limits: HistoryLimits
    began: float
    announced: Callable[[str, float], None]
    take_skip: Callable[[], bool]

    def register(self, engine: RunEngine) -> None:
        """Teach `engine` the words, and have it send its documents to the journal."""
        words = {
            "announce": self._announce,
            "certify": self._certify,
            "elapsed": self._elapsed,
            "residual_field": self._residual_field,
            "screened": self._screened,
            "settings": self._settings,
            "skip_requested": self._skip_requested,
            "transport_point": self._transport_point,
            "warn": self._warn,
        }
        for word, carry_out in words.items():
            engine.register_command(word, carry_out)
        engine.subscribe(lambda name, doc: self.link.document(name, doc))

    async def _announce(self, message: Msg) -> None:
        step = message.args[0]
        self.announced(step, self.clock.now())
        self.link.journal("step", {"step": step})
        self.stalled.hear(step)

    async def _certify(self, message: Msg) -> Certificate:
        certificate = certify(self.housekeeping.biography, message.args[0], self.limits, self.clock.now())
        self.link.journal("certificate", certificate.as_dict())
        return certificate

    async def _elapsed(self, message: Msg) -> float:
        return self.clock.now() - self.began

    async def _residual_field(self, message: Msg) -> ResidualField:
        beacon, visits = message.args
        with self.clock.hold():  # the fit takes seconds, in which an abort must still be heard
            found = await asyncio.to_thread(self.residual.measure, int(beacon), [int(number) for number in visits])
        result = {key: value if math.isfinite(value) else None for key, value in asdict(found).items()}
        self.link.journal("residual", {"text": found.describe(), "cancelled": found.trustworthy, **result})
        return found

    async def _screened(self, message: Msg) -> float | None:
        return self.screening.share()

    async def _settings(self, message: Msg) -> OdmrSettings:
        return self.wishes.apply(message.args[0])

    async def _skip_requested(self, message: Msg) -> bool:
        return self.take_skip()

    async def _warn(self, message: Msg) -> None:
        self.link.journal("warning", {"text": message.args[0]})

    async def _transport_point(self, message: Msg) -> None:
        number = await self.link.open_point("transport", (), (0, 0), {})
        await self.link.close_point(number, message.args[0], maps=False)
