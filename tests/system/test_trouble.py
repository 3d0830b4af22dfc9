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


def test_what_goes_wrong_with_the_microwaves_meanwhile_is_noticed_and_repeated(nvscope, tmp_path):
    done = nvscope(
        "run",
        "reference",
        *COMMON,
        *("--set", "fields=97 G", "--set", "sweeps=3"),
        *faults(
            "instrument=microwave, kind=unlocked, at=1175 s, duration=1 s",
            "instrument=microwave, kind=output-off, at=1200 s",
            "instrument=microwave, kind=trigger-missed, command=trigger, skip=900",
            "instrument=microwave, kind=trigger-doubled, command=trigger, skip=1100",
        ),
        runs=tmp_path,
    )
    assert done.code == 0, done.output
    told = [entry["data"]["reason"] for entry in done.journal("block-discarded")]
    assert len(told) == 4
    assert told[0] == "microwave: the 4 GHz PLL is or was out of lock"
    assert "1 missed or 83 counted twice" in told[1]
    assert told[2] == "microwave: the output has gone off by itself"
    assert "83 missed or 1 counted twice" in told[3]
    assert len(done.journal("commit")) == 4


def test_a_laser_off_for_a_moment_is_noticed_and_ends_the_run(nvscope, tmp_path):
    fault = "instrument=laser, kind=interlock, at=5 s, duration=1 s"
    done = nvscope("run", "odmr", *COMMON, *faults(fault), runs=tmp_path)
    assert done.code == 1, done.output
    assert [entry["data"]["reason"] for entry in done.journal("block-discarded")] == ["laser: interlock error"]
    assert not done.journal("commit")
    assert "cannot emit: interlock error; see to the cause" in " ".join(done.output.split())
    assert "Warning" not in done.output
