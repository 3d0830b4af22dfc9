"""The camera of instruments held by hand: running as it is wanted, its frames shown, its sharpness told."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nvscope.clock import Clock
from nvscope.devices.sharpness import FEWEST_FRAMES, sharpness
from nvscope.engine.hands import Hands
from nvscope.errors import DataError, InstrumentError
from nvscope.stream.messages import Frame
from nvscope.stream.viewing import Publishers

FRAME_BYTES = 2 * 512 * 512
"""Bytes of the usual frame."""
_FRAMES = 100_000
"""Frames the camera is armed for at a time."""
_SHOW = 1 / 30
_RETRY = 1.0


class LiveCamera:
    """Runs the camera while it is wanted, as it is wanted, and shows what comes.

    Parameters
    ----------
    hands : Hands
        What is wanted, and the way to the camera.
    publisher : Publishers
        Where frames go.
    clock : Clock
        Rig time.
    complain : callable
        Told what goes wrong.

    Attributes
    ----------
    frames : int
        Frames that came.
    rate : float
        Frames a second of wall time.
    """

    def __init__(self, hands: Hands, publisher: Publishers, clock: Clock, complain: Callable[[str], None]) -> None:
        self._hands = hands
        self._publisher = publisher
        self._clock = clock
        self._complain = complain
        self._newest: deque[NDArray[np.uint16]] = deque(maxlen=FEWEST_FRAMES)
        self.frames = 0
        self.rate = 0.0

    async def work(self) -> None:
        """Work until cancelled."""
        hands = self._hands
        armed: tuple[float, float] | None = None
        counted, since = 0, time.monotonic()
        while True:
            wanted = hands.settings
            try:
                if not wanted.camera:
                    if armed is not None:
                        await hands.call("camera", hands.camera.disarm)
                    armed, self.rate = None, 0.0
                    await asyncio.sleep(0.05)
                    continue
                if armed != (wanted.exposure, wanted.gain):
                    await hands.call("camera", hands.camera.disarm)
                    await hands.call("camera", hands.camera.set_exposure, wanted.exposure)
                    await hands.call("camera", lambda: hands.camera.arm(_FRAMES, external=False))
                    armed = (wanted.exposure, wanted.gain)
                    self._newest.clear()
                    counted, since = 0, time.monotonic()
                frames = await hands.call("camera", hands.camera.pop, 0.05)
                if frames:
                    counted += len(frames)
                    self._show(frames[-1].image, reference=not wanted.microwave)
                if (passed := time.monotonic() - since) > 1.0:
                    self.rate, counted, since = counted / passed, 0, time.monotonic()
                if counted and frames and frames[-1].number >= _FRAMES - 1:
                    armed = None
            except (InstrumentError, DataError) as error:
                armed = None
                self._complain(f"camera: {error}")
                await asyncio.sleep(_RETRY)

    async def sharpness(self, offset: float) -> float:
        """Return how sharp the newest frames are (`nvscope.devices.sharpness`); `offset` is the counts without light.

        Raises
        ------
        DataError
            If there are too few, or they are dark.
        """
        images = list(self._newest)
        if len({image.shape for image in images}) != 1:
            raise DataError("no frames of one size yet")
        return (await asyncio.to_thread(sharpness, np.stack(images), offset))[0]

    def _show(self, image: NDArray[np.uint16], *, reference: bool) -> None:
        self.frames += 1
        self._newest.append(image)
        if self._publisher.wants_frame(_SHOW):
            height, width = image.shape
            frame = Frame(0, 0, 0, 0, self.frames, reference, self._clock.now(), (height, width))
            self._publisher.send(frame, image)
