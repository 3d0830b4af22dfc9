from __future__ import annotations

import csv
import datetime
import errno
import json
import multiprocessing
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from nvscope.errors import DataError
from nvscope.store import files
from nvscope.store.files import write_whole
from nvscope.store.housekeeping import HistoryTable, read_history
from nvscope.store.info import describe_run, read_info, write_info
from nvscope.store.journal import Journal, read_journal
from nvscope.store.layout import find_run, list_runs, reserve_run
from nvscope.store.reader import RunReader
from nvscope.store.sums import MOST_FRAMES, BlockSums, Sums
from nvscope.store.writer import RunWriter
from nvscope.stream.messages import (
    BlockClosed,
    Document,
    Finish,
    Frame,
    HistoryRow,
    JournalEntry,
    Maps,
    PointClosed,
    PointOpened,
)

FREQUENCIES = [2.80e9, 2.81e9, 3.35e9]
SHAPE = (4, 5)
OPENED = PointOpened(3, "odmr", FREQUENCIES, SHAPE, 10.0, {"T": 20.0, "H": 0.0097, "pixel_size": 1e-6})


def sums(seed: int, reference: bool = False, frames: int = 8) -> Sums:
    rng = np.random.default_rng(seed)
    signal = rng.integers(0, 2**32, (len(FREQUENCIES), *SHAPE), np.uint32)
    counts = np.full(len(FREQUENCIES), frames, np.int64)
    return Sums(signal, counts, signal // 2 if reference else None, counts // 2 if reference else 0 * counts)


def closed(block: int, point: int = 3) -> BlockClosed:
    return BlockClosed(point, block, 24, 1, True, 11.0 + block)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return reserve_run(tmp_path / "runs", "zfc-fw", "S1", 21e9)


@pytest.fixture
def writer(run_dir: Path) -> Iterator[RunWriter]:
    with RunWriter(run_dir) as writer:
        yield writer


# --- names ---------------------------------------------------------------------------------------------------------


def test_a_run_directory_says_what_it_holds(tmp_path: Path) -> None:
    day = datetime.date(2026, 11, 21)
    first = reserve_run(tmp_path, "zfc-fw", "S1", 21e9, day=day)
    second = reserve_run(tmp_path, "my sequence/α.py", "S 1", 16.25e9, day=day)
    third = reserve_run(tmp_path, "odmr", "S1", day=day)
    assert first.relative_to(tmp_path).as_posix() == "2026-11-21/0001-zfc-fw-S1-21GPa"
    assert second.name == "0002-my-sequence-.py-S-1-16.2GPa"
    assert third.name == "0003-odmr-S1"
    assert not [path for path in first.parent.iterdir() if path.name.startswith(".")]


def _reserve(arguments: tuple[Path, int]) -> str:
    root, who = arguments
    return reserve_run(root, f"seq{who % 3}", "S1", day=datetime.date(2026, 1, 1)).name


def test_processes_never_share_a_number(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        names = pool.map(_reserve, [(tmp_path, who) for who in range(60)], chunksize=1)
    assert sorted(int(name.split("-")[0]) for name in names) == list(range(1, 61))


def test_a_dead_process_costs_a_number_only(tmp_path: Path) -> None:
    day = datetime.date(2026, 1, 1)
    (tmp_path / "2026-01-01").mkdir()
    (tmp_path / "2026-01-01" / ".0001").touch()
    assert reserve_run(tmp_path, "odmr", "S1", day=day).name == "0002-odmr-S1"


def test_runs_are_found_by_what_people_call_them(tmp_path: Path) -> None:
    early = reserve_run(tmp_path, "odmr", "S1", day=datetime.date(2026, 1, 1))
    late = [reserve_run(tmp_path, "odmr", "S2", day=datetime.date(2026, 1, 2)) for _ in range(2)]
    assert list_runs(tmp_path) == [early, *late]
    assert find_run("latest", tmp_path) == late[1]
    assert find_run("1", tmp_path) == late[0]
    assert find_run("2026-01-01/0001", tmp_path) == early
    assert find_run("0001-odmr-S1", tmp_path) == early
    for text in ("3", "nothing", "", "2026-01-03/0001"):
        with pytest.raises(DataError):
            find_run(text, tmp_path)


# --- whole files ---------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    write_whole(path, b"old")

    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_run_json_keeps_what_the_run_was(run_dir: Path) -> None:
    info = describe_run(
        "zfc-fw", {"field": 0.0097}, rig={"name": "simulated"}, sample={}, loading={}, nominal_pressure=21e9, note="dry"
    )
    write_info(run_dir, info)
    assert read_info(run_dir) == info
    raw = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
    assert raw["parameters"] == {"field": 0.0097}
    assert raw["software"]["packages"]["numpy"] == np.__version__
    assert len(raw["uid"]) == 36


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"uid": 3}'])
def test_a_damaged_run_json_is_an_error_that_names_it(run_dir: Path, text: str) -> None:
    (run_dir / "run.json").write_text(text)
    with pytest.raises(DataError, match=r"run\.json"):
        read_info(run_dir)


# --- the journal ---------------------------------------------------------------------------------------------------


ENTRY = st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(-9, 9), max_size=3)


@given(st.lists(ENTRY, max_size=6), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_journal_cut_anywhere_keeps_its_whole_lines(entries: list[dict[str, Any]], fraction: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        journal = Journal(path)
        for number, entry in enumerate(entries):
            journal.append("note", entry, rig_time=float(number))
        journal.close()
        whole = path.read_bytes()
        lines, damaged = read_journal(path)
        assert [line.data for line in lines] == entries
        assert damaged == 0
        cut = int(fraction * len(whole))
        if whole[cut : cut + 1] == b"\n":
            return  # all of a line but its end: whole as soon as something follows
        path.write_bytes(whole[:cut])
        assert len(read_journal(path)[0]) == whole[:cut].count(b"\n")
        # a later writer ends the torn line first
        later = Journal(path)
        later.append("later", {})
        later.close()
        lines, damaged = read_journal(path)
        assert lines[-1].kind == "later"
        assert len(lines) == whole[:cut].count(b"\n") + 1
        assert damaged == (1 if cut and whole[cut - 1 : cut] != b"\n" else 0)


def test_a_journal_line_is_json_anybody_can_read(run_dir: Path) -> None:
    journal = Journal(run_dir / "journal.jsonl")
    journal.append("warning", {"what": "δB grew"}, rig_time=1.5, source="run")
    journal.close()
    (line,) = (run_dir / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    assert {key: value for key, value in json.loads(line).items() if key != "time"} == {
        "source": "run",
        "kind": "warning",
        "rig_time": 1.5,
        "data": {"what": "δB grew"},
    }


# --- history.csv ---------------------------------------------------------------------------------------------------


def test_history_grows_columns_without_losing_rows(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    table = HistoryTable(path)
    table.append(1.0, 100.0, {"temperature": 300.0})
    table.append(2.0, 101.0, {"temperature": None, "field": 0.0097})
    table.append(3.0, 102.0, {"field": 0.0098})
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["rig_time", "wall_time", "temperature", "field"]
    assert [row["temperature"] for row in rows] == ["300.0", "", ""]
    columns = read_history(path)
    np.testing.assert_array_equal(columns["field"], [np.nan, 0.0097, 0.0098])
    np.testing.assert_array_equal(columns["rig_time"], [1.0, 2.0, 3.0])


def test_a_torn_history_row_is_not_read_as_another_number(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    HistoryTable(path).append(1.0, 100.0, {"temperature": 300.0})
    HistoryTable(path).append(2.0, 101.0, {"temperature": 123.456})
    path.write_bytes(path.read_bytes()[:-4])
    np.testing.assert_array_equal(read_history(path)["temperature"], [300.0])
    HistoryTable(path).append(3.0, 102.0, {"temperature": 77.0})
    np.testing.assert_array_equal(read_history(path)["temperature"], [300.0, 77.0])


def test_damaged_history_rows_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(b"rig_time,temperature\n1.0,300.0\n2.0,\xff\xfe\nthree,4.0\n4.0,301.0\n")
    np.testing.assert_array_equal(read_history(path)["temperature"], [300.0, 301.0])
    path.write_bytes(bytes(range(256)))
    assert read_history(path) == {}


def test_no_history_is_no_columns(tmp_path: Path) -> None:
    assert read_history(tmp_path / "history.csv") == {}
    (tmp_path / "history.csv").touch()
    assert read_history(tmp_path / "history.csv") == {}


# --- sums ----------------------------------------------------------------------------------------------------------


def test_frames_are_summed_in_integers_by_step_and_kind() -> None:
    block = BlockSums(OPENED)
    rng = np.random.default_rng(1)
    images = rng.integers(0, 65536, (40, *SHAPE), np.uint16)
    expected = np.zeros((2, len(FREQUENCIES), *SHAPE), object)
    for number, image in enumerate(images):
        reference = number % 5 == 0
        block.add(Frame(3, 0, 0, number % 3, number, reference, 0.0, SHAPE), image)
        expected[int(reference), number % 3] += image.astype(object)
    taken = block.take()
    assert taken.reference is not None
    assert (taken.signal == expected[0]).all()
    assert (taken.reference == expected[1]).all()
    assert taken.frames == 40
    assert block.take().frames == 0


def test_a_sum_cannot_overflow() -> None:
    point = PointOpened(0, "odmr", [1e9], (1, 1), 0.0)
    block = BlockSums(point)
    white = np.full((1, 1), 65535, np.uint16)
    for number in range(MOST_FRAMES):
        block.add(Frame(0, 0, 0, 0, number, False, 0.0, (1, 1)), white)
    with pytest.raises(DataError, match="close blocks sooner"):
        block.add(Frame(0, 0, 0, 0, MOST_FRAMES, False, 0.0, (1, 1)), white)
    assert int(block.take().signal[0, 0, 0]) == MOST_FRAMES * 65535 < 2**32


@pytest.mark.parametrize("frame", [Frame(3, 0, 0, 3, 0, False, 0.0, SHAPE), Frame(3, 0, 0, 0, 0, False, 0.0, (5, 4))])
def test_a_frame_from_elsewhere_is_not_summed(frame: Frame) -> None:
    block = BlockSums(OPENED)
    with pytest.raises(DataError):
        block.add(frame, np.zeros(frame.shape, np.uint16))
    assert block.take().frames == 0


def test_a_block_too_large_for_a_chunk_is_refused_at_once() -> None:
    with pytest.raises(DataError, match="fewer frequencies"):
        BlockSums(PointOpened(0, "odmr", [1e9] * 200, (2048, 2048), 0.0))


# --- data.zarr -----------------------------------------------------------------------------------------------------


def test_plain_xarray_opens_a_point_while_it_is_written(run_dir: Path, writer: RunWriter) -> None:
    writer.open_point(OPENED)
    for block in range(3):
        with xr.open_zarr(run_dir / "data.zarr", group="points/0003") as data:
            assert data.sizes["block"] == block
        writer.commit(closed(10 * block), sums(block, reference=True))
    with xr.open_zarr(run_dir / "data.zarr", group="points/0003") as data:
        assert dict(data.sizes) == {"block": 3, "frequency": 3, "y": 4, "x": 5}
        assert data.signal.dtype == np.uint32
        assert data.signal.dims == ("block", "frequency", "y", "x")
        for block in range(3):
            np.testing.assert_array_equal(data.signal[block], sums(block).signal)
            np.testing.assert_array_equal(data.reference[block], sums(block).signal // 2)
        np.testing.assert_array_equal(data.block, [0, 10, 20])
        np.testing.assert_array_equal(data.signal_frames, np.full((3, 3), 8))
        np.testing.assert_array_equal(data.frequency, FREQUENCIES)
        assert data.frequency.attrs["units"] == "Hz"
        np.testing.assert_allclose(data.x, (np.arange(5) + 0.5) * 1e-6)
        assert data.x.attrs["units"] == "m"
        assert data.attrs == {"kind": "odmr", "rig_time": 10.0, "T": 20.0, "H": 0.0097, "pixel_size": 1e-6}
    writer.close()


def test_zarr_reads_every_array_and_its_codecs_are_those_decided(run_dir: Path, writer: RunWriter) -> None:
    writer.open_point(OPENED)
    writer.commit(closed(0), sums(0))
    writer.close()
    assert (run_dir / "data.zarr/points/0003/signal/c.0.0.0.0").is_file()
    # without the consolidated metadata too
    root = zarr.open_group(run_dir / "data.zarr", mode="r", use_consolidated=False)
    signal = root["points/0003/signal"]
    assert signal.chunks == (1, 3, 4, 5)
    np.testing.assert_array_equal(signal[0], sums(0).signal)
    metadata = json.loads((run_dir / "data.zarr/points/0003/signal/zarr.json").read_text())
    assert [codec["name"] for codec in metadata["codecs"]] == ["bytes", "blosc", "crc32c"]
    # what the metadata says is what was done
    blosc = metadata["codecs"][1]["configuration"]
    chunk = (run_dir / "data.zarr/points/0003/signal/c.0.0.0.0").read_bytes()
    assert (chunk[3], blosc["typesize"], blosc["shuffle"], bool(chunk[2] & 4)) == (4, 4, "bitshuffle", True)
    assert sorted(zarr.open_group(run_dir / "data.zarr", mode="r")["points/0003"].array_keys()) == [
        "block",
        "frequency",
        "signal",
        "signal_frames",
        "x",
        "y",
    ]


def test_points_may_be_written_in_turns(run_dir: Path, writer: RunWriter) -> None:
    for point in (3, 10, 4, 5):
        writer.open_point(msgspec.structs.replace(OPENED, point=point))
    writer.open_point(PointOpened(6, "transport", [], (0, 0), 0.0))
    for point in (5, 3, 10, 4):
        writer.commit(closed(0, point), sums(point))
        maps = Maps(point, 1, True, 0.0, SHAPE, ["f_minus"], {})
        writer.write_maps(maps, {"f_minus": np.full(SHAPE, point, np.float32)})
        writer.commit(closed(1, point), sums(point, reference=True))
    for point in (3, 4, 5, 10):
        with xr.open_zarr(run_dir / "data.zarr", group=f"points/{point:04d}") as data:
            assert set(data.data_vars) == {"signal", "signal_frames", "reference", "reference_frames"}
            np.testing.assert_array_equal(data.signal[1], sums(point).signal)
        with xr.open_zarr(run_dir / "data.zarr", group=f"points/{point:04d}/maps") as data:
            assert (data.f_minus == point).all()
    tree = xr.open_datatree(run_dir / "data.zarr", engine="zarr")
    assert {node.path for node in tree.subtree if node.path.count("/") == 2} == {
        f"/points/{point:04d}" for point in (3, 4, 5, 6, 10)
    }
    tree.close()


def test_a_flipped_bit_on_disk_is_noticed(run_dir: Path, writer: RunWriter) -> None:
    writer.open_point(OPENED)
    writer.commit(closed(0), sums(0))
    writer.close()
    chunk = run_dir / "data.zarr/points/0003/signal/c.0.0.0.0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(DataError, match=r"point 3 block 0: .*points/0003/signal/c\.0\.0\.0\.0 is damaged; restore"):
        RunReader(run_dir).point(3).mean()


def test_frames_that_are_missing_on_disk_are_not_dark_frames(run_dir: Path, writer: RunWriter) -> None:
    writer.open_point(OPENED)
    writer.commit(closed(0), sums(1))
    writer.commit(closed(1), sums(2, reference=True))
    point = RunReader(run_dir).point(3)
    (run_dir / "data.zarr/points/0003/reference/c.1.0.0.0").unlink()
    with pytest.raises(DataError, match=r"block 1: .*reference/c\.1\.0\.0\.0 is missing; restore"):
        point.relative_light()
    (run_dir / "data.zarr/points/0003/signal/c.0.0.0.0").unlink()
    for rows in (None, slice(1, 3)):
        with pytest.raises(DataError, match=r"block 0: .*signal/c\.0\.0\.0\.0 is missing; restore"):
            point.total(rows=rows)


def test_axes_that_are_missing_or_damaged_are_an_error(run_dir: Path, writer: RunWriter) -> None:
    writer.open_point(OPENED)
    axis = run_dir / "data.zarr/points/0003/frequency/c.0"
    axis.write_bytes(b"")
    with pytest.raises(DataError, match=r"point 3: one of its axes is damaged"):
        _ = RunReader(run_dir).point(3).frequencies
    axis.unlink()
    with pytest.raises(DataError, match=r"point 3: .*frequency/c\.0 is missing"):
        _ = RunReader(run_dir).point(3).frequencies


def test_the_checksum_is_castagnoli_over_the_compressed_bytes(run_dir: Path, writer: RunWriter) -> None:
    writer.open_point(OPENED)
    writer.commit(closed(0), sums(0))
    writer.close()
    payload = (run_dir / "data.zarr/points/0003/signal/c.0.0.0.0").read_bytes()
    register = 0xFFFFFFFF
    for byte in payload[:-4]:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    assert struct.unpack("<I", payload[-4:])[0] == register ^ 0xFFFFFFFF


def test_the_reader_gives_means_counts_maps_and_history(run_dir: Path, writer: RunWriter) -> None:
    writer.open_point(OPENED)
    partial = sums(7).signal
    partial[1] = 0
    uneven = Sums(partial, np.array([4, 0, 2], np.int64), None, np.zeros(3, np.int64))
    writer.commit(closed(0), sums(0))
    writer.commit(closed(1), uneven)
    names = ["f_minus", "f_minus_err", "b_z", "unheard_of"]
    images = {name: np.full(SHAPE, index, np.float32) for index, name in enumerate(names)}
    writer.write_maps(Maps(3, 2, True, 13.0, SHAPE, names, {"median_b_err": 5e-6}), images)
    writer.close_point(PointClosed(3, 14.0, {"certificate": {"verdict": "valid"}, "T": 20.1}))
    writer.open_point(PointOpened(4, "transport", [], (0, 0), 15.0, {"T": 25.0}))
    writer.close_point(PointClosed(4, 16.0, {"resistance": 12.5}))
    writer.history(HistoryRow(12.0, {"temperature": 20.0}))
    writer.document(Document("start", {"uid": "a"}))
    writer.entry(JournalEntry("commit", 12.0, {"point": 3, "forged": True}))
    writer.finish(Finish("done"))
    writer.close()

    run = RunReader(run_dir)
    assert run.points == [3, 4]
    assert run.outcome.outcome == "done"
    assert list(run.documents()) == [("start", {"uid": "a"})]
    assert run.history().temperature.item() == 20.0
    point = run.point(3)
    assert (point.kind, point.shape, point.sweeps) == ("odmr", SHAPE, 2)
    assert point.attrs["certificate"] == {"verdict": "valid"}
    assert point.attrs["T"] == 20.1
    expected = (sums(0).signal.astype(np.float64) + uneven.signal) / np.array([12, 8, 10])[:, None, None]
    np.testing.assert_allclose(point.mean(), expected, rtol=1e-15)
    np.testing.assert_array_equal(point.mean().frames, [12, 8, 10])
    np.testing.assert_array_equal(point.frame_counts(), [[8, 8, 8], [4, 0, 2]])
    only = point.mean(blocks=slice(1, 2))
    assert np.isnan(only[1]).all()
    with pytest.raises(DataError, match="no committed reference"):
        point.mean("reference")
    maps = point.maps()
    assert maps is not None
    assert maps.f_minus_err.attrs["units"] == "Hz"
    assert maps.b_z.attrs["units"] == "T"
    assert "units" not in maps.unheard_of.attrs
    assert maps.attrs["median_b_err"] == 5e-6
    np.testing.assert_array_equal(maps.b_z, images["b_z"])
    transport = run.point(4)
    assert transport.attrs["resistance"] == 12.5
    assert transport.frequencies.size == 0
    assert transport.maps() is None
    with pytest.raises(DataError, match="no point 5"):
        run.point(5)


def test_reference_frames_may_begin_late(run_dir: Path, writer: RunWriter) -> None:
    writer.open_point(OPENED)
    writer.commit(closed(0), sums(0))
    writer.commit(closed(1), sums(1, reference=True))
    writer.commit(closed(2), sums(2))
    writer.close()
    point = RunReader(run_dir).point(3)
    np.testing.assert_allclose(point.mean("reference"), (sums(1).signal // 2) / 4)
    np.testing.assert_array_equal(point.frame_counts("reference"), [[0] * 3, [4] * 3, [0] * 3])


def test_a_block_without_its_journal_line_does_not_exist(run_dir: Path, writer: RunWriter) -> None:
    writer.open_point(OPENED)
    writer.commit(closed(0), sums(0))
    before = (run_dir / "journal.jsonl").read_bytes()
    writer.commit(closed(1), sums(1))
    writer.close()
    for cut in (len(before), len(before) + 5):
        (run_dir / "journal.jsonl").write_bytes((run_dir / "journal.jsonl").read_bytes()[:cut])
        point = RunReader(run_dir).point(3)
        assert [commit.block for commit in point.commits] == [0]
        assert point.dataset().sizes["block"] == 1
        np.testing.assert_allclose(point.mean(), sums(0).signal / 8)


def test_counts_that_contradict_the_journal_are_an_error(run_dir: Path, writer: RunWriter) -> None:
    writer.open_point(OPENED)
    writer.commit(closed(0), sums(0))
    writer.close()
    journal = run_dir / "journal.jsonl"
    journal.write_text(journal.read_text().replace("[8,8,8]", "[8,8,9]"))
    with pytest.raises(DataError, match="not those the journal committed"):
        RunReader(run_dir).point(3).mean()


def test_nothing_is_written_twice(run_dir: Path, writer: RunWriter) -> None:
    writer.open_point(OPENED)
    writer.commit(closed(0), sums(0))
    images = {"f_minus": np.zeros(SHAPE, np.float32)}
    maps = Maps(3, 1, True, 0.0, SHAPE, ["f_minus"], {})
    writer.write_maps(maps, images)
    with pytest.raises(DataError, match="already"):
        writer.commit(closed(0), sums(1))
    with pytest.raises(DataError, match="already"):
        writer.write_maps(maps, images)
    with pytest.raises(DataError, match="number of its own"):
        writer.open_point(OPENED)
    with pytest.raises(DataError, match="never opened"):
        writer.commit(closed(0, point=9), sums(1))
    with pytest.raises(DataError, match="another process"):
        RunWriter(run_dir)
    writer.close()
    with pytest.raises(DataError, match="directory of its own"):
        RunWriter(run_dir)


@pytest.mark.parametrize("fails_at", range(1, 13))
def test_a_full_disk_at_any_step_leaves_what_was_committed(
    run_dir: Path, writer: RunWriter, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    writer.open_point(OPENED)
    writer.commit(closed(0), sums(0))
    real, calls = files.sync, iter(range(1, 1000))

    def full(file: Any) -> None:
        if next(calls) >= fails_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file)

    monkeypatch.setattr(files, "sync", full)
    refused = 0
    for block in (1, 2, 3):
        try:
            writer.commit(closed(block), sums(block))
        except OSError:
            refused += 1
    assert refused > 0
    monkeypatch.setattr(files, "sync", real)
    writer.commit(closed(4), sums(4))
    writer.close()
    point = RunReader(run_dir).point(3)
    committed = [commit.block for commit in point.commits]
    assert committed[0] == 0
    assert committed[-1] == 4
    assert len(committed) == 5 - refused
    for commit, stored in zip(point.commits, point.dataset().signal.values, strict=True):
        np.testing.assert_array_equal(stored, sums(commit.block).signal)


def test_a_journal_that_cannot_be_written_burns_the_row(
    run_dir: Path, writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.open_point(OPENED)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writer._journal, "append", full)
        with pytest.raises(OSError, match="No space"):
            writer.commit(closed(0), sums(0))
    writer.commit(closed(1), sums(1))
    writer.close()
    point = RunReader(run_dir).point(3)
    assert [(commit.block, commit.row) for commit in point.commits] == [(1, 1)]
    np.testing.assert_allclose(point.mean(), sums(1).signal / 8)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a run directory"):
        RunReader(tmp_path)
