"""Histories broken on purpose on the simulated lab: the certificate sees it, says when, and nothing is wasted."""

import json

import pytest

SMALL = ("--pixels", "32x32", "--set", "frequencies=21", "--set", "frames=2", "--set", "residual_bias=0 G")


def verdicts(done, protocol):
    found = [entry["data"] for entry in done.journal("certificate")]
    return [c["verdict"] for c in found if c["protocol"] == protocol]


def test_what_an_overshoot_or_a_stray_field_made_invalid_is_redone(nvscope, tmp_path):
    done = nvscope(
        "run",
        "zfc-fw",
        *SMALL,
        "--set",
        "temperatures=40 K, 100 K",
        "--set",
        "redos=1",
        "--fault",
        r"instrument=cryostat, kind=heater-runaway, command=SETP 1.\+?40, duration=40 s",
        "--fault",
        "instrument=magnet, kind=command, at=1480 s, detail=CURR 12",  # while the lines are looked for
        runs=tmp_path,
    )
    assert done.code == 0, done.output
    assert verdicts(done, "normal") == ["invalid", "valid", "valid"]
    found = verdicts(done, "fw")
    assert found[0] == "invalid"
    assert found[-2:] == ["valid", "valid"]
    assert any("again from above Tc" in entry["data"]["step"] for entry in done.journal("step"))


NIGHT = """
[[steps]]
sequence = "fc"
on_invalid = "continue"
parameters = { frequencies = 21, frames = 2, residual_bias = "0 G" }
[[steps]]
sequence = "zfc"
on_invalid = "continue"
parameters = { frequencies = 21, residual_bias = "0 G" }
across = { frames = [2, 3, 110] }
"""
FAULTS = (
    "instrument=magnet, kind=command, at=1740 s, detail=CURR 2",  # while the fc passes its Tc
    "instrument=magnet, kind=command, at=1760 s, detail=CURR 15",
    "instrument=magnet, kind=command, at=3400 s, detail=CURR 0.5",  # half way down in the first zfc
    "instrument=magnet, kind=command, at=3430 s, detail=CURR 0",
    "instrument=cryostat, kind=helium-low, at=5300 s, duration=30 s",  # while the field of the second is switched on
    "instrument=cryostat, kind=sensor-open, at=7030 s, duration=75 s",  # while the third is being mapped
)


@pytest.fixture(scope="module")
def night(nvscope, tmp_path_factory):
    """One night in which every history is broken in its own way; all certificates that are not of the normal state."""
    folder = tmp_path_factory.mktemp("night")
    (folder / "night.toml").write_text(NIGHT, encoding="utf-8")
    faults = [part for text in FAULTS for part in ("--fault", text)]
    program = ("--set", "program=night.toml", "--pixels", "16x16")
    done = nvscope("run", "overnight", *program, *faults, runs=folder)
    assert done.code == 0, done.output
    assert set(verdicts(done, "normal")) == {"valid"}
    return done, [e["data"] for e in done.journal("certificate") if e["data"]["protocol"] != "normal"]


def test_a_field_glitch_at_the_crossing_is_no_field_cooling(night):
    _, certificates = night
    field_cooled = certificates[0]
    assert (field_cooled["protocol"], field_cooled["verdict"]) == ("fc", "invalid")
    assert "H strayed by 86.67 % from 150 G" in field_cooled["reason"]
    assert field_cooled["moment"] == pytest.approx(1740, abs=12)


def test_a_field_glitch_while_cooling_is_no_zero_field_cooling(night):
    _, certificates = night
    assert certificates[1]["verdict"] == "invalid"
    assert "|H| reached 5.00 G below Tc" in certificates[1]["reason"]
    assert certificates[1]["moment"] == pytest.approx(3400, abs=12)


def test_a_warm_up_during_a_helium_refill_is_seen(night):
    _, certificates = night
    assert certificates[2]["verdict"] == "invalid"
    assert "T exceeded" in certificates[2]["reason"]
    assert certificates[2]["moment"] > 5310


def test_a_temperature_lost_during_a_map_is_told_with_the_gap(night):
    """Without a sensor the heater goes off: the map was taken while the sample cooled."""
    _, certificates = night
    before, after = certificates[3:]
    assert (before["verdict"], after["verdict"]) == ("valid", "invalid")
    assert after["numbers"]["longest_gap"] == pytest.approx(90, abs=12)
    assert after["numbers"]["overshoot"] > 5


def test_no_frame_is_spent_on_a_history_that_is_broken_already(night):
    done, _ = night
    kept = [e["data"] for e in done.journal("step") if e["data"]["step"].startswith("map (")]
    assert [step["step"] for step in kept].count("map (zfc)") == 3
    purposes = [
        json.loads(path.read_text(encoding="utf-8"))["attributes"].get("purpose")
        for path in sorted((done.directory / "data.zarr" / "points").glob("*/zarr.json"))
    ]
    assert purposes.count("zfc") == 1  # the one that was broken while it was mapped
    assert "fc" not in purposes
