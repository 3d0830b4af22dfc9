"""What transport protocols leave in a report: one curve for each current, direction, temperature, field and angle."""

from pathlib import Path

import numpy as np
import pytest

from nvscope.analysis import figures
from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.report_tables import point_table
from nvscope.analysis.transport_curves import transport_curves


def run_of(*points):
    return RunData(
        Path("run"),
        {},
        tuple(
            MapPoint(k, purpose, t, h, {"resistance": r, "resistance_err": 1e-5, **more}, {})
            for k, (purpose, t, h, r, more) in enumerate(points)
        ),
    )


def test_cooling_and_warming_are_told_apart_for_each_current():
    course = [(t, way) for way, ts in (("cooling", (90.0, 60.0)), ("warming", (60.01, 90.0))) for t in ts]
    run = run_of(
        *(("transport-rt", t, 0.0, i * t, {"current": i, "direction": way}) for t, way in course for i in (1e-4, 3e-4))
    )
    (found,) = transport_curves(run)
    assert [(c.family, c.back, c.x.tolist()) for c in found.curves] == [
        ("0.1 mA", False, [90.0, 60.0]),
        ("0.3 mA", False, [90.0, 60.0]),
        ("0.1 mA", True, [60.01, 90.0]),
        ("0.3 mA", True, [60.01, 90.0]),
    ]
    assert len(figures.transport_figure(found).axes[0].get_legend().get_texts()) == 2


def test_a_turned_field_counts_whole():
    turned = {"current": 1e-4, "direction": "down", "angle": np.radians(60), "magnitude": 150e-4}
    run = run_of(
        ("transport-rh", 60.0, 150e-4, 0.1, {"current": 1e-4, "direction": "up"}),
        ("transport-rh", 60.0, 75e-4, 0.2, turned),
        ("odmr", 60.0, 75e-4, 0.2, {}),
    )
    (found,) = transport_curves(run)
    assert [(c.family, c.back, c.x.tolist()) for c in found.curves] == [
        ("60.0 K", False, [150e-4]),
        ("60.0 K, 60°", True, [150e-4]),
    ]
    table = str(point_table(run, None))
    assert "transport-rh (0.1 mA, up)" in table
    assert "transport-rh (0.1 mA, down, 150 G at 60°)" in table


def test_voltage_follows_from_resistance_and_current():
    run = run_of(
        *(("transport-iv", 20.001, h, 0.5, {"current": i}) for h in (-1e-8, 150e-4) for i in (1e-5, 1e-3)),
        ("transport-iv", 20.0, 0.0, np.nan, {"current": 1e-2}),
    )
    (found,) = transport_curves(run)
    assert [c.family for c in found.curves] == ["20.0 K, 0 G", "20.0 K, 150 G"]
    assert found.curves[0].y == pytest.approx([5e-6, 5e-4])
    assert found.curves[0].y_err == pytest.approx([1e-10, 1e-8])


def test_a_run_without_transport_has_no_curves():
    assert transport_curves(run_of(("zfc", 20.0, 97e-4, 0.1, {}))) == []
