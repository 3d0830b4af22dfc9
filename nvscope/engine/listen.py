"""Being controlled and watched from other computers: two more sockets, with CURVE keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from nvscope.stream.control import Control, ControlServer, Reply, RunInfo, introducing
from nvscope.stream.security import Curve
from nvscope.stream.viewing import Publisher, Publishers


@dataclass(frozen=True)
class Listen:
    """Where a run can be controlled and, on the port above, watched; the keys that prove who may (0: free ports)."""

    host: str
    port: int
    curve: Curve

    def open(
        self, control: Callable[[Control], Reply], viewers: Publishers, info: RunInfo, frame_bytes: int
    ) -> ControlServer:
        """Open both sockets; returns the one to close, `viewers` closes the other.

        Raises
        ------
        NvscopeError
            If one of them is taken.
        """
        port = self.port + 1 if self.port else 0
        seen = Publisher.bind("viewers", host=self.host, port=port, frame_bytes=frame_bytes, curve=self.curve)
        viewers.add(seen)
        about = msgspec.structs.replace(info, viewers=seen.endpoint)
        return ControlServer(introducing(control, about), self.host, self.port, self.curve)
