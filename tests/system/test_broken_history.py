"""Histories broken on purpose on the simulated lab: the certificate sees it, says when, and nothing is wasted."""

import pytest

SMALL = ("--pixels", "32x32", "--set", "frequencies=21", "--set", "frames=2", "--set", "residual_bias=0 G")


def verdicts(done, protocol):
    found = [entry["data"] for entry in done.journal("certificate")]
    return [c["verdict"] for c in found if c["protocol"] == protocol]


def test_an_overshoot_makes_field_warming_invalid_and_the_protocol_is_redone(nvscope, tmp_path):
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
        runs=tmp_path,
    )
    assert done.code == 0, done.output
    found = verdicts(done, "fw")
    assert found[0] == "invalid"
    assert found[-2:] == ["valid", "valid"]
    assert any("again from above Tc" in entry["data"]["step"] for entry in done.journal("step"))


def test_a_field_glitch_while_cooling_is_no_zero_field_cooling(nvscope, tmp_path):
    done = nvscope(
        "run",
        "zfc",
        *SMALL,
        "--fault",
        "instrument=magnet, kind=command, at=1800 s, detail=CURR 0.5",
        "--fault",
        "instrument=magnet, kind=command, at=1830 s, detail=CURR 0",
        runs=tmp_path,
    )
    assert done.code == 1, done.output
    (certificate,) = [e["data"] for e in done.journal("certificate") if e["data"]["protocol"] == "zfc"]
    assert certificate["verdict"] == "invalid"
    assert "while cooling below Tc" in certificate["reason"]
    assert certificate["moment"] == pytest.approx(1815, abs=20)
    # not one frame was spent on it
    assert "zfc" not in [e["data"].get("purpose") for e in done.journal("point-opened")]


def test_a_warm_up_during_a_helium_refill_is_seen(nvscope, tmp_path):
    done = nvscope(
        "run", "zfc", *SMALL, "--fault", "instrument=cryostat, kind=helium-low, at=2290 s, duration=60 s", runs=tmp_path
    )
    assert done.code == 1, done.output
    certificate = [e["data"] for e in done.journal("certificate") if e["data"]["protocol"] == "zfc"][-1]
    assert certificate["verdict"] == "invalid"
    assert "T exceeded" in certificate["reason"]
