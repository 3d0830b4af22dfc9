"""A run whose fitter dies and whose recorder stalls: it goes on, nothing is missing, maps say what they show."""

import time

import numpy as np
import psutil

from nvscope.odmr.live_fit import warm_up
from nvscope.store.reader import RunReader

SWEEPS = 240


def workers(running):
    """The run's recorder and fitter."""
    children = psutil.Process(running.process.pid).children(recursive=True)
    spawned = [child for child in children if any("spawn_main" in part for part in child.cmdline())]
    (recorder,) = [c for c in spawned if any(f.path.endswith("journal.jsonl") for f in c.open_files())]
    fitters = [c for c in spawned if any("llvmlite" in m.path for m in c.memory_maps())]
    return recorder, [fitter for fitter in fitters if fitter != recorder]


def commits(running):
    return [line for journal in running.runs.glob("*/*/journal.jsonl")
            for line in journal.read_text(encoding="utf-8").splitlines() if '"commit"' in line]  # fmt: skip


def test_a_run_outlives_its_fitter_and_waits_for_its_recorder(start_run):
    given = ("--pixels", "32x32", "--set", "frequencies=16", "--set", "frames=1", "--set", f"sweeps={SWEEPS}")
    warm_up()  # the kernels are in the cache: the second fitter must be there before the run ends
    running = start_run("odmr", *given)
    running.wait_for(lambda: "map (odmr)" in running.steps() and len(commits(running)) > 5)
    recorder, fitters = workers(running)
    recorder.suspend()
    time.sleep(1.0)
    before = len(commits(running))
    assert before < SWEEPS
    recorder.resume()
    fitters[0].kill()
    done = running.finish()
    assert done.code == 0, done.output
    restarted = done.journal("fitter-restarted")
    assert len(restarted) == 1
    assert "nvscope fit" in restarted[0]["data"]["text"]
    reader = RunReader(done.directory)
    point = reader.point(restarted[0]["data"]["point"])
    assert point.sweeps == SWEEPS
    assert (point.frame_counts() == 1).all()
    maps = point.maps()
    assert maps is not None
    assert bool(maps.attrs["final"])
    # the maps of this point rest on what came after the restart, and say so
    assert 0 < maps.attrs["sweeps"] < SWEEPS
    assert np.isfinite(maps.b_z.values).mean() > 0.5
