"""Source and voltmeter behind a switch matrix: any of them on any contact, the gasket or the microwave wire.

Nodal analysis of a dozen nodes: the sample between its contacts, a lead to each, relays, and what leaks through the
gasket.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from nvscope_simulators.world.conductor import CONTACTS, METALS, Leads
from nvscope_simulators.world.geometry import Array

COLUMNS = (*CONTACTS, *METALS)
"""What the columns of the matrix are wired to; its rows are I+, I-, V+, V- of source and voltmeter."""

_RELAY = 0.1
"""ohm of a closed relay."""
_INSULATION = 1e12
"""ohm between every lead and gasket or wire, if nothing is wrong."""
_STRAY = 1e-14
"""S from every node to ground: nothing floats for good."""
_PADS, _TERMINALS, _ROWS = 0, 4, 10


def switched(
    conductance: Array, lead_resistance: float, leads: Leads, closed: Iterable[tuple[int, int]]
) -> tuple[float, float]:
    """Return (V+ − V−) and (I+ − I−) per ampere through the source (ohm); infinite two-probe without a path.

    Parameters
    ----------
    conductance : Array, shape (4, 4)
        Of the sample between its contacts, rows summing to zero (S).
    lead_resistance : float
        Of each lead (ohm).
    leads : Leads
        Broken contacts, and leaks from contacts to gasket and wire.
    closed : iterable of (row, column)
        Relays, counted from 0.
    """
    y = np.zeros((14, 14))
    y[:4, :4] = conductance
    y[np.arange(14), np.arange(14)] += _STRAY

    def link(a: int, b: int, ohms: float) -> None:
        g = 1 / ohms
        y[a, a] += g
        y[b, b] += g
        y[a, b] -= g
        y[b, a] -= g

    for number, name in enumerate(CONTACTS):
        if name not in leads.open:
            link(_PADS + number, _TERMINALS + number, lead_resistance)
        for place, metal in enumerate(METALS):
            leak = leads.leaks.get((name, metal), _INSULATION)
            link(_TERMINALS + number, _TERMINALS + len(CONTACTS) + place, leak)
    connected = set()
    for row, column in closed:
        link(_ROWS + row, _TERMINALS + column, _RELAY)
        connected.add(row)
    if not {0, 1} <= connected:
        return 0.0, math.inf
    current = np.zeros(14)
    current[_ROWS], current[_ROWS + 1] = 1.0, -1.0
    potential = np.linalg.solve(y, current)
    rows = potential[_ROWS:]
    four = float(rows[2] - rows[3]) if {2, 3} <= connected else 0.0
    return four, float(rows[0] - rows[1])
