"""What an operator may change while a run goes on, and how it is asked for beyond this computer."""

from __future__ import annotations

import numpy as np
import pytest

from nvscope.config import Frozen, Loading, Rig, Sample, load_toml, validate
from nvscope.config.files import find_config, read_model
from nvscope.engine.planning import planning_rig
from nvscope.engine.summary import summarize
from nvscope.engine.wishes import Wishes
from nvscope.errors import ConfigError, LimitError, NvscopeError
from nvscope.plans import PlanSummary, dry_run, find_sequence
from nvscope.stream.control import Control, ControlServer, Reply, ask
from nvscope.stream.keys import make_keys, read_keys
from nvscope.stream.messages import Maps


@pytest.fixture
def wishes() -> Wishes:
    sequence = find_sequence("zfc-fw")
    rig = read_model(Rig, "rigs", "simulated")
    loading = validate(Loading, load_toml(find_config("loadings", "s1")), "s1")
    devices = planning_rig(rig, read_model(Sample, "samples", "s1"), loading, (8, 8))

    def walk(parameters: Frozen) -> PlanSummary:
        return dry_run(sequence.plan(devices, parameters))

    return Wishes(sequence.parameters(), walk)


def test_changes_reach_the_next_point_and_the_estimate(wishes: Wishes) -> None:
    before = {one.name: one for one in wishes.describe()}
    assert (before["exposure"].value, before["exposure"].unit) == ("0.02 s", "s")
    text, planned = wishes.change({"frames": "4", "laser_power": "20 mW", "until": "0.2 G"})
    assert "frames 8 → 4" in text
    assert "laser_power 50 mW → 20 mW" in text
    parameters = find_sequence("zfc-fw").parameters()
    found = wishes.apply(parameters)
    assert (found.frames, found.laser_power, found.until) == (4, pytest.approx(0.02), pytest.approx(2e-5))
    assert found.temperatures == parameters.temperatures
    faster, _ = wishes.change({"frames": "2"}), None
    assert faster[1].frames < planned.frames
    wishes.change({"until": ""})
    assert wishes.apply(parameters).until is None


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({}, ConfigError, "nothing to set"),
        ({"base_temperature": "30 K"}, ConfigError, "cannot be changed while the run goes on"),
        ({"frames": "0"}, ConfigError, "frames"),
        ({"exposure": "20"}, ConfigError, "has no unit"),
        ({"laser_power": "5 W"}, LimitError, "limit"),
    ],
)
def test_what_does_not_do_changes_nothing(
    wishes: Wishes, settings: dict[str, str], error: type[NvscopeError], said: str
) -> None:
    before = wishes.describe()
    with pytest.raises(error, match=said):
        wishes.change(settings)
    assert wishes.describe() == before


def test_the_error_of_b_is_that_of_the_region_of_interest() -> None:
    errors = np.full((4, 4), 3e-5, np.float32)
    errors[:2, :2] = [[1e-5, np.nan], [1e-5, 1e-5]]
    maps = Maps(0, 1, False, 0.0, (4, 4), ["b_z_err"], {"median_b_err": 3e-5})
    corner = [(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)]
    assert summarize(maps, [errors]).b_err == pytest.approx(3e-5)
    assert summarize(maps, [errors], [corner]).b_err == pytest.approx(1e-5)
    outside = [(2.0, 2.0), (1.5, 2.0), (1.5, 1.5)]
    assert summarize(maps, [errors], [outside]).b_err == pytest.approx(3e-5)


def test_pixels_not_fitted_yet_keep_the_error_from_its_target() -> None:
    errors, status = np.full((4, 4), 1e-5, np.float32), np.zeros((4, 4), np.float32)
    errors[:2], status[:2] = np.nan, 2
    maps = Maps(0, 1, False, 0.0, (4, 4), ["b_z_err", "status"], {})
    assert summarize(maps, [errors, status]).b_err == np.inf  # half of them: the best ones alone are not the region
    errors[1, 3] = 9e-5
    assert summarize(maps, [errors, status]).b_err == pytest.approx(5e-5)
    status[0] = 4  # no light there: nothing to wait for
    assert summarize(maps, [errors, status]).b_err == pytest.approx(1e-5)
    upper = [(0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5)]
    assert summarize(maps, [errors, status], [upper]).b_err == np.inf
    status[:] = 4
    assert np.isnan(summarize(maps, [np.full_like(errors, np.nan), status]).b_err)


def test_control_with_keys_answers_only_who_has_them(tmp_path) -> None:
    shared = make_keys(tmp_path / "lab.toml")
    with pytest.raises(ConfigError, match="already"):
        make_keys(tmp_path / "lab.toml")
    both, public = read_keys(tmp_path / "lab.toml"), read_keys(shared)
    assert both.secret is not None
    assert public.secret is None
    server = ControlServer(lambda request: Reply(True, f"heard {request.verb}"), curve=both)
    try:
        assert ask(server.endpoint, Control("status"), curve=public).text == "heard status"
        other = read_keys(make_keys(tmp_path / "other.toml"))
        for stranger in (None, other):
            with pytest.raises(NvscopeError, match="did not answer"):
                ask(server.endpoint, Control("abort"), timeout=0.5, curve=stranger)
        assert ask(server.endpoint, Control("status"), curve=public).text == "heard status"
    finally:
        server.close()
    with pytest.raises(ConfigError, match="only encrypted"):
        ControlServer(lambda request: Reply(True), host="0.0.0.0")
    with pytest.raises(ConfigError, match="secret"):
        ControlServer(lambda request: Reply(True), host="0.0.0.0", curve=public)
