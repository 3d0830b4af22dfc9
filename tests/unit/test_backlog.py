"""Small messages that wait for room: in order, none lost, not without end."""

from __future__ import annotations

import pytest

from nvscope.engine import backlog
from nvscope.engine.backlog import Backlog
from nvscope.errors import DataError
from nvscope.stream.messages import JournalEntry
from nvscope.stream.sockets import Receiver, Sender

ENTRIES = [JournalEntry("note", float(n), {"text": str(n)}) for n in range(5)]


def test_what_waited_is_said_in_order_once_somebody_listens():
    with Sender.bind("a reader") as sender:
        waiting = Backlog(sender, "the reader")
        for entry in ENTRIES:
            waiting.post(entry)
        assert not waiting.flush()
        with Receiver.connect(sender.endpoint) as reader:
            waiting.flush_blocking(10.0)
            assert waiting.flush()
            assert [reader.receive(10.0).message for _ in ENTRIES] == ENTRIES


def test_a_reader_that_never_reads_is_named(monkeypatch):
    monkeypatch.setattr(backlog, "_MOST", 3)
    with Sender.bind("a reader") as sender:
        waiting = Backlog(sender, "the recorder")
        for entry in ENTRIES[:3]:
            waiting.post(entry)
        with pytest.raises(DataError, match="the recorder has not taken 3 messages"):
            waiting.post(ENTRIES[3])
