"""Orders of a sweep: every frame once, microwave-off frames where asked, random ones the same again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvscope.devices.sweep_order import ORDERS, REFERENCES, frames_per_sweep, sweep_frames


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=30),
    st.sampled_from(ORDERS),
    st.integers(0, 5),
    st.sampled_from(REFERENCES),
    st.integers(1, 3),
)
def test_every_frame_asked_for_is_taken_once(frames, order, sweep, reference, extra):
    steps, off = sweep_frames(frames, order, sweep, seed=3, reference=reference, reference_frames=extra)
    np.testing.assert_array_equal(np.bincount(steps[~off], minlength=len(frames)), frames)
    dark = np.bincount(steps[off], minlength=len(frames))
    if reference == "step":
        np.testing.assert_array_equal(dark, extra * (np.array(frames) > 0))
    else:
        assert dark.sum() == (extra if reference == "sweep" else 0)
    # frames of one frequency stay together, its microwave-off frames first
    changes = np.flatnonzero(np.diff(steps[~off]))
    assert len(changes) + 1 == max(1, np.count_nonzero(frames))


def test_directions():
    assert sweep_frames([2, 1], "up", 1)[0].tolist() == [0, 0, 1]
    assert sweep_frames([2, 1], "down", 0)[0].tolist() == [1, 0, 0]
    assert [sweep_frames([1, 1, 1], "alternate", sweep)[0].tolist() for sweep in (0, 1)] == [[0, 1, 2], [2, 1, 0]]


def test_a_reference_comes_before_what_it_is_for():
    steps, off = sweep_frames([2, 1], "up", 0, reference="step", reference_frames=2)
    assert list(zip(steps.tolist(), off.tolist(), strict=True)) == [
        (0, True), (0, True), (0, False), (0, False), (1, True), (1, True), (1, False),
    ]  # fmt: skip
    steps, off = sweep_frames([1, 1], "down", 0, reference="sweep", reference_frames=1)
    assert (steps.tolist(), off.tolist()) == ([0, 1, 0], [True, False, False])


def test_random_orders_differ_and_can_be_had_again():
    orders = {tuple(sweep_frames([1] * 50, "random", sweep, seed=seed, point=point)[0].tolist())
              for sweep in (0, 1) for seed in (0, 1) for point in (0, 1)}  # fmt: skip
    assert len(orders) == 8
    again = sweep_frames([1] * 50, "random", 1, seed=1, point=1)[0]
    assert tuple(again.tolist()) in orders


@pytest.mark.parametrize("reference", REFERENCES)
def test_the_estimate_counts_every_frame(reference):
    steps, _ = sweep_frames([3] * 10, "up", 0, reference=reference, reference_frames=2)
    assert frames_per_sweep(3, 10, reference, 2) == steps.size
