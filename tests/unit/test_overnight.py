"""A night: a list of other sequences as one run, its parameters checked before anything moves."""

import pytest
from bluesky import Msg

from nvscope.cli.selection import resolve_parameters, select
from nvscope.engine.planning import planning_rig
from nvscope.errors import ConfigError, HistoryInvalid, LimitError
from nvscope.plans import dry_run, find_sequence
from nvscope.plans.nesting import nested, parse_condition

SELECTION = select("simulated", "s1", None)


@pytest.fixture
def rig():
    return planning_rig(SELECTION.rig, SELECTION.sample, SELECTION.loading, (64, 64))


def program(tmp_path, text):
    path = tmp_path / "night.toml"
    path.write_text(text, encoding="utf-8")
    return f"program={path.as_posix()}"


def walk(rig, *settings):
    sequence = find_sequence("overnight")
    return dry_run(sequence.plan(rig, resolve_parameters(sequence, settings)))


def test_the_packaged_night_is_long_and_full(rig):
    summary = walk(rig)
    assert summary.duration > 12 * 3600
    assert summary.frames >= 20_000


def test_steps_run_across_every_combination_in_one_run(rig, tmp_path):
    text = """
    [[steps]]
    sequence = "transport-rt"
    parameters = { base_temperature = "90 K", step = "30 K" }
    across = { excitations = [["0.1 mA"], ["0.3 mA"]], readings = [5, 10] }
    """
    summary = walk(rig, program(tmp_path, text))
    begun = [step.text for step in summary.steps if " of 4: " in step.text]
    assert begun[0] == "1 of 4: transport-rt (excitations ['0.1 mA'], readings 5)"
    assert len(begun) == 4
    sequence = find_sequence("overnight")
    plan = sequence.plan(rig, resolve_parameters(sequence, [program(tmp_path, text)]))
    commands, answer = [], None
    try:
        while True:
            message = plan.send(answer)
            commands.append(message.command)
            answer = message.obj.predict(_start()) if message.command == "read" else None
    except StopIteration:
        pass
    assert commands.count("open_run") == commands.count("close_run") == 1


def _start():
    from nvscope.devices.base import Assumed

    return Assumed()


def test_conditions_leave_steps_out_and_end_the_night(rig, tmp_path):
    text = """
    stop_when = "elapsed > 2500 s"
    [[steps]]
    sequence = "transport-iv"
    parameters = { temperatures = ["90 K"] }
    when = "temperature < 80 K"
    [[steps]]
    sequence = "transport-iv"
    parameters = { points = 3 }
    across = { temperatures = [["90 K"], ["10 K"], ["90 K"], ["10 K"]] }
    """
    steps = [step.text for step in walk(rig, program(tmp_path, text)).steps]
    assert steps[0] == "transport-iv is left out: not temperature < 80 K"
    assert sum(" of 5: " in text for text in steps) == 3
    assert steps[-1] == "elapsed > 2500 s: the remaining 1 steps are left out"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the list is empty"),
        ('[[steps]]\nsequence = "zfx"', "did you mean 'zfc'"),
        ('[[steps]]\nsequence = "overnight"', "cannot contain a night"),
        ('[[steps]]\nsequence = "zfc"\nparameters = { feild = "97 G" }', "did you mean 'field'"),
        ('[[steps]]\nsequence = "zfc"\nacross = { field = ["97 G", "97 K"] }', "97 K"),
        ('[[steps]]\nsequence = "zfc"\nwhen = "pressure > 1"', "is not a condition"),
        ('[[steps]]\nsequence = "zfc"\nwhen = "temperature < 80"', "no unit"),
    ],
)
def test_a_wrong_list_is_refused_before_anything_moves(rig, tmp_path, text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        walk(rig, program(tmp_path, text))
    with pytest.raises(ConfigError, match="no such file"):
        walk(rig, f"program={(tmp_path / 'none.toml').as_posix()}")


def test_a_limit_deep_in_the_night_names_the_step(rig, tmp_path):
    text = '[[steps]]\nsequence = "transport-iv"\n[[steps]]\nsequence = "fc"\nparameters = { field = "300 G" }'
    with pytest.raises(LimitError, match=r"step \d+ \(field to 300 G"):
        walk(rig, program(tmp_path, text))


def test_a_nested_plan_hears_what_is_thrown_into_it():
    heard = []

    def inner():
        yield Msg("open_run")
        try:
            yield Msg("set")
        except HistoryInvalid as error:
            heard.append(error)
        return (yield Msg("read"))

    def outer():
        return (yield from nested(inner()))

    plan = outer()
    assert next(plan).command == "set"
    assert plan.throw(HistoryInvalid("glitch")).command == "read"
    with pytest.raises(StopIteration) as end:
        plan.send(7)
    assert end.value.value == 7
    assert len(heard) == 1


def test_conditions_are_read_in_si():
    assert parse_condition("resistance >= 5 mohm") == ("resistance", ">=", 5e-3)
    assert parse_condition("elapsed < 9 h") == ("elapsed", "<", 32400.0)
    assert parse_condition("screened > 0") == ("screened", ">", 0.0)
