from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr

from nvscope.errors import DataError
from nvscope.store.export import to_matlab, to_nexus
from nvscope.store.info import describe_run, write_info
from nvscope.store.layout import reserve_run
from nvscope.store.reader import RunReader
from nvscope.store.refits import write_refit
from nvscope.store.sums import Sums
from nvscope.store.writer import RunWriter
from nvscope.stream.messages import BlockClosed, Finish, HistoryRow, Maps, PointClosed, PointOpened

FREQUENCIES = [2.80e9, 2.81e9, 3.35e9]
SHAPE = (4, 5)
SIGNAL = np.arange(60, dtype=np.uint32).reshape(3, *SHAPE) * 1000


@pytest.fixture
def run(tmp_path: Path) -> RunReader:
    run_dir = reserve_run(tmp_path / "runs", "zfc-fw", "S1", 21e9)
    info = describe_run(
        "zfc-fw",
        {"field": 0.0097},
        rig={"name": "simulated"},
        sample={"name": "S1"},
        loading={"name": "s1", "nothing": None},
        nominal_pressure=21e9,
        operator="ada",
    )
    write_info(run_dir, info)
    with RunWriter(run_dir) as writer:
        writer.open_point(
            PointOpened(0, "odmr", FREQUENCIES, SHAPE, 1.0, {"temperature": 20.0, "field": 0.0097, "pixel_size": 1e-6})
        )
        counts = np.full(3, 4, np.int64)
        for block in range(2):
            writer.commit(BlockClosed(0, block, 24, 1, True, 2.0), Sums(SIGNAL, counts, SIGNAL, counts))
        names = ["f_minus", "f_minus_err", "b_z"]
        images = {name: np.full(SHAPE, index, np.float32) for index, name in enumerate(names)}
        writer.write_maps(Maps(0, 2, True, 3.0, SHAPE, names, {"median_b_err": 1e-6}), images)
        writer.close_point(PointClosed(0, 4.0, {"certificate": {"verdict": "valid", "worst": [1, 2]}}))
        writer.open_point(PointOpened(1, "transport", [], (0, 0), 5.0, {"temperature": 25.0}))
        writer.close_point(PointClosed(1, 6.0, {"resistance": 12.5}))
        writer.history(HistoryRow(1.0, {"temperature": 20.0, "field": None}))
        writer.finish(Finish("done"))
    write_refit(run_dir, 0, "free-widths", {"f_minus": np.full(SHAPE, 9.0)}, {"model": "lorentzian"})
    return RunReader(run_dir)


def follow_default(file: h5py.File) -> h5py.Group:
    """What a NeXus viewer shows first: the chain of default attributes down to an NXdata."""
    group: Any = file
    while group.attrs.get("NX_class") != "NXdata":
        group = group[group.attrs["default"]]
    return group


def test_a_nexus_viewer_finds_what_to_plot(run: RunReader, tmp_path: Path) -> None:
    to_nexus(run, tmp_path / "run.nxs")
    with h5py.File(tmp_path / "run.nxs") as file:
        data = follow_default(file)
        assert data.attrs["signal"] == "signal"
        assert list(data.attrs["axes"]) == ["frequency", "y", "x"]
        np.testing.assert_allclose(data["signal"][()], SIGNAL / 4)
        for index, axis in enumerate(data.attrs["axes"]):
            assert data[axis].shape == (data["signal"].shape[index],)
            assert data.attrs[f"{axis}_indices"] == index
        assert data["frequency"].attrs["units"] == "Hz"
        np.testing.assert_array_equal(data["frequency"], FREQUENCIES)
        np.testing.assert_array_equal(data["frames"], [8, 8, 8])


def test_nexus_entries_carry_sample_and_maps(run: RunReader, tmp_path: Path) -> None:
    to_nexus(run, tmp_path / "run.nxs")
    with h5py.File(tmp_path / "run.nxs") as file:
        classes: dict[str, str] = {}
        file.visititems(lambda name, item: classes.update({name: item.attrs.get("NX_class", "")}))
        assert all(classes[name] for name in classes if isinstance(file[name], h5py.Group))
        entry = file["point_0000"]
        assert entry["sample/name"].asstr()[()] == "S1"
        assert entry["sample/pressure"][()] == 21e9
        assert entry["sample/pressure"].attrs["units"] == "Pa"
        assert entry["sample/temperature"][()] == 20.0
        assert entry["sample/magnetic_field"].attrs["units"] == "T"
        assert entry["user/name"].asstr()[()] == "ada"
        assert entry["experiment_identifier"].asstr()[()] == run.info.uid
        assert json.loads(entry["run/data"].asstr()[()])["parameters"] == {"field": 0.0097}
        assert json.loads(entry["attributes/certificate"].asstr()[()])["verdict"] == "valid"
        assert entry["maps"].attrs["signal"] == "b_z"
        assert set(entry["maps"].attrs["auxiliary_signals"]) == {"f_minus", "f_minus_err"}
        assert entry["maps/f_minus"].attrs["units"] == "Hz"
        assert entry["maps/f_minus_errors"] == entry["maps/f_minus_err"]
        assert (entry["refit_free-widths/f_minus"][()] == 9).all()
        np.testing.assert_allclose(entry["reference/reference"][()], SIGNAL / 4)
        assert file["point_0001/attributes/resistance"][()] == 12.5
        np.testing.assert_array_equal(file["history/temperature/value"], [20.0])
        assert np.isnan(file["history/field/value"][0])


def test_matlab_gets_structs_it_can_index(run: RunReader, tmp_path: Path) -> None:
    to_matlab(run, tmp_path / "run.mat")
    content = scipy.io.loadmat(tmp_path / "run.mat", simplify_cells=True)
    assert content["run"]["sequence"] == "zfc-fw"
    assert content["run"]["loading"]["nothing"].size == 0
    point, transport = content["point"]
    np.testing.assert_allclose(point["signal"], SIGNAL / 4)
    np.testing.assert_array_equal(point["signal_frames"], [8, 8, 8])
    np.testing.assert_array_equal(point["frequency"], FREQUENCIES)
    assert point["attributes"]["certificate"]["verdict"] == "valid"
    assert (point["maps"]["b_z"] == 2).all()
    assert (point["refit_free_widths"]["f_minus"] == 9).all()
    assert transport["attributes"]["resistance"] == 12.5
    assert content["history"]["temperature"] == 20.0


def test_only_what_is_asked_for_and_nothing_overwritten(run: RunReader, tmp_path: Path) -> None:
    path = tmp_path / "one.nxs"
    to_nexus(run, path, points=[1])
    with h5py.File(path) as file:
        assert "point_0000" not in file
    for export in (to_nexus, to_matlab):
        with pytest.raises(DataError, match="exists"):
            export(run, path)
    to_nexus(run, path, points=[0], overwrite=True)
    with h5py.File(path) as file:
        assert "point_0000" in file
    for export in (to_nexus, to_matlab):
        with pytest.raises(DataError, match="no point 7"):
            export(run, tmp_path / "new", points=[7])
        with pytest.raises(DataError, match=r"missing cannot be written: No such file.*; see"):
            export(run, tmp_path / "missing" / "file", points=[7])
    assert sorted(item.name for item in tmp_path.iterdir()) == ["one.nxs", "runs"]


def test_without_h5py_it_says_what_to_install(run: RunReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_h5py(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", no_h5py)
    with pytest.raises(DataError, match=r"nvscope\[export\]"):
        to_nexus(run, tmp_path / "run.nxs")


def test_a_run_cut_short_is_exported_as_far_as_it_goes(run: RunReader, tmp_path: Path) -> None:
    (run.path / "run.json").unlink()
    to_nexus(RunReader(run.path), tmp_path / "run.nxs")
    to_matlab(RunReader(run.path), tmp_path / "run.mat")
    with h5py.File(tmp_path / "run.nxs") as file:
        np.testing.assert_allclose(follow_default(file)["signal"][()], SIGNAL / 4)


@pytest.mark.parametrize("export", [to_nexus, to_matlab])
@pytest.mark.parametrize("file", ["signal/c.1.0.0.0", "maps/b_z/c.0.0", "refits/free-widths/f_minus/c.0.0"])
def test_what_is_missing_or_damaged_is_named(run: RunReader, tmp_path: Path, export: Any, file: str) -> None:
    damaged = run.path / "data.zarr/points/0000" / file
    damaged.write_bytes(b"garbage")
    with pytest.raises(DataError, match=rf"point 0\b.*points/0000/{file.split('/')[0]}.* damaged; restore"):
        export(run, tmp_path / "out")
    damaged.unlink()
    with pytest.raises(DataError, match=rf"point 0\b.*points/0000/{file.split('/')[0]}.* missing; restore"):
        export(run, tmp_path / "out")
    assert [item.name for item in tmp_path.iterdir()] == ["runs"]


def test_a_refit_lands_beside_the_maps_which_stay(run: RunReader) -> None:
    point = run.point(0)
    assert point.refits() == ["free-widths"]
    refit = point.refit("free-widths")
    assert refit is not None
    assert refit.attrs["model"] == "lorentzian"
    assert refit.f_minus.attrs["units"] == "Hz"
    maps = point.maps()
    assert maps is not None
    assert (maps.f_minus == 0).all()
    with xr.open_zarr(run.path / "data.zarr", group="points/0000/refits/free-widths") as plain:
        assert (plain.f_minus == 9).all()
    assert RunReader(run.path).lines("refit")[0].data["name"] == "free-widths"
    assert RunReader(run.path).outcome.outcome == "done"


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "free-widths"])
def test_a_refit_needs_a_name_of_its_own(run: RunReader, name: str) -> None:
    with pytest.raises(DataError, match=r"name|already"):
        write_refit(run.path, 0, name, {"b_z": np.zeros(SHAPE)})


def test_a_refit_has_the_shape_of_its_point_and_waits_for_the_recorder(run: RunReader, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="shape"):
        write_refit(run.path, 0, "other", {"b_z": np.zeros((5, 4))})
    with pytest.raises(DataError, match="no point"):
        write_refit(run.path, 8, "other", {"b_z": np.zeros(SHAPE)})
    run_dir = reserve_run(tmp_path, "odmr", "S1")
    with RunWriter(run_dir) as writer:
        writer.open_point(PointOpened(0, "odmr", FREQUENCIES, SHAPE, 1.0))
        with pytest.raises(DataError, match="being written"):
            write_refit(run_dir, 0, "early", {"b_z": np.zeros(SHAPE)})
