"""The VISA adapter against a server that misbehaves in every way that has been reported."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from nvscope_drivers.checked import CheckedInstrument
from nvscope_drivers.visa import VisaAdapter
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.base import Session
from nvscope_simulators.instruments.scpi import LineSession
from nvscope_simulators.tcp import Delivery, Faults, TcpServer

from nvscope.errors import InstrumentError, InstrumentTimeout


class Echo:
    """Answers ``X?`` with ``X`` and keeps everything else."""

    model = "ECHO"
    max_connections = 2

    def __init__(self, banner: bytes = b"") -> None:
        self.banner = banner
        self.heard: list[str] = []

    def open_session(self) -> tuple[bytes, Session]:
        return self.banner, LineSession(self._handle)

    def _handle(self, line: str) -> str | None:
        if line.endswith("?"):
            return line[:-1]
        self.heard.append(line)
        return None


class Script(Faults):
    """Replaces the delivery of chosen messages."""

    def __init__(self) -> None:
        self.on: dict[bytes, Delivery] = {}
        self.open = True

    def admits(self) -> bool:
        return self.open

    def exchange(self, message: bytes, process: Callable[[bytes], bytes]) -> Delivery:
        reply = process(message)
        return self.on.pop(message.strip(), Delivery(reply))


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as host:
        yield host


def serve(host: Host, echo: Echo | None = None, **options: object) -> tuple[TcpServer, Script]:
    faults = Script()
    return host.serve(echo or Echo(), faults=faults, **options), faults


Connect = Callable[..., VisaAdapter]


@pytest.fixture
def connect() -> Iterator[Connect]:
    opened: list[VisaAdapter] = []

    def open_one(host: Host, server: TcpServer, **options: object) -> VisaAdapter:
        opened.append(VisaAdapter(host.address(server), "ECHO", **{"timeout": 0.3, **options}))
        return opened[-1]

    yield open_one
    for adapter in opened:
        adapter.close()


def ask(adapter: VisaAdapter, command: str) -> str:
    adapter.write(command)
    return adapter.read()


def test_asks_and_answers_with_nodelay(host: Host, connect: Connect) -> None:
    server, _ = serve(host)
    adapter = connect(host, server)
    assert [ask(adapter, f"{i}?") for i in range(50)] == [str(i) for i in range(50)]
    session = adapter.connection.visalib.sessions[adapter.connection.session]
    assert session.interface.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert adapter.opened == 1
    adapter.close()
    with pytest.raises(InstrumentError, match="has been closed"):
        adapter.write("1?")


def test_late_reply_is_never_taken_for_the_next(host: Host, connect: Connect) -> None:
    server, faults = serve(host)
    adapter = connect(host, server)
    faults.on[b"late?"] = Delivery(b"late\r\n", delay=0.5)
    with pytest.raises(InstrumentTimeout, match=r"ECHO at TCPIP.* did not answer 'late\?' within 0.3 s"):
        ask(adapter, "late?")
    time.sleep(0.3)
    assert ask(adapter, "next?") == "next"
    assert adapter.opened == 2


def test_truncated_reply_is_a_timeout_that_shows_what_came(host: Host, connect: Connect) -> None:
    server, faults = serve(host)
    adapter = connect(host, server)
    faults.on[b"abcdef?"] = Delivery(b"abc")
    with pytest.raises(InstrumentTimeout, match="only b'abc' came"):
        ask(adapter, "abcdef?")
    assert ask(adapter, "next?") == "next"


def test_unsolicited_bytes_put_the_session_out_of_step_and_are_discarded(host: Host, connect: Connect) -> None:
    server, faults = serve(host)
    adapter = connect(host, server)
    faults.on[b"one?"] = Delivery(b"one\r\ntwo\r\n")
    assert ask(adapter, "one?") == "one"
    time.sleep(0.05)
    assert ask(adapter, "three?") == "three"
    assert adapter.opened == 2


def test_connection_dropped_before_the_answer(host: Host, connect: Connect) -> None:
    server, faults = serve(host)
    adapter = connect(host, server, timeout=5.0)
    faults.on[b"x?"] = Delivery(b"", close=True)
    start = time.monotonic()
    with pytest.raises(InstrumentError, match=r"connection lost at 'x\?'"):
        ask(adapter, "x?")
    assert time.monotonic() - start < 2.0, "a closed connection must be told from silence"
    assert ask(adapter, "y?") == "y"


def test_connection_dropped_between_commands_is_replaced_before_anything_is_lost(host: Host, connect: Connect) -> None:
    echo = Echo()
    server, _ = serve(host, echo)
    adapter = connect(host, server)
    assert ask(adapter, "1?") == "1"
    host.call(server.drop_all)
    time.sleep(0.05)
    adapter.write("SET")
    assert ask(adapter, "2?") == "2"
    assert echo.heard == ["SET"]
    assert adapter.opened == 2


def test_garbled_reply_discards_the_session(host: Host, connect: Connect) -> None:
    server, faults = serve(host)
    adapter = connect(host, server)
    faults.on[b"x?"] = Delivery(b"\xff\x80\r\n")
    with pytest.raises(InstrumentError, match="garbled"):
        ask(adapter, "x?")
    assert ask(adapter, "y?") == "y"


def test_a_dripping_peer_does_not_outlast_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        adapter = VisaAdapter(f"TCPIP::127.0.0.1::{listener.getsockname()[1]}::SOCKET", "DRIP", timeout=0.3)
        peer, _ = listener.accept()
        with peer:
            ended = threading.Event()

            def drip() -> None:
                while not ended.wait(0.02):
                    peer.send(b".")

            dripper = threading.Thread(target=drip)
            dripper.start()
            start = time.monotonic()
            with pytest.raises(InstrumentTimeout):
                ask(adapter, "x?")
            assert time.monotonic() - start < 2.0
            ended.set()
            dripper.join()
            adapter.close()


def test_refused_port_and_bounded_reconnect(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(InstrumentError, match=r"ECHO at TCPIP::127.0.0.1::\d+::SOCKET: cannot connect"):
        VisaAdapter(f"TCPIP::127.0.0.1::{port}::SOCKET", "ECHO", timeout=0.3)
    assert time.monotonic() - start < 3.0


def test_beyond_the_connection_limit(host: Host, connect: Connect) -> None:
    server, _ = serve(host)
    first, second = connect(host, server), connect(host, server)
    assert (ask(first, "1?"), ask(second, "2?")) == ("1", "2")
    third = connect(host, server)
    with pytest.raises(InstrumentError, match="connection lost"):
        ask(third, "3?")
    first.close()
    time.sleep(0.05)
    assert ask(third, "3?") == "3"
    assert server.refused >= 1


def test_refusing_faults_end(host: Host, connect: Connect) -> None:
    server, faults = serve(host)
    faults.open = False
    adapter = connect(host, server)
    with pytest.raises(InstrumentError):
        ask(adapter, "1?")
    faults.open = True
    assert ask(adapter, "1?") == "1"


def test_banner_is_read_on_every_open(host: Host, connect: Connect) -> None:
    server, faults = serve(host, Echo(b"Hello\r\n"), banner_delay=0.05)
    banners: list[str] = []
    adapter = connect(host, server, on_open=lambda a: banners.append(a.read()))
    assert ask(adapter, "1?") == "1"
    faults.on[b"2?"] = Delivery(b"", close=True)
    with pytest.raises(InstrumentError):
        ask(adapter, "2?")
    assert ask(adapter, "3?") == "3"
    assert banners == ["Hello", "Hello"]


def test_counted_bytes_without_terminator(host: Host, connect: Connect) -> None:
    server, _ = serve(host)
    adapter = connect(host, server, read_termination="")
    adapter.write("abcdef?")
    assert adapter.read_bytes(2) == b"ab"
    assert adapter.read_bytes(6) == b"cdef\r\n"


def test_long_replies_and_a_peer_that_takes_nothing(host: Host, connect: Connect) -> None:
    server, _ = serve(host)
    adapter = connect(host, server)
    text = "y" * 60000
    assert ask(adapter, text + "?") == text
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with listener:
        deaf = VisaAdapter(f"TCPIP::127.0.0.1::{listener.getsockname()[1]}::SOCKET", "DEAF", timeout=0.3)
        with pytest.raises(InstrumentTimeout, match="did not take"):
            deaf.write_bytes(b"z" * (1 << 24))
        deaf.close()


def test_pymeasure_values_that_do_not_convert_are_errors(host: Host, connect: Connect) -> None:
    server, faults = serve(host)
    instrument = CheckedInstrument(connect(host, server), "Echo")
    assert instrument.values("1.5,2?") == [1.5, 2.0]
    faults.on[b"1.5?"] = Delivery(b"1.#5\r\n")
    with pytest.raises(InstrumentError, match=r"nonsense in reply to '1.5\?': '1.#5'"):
        instrument.values("1.5?")
    assert instrument.values("2.5?") == [2.5]
    faults.on[b"*IDN?"] = Delivery(b"ACME,Toaster,1,2\r\n")
    with pytest.raises(InstrumentError, match=r"expected a instrument at TCPIP.*'ACME,Toaster,1,2'"):
        instrument.identity()


def test_server_survives_a_client_that_does_not_read(host: Host, connect: Connect) -> None:
    server, _ = serve(host)
    with socket.create_connection(("127.0.0.1", server.port)) as deaf:
        deaf.settimeout(0.5)
        with pytest.raises(TimeoutError):  # the server stops reading once its replies pile up
            deaf.sendall((b"w" * 8000 + b"?\n") * 4000)
        assert ask(connect(host, server), "1?") == "1"
    time.sleep(0.05)
    assert host.call(lambda: server.connections) <= 1
    assert server.crashes == 0
