from __future__ import annotations

import json
import math

import hypothesis.extra.numpy as hnp
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvscope.stream import messages as m
from nvscope.stream.wire import MAX_HEADER, MalformedMessage, decode, encode

INDEX = st.integers(0, 2**31 - 1)
COUNT = st.integers(0, 2**53 - 1)
TIME = st.floats(allow_nan=False, allow_infinity=False)
NAME = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
SHAPE = st.tuples(st.integers(1, 12), st.integers(1, 12))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TIME | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=4)
FRAME = st.builds(m.Frame, INDEX, INDEX, INDEX, INDEX, INDEX, st.booleans(), TIME, SHAPE)
MAPS = st.builds(
    m.Maps,
    INDEX,
    COUNT,
    st.booleans(),
    TIME,
    SHAPE,
    st.lists(NAME, unique=True, max_size=4),
    st.dictionaries(NAME, TIME, max_size=3),
)
PLAIN = st.one_of(
    st.builds(m.PointOpened, INDEX, st.just("odmr"), st.lists(TIME, min_size=1, max_size=5), SHAPE, TIME, OBJECT),
    st.builds(m.PointOpened, INDEX, st.just("transport"), st.just([]), st.just((0, 0)), TIME, OBJECT),
    st.builds(m.BlockClosed, INDEX, INDEX, COUNT, COUNT, st.booleans(), TIME, TEXT),
    st.builds(m.Committed, INDEX, INDEX, COUNT),
    st.builds(m.Rejected, INDEX, INDEX, TEXT),
    st.builds(m.PointClosed, INDEX, TIME, OBJECT),
    st.builds(m.Document, NAME, OBJECT),
    st.builds(m.JournalEntry, NAME, TIME, OBJECT),
    st.builds(m.HistoryRow, TIME, st.dictionaries(NAME, st.none() | TIME, max_size=4)),
    st.builds(
        m.RunStatus,
        TEXT,
        st.sampled_from(["starting", "running", "paused", "aborting", "done", "failed", "aborted"]),
        TEXT,
        TIME,
        TIME,
        st.dictionaries(NAME, TIME, max_size=3),
        st.none() | TIME,
    ),
    st.builds(m.Heartbeat, NAME, st.dictionaries(NAME, COUNT, max_size=3)),
    st.builds(m.Ready, NAME, TEXT),
    st.builds(m.Fault, NAME, TEXT),
    st.builds(m.Finish, st.sampled_from(["done", "failed", "aborted"]), TEXT),
    st.builds(m.Finished, NAME, st.dictionaries(NAME, COUNT, max_size=3)),
)


def frame(shape: tuple[int, int] = (2, 3), **changes: object) -> m.Frame:
    return msgspec.structs.replace(m.Frame(0, 0, 0, 0, 0, False, 0.0, shape), **changes)


@settings(deadline=None)
@given(PLAIN)
def test_a_message_without_arrays_survives_the_wire(message: m.Message) -> None:
    parts = encode(message)
    assert len(parts) == 1
    assert decode(parts) == (message, [])


def test_every_message_is_tried_above() -> None:
    tried = {m.Frame, m.Maps, m.PointOpened, m.BlockClosed, m.Committed, m.Rejected, m.PointClosed, m.Document}
    tried |= {m.JournalEntry, m.HistoryRow, m.RunStatus, m.Heartbeat, m.Ready, m.Fault, m.Finish, m.Finished}
    assert tried == set(m.Message.__args__)


@settings(deadline=None)
@given(FRAME, st.data())
def test_a_frame_survives_with_its_bytes_little_endian(message: m.Frame, data: st.DataObject) -> None:
    image = data.draw(hnp.arrays(np.uint16, message.shape))
    parts = encode(message, image)
    # what another program reads from the wire, without numpy
    expected = b"".join(int(value).to_bytes(2, "little") for value in image.ravel())
    assert bytes(parts[1]) == expected
    back, (received,) = decode(parts)
    assert back == message
    np.testing.assert_array_equal(received, image)
    assert not received.flags.writeable


@settings(deadline=None)
@given(MAPS, st.data())
def test_maps_survive_with_nan_where_nothing_was_fitted(message: m.Maps, data: st.DataObject) -> None:
    images = [data.draw(hnp.arrays(np.float32, message.shape)) for _ in message.names]
    back, received = decode(encode(message, *images))
    assert back == message
    for before, after in zip(images, received, strict=True):
        np.testing.assert_array_equal(before, after)
        assert after.dtype == np.float32


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=4))
def test_any_bytes_are_refused_in_one_way(parts: list[bytes]) -> None:
    with pytest.raises(MalformedMessage):
        decode(parts)


@settings(max_examples=300, deadline=None)
@given(st.one_of(PLAIN, FRAME, MAPS), st.data())
def test_damaged_messages_are_refused_or_whole(message: m.Message, data: st.DataObject) -> None:
    arrays: list[np.ndarray] = []
    if isinstance(message, m.Frame):
        arrays = [np.zeros(message.shape, np.uint16)]
    elif isinstance(message, m.Maps):
        arrays = [np.zeros(message.shape, np.float32) for _ in message.names]
    parts = [bytearray(part) for part in encode(message, *arrays)]
    victim = data.draw(st.sampled_from(range(len(parts))))
    kind = data.draw(st.sampled_from(["flip", "cut", "drop", "double", "grow"]))
    if kind == "flip":
        at = data.draw(st.integers(0, len(parts[victim]) - 1))
        parts[victim][at] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del parts[victim][data.draw(st.integers(0, len(parts[victim]) - 1)) :]
    elif kind == "drop":
        del parts[victim]
    elif kind == "double":
        parts.insert(victim, parts[victim])
    else:
        parts[victim] += b"\0"
    try:
        back, received = decode(parts)
    except MalformedMessage:
        return
    # a flipped bit may still be a message; then it obeys its own header
    assert kind == "flip"
    expected = {m.Frame: 1, m.Maps: len(back.names) if isinstance(back, m.Maps) else 0}.get(type(back), 0)
    assert len(received) == expected
    for array in received:
        assert array.shape == back.shape  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("message", "arrays"),
    [
        (frame(), []),
        (frame(), [np.zeros((2, 3), np.uint16)] * 2),
        (frame(), [np.zeros((3, 2), np.uint16)]),
        (frame(), [np.zeros((2, 3), np.float64)]),
        (frame(), [np.zeros((2, 3), ">u2")]),
        (frame((0, 3)), [np.zeros((0, 3), np.uint16)]),
        (frame(point=-1), [np.zeros((2, 3), np.uint16)]),
        (frame(number=2**31), [np.zeros((2, 3), np.uint16)]),
        (frame(rig_time=math.nan), [np.zeros((2, 3), np.uint16)]),
        (frame(rig_time=math.inf), [np.zeros((2, 3), np.uint16)]),
        (m.Maps(0, 1, False, 0.0, (2, 2), ["a", "a"], {}), [np.zeros((2, 2), np.float32)] * 2),
        (m.Maps(0, 1, False, 0.0, (2, 2), ["../a"], {}), [np.zeros((2, 2), np.float32)]),
        (m.Maps(0, 1, False, 0.0, (2, 2), ["a\n"], {}), [np.zeros((2, 2), np.float32)]),
        (m.PointOpened(0, "odmr", [], (2, 2), 0.0), []),
        (m.PointOpened(0, "odmr", [1e9], (0, 0), 0.0), []),
        (m.PointOpened(0, "transport", [1e9], (2, 2), 0.0), []),
        (m.HistoryRow(0.0, {"a,b": 1.0}), []),
        (m.Heartbeat("recorder", {"frames": -1}), []),
        (m.Document("event", {"image": np.zeros((512, 512))}), []),
        (m.Document("event", {"thing": object()}), []),
        (m.Document("event", {"text": "x" * MAX_HEADER}), []),
    ],
)
def test_what_would_be_refused_is_not_sent(message: m.Message, arrays: list[np.ndarray]) -> None:
    with pytest.raises(MalformedMessage):
        encode(message, *arrays)


@pytest.mark.parametrize("shape", [(16384, 16384), (2**31, 1), (-1, 4)])
def test_an_announced_size_allocates_nothing(shape: tuple[int, int]) -> None:
    header = json.dumps(
        {
            "type": "maps",
            "point": 0,
            "sweeps": 0,
            "final": False,
            "rig_time": 0,
            "shape": shape,
            "names": ["a", "b"],
            "summary": {},
        }
    ).encode()
    with pytest.raises(MalformedMessage):
        decode([header, b"", b""])


def test_unknown_fields_and_types_are_refused() -> None:
    with pytest.raises(MalformedMessage, match="unknown field"):
        decode([b'{"type":"finish","outcome":"done","extra":1}'])
    with pytest.raises(MalformedMessage):
        decode([b'{"type":"exec","outcome":"done"}'])
    with pytest.raises(MalformedMessage):
        decode([b"[" * 100_000])


def test_documents_may_hold_what_bluesky_puts_in_them() -> None:
    message = m.Document("event", {"data": {"t": np.float64(4.2), "n": np.int64(3), "v": np.arange(3), "x": math.nan}})
    back, _ = decode(encode(message))
    assert isinstance(back, m.Document)
    assert back.doc == {"data": {"t": 4.2, "n": 3, "v": [0, 1, 2], "x": None}}


def test_scalars_that_are_not_finite_are_left_out() -> None:
    maps = m.Maps(0, 1, True, 0.0, (1, 1), [], {"median_b_err": math.nan, "fitted_fraction": 0.5})
    back, _ = decode(encode(maps))
    assert isinstance(back, m.Maps)
    assert back.summary == {"fitted_fraction": 0.5}


def test_strided_images_arrive_in_order() -> None:
    image = np.arange(24, dtype=np.uint16).reshape(4, 6)[::2, ::2]
    _, (received,) = decode(encode(frame((2, 3)), image))
    np.testing.assert_array_equal(received, [[0, 2, 4], [12, 14, 16]])


def test_an_unaligned_buffer_becomes_an_aligned_array() -> None:
    image = np.arange(6, dtype=np.uint16).reshape(2, 3)
    header, body = encode(frame(), image)
    padded = memoryview(b"\0" + bytes(body))[1:]
    _, (received,) = decode([header, padded])
    assert received.flags.aligned
    np.testing.assert_array_equal(received, image)
