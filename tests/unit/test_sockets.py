from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from nvscope.errors import ConfigError
from nvscope.stream.messages import (
    Document,
    Finish,
    Frame,
    Heartbeat,
    HistoryRow,
    Maps,
    Message,
    PointOpened,
    RunStatus,
)
from nvscope.stream.security import Curve
from nvscope.stream.sockets import Receiver, Sender, StreamBlocked, high_water_mark, pack, wait_any
from nvscope.stream.viewing import News, Publisher, Subscriber

SHAPE = (64, 64)


def frame(number: int) -> Frame:
    return Frame(0, 0, 0, 0, number, False, 0.0, SHAPE)


@pytest.fixture
def pair() -> Iterator[tuple[Sender, Receiver]]:
    with (
        Sender.bind("the recorder", frame_bytes=8192, budget=200 * 8192) as sender,
        Receiver.connect(sender.endpoint, "the run", frame_bytes=8192, budget=200 * 8192) as receiver,
    ):
        yield sender, receiver


def until(subscriber: Subscriber, kind: type[Message]) -> News:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        news = subscriber.drain(0.05)
        if kind in news.latest or any(isinstance(event, kind) for event in news.events):
            return news
    raise AssertionError(f"no {kind.__name__} came")


def test_a_reused_camera_buffer_does_not_reach_frames_already_sent(pair: tuple[Sender, Receiver]) -> None:
    sender, receiver = pair
    image = np.empty(SHAPE, np.uint16)
    got = []

    def read() -> None:
        while len(got) < 1000 and (received := receiver.receive(20)) is not None:
            got.append(received)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1000):
        image[:] = number
        sender.send(frame(number), image)
        image[:] = 65535
    reader.join(60)
    assert [received.message.number for received in got] == list(range(1000))  # type: ignore[union-attr]
    assert all((received.arrays[0] == number).all() for number, received in enumerate(got))


LEAVING = """
import sys
import numpy as np
from nvscope.stream.messages import Frame
from nvscope.stream.sockets import Sender

sender = Sender.connect(sys.argv[1])
for number in range(40):
    sender.send(Frame(0, 0, 0, 0, number, False, 0.0, (512, 1024)), np.full((512, 1024), number, np.uint16))
sender.close()
"""


def test_a_process_that_leaves_does_not_take_what_it_sent_along() -> None:
    with Receiver.bind(frame_bytes=1 << 20, budget=4 << 20) as receiver:
        process = subprocess.Popen([sys.executable, "-c", LEAVING, receiver.endpoint])
        # it is gone, or about to be, before all of it has been sent
        time.sleep(1.0)
        for number in range(40):
            received = receiver.receive(20)
            assert received is not None
            assert received.message.number == number  # type: ignore[union-attr]
            assert (received.arrays[0] == number).all()
        assert process.wait(20) == 0


def test_nobody_connected_is_an_error_that_says_who() -> None:
    with Sender.bind("the recorder") as sender, pytest.raises(StreamBlocked, match=r"the recorder .* is not connected"):
        sender.send(Finish("done"), timeout=0.1)


def test_a_closed_end_says_so() -> None:
    sender = Sender.bind("the recorder")
    sender.close()
    sender.close()
    with pytest.raises(StreamBlocked, match="closed"):
        sender.send(Finish("done"))


def test_a_reader_that_stops_is_an_error_after_a_bounded_queue() -> None:
    big = (512, 1024)
    image = np.zeros(big, np.uint16)
    size = image.nbytes
    with (
        Sender.bind("the recorder", frame_bytes=size, budget=8 * size) as sender,
        Receiver.connect(sender.endpoint, frame_bytes=size, budget=8 * size) as receiver,
    ):
        assert receiver.receive(0.0) is None
        sent, quiet = 0, 0
        while quiet < 20:
            if sender.try_send(Frame(0, 0, 0, 0, sent, False, 0.0, big), image):
                sent, quiet = sent + 1, 0
            else:
                quiet += 1
                time.sleep(0.01)
            assert sent < 200
        with pytest.raises(StreamBlocked, match="is connected but does not read"):
            sender.send(Frame(0, 0, 0, 0, sent, False, 0.0, big), image, timeout=0.1)
        # both queues, and what the kernel holds of a few megabytes
        assert 8 <= sent <= 2 * 8 + 20
        # nothing that was accepted is lost
        for number in range(sent):
            received = receiver.receive(10)
            assert received is not None
            assert received.message.number == number  # type: ignore[union-attr]


def test_a_queue_counts_bytes() -> None:
    assert high_water_mark(512 * 512 * 2, 64 << 20) == 128
    assert high_water_mark(1, 64 << 20) == 10_000
    assert high_water_mark(1 << 30, 64 << 20) == 4


def test_garbage_is_counted_and_dropped(pair: tuple[Sender, Receiver]) -> None:
    sender, receiver = pair
    good = pack(frame(7), np.zeros(SHAPE, np.uint16))
    for parts in ([b""], [b"junk"], [good[0]], [good[0], good[1].bytes[:-1]], [*good, b"more"], [b"\x80\x04pickle"]):
        sender.send_parts(parts)
    sender.send_parts(good)
    received = receiver.receive(10)
    assert received is not None
    assert received.message == frame(7)
    assert receiver.malformed == 6
    assert receiver.complaint


def test_peers_come_and_go() -> None:
    with Sender.bind() as sender:
        receiver = Receiver.connect(sender.endpoint)
        deadline = time.monotonic() + 20
        while not (sender.peers() == receiver.peers() == 1) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (sender.peers(), receiver.peers()) == (1, 1)
        receiver.close()
        while sender.peers() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sender.peers() == 0


def test_threads_may_share_a_sender(pair: tuple[Sender, Receiver]) -> None:
    sender, receiver = pair

    def work(who: int) -> None:
        for number in range(100):
            sender.send(frame(100 * who + number), np.full(SHAPE, 100 * who + number, np.uint16))

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    seen = []
    for _ in range(400):
        received = receiver.receive(20)
        assert received is not None
        number = received.message.number  # type: ignore[union-attr]
        assert (received.arrays[0] == number).all()
        seen.append(number)
    for thread in threads:
        thread.join(20)
    assert sorted(seen) == list(range(400))


def test_waiting_for_any_of_several() -> None:
    with Receiver.bind() as one, Receiver.bind() as other, Sender.connect(other.endpoint) as sender:
        assert wait_any([one, other], 0.0) == []
        sender.send(Heartbeat("fitter", {}))
        assert wait_any([one, other], 20.0) == [other]


def test_a_viewer_that_joins_late_learns_what_it_looks_at() -> None:
    opened = PointOpened(3, "odmr", [2.8e9, 2.9e9], (2, 2), 0.0)
    maps = Maps(3, 1, False, 0.0, (2, 2), ["f_minus"], {})
    with Publisher.bind("viewers") as publisher:
        publisher.send(opened)
        publisher.send(maps, np.ones((2, 2), np.float32))
        with Subscriber.connect(publisher.endpoint) as viewer:
            deadline = time.monotonic() + 20
            events: list[Message] = []
            latest: dict[type[Message], object] = {}
            while Maps not in latest and time.monotonic() < deadline:
                publisher.send(Heartbeat("run", {}))
                news = viewer.drain(0.02)
                events += news.events
                latest |= news.latest
            assert opened in events
            assert Maps in latest


def test_a_viewer_sees_the_newest_frame_and_every_event() -> None:
    with Publisher.bind("viewers") as publisher, Subscriber.connect(publisher.endpoint) as viewer:
        while not viewer.drain(0.02).latest:
            publisher.send(Heartbeat("run", {}))
        for number in range(3):
            publisher.send(HistoryRow(float(number), {}))
            publisher.send(frame(number), np.full(SHAPE, number, np.uint16))
        publisher.send(Finish("done"))
        events: list[Message] = []
        newest = None
        while Finish("done") not in events:
            news = viewer.drain(20)
            events += news.events
            newest = news.latest.get(Frame, newest)
        assert [event.rig_time for event in events if isinstance(event, HistoryRow)] == [0.0, 1.0, 2.0]
        assert newest is not None
        assert (newest.arrays[0] == 2).all()


def test_a_viewer_that_never_reads_does_not_stop_the_publisher() -> None:
    image = np.zeros((512, 512), np.uint16)
    with Publisher.bind("viewers") as publisher, Subscriber.connect(publisher.endpoint) as viewer:
        while not viewer.drain(0.02).latest:
            publisher.send(Heartbeat("run", {}))
        parts = pack(Frame(0, 0, 0, 0, 0, False, 0.0, image.shape), image)
        for number in range(400):
            publisher.send_parts(Frame(0, 0, 0, 0, number, False, 0.0, image.shape), parts)
        assert Frame in viewer.drain(20).latest


def test_a_viewer_may_select_what_it_wants() -> None:
    status = RunStatus("0001", "running", "cool", 0.5, 0.0, {})
    with Publisher.bind("viewers") as publisher, Subscriber.connect(publisher.endpoint) as viewer:
        viewer.select(RunStatus, Document)
        deadline = time.monotonic() + 20
        news = viewer.drain(0.0)
        while RunStatus not in news.latest and time.monotonic() < deadline:
            publisher.send(Heartbeat("run", {}))
            publisher.send(status)
            news = viewer.drain(0.02)
        for _ in range(5):
            publisher.send(Heartbeat("run", {}))
        publisher.send(Document("stop", {}))
        news = until(viewer, Document)
        assert Heartbeat not in news.latest


def test_frames_are_offered_no_faster_than_wanted() -> None:
    with Publisher.bind("viewers") as publisher:
        assert publisher.wants_frame(3600.0)
        publisher.send(frame(0), np.zeros(SHAPE, np.uint16))
        assert not publisher.wants_frame(3600.0)
        assert publisher.wants_frame(0.0)


def test_the_rate_wanted_is_kept_whatever_the_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("nvscope.stream.viewing.time.monotonic", lambda: now[0])
    with Publisher.bind("viewers") as publisher:
        sent = 0
        for _ in range(400):  # 2 s at 200 frames/s: every seventh would be 28.6 a second
            if publisher.wants_frame(1 / 30):
                publisher.send(frame(0), np.zeros(SHAPE, np.uint16))
                sent += 1
            now[0] += 0.005
        assert sent in (60, 61)
        now[0] += 60.0  # nothing to catch up with
        assert publisher.wants_frame(1 / 30)
        publisher.send(frame(0), np.zeros(SHAPE, np.uint16))
        assert not publisher.wants_frame(1 / 30)


@pytest.mark.parametrize("host", ["0.0.0.0", "*", "192.0.2.1", "localhost.example"])
def test_beyond_loopback_only_with_keys(host: str) -> None:
    with pytest.raises(ConfigError, match="CURVE"):
        Sender.bind(host=host)
    with pytest.raises(ConfigError, match="CURVE"):
        Receiver.connect(f"tcp://{host}:5555")


@pytest.mark.parametrize("endpoint", ["ipc:///tmp/x", "127.0.0.1:5555", "tcp://127.0.0.1", "tcp://127.0.0.1:x", ""])
def test_an_endpoint_is_tcp_with_a_port(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="not an endpoint"):
        Receiver.connect(endpoint)


def test_keys_encrypt_and_strangers_hear_nothing() -> None:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    stranger_key = zmq.curve_keypair()[0].decode()
    with (
        Sender.bind("viewers", host="0.0.0.0", curve=Curve(public, secret)) as sender,
        Receiver.connect(sender.endpoint.replace("0.0.0.0", "127.0.0.1"), curve=Curve(stranger_key)) as stranger,
        Receiver.connect(sender.endpoint.replace("0.0.0.0", "127.0.0.1")) as naked,
        Receiver.connect(sender.endpoint.replace("0.0.0.0", "127.0.0.1"), curve=Curve(public)) as friend,
    ):
        for _ in range(6):
            sender.send(Finish("done"))
        for _ in range(6):
            assert friend.receive(20) is not None
        assert stranger.receive(0.2) is None
        assert naked.receive(0.2) is None


@pytest.mark.parametrize("flaw", ["no secret", "malformed", "another pair's"])
def test_incomplete_or_malformed_keys_are_refused(flaw: str) -> None:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    curves = {
        "no secret": Curve(public),
        "malformed": Curve("short", "short"),
        "another pair's": Curve(zmq.curve_keypair()[0].decode(), secret),
    }
    with pytest.raises(ConfigError, match="key"):
        Sender.bind(host="0.0.0.0", curve=curves[flaw])
