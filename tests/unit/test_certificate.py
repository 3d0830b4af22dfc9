"""Certificates are judged on hand-made biographies whose flaw is known."""

import numpy as np
import pytest

from nvscope.config import HistoryLimits
from nvscope.history import Biography, Claim, certify

LIMITS = HistoryLimits()
FIELD = 97e-4


def biography(*legs):
    """Build a biography from (duration, temperature at the end, field at the end) legs, read every 10 s."""
    history = Biography()
    time, temperature, field = 0.0, 150.0, 0.0
    history.observe(time, {"temperature": temperature, "field": field})
    for duration, to_temperature, to_field in legs:
        steps = max(1, int(duration / 10))
        for step in range(1, steps + 1):
            share = step / steps
            history.observe(
                time + duration * share,
                {
                    "temperature": temperature + (to_temperature - temperature) * share,
                    "field": field + (to_field - field) * share,
                },
            )
        time, temperature, field = time + duration, to_temperature, to_field
    return history, time


COOL = (1000, 20.0, 0.0)
DWELL = (100, 20.0, 0.0)
SWITCH_ON = (100, 20.0, FIELD)
MAP = (200, 20.0, FIELD)


def judge(protocol, *legs, nominal=FIELD, rate=None):
    history, now = biography(*legs)
    return certify(history, Claim(protocol, 109.0, nominal, rate), LIMITS, now)


def without(history, name, start, end):
    """The same biography with no reading of one quantity between two times."""
    kept = Biography()
    for each in ("temperature", "field"):
        series = getattr(history, each)
        for time, value in zip(series.times, series.values, strict=True):
            if each != name or not start <= time <= end:
                getattr(kept, each).add(time, value)
    return kept


def test_a_clean_zero_field_cooling_is_valid():
    certificate = judge("zfc", COOL, DWELL, SWITCH_ON, MAP)
    assert certificate.verdict == "valid"
    assert certificate.numbers["zero_field_max"] == 0.0


def test_cooling_in_two_gauss_is_degraded_and_says_how_much():
    certificate = judge("zfc", (10, 150.0, 2e-4), (1000, 20.0, 2e-4), SWITCH_ON, MAP)
    assert certificate.verdict == "degraded"
    assert "2.00 G" in certificate.reason


def test_cooling_in_the_full_field_is_not_zero_field_cooling():
    certificate = judge("zfc", (10, 150.0, FIELD), (1000, 20.0, FIELD), MAP)
    assert certificate.verdict == "invalid"


def test_a_field_glitch_below_tc_is_found_at_its_moment():
    certificate = judge("zfc", (600, 60.0, 0.0), (10, 59.0, 20e-4), (10, 58.0, 0.0), (400, 20.0, 0.0), SWITCH_ON, MAP)
    assert certificate.verdict == "invalid"
    assert certificate.moment == pytest.approx(610.0)
    assert certificate.numbers["zero_field_max"] == pytest.approx(20e-4)


def test_field_warming_is_valid_when_temperature_only_rises():
    assert judge("fw", COOL, DWELL, SWITCH_ON, MAP, (100, 40.0, FIELD), (200, 40.0, FIELD)).verdict == "valid"


def test_an_overshoot_while_warming_is_degraded_with_its_size():
    legs = (COOL, DWELL, SWITCH_ON, MAP, (100, 40.4, FIELD), (50, 40.0, FIELD), (200, 40.0, FIELD))
    certificate = judge("fw", *legs)
    assert certificate.verdict == "degraded"
    assert certificate.numbers["overshoot"] == pytest.approx(0.4, abs=0.02)


def test_a_warm_up_during_a_helium_refill_is_invalid():
    legs = (COOL, DWELL, SWITCH_ON, MAP, (100, 40.0, FIELD), (100, 55.0, FIELD), (100, 40.0, FIELD), (100, 40.0, FIELD))
    certificate = judge("fw", *legs)
    assert certificate.verdict == "invalid"
    assert "55" not in certificate.reason
    assert certificate.numbers["overshoot"] == pytest.approx(15.0, abs=0.1)


def test_field_drift_while_warming_is_judged_against_nominal():
    certificate = judge("fw", COOL, DWELL, SWITCH_ON, MAP, (200, 40.0, FIELD * 1.02), (200, 40.0, FIELD * 1.02))
    assert certificate.verdict == "degraded"
    assert certificate.numbers["field_deviation"] == pytest.approx(0.02, rel=1e-6)


def test_a_warm_up_above_tc_starts_a_new_history():
    glitch = ((600, 60.0, 0.0), (10, 59.0, 20e-4), (400, 20.0, 0.0))
    assert judge("zfc", *glitch, (600, 150.0, 0.0), COOL, DWELL, SWITCH_ON, MAP).verdict == "valid"


def test_field_cooling_is_judged_at_the_crossing():
    assert judge("fc", (10, 150.0, FIELD), (1000, 20.0, FIELD), MAP).verdict == "valid"
    assert judge("fc", COOL, SWITCH_ON, MAP).verdict == "invalid"


def test_flux_trapping_needs_the_field_gone_after_the_quench():
    fc = ((10, 150.0, FIELD), (1000, 20.0, FIELD), (100, 20.0, FIELD))
    assert judge("flux-trap", *fc, (100, 20.0, 0.0), (100, 20.0, 0.0)).verdict == "valid"
    assert judge("flux-trap", *fc, (100, 20.0, 5e-4), (100, 20.0, 5e-4)).verdict == "invalid"


def test_a_sample_never_seen_normal_has_no_known_history():
    history = Biography()
    history.observe(0.0, {"temperature": 20.0, "field": 0.0})
    assert certify(history, Claim("zfc", 109.0, FIELD), LIMITS, 1.0).verdict == "invalid"


def test_no_readings_no_certificate():
    assert certify(Biography(), Claim("zfc", 109.0, FIELD), LIMITS, 1.0).verdict == "invalid"


def test_a_reading_from_the_past_is_refused():
    history = Biography()
    history.observe(5.0, {"temperature": 20.0})
    with pytest.raises(ValueError, match="cannot follow"):
        history.observe(4.0, {"temperature": 20.0})
    assert np.isnan(history.field.last)


def test_a_quench_is_certified_with_the_rate_it_really_had():
    nominal = 150e-4
    up, cool = (100, 150.0, nominal), (1000, 20.0, nominal)
    certificate = judge(
        "flux-trap", up, cool, (100, 20.0, nominal), (300, 20.0, 0.0), (100, 20.0, 0.0), nominal=nominal
    )
    assert certificate.verdict == "valid"
    assert certificate.numbers["quench_rate"] == pytest.approx(nominal / 300, rel=1e-6)
    assert certificate.numbers["remnant_field"] == 0.0
    slow = (*((100, 150.0, nominal), (1000, 20.0, nominal), (100, 20.0, nominal)), (300, 20.0, 0.0), (100, 20.0, 0.0))
    assert judge("flux-trap", *slow, nominal=nominal, rate=nominal / 320).verdict == "valid"
    assert judge("flux-trap", *slow, nominal=nominal, rate=nominal / 240).verdict == "degraded"
    certificate = judge("flux-trap", *slow, nominal=nominal, rate=nominal / 30)
    assert certificate.verdict == "invalid"
    assert "fell at 0.5 G/s, not at 5 G/s" in certificate.reason
    assert certificate.moment == pytest.approx(1200, abs=5)


def mapped(protocol, *legs, nominal=FIELD, since):
    history, now = biography(*legs)
    return certify(history, Claim(protocol, 109.0, nominal, since=since), LIMITS, now)


def test_a_reference_is_judged_by_the_field_it_was_mapped_in():
    up = (100, 150.0, FIELD)
    pulse = ((50, 150.0, FIELD), (10, 150.0, 1.2 * FIELD), (10, 150.0, FIELD), (50, 150.0, FIELD))
    broken = mapped("normal", up, *pulse, since=105.0)
    assert broken.verdict == "invalid"
    assert broken.reason == "H strayed by 20.00 % from 97 G"
    assert broken.moment == pytest.approx(160)
    # what was before the map does not count, what is now does
    assert mapped("normal", up, *pulse, since=175.0).verdict == "valid"
    assert mapped("normal", up, *pulse, since=None).verdict == "valid"
    assert judge("normal", (100, 150.0, 1.02 * FIELD)).verdict == "degraded"
    assert judge("normal", (100, 150.0, 2e-4), nominal=0.0).reason == "|H| was 2.00 G, not zero"


def test_a_reference_during_which_the_sample_was_cold_is_none():
    dip = ((50, 105.0, FIELD), (50, 150.0, FIELD))
    certificate = mapped("normal", (100, 150.0, FIELD), *dip, since=100.0)
    assert (certificate.verdict, certificate.reason) == ("invalid", "at 105.00 K the sample is not normal")
    assert certificate.moment == pytest.approx(150)


@pytest.mark.parametrize("protocol", ["zfc", "fw"])
def test_a_map_during_which_the_sample_warmed_is_of_no_temperature(protocol):
    """Afterwards T has never been above the present one."""
    history = (COOL, DWELL, SWITCH_ON, (100, 40.0, FIELD), (100, 40.0, FIELD), (100, 45.0, FIELD), (50, 45.0, FIELD))
    assert judge(protocol, *history).verdict == "valid"
    certificate = mapped(protocol, *history, since=1350.0)
    assert certificate.verdict == "invalid"
    assert certificate.reason == "T moved by 5.00 K from 40.00 K while the map was taken"


def test_a_drift_within_the_limit_is_a_number():
    certificate = mapped("fw", COOL, DWELL, SWITCH_ON, (100, 40.0, FIELD), (200, 40.1, FIELD), since=1300.0)
    assert certificate.verdict == "valid"
    assert certificate.numbers["temperature_drift"] == pytest.approx(0.1)
    certificate = mapped("fc", (10, 150.0, FIELD), (1000, 20.0, FIELD), (200, 20.4, FIELD), since=1010.0)
    assert (certificate.verdict, certificate.numbers["temperature_drift"]) == ("degraded", pytest.approx(0.4))


def test_of_several_faults_each_is_named_and_the_worst_gives_the_moment():
    certificate = judge("zfc", (100, 150.0, FIELD), (1100, 40.0, FIELD), (100, 40.0, FIELD))
    assert certificate.verdict == "invalid"
    assert "|H| reached 97.00 G below Tc before the field was switched on" in certificate.reason
    twice = ((100, 40.3, FIELD), (50, 40.0, FIELD), (50, 40.0, 1.025 * FIELD), (50, 40.0, FIELD))
    certificate = judge("fw", COOL, DWELL, SWITCH_ON, *twice, (100, 40.0, FIELD))
    assert certificate.verdict == "degraded"
    assert certificate.reason == "H strayed by 2.50 % from 97 G; T exceeded the present 40.00 K by 0.30 K"
    assert certificate.moment == pytest.approx(1400)


def test_a_slow_quench_leaves_what_is_there_at_its_end():
    slow = ((100, 150.0, FIELD), (1000, 20.0, FIELD), (100, 20.0, FIELD), (9700, 20.0, 0.0), (100, 20.0, 0.0))
    certificate = judge("flux-trap", *slow, rate=FIELD / 9700)
    assert certificate.verdict == "valid"
    assert certificate.numbers["remnant_field"] < 1e-9
    assert certificate.numbers["field_deviation"] < 1e-9
    assert judge("flux-trap", *slow, (10, 20.0, 2e-4), (10, 20.0, 0.0)).verdict == "degraded"


# --- broken in other ways ---------------------------------------------------------------------------------------------


def test_a_sample_that_was_warmed_and_recooled_below_its_base_is_found():
    """The coldest reading comes after the excursion: what happened before it counts all the same."""
    certificate = judge("zfc", COOL, DWELL, SWITCH_ON, (200, 60.0, FIELD), (200, 19.9, FIELD), (100, 19.9, FIELD))
    assert certificate.verdict == "invalid"
    assert certificate.numbers["overshoot"] == pytest.approx(40.1, abs=0.1)
    assert certificate.moment == pytest.approx(1400, abs=10)


def test_of_two_overshoots_the_larger_is_named_with_its_moment():
    twice = ((100, 41.0, FIELD), (50, 40.0, FIELD), (50, 40.4, FIELD), (50, 40.0, FIELD))
    certificate = judge("fw", COOL, DWELL, SWITCH_ON, *twice, (200, 40.0, FIELD))
    assert certificate.verdict == "invalid"
    assert certificate.numbers["overshoot"] == pytest.approx(1.0, abs=0.02)
    assert certificate.moment == pytest.approx(1300, abs=5)


@pytest.mark.parametrize("pulse", [-60e-4, 150e-4])
def test_a_field_pulse_between_cooling_and_switching_on_is_found(pulse):
    certificate = judge("zfc", COOL, DWELL, (20, 20.0, pulse), (20, 20.0, 0.0), SWITCH_ON, MAP)
    assert certificate.verdict == "invalid"
    assert f"|H| reached {abs(pulse) * 1e4:.2f} G below Tc before the field was switched on" in certificate.reason
    assert certificate.moment == pytest.approx(1120)


def test_warming_above_tc_and_cooling_again_in_the_field_is_no_zero_field_cooling():
    again = ((600, 120.0, FIELD), (100, 120.0, FIELD), (1000, 20.0, FIELD))
    certificate = judge("zfc", COOL, DWELL, SWITCH_ON, MAP, *again, MAP)
    assert certificate.verdict == "invalid"
    assert certificate.numbers["zero_field_max"] == pytest.approx(FIELD)
    assert certificate.moment > 2000


def test_a_field_glitch_at_the_crossing_spoils_field_cooling():
    up = (100, 150.0, FIELD)
    glitch = ((420, 95.0, FIELD), (10, 94.0, 0.0), (10, 93.0, FIELD), (560, 20.0, FIELD))
    certificate = judge("fc", up, *glitch, MAP)
    assert certificate.verdict == "invalid"
    assert certificate.numbers["field_deviation"] == pytest.approx(1.0)
    assert certificate.moment == pytest.approx(530)


def test_a_field_that_overshot_when_it_was_switched_on_is_found():
    certificate = judge("zfc", COOL, DWELL, (20, 20.0, 1.1 * FIELD), (20, 20.0, FIELD), MAP)
    assert certificate.verdict == "invalid"
    assert "H went 10.00 % beyond 97 G" in certificate.reason


def test_a_field_switched_on_half_way_down_is_no_zero_field_cooling():
    certificate = judge("zfc", (600, 60.0, 0.0), (50, 59.0, FIELD), (400, 20.0, FIELD), MAP)
    assert certificate.verdict == "invalid"
    assert certificate.numbers["overshoot"] == pytest.approx(40, abs=1)


def test_a_temperature_lost_in_the_field_is_told_as_what_it_is():
    """The regulation failed while the field was on, the sample cooled further: the field was no fault."""
    certificate = judge("zfc", COOL, DWELL, SWITCH_ON, (300, 8.0, FIELD), (100, 8.0, FIELD))
    assert certificate.verdict == "invalid"
    assert certificate.reason == "T exceeded the present 8.00 K by 12.00 K"


def test_the_first_readings_of_the_ramp_are_no_field_while_cooling():
    history, now = biography(COOL, DWELL)
    for time, field in ((now + 0.5, 0.0), (now + 1, 0.75e-4), (now + 2, 2.5e-4), (now + 50, FIELD), (now + 60, FIELD)):
        history.observe(time, {"temperature": 20.0, "field": field})
    certificate = certify(history, Claim("zfc", 109.0, FIELD), LIMITS, now + 60)
    assert certificate.verdict == "valid"
    assert certificate.numbers["zero_field_max"] == 0


@pytest.mark.parametrize("rate", [1e-7, 2e-6, 1e-5, 1e-3])
def test_a_field_may_be_switched_on_as_slowly_as_one_likes(rate):
    on = (FIELD / rate, 20.0, FIELD)
    certificate = judge("zfc", COOL, DWELL, on, MAP)
    assert certificate.verdict == "valid"
    assert certificate.numbers["zero_field_max"] < 0.06e-4
    assert certificate.numbers["overshoot"] == 0
    assert certificate.numbers["field_deviation"] < 1e-9  # its way there is no straying
    # what went up and down again before is no part of it, however slowly it did
    pulse = ((2.5e-4 / rate, 20.0, 2.5e-4), (2.5e-4 / rate, 20.0, 0.0))
    certificate = judge("zfc", COOL, DWELL, *pulse, on, MAP)
    assert certificate.verdict == "degraded"
    assert certificate.numbers["zero_field_max"] == pytest.approx(2.5e-4)
    # nor what was there while it cooled
    stray = ((10, 150.0, 2.5e-4), (1000, 20.0, 2.5e-4), (*DWELL[:2], 2.5e-4))
    assert judge("zfc", *stray, on, MAP).numbers["zero_field_max"] == pytest.approx(2.5e-4, abs=0.06e-4)


def test_negative_fields_are_judged_alike():
    def minus(*legs):
        return [(duration, temperature, -field) for duration, temperature, field in legs]

    assert judge("zfc", *minus(COOL, DWELL, SWITCH_ON, MAP), nominal=-FIELD).verdict == "valid"
    fc = minus((10, 150.0, FIELD), (1000, 20.0, FIELD), (100, 20.0, FIELD), (100, 20.0, 0.0), (100, 20.0, 0.0))
    assert judge("flux-trap", *fc, nominal=-FIELD, rate=FIELD / 100).verdict == "valid"
    wrong = (*fc[:-2], (100, 20.0, 20e-4), (20, 20.0, 0.0), (100, 20.0, 0.0))
    assert judge("flux-trap", *wrong, nominal=-FIELD).verdict == "invalid"


def test_a_field_raised_at_base_before_the_quench_is_found():
    fc = ((10, 150.0, FIELD), (1000, 20.0, FIELD), (100, 20.0, FIELD))
    certificate = judge("flux-trap", *fc, (20, 20.0, 1.5 * FIELD), (20, 20.0, FIELD), (100, 20.0, 0.0), DWELL)
    assert certificate.verdict == "invalid"
    assert "H strayed by 50.00 % from 97 G before the quench" in certificate.reason


@pytest.mark.parametrize("name", ["temperature", "field"])
def test_a_gap_in_the_record_is_told_with_its_length(name):
    history, now = biography(COOL, DWELL, SWITCH_ON, (1000, 20.0, FIELD))
    claim = Claim("zfc", 109.0, FIELD)
    stalled = certify(without(history, name, 1305, 1365), claim, LIMITS, now)
    assert stalled.verdict == "degraded"
    assert stalled.reason == f"the {name} was not recorded for 70 s"
    assert stalled.moment == pytest.approx(1300)
    assert certify(without(history, name, 1305, 1955), claim, LIMITS, now).verdict == "invalid"
    # what happened before the sample was last above Tc is of no interest, and neither is a stall of half a minute
    assert certify(without(history, name, 35, 235), claim, LIMITS, now).verdict == "valid"
    assert certify(without(history, name, 1305, 1335), claim, LIMITS, now).verdict == "valid"
    # nor does it help that the logger has been silent since
    assert certify(history, claim, LIMITS, now + 90).verdict == "degraded"


def test_a_record_that_begins_after_the_crossing_proves_nothing():
    history, now = biography(COOL, DWELL, SWITCH_ON, MAP)
    claim = Claim("zfc", 109.0, FIELD)
    assert "never recorded above" in certify(without(history, "temperature", 0, 500), claim, LIMITS, now).reason
    unknown = certify(without(history, "field", 0, 1005), claim, LIMITS, now)
    assert unknown.verdict == "invalid"
    assert "the field was not recorded for" in unknown.reason
