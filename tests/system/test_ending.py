"""How runs end when they do not end by themselves: Ctrl-C, abort from outside, a kill, a dying worker."""

import time

import psutil
import pyvisa
import xarray as xr

QUICK = ("--set", "temperatures=40 K, 60 K, 100 K", "--set", "frequencies=31")


def ask(lab, name, *queries):
    """Ask a simulated instrument directly, as somebody else's program would."""
    manager = pyvisa.ResourceManager("@py")
    session = manager.open_resource(
        lab.addresses[name]["address"], read_termination="\n", write_termination="\n", timeout=5000
    )
    try:
        return [session.query(query).strip() for query in queries]
    finally:
        session.close()
        manager.close()


def assert_safe(lab):
    assert ask(lab, "microwave", "ENBR?") == ["0"]
    assert ask(lab, "transport", "OUTP?") == ["0"]
    # temperature control is left regulating
    assert ask(lab, "cryostat", "RANGE? 1") != ["0"]


def test_ctrl_c_leaves_a_safe_rig_and_a_valid_directory(start_run, lab):
    served = lab("--pixels", "32x32")
    running = start_run("zfc-fw", *QUICK, "--lab", str(served.addresses_file))
    running.wait_for(lambda: "map (zfc)" in running.steps())
    running.interrupt()
    done = running.finish()
    assert done.code == 3, done.output
    assert_safe(served)
    # the magnet is paused where it was, not zeroed
    assert abs(float(ask(served, "magnet", "MEAS:CURR?")[0])) > 5
    assert (done.directory / "report.html").is_file()
    reference = [
        dataset
        for path in sorted((done.directory / "data.zarr" / "points").iterdir())
        if path.is_dir()
        and (dataset := xr.open_zarr(done.directory / "data.zarr", group=f"points/{path.name}", consolidated=False))
        and dataset.attrs.get("purpose") == "reference"
    ]
    assert len(reference) == 1
    assert reference[0]["signal"].sizes["block"] == 1
    states = [entry["data"]["state"] for entry in done.journal("state")]
    assert states[-1] == "aborted"


def test_control_from_another_terminal(start_run, nvscope, lab, tmp_path):
    served = lab("--pixels", "32x32")
    running = start_run("zfc-fw", *QUICK, "--lab", str(served.addresses_file))
    running.wait_for(lambda: "map (reference)" in running.steps())

    def say(*words):
        done = nvscope(*words, runs=tmp_path)
        assert done.code == 0, done.output
        return done.output

    assert "pausing" in say("pause")
    running.wait_for(lambda: "paused" in say("status"))
    steps = running.steps()
    time.sleep(0.5)
    assert running.steps() == steps
    say("note", "the pump was loud")
    assert "frames" in say("set")
    assert "frames 8 → 3" in say("set", "frames=3")
    assert "limit" in nvscope("set", "laser_power=5 W", runs=tmp_path).output
    say("resume")
    running.wait_for(lambda: any(step.startswith("temperature to 40 K") for step in running.steps()))
    say("abort", "seen enough")
    done = running.finish()
    assert done.code == 3, done.output
    assert done.journal("note")[0]["data"]["text"] == "the pump was loud"
    assert "seen enough" in done.output
    # what was set while paused holds for the next point, not for the one that was being taken
    points = [xr.open_zarr(done.directory / "data.zarr", group=f"points/{path.name}", consolidated=False).attrs
              for path in sorted((done.directory / "data.zarr" / "points").iterdir()) if path.is_dir()]  # fmt: skip
    taken = {attrs["purpose"]: attrs["frames_per_step"] for attrs in points}
    assert (taken["reference"], taken["zfc"]) == (8, 3)
    assert_safe(served)


def test_the_guardian_makes_the_rig_safe_after_a_kill(start_run, lab):
    served = lab("--pixels", "32x32")
    running = start_run("zfc-fw", *QUICK, "--lab", str(served.addresses_file))
    running.wait_for(lambda: "map (zfc)" in running.steps())
    running.process.kill()
    running.finish()
    (directory,) = [path for path in running.runs.glob("*/*") if path.is_dir()]
    log = directory / "guardian.log"
    deadline = time.monotonic() + 90
    while not (log.is_file() and "transport: safe" in log.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline, "the guardian did nothing"
        time.sleep(0.2)
    assert_safe(served)


def test_a_dead_recorder_ends_the_run_with_an_error(start_run, lab):
    served = lab("--pixels", "32x32")
    running = start_run("zfc-fw", *QUICK, "--lab", str(served.addresses_file))
    running.wait_for(lambda: "map (reference)" in running.steps())
    writers = [
        child
        for child in psutil.Process(running.process.pid).children(recursive=True)
        if any(file.path.endswith("journal.jsonl") for file in child.open_files())
    ]
    assert writers
    writers[0].kill()
    done = running.finish()
    assert done.code == 1, done.output
    assert "the recorder process ended unexpectedly" in done.output
    assert "in time" not in done.output  # nobody waits for the dead
    assert_safe(served)


def test_wrong_usage_moves_nothing(nvscope, tmp_path):
    done = nvscope("run", "zfc-fw", "--set", "feild=97 G", runs=tmp_path)
    assert done.code == 2
    assert "did you mean 'field'" in done.output
    done = nvscope("run", "zfc-fw", "--set", "field=900 G", runs=tmp_path)
    assert done.code == 2
    assert "900 G is beyond" in done.output
    assert not list(tmp_path.iterdir())


def test_a_second_ctrl_c_is_a_hard_stop_that_leaves_a_safe_rig(start_run, lab):
    served = lab("--pixels", "32x32")
    running = start_run("odmr", "--set", "sweeps=1000", "--set", "search_frames=1", "--lab", str(served.addresses_file))
    running.wait_for(lambda: "map (odmr)" in running.steps())
    running.wait_for(lambda: ask(served, "microwave", "ENBR?") == ["1"])
    running.interrupt()
    time.sleep(0.02)  # the operator means it: the first has hardly begun to make anything safe
    running.interrupt()
    done = running.finish()
    assert done.code == 3, done.output
    assert "the rig is safe" in done.output
    assert ask(served, "microwave", "ENBR?") == ["0"]
    assert ask(served, "transport", "OUTP?") == ["0"]
    assert ask(served, "laser", "l?") == ["0"]
    assert not (done.directory / "report.html").exists()
