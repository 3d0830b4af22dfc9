"""One sample has one master at a time, and a history does not connect across what was moved by hand."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from nvscope.config import Loading, Rig, Sample, load_toml, validate
from nvscope.config.files import find_config, read_model
from nvscope.engine.connect import refuse_held
from nvscope.engine.past import recall
from nvscope.engine.touched import last_touched, mark
from nvscope.errors import InstrumentError
from nvscope.store.info import describe_run, write_info
from nvscope.store.layout import reserve_run
from nvscope.store.writer import RunWriter
from nvscope.stream.control import ControlServer, Reply, RunInfo, announce
from nvscope.stream.messages import Finish, HistoryRow, JournalEntry

ADDRESSES = {"magnet": "TCPIP::magnet", "cryostat": "TCPIP::cryostat"}


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Sample, Loading]:
    """A finished run on these instruments."""
    monkeypatch.setenv("NVSCOPE_STATE", str(tmp_path / "state"))
    sample = read_model(Sample, "samples", "s1")
    loading = validate(Loading, load_toml(find_config("loadings", "s1")), "s1")
    directory = reserve_run(tmp_path / "runs", "zfc", sample.name, loading.nominal_pressure)
    info = describe_run("zfc", {}, rig={"name": "r"}, sample=sample.model_dump(mode="json"),
                        loading=loading.model_dump(mode="json"), nominal_pressure=loading.nominal_pressure)  # fmt: skip
    write_info(directory, info)
    with RunWriter(directory) as writer:
        known = {name: {"address": address} for name, address in ADDRESSES.items()}
        writer.entry(JournalEntry("instruments", 1000.0, known))
        writer.history(HistoryRow(900.0, {"residual_field": 0.4e-4}))
        writer.history(HistoryRow(1000.0, {"temperature": 20.0, "field": 0.0}))
        writer.finish(Finish("done"))
    return tmp_path / "runs", sample, loading


def connects(before: tuple[Path, Sample, Loading]) -> bool:
    runs, sample, loading = before
    return recall(runs, runs / "new", sample, loading, ADDRESSES, 1100.0).run != ""


def test_what_is_moved_by_hand_ends_a_history(before: tuple[Path, Sample, Loading]) -> None:
    assert connects(before)
    mark(["TCPIP::somebody-else's"])
    assert connects(before)
    mark(ADDRESSES.values())
    assert abs(last_touched(ADDRESSES.values()) - time.time()) < 60  # now, on whatever machine this runs
    assert not connects(before)


def test_what_goes_on_counts_the_field_as_before(before: tuple[Path, Sample, Loading]) -> None:
    """H of the run before includes what was found at zero current; without it a field that never moved has strayed."""
    runs, sample, loading = before
    assert recall(runs, runs / "new", sample, loading, ADDRESSES, 1100.0).residual == pytest.approx(0.4e-4)
    assert recall(runs, runs / "new", sample, loading, ADDRESSES, 9000.0).residual == 0


def test_a_damaged_note_is_as_good_as_none(before: tuple[Path, Sample, Loading], tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(exist_ok=True)
    for text in ("[1, 2]", "{", '{"a": "b"}'):
        (tmp_path / "state" / "by-hand.json").write_text(text)
        assert last_touched(ADDRESSES.values()) == -np.inf
    mark(ADDRESSES.values())
    assert not connects(before)


def test_what_somebody_holds_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVSCOPE_STATE", str(tmp_path / "state"))
    rig = read_model(Rig, "rigs", "simulated")
    addresses = {name: f"TCPIP::{name}" for name in rig.instruments}
    refuse_held(rig, addresses, "rig.toml")
    server = ControlServer(lambda request: Reply(True))
    info = RunInfo("live-x", "", os.getpid(), server.endpoint, "tcp://127.0.0.1:9", "live", ["TCPIP::magnet", "COM3"])
    path = announce(info)
    try:
        with pytest.raises(InstrumentError, match=r"live-x .* holds magnet; .* nvscope abort --run live-x"):
            refuse_held(rig, addresses, "rig.toml")
        refuse_held(rig, addresses | {"magnet": "TCPIP::another"}, "rig.toml")
    finally:
        server.close()
        path.unlink()
