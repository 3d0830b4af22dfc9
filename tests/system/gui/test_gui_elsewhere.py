"""Watching and controlling a run from another computer: real sockets with CURVE keys, on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nvscope.cli.remote import elsewhere, listening
from nvscope.cli.watch_methods import methods
from nvscope.engine.listen import Listen
from nvscope.errors import ConfigError, NvscopeError
from nvscope.gui.app import Watch, make_desk
from nvscope.gui.desk import Desk
from nvscope.stream.control import Control, ControlServer, Reply, RunInfo, ask, whereabouts
from nvscope.stream.keys import make_keys, read_keys
from nvscope.stream.messages import JournalEntry
from nvscope.stream.viewing import Publisher, Publishers

LOADING = {
    "field_of_view": 64e-6,
    "polygons": [
        {"name": "flake", "kind": "sample", "vertices": [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8]]},
        {"name": "wire", "kind": "wire", "vertices": [[0.0, 0.88], [1.0, 0.9], [1.0, 0.97]]},
        {"name": "damaged", "kind": "wire", "vertices": [[0.0]]},
    ],
}


class Far:
    """A made-up run that listens beyond this computer."""

    def __init__(self, made_up, folder: Path) -> None:  # type: ignore[no-untyped-def]
        self.run = made_up
        self.asked: list[str] = []
        self.key = folder / "lab.toml"
        self.shared = make_keys(self.key)
        self.viewers = Publishers(Publisher.bind("viewers"))
        about = {"run": made_up.name, "sample": {"name": "S1"}, "parameters": {"until": 2e-5}, "loading": LOADING}
        self.viewers.send(JournalEntry("about", 0.0, about))  # before there is anywhere else to listen
        info = RunInfo(made_up.name, str(folder), 4711, "tcp://127.0.0.1:9", self.viewers.endpoint)
        self.server: ControlServer = Listen("127.0.0.1", 0, read_keys(self.key)).open(
            self.answer, self.viewers, info, 1 << 20
        )

    def answer(self, request: Control) -> Reply:
        self.asked.append(request.verb)
        return Reply(True, f"{request.verb}: done")

    def close(self) -> None:
        self.server.close()
        self.viewers.close(0.0)


@pytest.fixture
def far(made_up, tmp_path: Path) -> Iterator[Far]:  # type: ignore[no-untyped-def]
    run = Far(made_up, tmp_path)
    yield run
    run.close()


def test_a_run_on_another_computer_is_watched_and_controlled(far: Far, until: Callable[..., None]) -> None:
    place = elsewhere(far.server.endpoint, far.shared)
    desk, feed = make_desk(Watch(elsewhere=place), methods())
    assert feed is not None
    feed.start()
    try:
        until(lambda: (desk.step(), desk.link.state == "connected")[1])
        _play_until_seen(far, desk, until)
        header = desk.session.header
        assert (header.run, header.sample, header.target_b_err) == (far.run.name, "S1", 2e-5)
        assert [outline.name for outline in header.outlines] == ["flake", "wire"]
        desk.talk.say("pause")
        until(lambda: (desk.step(), desk.talk.answer is not None)[1])
        assert desk.talk.answer == (True, "pause: done")
        assert "pause" in far.asked
    finally:
        feed.stop()
        desk.close()


def _play_until_seen(far: Far, desk: Desk, until: Callable[..., None]) -> None:
    sent = [one for one in far.run.messages() if type(one[0]).__name__ != "BlockClosed"]
    for message, arrays in sent:  # nobody is sure to listen yet: what is needed is repeated to whoever joins
        far.viewers.send(message, *arrays)

    def seen() -> bool:
        far.viewers.send(far.run.status("running", "map (fw) at 84 K", 0.9))
        desk.step()
        return bool(desk.session.mapped) and desk.session.status is not None and bool(desk.session.steps.steps)

    until(seen)


def test_without_the_key_nothing_is_heard_and_nothing_seen(far: Far, tmp_path: Path) -> None:
    wrong = read_keys(make_keys(tmp_path / "other.toml"))
    with pytest.raises(NvscopeError, match="did not answer"):
        whereabouts(far.server.endpoint, wrong, timeout=0.5)
    with pytest.raises(NvscopeError, match="did not answer"):
        ask(far.server.endpoint, Control("abort"), timeout=0.5)  # no encryption at all
    assert far.asked == []


@pytest.mark.parametrize(
    ("address", "key", "match"),
    [("192.0.2.1:5570", False, "--key"), ("nonsense", True, "HOST:PORT"), ("192.0.2.1:65535", True, "65534")],
)
def test_what_is_missing_is_said_before_anything_moves(tmp_path: Path, address: str, key: bool, match: str) -> None:
    file = tmp_path / "lab.toml"
    make_keys(file)
    with pytest.raises(ConfigError, match=match):
        listening(address, file if key else None)
    with pytest.raises(ConfigError, match="listen"):
        listening(None, file)
