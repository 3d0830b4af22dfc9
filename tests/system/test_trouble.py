"""Trouble around the lab: disk, clock and viewers of the computer that runs the experiment."""

import subprocess
import sys
from itertools import pairwise

import xarray as xr

COMMON = ("--pixels", "32x32", "--set", "frequencies=21", "--set", "frames=2")


def faults(*texts):
    return [part for text in texts for part in ("--fault", text)]


def test_a_slow_disk_a_stalled_viewer_and_a_clock_step_cost_nothing_measured(nvscope, tmp_path):
    done = nvscope(
        "run",
        "reference",
        *COMMON,
        *faults(
            "instrument=disk, kind=slow, command=., detail=0.02",
            "instrument=viewer, kind=stops-reading, command=find",
            "instrument=viewer, kind=stops-reading, at=10 s",
            "instrument=computer, kind=clock-step, command=map, detail=-7200",
        ),
        runs=tmp_path,
    )
    assert done.code == 0, done.output
    injected = [entry["data"]["instrument"] for entry in done.journal("fault-injected")]
    assert sorted(injected) == ["computer", "disk", "viewer", "viewer"]
    lines = done.journal()
    stamps = [entry["time"] for entry in lines]
    assert min(later - earlier for earlier, later in pairwise(stamps)) < -7000  # the computer's clock did jump
    steps = [entry["rig_time"] for entry in lines if entry["kind"] == "step"]
    assert steps == sorted(steps)
    assert not done.journal("block-discarded")
    points = sorted((done.directory / "data.zarr" / "points").glob("[0-9]*"))
    last = xr.open_zarr(done.directory / "data.zarr", group=f"points/{points[-1].name}", consolidated=False)
    assert int(last["signal_frames"].sum()) == last.sizes["frequency"] * 2


def test_a_full_disk_ends_the_run_and_keeps_what_was_measured(nvscope, tmp_path):
    done = nvscope("run", "reference", *COMMON, *faults("instrument=disk, kind=full, command=map"), runs=tmp_path)
    assert done.code == 1, done.output
    assert "No space left" in done.output
    # the coarse sweep came before and is whole; the journal is readable to the line that says what happened
    point = xr.open_zarr(done.directory / "data.zarr", group="points/0000", consolidated=False)
    assert int(point["signal_frames"].sum()) == point.sizes["frequency"] * 2
    steps = [entry["data"]["step"] for entry in done.journal("step")]
    assert any("find the lines" in step for step in steps)
    assert not any("map" in step for step in steps)


def test_a_fault_that_a_disk_cannot_have_is_refused_before_anything_moves(nvscope, tmp_path):
    done = nvscope("run", "odmr", "--fault", "instrument=disk, kind=hang, at=1 s", runs=tmp_path)
    assert done.code == 2, done.output
    assert "faults[0].kind" in done.output
    assert "full, slow" in done.output
    assert not list(tmp_path.glob("*/*"))


def test_a_lab_that_refuses_a_fault_ends_with_that_line_alone(environment, tmp_path):
    """It is waiting for its standard input to close meanwhile."""
    fault = "instrument=laser, kind=pulses-lost, at=5 s"
    refused = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "nvscope.cli",
            "sim",
            "--addresses",
            "addresses.json",
            "--until-stdin-closes",
            "--fault",
            fault,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=tmp_path,
        text=True,
    )
    try:
        code = refused.wait(60)
        text = refused.stdout.read()
    finally:
        refused.kill()
        refused.communicate()
    assert code == 2, text
    assert "faults[0].kind" in text
    assert len(text.splitlines()) == 1, text


def test_lost_frames_lost_pulses_and_an_overflow_are_noticed_and_repeated(nvscope, tmp_path):
    done = nvscope(
        "run",
        "reference",
        *COMMON,
        *faults(
            "instrument=camera, kind=frames-lost, probability=0.01",
            "instrument=camera, kind=buffer-overflow, command=trigger, skip=480",
            "instrument=timing, kind=pulses-lost, command=StartTask, at=1200 s",
        ),
        runs=tmp_path,
    )
    assert done.code == 0, done.output
    discarded = done.journal("block-discarded")
    assert len(discarded) >= 3
    for path in (done.directory / "data.zarr" / "points").glob("[0-9]*"):
        point = xr.open_zarr(done.directory / "data.zarr", group=f"points/{path.name}", consolidated=False)
        if point.attrs["kind"] == "odmr":
            assert int(point["signal_frames"].sum()) == point.sizes["frequency"] * 2


def test_what_goes_wrong_with_source_and_laser_meanwhile_is_noticed_repeated_and_told(nvscope, tmp_path):
    """By what is sent and triggered, not by time: on a busy machine a run begins some seconds later."""
    done = nvscope(
        "run",
        "odmr",
        *COMMON,
        *("--set", "sweeps=9"),
        *faults(
            # two sweeps of 352 frames that look for the lines, then some of 84
            r"instrument=microwave, kind=unlocked, command=LSTE 1, duration=1 s",
            r"instrument=microwave, kind=trigger-missed, command=trigger, skip=720",
            r"instrument=microwave, kind=output-off, command=LSTE 1, skip=3",
            r"instrument=microwave, kind=trigger-doubled, command=trigger, skip=960",
            r"instrument=laser, kind=interlock, command=f\?, skip=14, duration=1 s",
        ),
        runs=tmp_path,
    )
    discarded = [entry["data"] for entry in done.journal("block-discarded")]
    told = [(entry["point"], entry["block"], entry["reason"]) for entry in discarded]
    assert told[0] == (0, 0, "microwave: the 4 GHz PLL is or was out of lock")
    assert told[1][:2] == (1, 0)
    assert "1 missed or 83 counted twice" in told[1][2]
    assert told[2] == (1, 1, "microwave: the output has gone off by itself")
    assert told[3][:2] == (1, 3)
    assert "83 missed or 1 counted twice" in told[3][2]
    # the run does not clear what a laser has latched
    assert told[4][2] == "laser: interlock error; laser: interlock open"
    assert len(told) == 5
    assert done.code == 1, done.output
    output = " ".join(done.output.split())
    assert "warning block 0 of point 0: microwave: the 4 GHz PLL is or was out of lock" in output
    assert "failed: Cobolt laser cannot emit: interlock error, interlock open; see to the cause" in output
    assert "RuntimeWarning" not in output
