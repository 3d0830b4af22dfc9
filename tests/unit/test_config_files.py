from pathlib import Path

import pytest

from nvscope.config import Loading, Rig, Sample, config_folders, find_config, load_toml, read_model, validate
from nvscope.errors import ConfigError

PACKAGED = config_folders()[-1]


@pytest.mark.parametrize("path", sorted((PACKAGED / "rigs").glob("*.toml")), ids=lambda path: path.stem)
def test_every_packaged_rig_is_valid(path: Path):
    rig = validate(Rig, load_toml(path), str(path))
    assert rig.instruments


@pytest.mark.parametrize("path", sorted((PACKAGED / "samples").glob("*.toml")), ids=lambda path: path.stem)
def test_every_packaged_sample_is_valid(path: Path):
    assert validate(Sample, load_toml(path), str(path)).name.lower() == path.stem


@pytest.mark.parametrize("path", sorted((PACKAGED / "loadings").glob("*.toml")), ids=lambda path: path.stem)
def test_every_packaged_loading_is_valid(path: Path):
    assert validate(Loading, load_toml(path), str(path)).nominal_pressure >= 0


def test_a_typo_is_an_error_that_names_file_key_and_the_nearest_known_key(tmp_path: Path):
    file = tmp_path / "bad.toml"
    file.write_text('name = "x"\n[instruments]\n[limits]\nfeild = "3 G"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.toml: limits\.feild: unknown key; did you mean 'field'\?"):
        read_model(Rig, "rigs", str(file))


def test_a_loading_cannot_pull():
    described = load_toml(PACKAGED / "loadings" / "s1.toml")
    with pytest.raises(ConfigError, match="nominal_pressure: must be at least 0 GPa"):
        validate(Loading, {**described, "nominal_pressure": "-3 GPa"}, "s1.toml")


def test_a_record_is_read_more_often_than_a_gap_lasts():
    described = load_toml(PACKAGED / "rigs" / "simulated.toml")
    wrong = {**described, "history": {"period": "40 s", "gap": "60 s"}}
    with pytest.raises(ConfigError, match=r"history.*period 40 s must be at most half the gap of 60 s"):
        validate(Rig, wrong, "simulated.toml")


def test_broken_toml_names_file_and_place(tmp_path: Path):
    file = tmp_path / "bad.toml"
    file.write_text("name = \n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.toml: not valid TOML: .*line 1"):
        read_model(Rig, "rigs", str(file))


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(ConfigError, match=r"no rig called 'simulatd'; did you mean 'simulated'\?"):
        find_config("rigs", "simulatd")


def test_a_file_in_the_working_folder_comes_before_the_packaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "configs" / "rigs").mkdir(parents=True)
    own = tmp_path / "configs" / "rigs" / "simulated.toml"
    own.write_text('name = "mine"\n[instruments]\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert read_model(Rig, "rigs", "simulated").name == "mine"
