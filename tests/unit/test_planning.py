"""Walking a plan: what it says, what it refuses, and that nothing is behind it."""

import math
from contextlib import suppress

import pytest
from bluesky import plan_stubs as bps

from nvscope.cli.plan import begin
from nvscope.cli.selection import resolve_parameters, select
from nvscope.devices.base import Assumed
from nvscope.engine.planning import planning_rig
from nvscope.errors import ConfigError, LimitError, NvscopeError
from nvscope.plans import change_temperature, dry_run, find_sequence, odmr_map, ramp_field
from nvscope.plans.odmr_settings import Windows

SELECTION = select("simulated", "s1", None)


@pytest.fixture
def rig():
    return planning_rig(SELECTION.rig, SELECTION.sample, SELECTION.loading, (64, 64))


def walk(rig, name, *settings):
    sequence = find_sequence(name)
    return dry_run(sequence.plan(rig, resolve_parameters(sequence, settings)))


def test_the_main_job_takes_the_points_it_promises(rig):
    summary = walk(rig, "zfc-fw")
    # a coarse sweep, the reference, four maps that find the residual field, the base temperature and twelve more
    assert summary.points == 19
    # 82 frequencies of 8 frames for each of 18 maps, and 2 for each of the coarse sweep: 700 MHz, but at least the
    # splitting at 97 G, 544 MHz, and 300 MHz more, in steps of 4 MHz
    assert summary.frames == 18 * 82 * 8 + 212 * 2
    maps = [step for step in summary.steps if step.text in ("map (reference)", "map (zfc)", "map (fw)")]
    assert [step.temperature for step in maps[:3]] == [110.0, 20.0, 30.0]
    assert all(step.field == pytest.approx(97e-4) for step in maps)


def test_ramps_take_what_the_rates_say(rig):
    def plan():
        yield from ramp_field(rig, 97e-4, 1e-4)
        yield from change_temperature(rig, 290.0, 1 / 60)

    field, temperature = dry_run(plan(), Assumed(temperature=295.0)).steps
    assert field.duration == pytest.approx(97 + SELECTION.rig.settling.field_dwell)
    assert temperature.duration == pytest.approx(300 + 30, abs=60)


def test_a_slow_ramp_is_in_the_band_before_it_ends(rig):
    def took(way, rate):
        plan = change_temperature(rig, 20.0 + way, rate / 60)
        return dry_run(plan, Assumed(temperature=20.0, regulated=True)).duration

    # measured on the simulated lab: s from one end of a step to the other, dwell of 30 s included
    for way, rate, measured in ((0.2, 0.1, 122), (20, 10, 158), (10, 5, 155)):
        assert took(way, rate) == pytest.approx(measured, abs=4)


def test_a_warming_is_planned_from_where_the_cooling_ended(rig):
    sequence = find_sequence("fw")
    parameters = resolve_parameters(sequence, ())
    start = begin(sequence.begins(parameters), None, None)
    assert (start.temperature, start.field) == (20.0, pytest.approx(97e-4))
    warmed = dry_run(sequence.plan(rig, parameters), start)
    # 90 K at 5 K/min and 13 settlings, not the way down from room temperature as well
    assert warmed.duration == pytest.approx(90 * 12 + 13 * 36 + 14 * 19 + 60, rel=0.1)
    assert begin(start, "50 K", "150 G").temperature == 50.0
    with pytest.raises(ConfigError, match=r"--field: .*temperature"):
        begin(start, None, "5 K")


def test_the_disk_needed_follows_the_camera(rig):
    def needed(name, shape, *settings):
        large = planning_rig(SELECTION.rig, SELECTION.sample, SELECTION.loading, shape)
        return walk(large, name, *settings).bytes

    assert needed("odmr", (128, 128)) == 4 * needed("odmr", (64, 64))
    # 82 frequencies and 176 of the coarse sweep, and the maps of two points
    assert needed("odmr", (64, 64)) == 4 * 64 * 64 * (82 + 176 + 2 * 17)
    # dark, and an image to set the exposure and a flat one at each laser power
    assert needed("calibrate-exposure", (64, 64)) == 4 * 64 * 64 * 7


@pytest.mark.parametrize(
    ("setting", "step"),
    [("autofocus=point", r"step 6 \(autofocus: 11 positions over 10 um\)"), ("excitation=1 A", r"step 5 \(R at 1 A")],
)
def test_what_comes_before_a_map_is_a_step_of_its_own(rig, setting, step):
    with pytest.raises(LimitError, match=step):
        walk(rig, "zfc", setting)


def test_resistance_is_swept_at_field_angles_too(rig):
    with pytest.raises(LimitError, match="transport-rh with angles needs a vector magnet"):
        walk(rig, "transport-rh", "angles=0 degree")
    selection = select("simulated-vector", "s1", None)
    vector = planning_rig(selection.rig, selection.sample, selection.loading, (64, 64))
    steps = walk(vector, "transport-rh", "angles=0 degree, 60 degree", "points=3", "temperatures=60 K").steps
    fields = [step.text.split(" at ")[0] for step in steps if step.text.startswith("field")]
    assert fields[1:4] == ["field to (0, 0, 0) G", "field to (0, 0, 150) G", "field to (0, 0, 150) G"]
    assert fields[6] == "field to (-129.9, 0, -75) G"
    assert sum(step.text.startswith("R at") for step in steps) == 2 * 2 * 3


def test_a_forbidden_field_names_the_step(rig):
    with pytest.raises(LimitError, match=r"step 2 \(field to 300 G at 2 G/s\): field 300 G is beyond"):
        walk(rig, "zfc-fw", 'field="300 G"')


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ('base_temperature="1 K"', "temperature 1 K is outside"),
        ('cooling_rate="50 K/min"', "temperature rate 50 K/min"),
        ('laser_power="3 W"', "laser power 3 W"),
        ('power="30 dBm"', "microwave power 30 dBm"),
        ('excitation="1 A"', "excitation 1 A"),
        ('search_center="9 GHz"', "GHz"),
    ],
)
def test_every_limit_is_checked_before_anything_moves(rig, setting, complaint):
    with pytest.raises(LimitError, match=complaint):
        walk(rig, "zfc-fw", setting)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ('feild="97 G"', "did you mean 'field'"),
        ('field="97 K"', "field"),
        ("field", "NAME=VALUE"),
        ('temperatures=["50 K", "40 K"]', "ascend"),
        ("frames=0", "frames"),
        ("frames=1.5", "frames"),
        ("order=sideways", "order"),
        (["sampling=adaptive", "sweeps=1"], "sweeps of 2 or more"),
        ("frequency_list=2.8 GHz, 2.81 GHz", "8 to 2000 different frequencies"),
        ('frequency_range=["2.8 GHz", "2.9 GHz", "50 MHz"]', "8 to 2000 frequencies"),
        ("crop=[0, 0, 2, 2]", "at least 4 wide"),
        ("region=nowhere", "no outline called 'nowhere' .*sample"),
    ],
)
def test_a_wrong_setting_is_a_usage_error(rig, setting, complaint):
    with pytest.raises(ConfigError, match=complaint):
        walk(rig, "zfc-fw", *([setting] if isinstance(setting, str) else setting))


@pytest.mark.parametrize(
    ("name", "setting", "complaint"),
    [
        ("find-lines", "search_step=0 MHz", "search_step: must be at least 0.001 MHz"),
        ("find-lines", "search_step=2 kHz", "steps of 0.002 MHz has 350001 frequencies"),
        ("find-lines", "search_center=9 GHz", "within this rig's limits"),
        ("odmr", "exposure=1 h", "exposure: must be at most 60 s .got 3600 s"),
        ("odmr", "exposure=1 us", r"step 1 .*exposure 1e-06 s is outside this rig's 1e-05 to 10 s"),
        ("odmr", "exposure=20 s", r"outside this rig's 1e-05 to 10 s \(exposure_min and exposure_max under"),
        ("calibrate-exposure", ["exposure=1 us", "shortest=1 us"], r"step 2 .*exposure 1e-06 s is outside"),
        ("odmr", "window=10 GHz", r"step 3 \(map \(odmr\)\): frequencies .* GHz leave this rig's 1 to 4 GHz"),
        ("zfc", "residual_bias=-20 G", "residual_bias: must be at least 0 G .got -20 G"),
        ("zfc", "base_temperature=200 K", "normal_temperature 110 K must lie above base_temperature 200 K"),
        ("zfc", "normal_temperature=70 K", "not above Tc: sample 'S1' expects up to 80 K"),
        ("zfc-fw", "field=0 G", "field: there is nothing to map in 0 G"),
        ("fw", "temperatures=30 K, 400 K", "temperatures must lie more than 1 K below normal_temperature 110 K"),
        ("zfc-fw", "temperatures=30 K, 109.5 K", "taken; 109.5 K does not"),
        ("fw", "normal_temperature=400 K", r"temperature 400 K is outside"),
        ("fc", "temperatures=[]", None),
        ("fc", "temperatures=200 K", "lie between base_temperature 20 K and normal_temperature 110 K"),
        ("flux-trap", "quench_rate=0 G/s", "quench_rate: must be above 0 G/s"),
        ("reference", "fields=0 G", "list one that is not 0 G"),
        ("reference", "fields=0 G, 97 G", None),
        ("hc1", "highest=10 G", "lowest 60 G must lie below highest 10 G"),
        ("transport-rt", "base_temperature=200 K", "high_temperature 120 K must lie above base_temperature 200 K"),
        ("transport-rt", "step=1 uK", "at most 5000 times the step"),
        ("transport-rt", "excitations=0 A", "excitations.0: must be above 0 A"),
        ("transport-rh", "field=900 G", r"step 2 .*field -900 G is beyond this rig's limit of ±200 G"),
        ("transport-iv", "highest=1 uA", "lowest 1e-05 A must lie below highest 1e-06 A"),
        ("check-contacts", "lowest=1 A", "lowest 1 A must lie below highest 0.001 A"),
        ("calibrate-field", "lowest=190 G", "lowest 190 G must lie below highest 180 G"),
        ("calibrate-microwave", "powers=0 dBm, 3 dBm, 0 dBm", "listed twice"),
        ("calibrate-microwave", "powers=0 dBm, 3 dBm, 60 dBm", r"step \d+ .*60 dBm exceeds the limit of 10 dBm"),
        ("calibrate-exposure", "laser_powers=0 W", "laser_powers.0: must be above 0"),
        ("rotate-field", "field=97 G", "rotate-field needs a vector magnet"),
        ("traction", "bias=20 G", "traction needs a vector magnet"),
        ("overnight", "steps=[]", "the list is empty"),
    ],
)
def test_every_sequence_refuses_what_makes_no_sense(rig, name, setting, complaint):
    settings = [setting] if isinstance(setting, str) else setting
    if complaint is None:
        assert walk(rig, name, *settings).points > 0
        return
    with pytest.raises((ConfigError, LimitError), match=complaint):
        walk(rig, name, *settings)


def test_the_camera_is_asked_for_no_more_than_it_has(rig):
    with pytest.raises(LimitError, match="crop 40, 0, 30, 20 leaves the camera's image of 64 x 64 pixels"):
        walk(rig, "odmr", "crop=[40, 0, 30, 20]")
    unknown = planning_rig(SELECTION.rig, SELECTION.sample, SELECTION.loading, None)
    assert walk(unknown, "odmr", "crop=[400, 0, 300, 200]").points == 2


def test_estimates_follow_how_a_point_is_taken(rig):
    def map_of(*settings):
        summary = walk(rig, "odmr", "search_step=100 MHz", *settings)
        return summary.frames, summary.bytes, summary.steps[-1].duration

    frames, size, duration = map_of()
    assert map_of("reference=step")[0] == frames + 82
    assert map_of("reference=sweep", "reference_frames=5")[0] == frames + 5
    assert map_of("reference=step")[1] == size + 4 * 82 * 64 * 64
    assert map_of("reference=step")[2] == pytest.approx(duration + 82 * 0.025)
    # a target is given up after 50 sweeps, or as many as asked for
    assert map_of("until=0.1 G")[0] == frames + 49 * 82 * 8
    assert map_of("until=0.1 G", "sweeps=3")[0] == frames + 2 * 82 * 8
    assert map_of("sampling=adaptive")[0] == frames + 82 * 2
    # an adaptive point scouts with a quarter of the frames, then takes as many as a uniform one
    assert map_of("sampling=adaptive", "sweeps=3")[0] == frames + 82 * 8 + 82 * 2
    assert map_of("crop=[0, 0, 16, 32]")[1] < size / 4
    listed = ", ".join(f"{2.8 + 0.01 * k:.2f} GHz" for k in range(20))
    assert map_of(f"frequency_list={listed}")[0] == frames - (82 - 20) * 8
    assert map_of('frequency_range=["2.8 GHz", "2.9 GHz", "5 MHz"]')[0] == frames - (82 - 21) * 8


def test_averaging_towards_a_target_is_an_upper_bound(rig):
    plain, towards = walk(rig, "zfc", "frames=8"), walk(rig, "zfc", "frames=8", "until=0.05 G", "sweeps=4")
    # six maps, each with three sweeps that may not be needed: 82 steps of 8 frames
    assert towards.spare == pytest.approx(6 * 3 * (82 * 8 * 0.025 + 0.5))
    assert towards.duration - towards.spare == pytest.approx(plain.duration)
    assert (plain.spare, plain.conditional) == (0, False)
    assert [step.text for step in towards.steps if step.spare > 0] == [
        step.text for step in plain.steps if step.text.startswith("map")
    ]
    assert walk(rig, "zfc-fw", "until_normal=true").conditional


def test_lists_can_be_set_from_the_command_line(rig):
    assert walk(rig, "zfc-fw", "temperatures=30 K, 50 K").points == 9


def test_planning_devices_have_no_hardware_behind_them(rig):
    with pytest.raises(NvscopeError, match="only plans"):
        _ = rig.magnet.role


def test_a_plan_that_never_ends_is_an_error(rig):
    def forever():
        while True:
            yield from bps.checkpoint()

    with pytest.raises(LimitError, match="never ends"):
        dry_run(forever(), limit=1000)


def test_a_script_outside_the_repository_is_a_sequence(rig, tmp_path):
    script = tmp_path / "mine.py"
    script.write_text(
        "from bluesky import plan_stubs as bps\n"
        "from nvscope.config import Frozen\n"
        "from nvscope.plans import Sequence, ramp_field\n"
        "from nvscope.units import Tesla\n"
        "class Parameters(Frozen):\n"
        "    field: Tesla = 50e-4\n"
        "def plan(rig, p):\n"
        "    yield from bps.open_run({})\n"
        "    yield from ramp_field(rig, p.field, 1e-4)\n"
        "    yield from bps.close_run()\n"
        "sequence = Sequence('mine', 'ramp once', Parameters, plan)\n",
        encoding="utf-8",
    )
    assert walk(rig, str(script)).steps[0].field == pytest.approx(50e-4)
    broken = tmp_path / "broken.py"
    broken.write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="defines no sequence"):
        find_sequence(str(broken))


@pytest.mark.parametrize("name", ["zfc", "fw", "zfc-fw", "fc", "hc1", "reference", "flux-trap"])
def test_no_parameter_of_a_protocol_is_without_effect(rig, name):
    """Every ramp and temperature that can be set is one the plan uses."""
    sequence = find_sequence(name)
    others = {"temperature_rate": "2 K/min", "cooling_rate": "3 K/min", "field_rate": "0.7 G/s",
              "residual_bias": "31 G", "base_temperature": "25 K", "normal_temperature": "131 K"}  # fmt: skip
    checked = set(others) & set(sequence.parameters.model_fields)
    start = sequence.begins(resolve_parameters(sequence, ()))
    plain = dry_run(sequence.plan(rig, resolve_parameters(sequence, ())), start)
    for key in checked:
        changed = resolve_parameters(sequence, (f"{key}={others[key]}",))
        begun = sequence.begins(changed)
        assert dry_run(sequence.plan(rig, changed), begun).steps != plain.steps, key
    assert ("redos" in sequence.parameters.model_fields) == (name not in ("fw", "reference"))


def test_the_residual_is_measured_on_a_sample_that_is_normal(rig):
    sequence = find_sequence("zfc")
    plan = sequence.plan(rig, resolve_parameters(sequence, ()))
    claims = [message.args[0] for message in messages(plan) if message.command == "certify"]
    mapped = [("normal", field) for field in (97, 20, -20, 20, 97)] + [("zfc", 97)]
    # before every map and after it
    assert [(c.protocol, round(c.nominal_field * 1e4), c.since is not None) for c in claims] == [
        (*claim, judged) for claim in mapped for judged in (False, True)
    ]


def messages(plan):
    """Every message of a plan, walked as for an estimate."""
    seen = []

    def through():
        answer = None
        while True:
            try:
                message = plan.send(answer)
            except StopIteration:
                return
            seen.append(message)
            answer = yield message

    dry_run(through())
    return seen


def end_of_map(rig, b_err, until="0.1 G"):
    """Warnings of a map whose δB (T) is `b_err`."""
    settings = resolve_parameters(find_sequence("odmr"), [f"until={until}", "sweeps=3"])
    plan, answer, said = odmr_map(rig, "test", settings, Windows(3e9, 2.7e8)), None, []
    with suppress(StopIteration):
        while True:
            message = plan.send(answer)
            answer = message.args[0] if message.command == "settings" else None
            if message.command == "read":
                answer = message.obj.predict(Assumed())
                if message.obj is rig.odmr:
                    answer["odmr_b_err"]["value"] = b_err
            elif message.command == "set":
                message.obj.estimate(message.args[0], Assumed())
            elif message.command == "warn":
                said.append(message.args[0])
    return said


def test_a_target_that_is_not_reached_is_said_to_be_so(rig):
    assert end_of_map(rig, 0.97e-5) == []
    assert end_of_map(rig, 1.23e-5) == ["test: until 0.1 G not reached: 0.123 G after 3 sweeps"]
    assert end_of_map(rig, math.nan) == ["test: until 0.1 G not reached: no pixel has a δB after 3 sweeps"]
