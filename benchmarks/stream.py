"""A camera at wall pace through recorder, fit worker and one viewer: nothing lost, memory flat, final maps in time.

``python benchmarks/stream.py --duration 300`` is the run of record: 512 × 512 pixels at 200 frames/s for 5 minutes. The
camera is a thread that exposes by the clock into a ring of bounded size and overflows like a real one; the run takes
frames from the ring and sends them on. Afterwards every frame is looked for on the disk.

``--points 10`` takes ten points and waits for the final maps of each before the next, as a run does: their delays are
counted from the exposure of a point's last frame. ``--points 400 --size 96 --block 2 --duration 1600 --flat-out`` is a
night in minutes: the frames of 400 points as fast as they go. What then grows, grows with points and maps.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray
from stream_run import Result, stream
from stream_source import EXPOSURES, RING, Plan
from stream_watch import machine

from nvscope.store.layout import reserve_run
from nvscope.store.reader import RunReader

SETTLED = 120.0
"""Seconds after which memory must have settled."""


def check(run_dir: Path, images: NDArray[np.uint16], plan: Plan) -> tuple[int, bool]:
    """Return how many frames are on disk and whether the means are exactly those of what was sent."""
    run = RunReader(run_dir)
    frames, exact = 0, True
    for number in range(plan.points):
        point = run.point(number)
        if not point.commits:
            exact = False
            continue
        expected = np.zeros(images.shape[1:], np.uint64)
        for commit in point.commits:
            first = commit.block * plan.sweeps_per_block
            for sweep in range(first, first + commit.sweeps):
                expected += images[sweep % EXPOSURES]
        frames += point.frames
        exact &= np.array_equal(point.mean().values, expected / np.float64(point.sweeps))
    return frames, exact


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=20.0, help="seconds; 300 for the record")
    parser.add_argument("--rate", type=float, default=200.0, help="frames/s")
    parser.add_argument("--size", type=int, default=512, help="pixels along an edge")
    parser.add_argument("--steps", type=int, default=61, help="frequencies")
    parser.add_argument("--block", type=float, default=10.0, help="seconds a block")
    parser.add_argument("--points", type=int, default=1, help="points, which share the duration")
    parser.add_argument("--flat-out", action="store_true", help="as many frames as at that rate, as fast as they go")
    parser.add_argument("--no-fit", action="store_true", help="without the fit worker")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    given = parser.parse_args()
    plan = Plan(
        given.duration,
        given.rate,
        given.size,
        given.steps,
        given.block,
        given.points,
        fit=not given.no_fit,
        flat_out=given.flat_out,
    )
    load = psutil.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(prefix="nvscope-stream-", dir=given.folder))
    try:
        run_dir = reserve_run(folder, "stream", "bench")
        result = stream(plan, run_dir)
        stored, exact = check(run_dir, result.images, plan)
        log = (run_dir / "recorder.log").read_text().strip()
        bytes_on_disk = sum(path.stat().st_size for path in run_dir.rglob("*") if path.is_file())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"machine            {machine()}")
    print(f"other load         {result.memory.others:.1f} cores were at work for others; "
          f"{load:.1f} processes waited for some before")  # fmt: skip
    return report(plan, result, stored, exact, log, bytes_on_disk)


def report(plan: Plan, result: Result, stored: int, exact: bool, log: str, bytes_on_disk: int) -> int:
    """Print the table; return 0 if nothing was lost and memory stayed flat."""
    tally, seconds = result.tally, result.seconds
    lost = plan.frames - stored
    print(f"stream             {plan.size} × {plan.size} at {plan.rate:g} frames/s, {plan.steps} frequencies, "
          f"{plan.points} points of {plan.blocks} blocks of {plan.sweeps_per_block} sweeps")  # fmt: skip
    print(f"duration           {seconds:.1f} s, {result.sent / seconds:.1f} frames/s, "
          f"{result.sent * 2 * plan.size**2 / seconds / 1e6:.0f} MB/s to each reader")  # fmt: skip
    print(f"frames             offered {plan.frames}, sent {result.sent}, on disk {stored}, lost {lost}")
    print(f"means on disk      {'exactly what was sent' if exact else 'NOT what was sent'}")
    print(f"camera ring        at most {result.fullest} of {RING} frames, overflows {result.overflows}")
    print(f"disk               {bytes_on_disk / 1e6:.0f} MB, {bytes_on_disk / 1e6 / seconds:.1f} MB/s")
    print(f"viewer             {result.shown} pictures, {result.shown / seconds:.1f}/s")
    if plan.fit:
        fitted = np.median(tally.fitted_rate) if tally.fitted_rate else 0.0
        print(f"fitter             {tally.maps} maps, {fitted / 1e3:.0f} k pixels/s while streaming, "
              f"{tally.finished.get('fitter', {})}")  # fmt: skip
        delays = result.final_delays
        print(f"final maps         {np.median(delays):.2f} s after a point's last frame was exposed "
              f"({min(delays):.2f} to {max(delays):.2f})")  # fmt: skip
    print(
        f"faults             {tally.rejected} blocks rejected; {'; '.join(tally.faults) or 'none'}{log and '; ' + log}"
    )
    print(f"{'process':<18} {'CPU':>6} {'start':>9} {'middle':>9} {'end':>9} {'most':>9}   MiB  {'slope':>9} MiB/min")
    flat = True
    for name, series in result.memory.resident.items():
        quarter = max(1, len(series) // 4)
        # the first quarter may still grow into its working set
        middle, end = max(series[quarter : 2 * quarter + 1]), max(series[-quarter:])
        flat &= seconds < SETTLED or end < 1.1 * middle + 20
        print(f"{name:<18} {100 * result.memory.cpu[name] / seconds:5.0f}% {series[0]:9.0f} {middle:9.0f} {end:9.0f} "
              f"{max(series):9.0f}        {result.memory.slope(name):8.2f}")  # fmt: skip
    fitted = not plan.fit or len(result.final_delays) == plan.points
    good = lost == 0 and exact and flat and fitted and not tally.faults and tally.committed == plan.frames
    memory_words = "memory flat" if seconds >= SETTLED else "too short to judge memory"
    print(f"verdict            {f'nothing lost, {memory_words}' if good else 'NOT GOOD'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
