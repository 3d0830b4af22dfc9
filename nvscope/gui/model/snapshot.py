"""A run as its directory shows it, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nvscope.gui.model.header import Header
from nvscope.gui.model.journal import LogEntry
from nvscope.gui.model.points import PointRecord
from nvscope.gui.model.selection import Vertices
from nvscope.gui.model.steps import Step

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A run as its directory shows it."""

    header: Header
    points: tuple[PointRecord, ...]
    history: Mapping[str, FloatArray]
    log: tuple[LogEntry, ...]
    planned: tuple[Step, ...]
    announced: tuple[tuple[float, str], ...]
    outcome: str
    reason: str
    regions: Mapping[str, Vertices] = field(default_factory=dict)
