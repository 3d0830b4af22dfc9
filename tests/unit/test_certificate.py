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


def judge(protocol, *legs, nominal=FIELD):
    history, now = biography(*legs)
    return certify(history, Claim(protocol, 109.0, nominal), LIMITS, now)


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
