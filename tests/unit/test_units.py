import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvscope import units
from nvscope.config import Frozen, validate
from nvscope.errors import ConfigError
from nvscope.units import DBm, KelvinPerSecond, Tesla, format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "unit", "si"),
    [
        ("97 G", "tesla", 97e-4),
        ("0.15 kG", "tesla", 150e-4),
        ("9.7 mT", "tesla", 97e-4),
        ("10 G/A", "tesla / ampere", 1e-3),
        ("2.87 GHz", "hertz", 2.87e9),
        ("2 K/min", "kelvin / second", 2 / 60),
        ("21 GPa", "pascal", 21e9),
        ("3 degree", "radian", math.radians(3)),
        ("64 um", "metre", 64e-6),
        ("20 ms", "second", 0.02),
        (0, "tesla", 0.0),
    ],
)
def test_people_write_units_and_code_sees_si(text, unit, si):
    assert parse_quantity(text, unit) == pytest.approx(si, rel=1e-12)


@pytest.mark.parametrize("text", ["97", 97, "97 K", "G", "nan G", "inf G", True, None, "1e400 G", "(1).__class__ G"])
def test_what_is_not_a_field_is_refused(text):
    with pytest.raises(ValueError):
        parse_quantity(text, "tesla")


@given(st.text(max_size=40))
def test_any_text_is_a_quantity_or_a_value_error(text):
    try:
        value = parse_quantity(text, "tesla")
    except ValueError:
        return
    assert math.isfinite(value)


@given(st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-9))
def test_what_is_shown_reads_back(gauss):
    shown = format_quantity(gauss * 1e-4, units.TESLA, digits=17)
    assert parse_quantity(shown, "tesla") == pytest.approx(gauss * 1e-4, rel=1e-9)


class Ramp(Frozen):
    field: Tesla
    rate: KelvinPerSecond = 0.1
    power: DBm = 0.0


def test_a_wrong_dimension_names_source_key_and_expectation():
    with pytest.raises(ConfigError, match=r"ramp\.toml: field: '3 K' is \[temperature\], expected a quantity in T"):
        validate(Ramp, {"field": "3 K"}, "ramp.toml")


def test_powers_are_dbm_or_watts():
    assert validate(Ramp, {"field": "1 G", "power": "10 mW"}, "x").power == pytest.approx(10.0)
    assert validate(Ramp, {"field": "1 G", "power": "-3 dBm"}, "x").power == -3.0
    with pytest.raises(ConfigError, match="power"):
        validate(Ramp, {"field": "1 G", "power": "-3 mW"}, "x")
