"""Parsing of program messages: SCPI with its tree, the older one-word dialect, and anything else."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvscope_simulators.instruments import scpi
from nvscope_simulators.instruments.ieee488 import ScpiCore
from nvscope_simulators.instruments.scpi import Command, CommandError, ErrorQueue, LineSession


def core(log: list[str]) -> ScpiCore:
    def note(command: Command) -> str | None:
        log.append(command.header)
        return ",".join(command.arguments) + "!" if command.query else None

    commands = {"[SOURce]:FREQuency[:CW]": note, "[SOURce]:FREQuency:MODE": note, "*IDN": note, "OUTPut": note}
    return ScpiCore(commands, "", lambda: None, {})


@pytest.mark.parametrize(
    "spelling", ["FREQ", "freq:cw", "SOUR:FREQ", "SOURce:FREQuency:CW", ":SOUR1:FREQ:CW", "frequency"]
)
def test_every_legal_spelling_is_found(spelling: str) -> None:
    assert core([]).execute(f"{spelling}? 1, 2") == "1,2!"


@pytest.mark.parametrize("spelling", ["FRE", "FREQU", "SOURC:FREQ", "FREQ:CW:CW", "", "1", "?", "::", "é"])
def test_other_spellings_are_undefined(spelling: str) -> None:
    parser = core([])
    assert parser.execute(f"{spelling}?") is None
    assert parser.errors.pop() == (-113, "Undefined header")


def test_headers_are_relative_to_the_last_and_common_commands_keep_the_path() -> None:
    log: list[str] = []
    assert core(log).execute("SOUR:FREQ:CW 1e9;*IDN?;MODE?;:OUTP 1") == "!;!"
    assert log == ["SOUR:FREQ:CW", "*IDN", "SOUR:FREQ:MODE", "OUTP"]


def test_an_error_ends_the_message() -> None:
    log: list[str] = []
    parser = core(log)
    assert parser.execute("FREQ?;NONSENSE;OUTP 1") == "!"
    assert log == ["FREQ"]
    assert len(parser.errors) == 1


def test_quotes_protect_separators() -> None:
    assert scpi.split_units("A 'x;y';B \"1;2\"") == ["A 'x;y'", 'B "1;2"']
    assert scpi.split_arguments("'a,b', \"c,d\" ,e,") == ("'a,b'", '"c,d"', "e", "")


def test_one_word_dialect_takes_values_without_a_space() -> None:
    assert scpi.parse_mnemonic("FREQ2.87e9") == Command("FREQ", False, ("2.87e9",), (None,))
    assert scpi.parse_mnemonic("outp? 1") == Command("OUTP", True, ("1",), (None,))
    assert scpi.parse_mnemonic("SRAT ?").query


@pytest.mark.parametrize(
    ("text", "value"), [("2.87 GHz", 2.87e9), ("1e3", 1e3), ("-.5", -0.5), ("3MS", 3e-3), ("+7.", 7.0), ("10uA", 1e-5)]
)
def test_numbers(text: str, value: float) -> None:
    assert scpi.number(Command("X", False, (text,), (None,))) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "code"), [("abc", -120), ("1 parsec", -131), ("1e400", -222), ("--1", -120), ("11", -222)]
)
def test_bad_numbers(text: str, code: int) -> None:
    with pytest.raises(CommandError) as caught:
        scpi.number(Command("X", False, (text,), (None,)), low=-10, high=10)
    assert caught.value.code == code


def test_error_queue_is_bounded_and_says_so() -> None:
    errors = ErrorQueue(3)
    for code in range(5):
        errors.push(code, "x")
    assert [errors.pop() for _ in range(4)] == [(0, "x"), (1, "x"), scpi.QUEUE_OVERFLOW, None]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_chunking_does_not_change_what_is_heard(stream: bytes, cuts: list[int]) -> None:
    def hear(chunks: list[bytes]) -> tuple[list[str], bytes]:
        heard: list[str] = []
        session = LineSession(lambda line: heard.append(line) or line)
        return heard, b"".join(session.receive(chunk) for chunk in chunks)

    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert hear(pieces) == hear([stream])


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=100))
def test_no_text_breaks_the_parser(text: str) -> None:
    core([]).execute(text)


def test_an_oversized_line_is_discarded_to_its_end_and_reported_once() -> None:
    overflows: list[int] = []
    session = LineSession(lambda line: line, on_overflow=lambda: overflows.append(1))
    for _ in range(4):
        assert session.receive(b"x" * 60000) == b""
    assert session.receive(b"tail\nfine\n") == b"fine\r\n"
    assert len(overflows) == 1
