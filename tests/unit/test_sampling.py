"""Where adaptive sampling puts its frames, and when it goes back to looking everywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvscope.analysis.bounds import pair_bound
from nvscope.devices.odmr_point import OpenedPoint, Seen
from nvscope.devices.odmr_requests import OpenPoint
from nvscope.devices.sink import MapSummary
from nvscope.odmr.sampling import place_frames, spread_evenly

AXIS = np.concatenate([np.linspace(2.70e9, 2.85e9, 51), np.linspace(3.24e9, 3.39e9, 51)])


def lines(spread=8e6, pixels=200, seed=0):
    rng = np.random.default_rng(seed)
    half = 270e6 + spread * rng.standard_normal(pixels)
    shift = 3.045e9 + spread / 2 * rng.standard_normal(pixels)
    equal = {"contrast_minus": np.full(pixels, -0.02), "contrast_plus": np.full(pixels, -0.02),
             "width_minus": np.full(pixels, 7e6), "width_plus": np.full(pixels, 7e6)}  # fmt: skip
    return {"f_minus": shift - half, "f_plus": shift + half, **equal}


def median_bound(counts, found):
    with np.errstate(divide="ignore"):
        bound = pair_bound(AXIS, 1 / np.sqrt(counts)[:, None], **found)
    return np.median(bound.half_splitting)


def test_half_the_frames_of_a_uniform_sweep_do_at_least_as_well():
    found = lines()
    uniform = median_bound(np.full(AXIS.size, 8), found)
    scout = np.ones(AXIS.size, int)
    placed = scout + place_frames(AXIS, found, 3 * AXIS.size, scout)
    assert placed.sum() == 4 * AXIS.size
    assert median_bound(placed, found) < uniform


def test_one_pixel_gets_its_frames_where_its_lines_are():
    found = {name: values[:1] for name, values in lines(0.0).items()}
    placed = place_frames(AXIS, found, 1000, np.zeros(AXIS.size, int))
    near = np.minimum(np.abs(AXIS - found["f_minus"]), np.abs(AXIS - found["f_plus"])) < 2 * 7e6
    assert placed[near].sum() > 0.7 * 1000
    assert median_bound(placed, found) < 0.62 * median_bound(np.full(AXIS.size, 1000 / AXIS.size), found)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 2000), st.integers(0, 9), st.floats(0, 40e6))
def test_frames_add_up_and_nothing_is_out_of_sight(frames, turn, spread):
    placed = place_frames(AXIS, lines(spread), frames, np.ones(AXIS.size, int), turn)
    assert placed.sum() == frames
    assert (placed >= 0).all()
    if frames >= 200:  # guards every 7 frequencies or closer: 20 MHz, where a line is 14 MHz wide
        assert np.diff(np.flatnonzero(placed)).max() <= 7


@given(st.integers(0, 500), st.integers(1, 300), st.integers(0, 20))
def test_evenly(frames, points, turn):
    counts = spread_evenly(frames, points, turn)
    assert (counts.sum(), counts.size) == (frames, points)
    assert np.ptp(counts) <= 1


def test_guards_visit_everything_in_a_few_turns():
    visits = sum(spread_evenly(15, 102, turn) for turn in range(20))
    assert (visits > 0).all()


def opened(sampling="adaptive", frames=4):
    return OpenedPoint(OpenPoint("map", tuple(AXIS), frames, 0.02, 0.0, 0.05, sampling=sampling), 0)


def committed(point, counts):
    seen = Seen(AXIS.size)
    seen.frames += counts
    point.take(1, int(counts.sum()), seen)


def summary(chi2=1.0, fraction=0.99):
    return MapSummary(3.045e9, 270e6, 1e-5, fraction, region_fraction=fraction, chi2_reduced=chi2, lines=lines())


def test_it_scouts_then_places():
    point = opened()
    scout = point.next_frames(place_frames, None)
    assert (scout == 1).all()
    committed(point, scout)
    placed = point.next_frames(place_frames, summary())
    assert placed.sum() == 4 * AXIS.size
    assert placed.max() > 8
    # without maps, and for a uniform point, every frequency is taken alike
    assert (point.next_frames(place_frames, None) == 4).all()
    assert (opened("uniform").next_frames(place_frames, summary()) == 4).all()


@pytest.mark.parametrize("later", [summary(chi2=6.0), summary(fraction=0.9)])
def test_it_looks_everywhere_again_when_the_residuals_say_so(later):
    point = opened()
    committed(point, point.next_frames(place_frames, None))
    committed(point, point.next_frames(place_frames, summary()))
    again = point.next_frames(place_frames, later)
    assert (again == 4).all()
    assert point.widened == [2]
    committed(point, again)
    # once: what is found then is what there is
    assert point.next_frames(place_frames, later).max() > 8


def test_a_slightly_wrong_line_shape_is_no_alarm():
    """Its χ² grows in proportion to the frames."""
    point = opened()
    committed(point, point.next_frames(place_frames, None))
    for sweep in range(1, 6):
        placed = point.next_frames(place_frames, summary(chi2=1 + 0.1 * (4 * sweep - 3)))
        assert placed.max() > 8
        committed(point, placed)
    assert point.widened == []
