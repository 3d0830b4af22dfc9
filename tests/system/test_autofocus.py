"""A microscope that starts out of focus, in one real run."""

import pytest
from nvscope_simulators.world.imaging import View
from nvscope_simulators.world.settings import OpticsSettings

from nvscope.cli.selection import select
from nvscope.engine.planning import planning_rig
from nvscope.plans import OdmrSettings, autofocus, dry_run

STARTS = 43e-6  # configs/rigs/simulated-focus.toml
DEPTH = 0.7e-6 / 0.51**2 / 2
"""m, either way: wavelength over aperture squared; the tangent of its angle is twice the world's focus_blur."""


@pytest.fixture(scope="module")
def run(nvscope, tmp_path_factory):
    few = ("frequencies=21", "frames=2", "search_frames=1", "excitation=0", "autofocus=point")
    extra = [part for text in few for part in ("--set", text)]
    runs = tmp_path_factory.mktemp("runs")
    done = nvscope("run", "odmr", "--rig", "simulated-focus", "--pixels", "32x32", *extra, runs=runs)
    assert done.code == 0, done.output
    return done


@pytest.fixture(scope="module")
def looks(run):
    """Data of every event of the stream ``focus``, and of the one that records the map after it."""
    events = [entry["data"]["doc"]["data"] for entry in run.journal("document") if entry["data"]["name"] == "event"]
    return [data for data in events if "odmr_point" not in data], [data for data in events if "odmr_point" in data]


def test_it_ends_within_the_depth_of_focus(looks):
    best = View(OpticsSettings(), 1).best_focus(295.0)
    assert abs(STARTS - best) > 4 * DEPTH
    scanned, points = looks
    assert scanned[-1]["focus_position"] == pytest.approx(best, abs=0.4 * DEPTH)
    # the map was taken there; 2 nm of noise in each reading
    assert points[-1]["focus_position"] == pytest.approx(scanned[-1]["focus_position"], abs=2e-8)
    assert points[0]["focus_position"] == pytest.approx(STARTS, abs=2e-8)


def test_every_position_is_in_the_journal(looks):
    scanned, _ = looks
    assert len(scanned) == 2 * 11 + 1  # it lay outside the first scan
    here = [data["focus_position"] for data in scanned]
    assert here[:11] == sorted(here[:11])
    sharp = [data["focus_sharpness"] for data in scanned]
    errors = [data["focus_sharpness_err"] for data in scanned]
    assert sharp[-1] >= max(sharp) - 5 * max(errors)
    assert sharp[-1] > min(sharp) + 10 * max(errors)


def test_it_took_as_long_as_planned(run):
    chosen = select("simulated-focus", "s1", None)
    rig = planning_rig(chosen.rig, chosen.sample, chosen.loading, (32, 32))
    planned = dry_run(autofocus(rig, OdmrSettings())).duration
    times = {entry["data"]["step"]: entry["rig_time"] for entry in reversed(run.journal("step"))}
    (begun,) = (time for step, time in times.items() if step.startswith("autofocus"))
    (ended,) = (time for step, time in times.items() if step.startswith("focus at"))
    assert ended - begun == pytest.approx(planned * 23 / 12, rel=0.1)
