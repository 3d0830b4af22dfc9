"""The desk on the air, without a window: finding runs, losing them, noise, and runs that came before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from nvscope.cli.watch_methods import methods
from nvscope.gui.desk import Desk
from nvscope.gui.feed import Feed
from nvscope.gui.mailbox import LinkReport, Mailbox
from nvscope.stream.control import RunInfo
from nvscope.stream.messages import HistoryRow, JournalEntry, RunStatus
from nvscope.stream.viewing import News

Until = Callable[[Callable[[], object]], None]


class Station:
    """A desk and the thread that feeds it."""

    def __init__(self, **options: Any) -> None:
        self.mailbox = Mailbox()
        self.desk = Desk(methods(), self.mailbox)
        self.feed = Feed(self.mailbox, **options)
        self.feed.start()

    def sees(self, true: Callable[[Desk], object]) -> Callable[[], bool]:
        def look() -> bool:
            self.desk.step()
            return bool(true(self.desk))

        return look

    def close(self) -> None:
        self.feed.stop()
        self.desk.close()


@pytest.fixture
def station() -> Iterator[Callable[..., Station]]:
    made: list[Station] = []

    def begin(**options: Any) -> Station:
        made.append(Station(**options))
        return made[-1]

    yield begin
    for one in made:
        one.close()


def test_a_run_is_found_heard_and_its_end_is_noticed(
    broadcast: Callable[..., Any], station: Callable[..., Station], until: Until
) -> None:
    looking = station()
    assert looking.desk.link.state == "searching"
    on_air = broadcast()
    until(looking.sees(lambda desk: desk.link.state == "connected"))

    def hears_status(desk: Desk) -> bool:
        on_air.status()  # a subscription takes a moment to arrive
        return desk.session.status is not None

    until(looking.sees(hears_status))
    on_air.play(looking.desk.step)
    until(looking.sees(lambda desk: len(desk.session.points) == 7 and desk.session.points[6].final))
    session = looking.desk.session
    s = session.map(1, "s_ratio")
    assert s is not None
    truth = on_air.run.s(20.0)
    good = np.isfinite(s)
    pull = (s - truth)[good] / np.asarray(session.map(1, "s_ratio_err"))[good]
    assert 0.8 < pull.std() < 1.2
    assert session.points[6].certificate is not None
    assert session.steps.current == 6
    on_air.send(on_air.run.status("done", "map", 1.0))
    on_air.close()
    until(looking.sees(lambda desk: desk.link.state == "ended"))
    assert looking.desk.session.outcome == "done"
    assert looking.desk.session.points  # what was seen stays


def test_the_next_run_is_taken_up_by_itself(
    broadcast: Callable[..., Any], station: Callable[..., Station], made_up: Any, until: Until
) -> None:
    looking = station()
    first = broadcast()
    until(looking.sees(lambda desk: desk.link.state == "connected"))
    first.send(first.run.status("failed", "map", 0.5))
    first.close()
    second_run = type(made_up)()
    second_run.name = "0002-odmr-S1"
    second = broadcast(second_run, pid=os.getpid() + 1)

    def hears(desk: Desk) -> bool:
        second.status()
        return desk.session.status is not None and desk.session.status.run == "0002-odmr-S1"

    until(looking.sees(hears))
    assert looking.desk.session.points == {}


def test_a_silent_run_shows_as_such_and_comes_back(
    broadcast: Callable[..., Any], station: Callable[..., Station], until: Until
) -> None:
    looking = station()
    on_air = broadcast()
    until(looking.sees(lambda desk: desk.link.state == "silent"))

    def speaks(desk: Desk) -> bool:
        on_air.status()
        return desk.link.state == "connected" and desk.session.status is not None

    until(looking.sees(speaks))


def test_a_run_that_dies_without_a_word_is_given_up(
    broadcast: Callable[..., Any], station: Callable[..., Station], until: Until
) -> None:
    looking = station()
    on_air = broadcast()
    until(looking.sees(lambda desk: desk.link.state == "connected"))
    on_air.close()
    until(looking.sees(lambda desk: desk.link.state == "ended"))
    assert looking.desk.session.outcome == ""


def test_noise_is_counted_and_named_never_taken(station: Callable[..., Station], until: Until, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        socket.linger = 0
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        info = RunInfo("0001-noise", str(tmp_path), os.getpid(), "tcp://127.0.0.1:1", f"tcp://127.0.0.1:{port}")
        looking = station(find=lambda: [info])

        def noisy(desk: Desk) -> bool:
            socket.send_multipart([rng.bytes(200), rng.bytes(50)])
            socket.send_multipart([b'{"type":"maps","point":-1}'])
            socket.send_multipart([b'{"type":"frame"' + b"[" * 5000])
            return desk.link.state == "garbage"

        until(looking.sees(noisy))
        assert looking.desk.link.malformed > 10
        assert looking.desk.link.complaint
        assert looking.desk.session.points == {}


def test_whoever_joins_late_reads_what_came_before_from_disk(
    broadcast: Callable[..., Any], station: Callable[..., Station], run_directory: Path, until: Until
) -> None:
    on_air = broadcast(directory=run_directory)
    looking = station()
    until(looking.sees(lambda desk: len(desk.session.points) == 7))
    desk = looking.desk
    assert desk.session.header.sample == "S1"
    assert len(desk.session.history["temperature"]) == 35
    desk.show(2)
    until(looking.sees(lambda desk: desk.session.map(2, "s_ratio") is not None))
    until(looking.sees(lambda desk: desk.selection.pins))  # the extremes, from the coldest map
    (place, *_) = desk.places()
    until(looking.sees(lambda desk: desk.curves.ratio(place).temperature.size == 6))
    on_air.close()


def test_a_window_that_does_not_look_keeps_a_bounded_amount() -> None:
    mailbox = Mailbox()
    mailbox.begin(LinkReport("connected"))
    for k in range(20_000):
        mailbox.put(News({}, [HistoryRow(float(k), {"temperature": 1.0})]))
    batch = mailbox.take()
    assert len(batch.events) == 5000
    assert batch.dropped == 15_000
    assert isinstance(batch.events[-1], HistoryRow)
    assert batch.events[-1].rig_time == 19_999.0
    assert mailbox.take().events == []


def test_another_run_throws_away_what_waits_of_the_one_before() -> None:
    mailbox = Mailbox()
    mailbox.put(News({}, [JournalEntry("note", 1.0, {"text": "old"})]))
    mailbox.begin(LinkReport("connected"))
    batch = mailbox.take()
    assert batch.events == []
    assert batch.generation == 1


def test_what_the_operator_says_reaches_the_run(
    broadcast: Callable[..., Any], station: Callable[..., Station], until: Until
) -> None:
    looking = station()
    on_air = broadcast()
    until(looking.sees(lambda desk: desk.link.state == "connected"))
    looking.desk.talk.say("note", "nitrogen at 14:00")
    until(looking.sees(lambda desk: desk.talk.answer is not None))
    assert looking.desk.talk.answer == (True, "note: done")
    assert [(one.verb, one.text) for one in on_air.asked] == [("note", "nitrogen at 14:00")]


def test_without_a_run_there_is_nobody_to_ask(station: Callable[..., Station]) -> None:
    looking = station(find=list)
    looking.desk.talk.say("abort")
    assert looking.desk.talk.answer == (False, "no run is connected")


def test_live_maps_are_drawn_before_the_disk_has_any(
    broadcast: Callable[..., Any], station: Callable[..., Station], until: Until
) -> None:
    looking = station()
    on_air = broadcast()
    until(looking.sees(lambda desk: desk.link.state == "connected"))

    def hears(desk: Desk) -> bool:
        on_air.status()
        return desk.session.status is not None

    until(looking.sees(hears))
    for message, arrays in on_air.run.messages():
        on_air.send(message, *arrays)
        looking.desk.step()
        if isinstance(message, RunStatus):
            break
        time.sleep(0.002)
    until(looking.sees(lambda desk: desk.session.map(0, "b_z") is not None))
    until(looking.sees(lambda desk: desk.spectrometer.traces))
    assert looking.desk.spectrometer.source.startswith("live")
