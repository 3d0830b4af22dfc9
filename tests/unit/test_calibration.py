"""Calibrations on their way from one run to the next."""

import tomllib

import pytest

from nvscope.cli.selection import resolve_parameters, select
from nvscope.config.calibration import FILE, CalibrationFile, Value, calibrated_rig, read_calibration
from nvscope.errors import ConfigError
from nvscope.plans import find_sequence
from nvscope.units import Resolved


def found(*values, run="0001-calibrate", rig="simulated", loading="S1"):
    items = tuple(Value.model_validate(value) for value in values)
    return CalibrationFile(run=run, rig=rig, loading=loading, values=items)


MAGNET = found(
    {"key": "instruments.magnet.settings.gain", "value": 1.0032, "err": 1e-4},
    {"key": "instruments.magnet.settings.field_at_zero", "value": "0.34 G", "err": "0.003 G"},
    {"key": "detector.gain", "value": 1.01, "err": 0.006},
)
LIGHT = found(
    {"key": "parameters.exposure", "value": "33 ms", "laser_power": Resolved(0.05), "note": 'brightest "70" %'},
    {"key": "parameters.exposure", "value": "18 ms", "laser_power": Resolved(0.1)},
    {"key": "parameters.power", "value": "6 dBm"},
)


@pytest.mark.parametrize("file", [MAGNET, LIGHT])
def test_a_file_reads_back_as_it_was_written(file, tmp_path):
    (tmp_path / FILE).write_text(file.toml(), encoding="utf-8")
    assert read_calibration(tmp_path) == read_calibration(tmp_path / FILE)
    again = read_calibration(tmp_path)
    assert [item.key for item in again.values] == [item.key for item in file.values]
    assert again.values[0].laser_power == pytest.approx(file.values[0].laser_power)
    assert again.toml() == file.toml()


def test_the_rig_gets_what_was_measured_and_nothing_else_changes():
    plain, calibrated = select("simulated", "s1", None).rig, select("simulated", "s1", None, calibrations=[MAGNET]).rig
    settings = calibrated.instruments["magnet"].settings
    assert (settings["gain"], settings["field_at_zero"]) == (1.0032, "0.34 G")
    assert calibrated.detector.gain == 1.01
    assert calibrated.detector.readout == plain.detector.readout
    assert calibrated.limits == plain.limits
    assert "gain" not in plain.instruments["magnet"].settings


def test_parameters_stand_between_the_defaults_and_what_is_set():
    odmr = find_sequence("odmr")
    assert resolve_parameters(odmr, [], [LIGHT]).exposure == pytest.approx(0.033)
    assert resolve_parameters(odmr, [], [LIGHT]).power == 6.0
    bright = resolve_parameters(odmr, ["laser_power=100 mW", "power=3 dBm"], [LIGHT])
    assert (bright.exposure, bright.power) == (pytest.approx(0.018), 3.0)
    assert resolve_parameters(odmr, ["laser_power=70 mW", "exposure=25 ms"], [LIGHT]).exposure == pytest.approx(0.025)
    with pytest.raises(ConfigError, match="known at 50 mW, 100 mW, not at 70 mW"):
        resolve_parameters(odmr, ["laser_power=70 mW"], [LIGHT])
    # what is not mapped with has other uses for such names
    exposure = find_sequence("calibrate-exposure")
    assert resolve_parameters(exposure, [], [LIGHT]) == resolve_parameters(exposure, [])


def test_every_step_of_a_night_is_given_them(tmp_path):
    (tmp_path / "night.toml").write_text(
        '[[steps]]\nsequence = "zfc"\n[[steps]]\nsequence = "fc"\nparameters = { power = "1 dBm" }\n'
        '[[steps]]\nsequence = "transport-rt"\n',
        encoding="utf-8",
    )
    night = find_sequence("overnight")
    resolved = resolve_parameters(night, [f"program={(tmp_path / 'night.toml').as_posix()}"], [LIGHT])
    assert [dict(step.parameters) for step in resolved.steps] == [
        {"exposure": "33 ms", "power": "6 dBm"},
        {"exposure": "33 ms", "power": "1 dBm"},
        {},
    ]


def test_a_calibration_of_something_else_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="of rig 'simulated', not of 'simulated-vector'"):
        select("simulated-vector", "s1", None, calibrations=[MAGNET])
    with pytest.raises(ConfigError, match="loading 'S1'; calibrate again with 'S2'"):
        select("simulated", "s2", None, calibrations=[LIGHT])
    assert select("simulated", "s2", None, calibrations=[MAGNET]).sample.name == "S2"  # the magnet is the same
    with pytest.raises(ConfigError, match=r"no calibration\.toml there"):
        read_calibration(tmp_path)
    with pytest.raises(ConfigError, match="no instrument 'magnets'"):
        calibrated_rig({"instruments": {}}, [found({"key": "instruments.magnets.settings.gain", "value": 1.0})])
    other = found({"key": "limits.field", "value": "1 T"})
    (tmp_path / FILE).write_text(other.toml(), encoding="utf-8")
    with pytest.raises(ConfigError, match="neither of the rig nor a parameter"):
        read_calibration(tmp_path)
    assert tomllib.loads(other.toml())["values"][0]["value"] == "1 T"
