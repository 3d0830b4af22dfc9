"""Whatever goes in: a status for every pixel or a clear refusal, and no confident numbers from nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvscope.odmr import FitStatus, PoissonNoise, fit
from nvscope.odmr.synthetic import line_pairs, one_window, two_windows

MODELS = st.sampled_from(["lorentzian", "gaussian", "n14", "n15"])
LINES = st.sampled_from([1, 2, 4, "auto"])
BASELINES = st.sampled_from(["constant", "linear", "quadratic", "auto"])
ANY_NUMBER = st.floats(width=32) | st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf, 65535.0, 1e30, -1e30, 1e-30])


@st.composite
def axes(draw):
    points = draw(st.integers(3, 40))
    steps = draw(hnp.arrays(float, points, elements=st.sampled_from([1e5, 1e6, 3e6, 1e8])))
    return 2.7e9 + np.cumsum(steps)


@st.composite
def stacks(draw):
    axis = draw(axes())
    kind = draw(st.sampled_from([np.float64, np.float32, np.uint16, np.int32]))
    pixels = draw(st.integers(1, 5))
    if np.issubdtype(kind, np.floating):
        elements = ANY_NUMBER
    else:
        low = 0 if kind is np.uint16 else -70_000
        elements = st.integers(low, 65_535)
    return axis, draw(hnp.arrays(kind, (axis.size, pixels), elements=elements, fill=elements))


def check(result, axis):
    """Whatever is called converged is a finite number with a finite error, at a place that was looked at."""
    assert result.status.shape == result.grid
    assert set(np.unique(result.status)) <= {int(status) for status in FitStatus}
    good = result.good
    for name in ("f_minus", "f_plus", "width_minus", "amplitude_minus", "center"):
        values, errors = getattr(result, name)[..., good], getattr(result, name + "_err")[..., good]
        assert np.all(np.isfinite(values))
        assert np.all(np.isfinite(errors) & (errors >= 0))
    step = np.median(np.diff(axis))
    for f in (result.f_minus[..., good], result.f_plus[..., good]):
        assert np.all((f > axis[0] - step) & (f < axis[-1] + step))
    if result.f_minus.ndim == result.status.ndim:
        assert np.all(result.f_minus[good] <= result.f_plus[good])
    assert result.model().shape == (axis.size, *result.grid)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(stacks(), MODELS, LINES, BASELINES)
def test_any_numbers_give_a_status_or_a_refusal(stack, model, lines, baseline):
    axis, signal = stack
    try:
        result = fit(axis, signal, model=model, lines=lines, baseline=baseline, threads=1)
    except ValueError as error:
        if "cannot determine" not in str(error):
            raise
        return
    check(result, axis)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30), st.sampled_from([(), (3,), (2, 2)]))
@example([2.8e9, 2.9e9, 2.85e9], (4,))
@example([2.8e9] * 20, (4,))
@example([2.8e9, 2.81e9, np.nan] * 6, (4,))
def test_any_axis_gives_a_fit_or_says_what_to_change(axis, grid):
    try:
        result = fit(axis, np.ones((len(axis), *grid)))
    except ValueError as error:
        refused = str(error)
    else:
        refused = ""
        assert not result.good.any()
    assert refused == "" or any(word in refused for word in ("frequenc", "signal has shape"))


@st.composite
def images(draw):
    """A stack on a grid, of any byte order and layout, with garbage here and there."""
    axis = draw(st.sampled_from([one_window(20), two_windows(12), one_window(33)]))
    height, width = (draw(st.sampled_from([1, 2, 7, 12, 13])) for _ in range(2))
    signal = line_pairs(axis, height * width, seed=draw(st.integers(0, 99)), noise=0.008).signal
    signal = signal.reshape(-1, height, width)
    for place in draw(st.lists(st.integers(0, signal.size - 1), max_size=30)):
        signal.flat[place] = draw(ANY_NUMBER)
    if draw(st.booleans()):
        signal[draw(st.integers(0, axis.size - 1))] = np.nan
    kind = draw(st.sampled_from(["<f8", ">f8", "<f4", ">f4", "<u2", ">u2", ">i4", "<f2"]))
    if kind[1] != "f":
        signal = np.nan_to_num(np.clip(30_000 * signal, 0, 65_535))
    with np.errstate(over="ignore"):
        return axis, signal.astype(kind, order=draw(st.sampled_from("CF")))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(images(), BASELINES, st.sampled_from([None, 0.008, "of pixels", "of points"]))
def test_any_image_gives_the_same_on_any_threads_and_however_it_lies_in_memory(image, baseline, noise):
    axis, signal = image
    if isinstance(noise, str):
        noise = np.full(signal.shape[1:] if noise == "of pixels" else signal.shape, 0.008)
        noise.flat[::7] = np.inf
        if not np.isfinite(noise).any():
            return
    result = fit(axis, signal, baseline=baseline, noise=noise, threads=1)
    check(result, axis)
    plain = np.ascontiguousarray(signal, signal.dtype.newbyteorder("="))
    other = fit(axis, plain, baseline=baseline, noise=noise, threads=2)
    for name in ("f_minus", "f_plus", "half_splitting_err", "chi2_reduced", "status"):
        np.testing.assert_array_equal(getattr(result, name), getattr(other, name))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(ANY_NUMBER.filter(np.isfinite), ANY_NUMBER, st.sampled_from(["noise", "frames"]))
def test_what_weighs_nothing_may_be_anything(one, other, how):
    axis = one_window(41)
    signal = line_pairs(axis, 15 * 15, seed=4, noise=0.005, positive=0.0).signal.reshape(-1, 15, 15)
    weigh = np.isin(np.arange(41), (0, 17, 29))
    noise = np.where(weigh, np.inf, 0.005) if how == "noise" else PoissonNoise(4e4, frames=np.where(weigh, 0, 1))
    expected = fit(axis, signal, noise=noise)
    signal[0], signal[17], signal[29] = one, other, -7.0
    result = fit(axis, signal, noise=noise)
    for name in ("f_minus", "f_plus_err", "chi2_reduced", "status"):
        np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))
    # and a frame that is lost weighs nothing
    signal[weigh] = np.nan
    lost = fit(axis, signal, noise=0.005 if how == "noise" else PoissonNoise(4e4))
    np.testing.assert_allclose(lost.f_minus[lost.good & result.good], result.f_minus[lost.good & result.good], atol=5e5)


@pytest.mark.parametrize("kind", [">u2", ">i4", ">f4"])
def test_images_of_the_other_byte_order_are_taken(kind):
    axis = one_window(41)
    faint = 20_000 * line_pairs(axis, 13 * 14, seed=5, noise=0.012).signal.reshape(-1, 13, 14)
    other = faint.astype(kind)
    expected = fit(axis, other.astype(other.dtype.newbyteorder("=")))
    np.testing.assert_array_equal(fit(axis, other).f_minus, expected.f_minus)


def test_counts_stay_counts_where_some_are_masked():
    axis = one_window(61)
    counts = (20_000 * line_pairs(axis, 60, seed=8, noise=0.007).signal).astype(np.uint16)
    expected = fit(axis, counts)
    for mask in (np.ma.nomask, np.zeros(counts.shape, bool)):
        np.testing.assert_array_equal(fit(axis, np.ma.masked_array(counts, mask)).chi2_reduced, expected.chi2_reduced)
    mask = np.zeros(counts.shape, bool)
    mask[5, ::2] = True
    # in units of Poisson noise, not of counts squared
    assert np.median(fit(axis, np.ma.masked_array(counts, mask)).chi2_reduced) < 3
    assert np.median(fit(axis, np.ma.masked_array(counts, mask), lines="auto", model="n15").chi2_reduced) < 3


def test_spectra_of_what_was_not_fitted_are_drawn_without_warnings():
    axis = one_window(61)
    result = fit(axis, line_pairs(axis, 4, seed=8).signal)
    result.amplitude_minus[0], result.baseline[0, 0] = -np.inf, np.inf
    result.width_plus[1], result.f_plus[2] = 0.0, 1e300
    assert result.model().shape == (61, 4)


def spoiled(seed=3):
    """Good pairs, and the ways of spoiling a pixel; returns the axis, the signal and where each way is."""
    axis = two_windows()
    truth = line_pairs(axis, 12, seed=seed, level=20_000.0, positive=0.0)
    signal = truth.signal
    signal[:, 0] = 20_000.0  # constant
    signal[:, 1] = 65_535.0  # saturated throughout
    signal[:, 2] = np.minimum(signal[:, 2], np.percentile(signal[:, 2], 20))  # saturated but for the lines
    signal[:, 3] = np.nan
    signal[3:, 4] = np.nan
    signal[:, 5] = 0.0  # dead
    signal[:, 6] -= 40_000.0  # negative counts
    signal[:, 7] = 20_000.0 + 40 * np.random.default_rng(1).standard_normal(axis.size)  # nothing there
    signal[10, 8] = np.inf
    return axis, signal, truth


@pytest.mark.parametrize("noise", [None, 40.0, PoissonNoise(frames=12)])
@pytest.mark.parametrize("lines", [2, "auto"])
def test_spoiled_pixels(noise, lines):
    axis, signal, truth = spoiled()
    result = fit(axis, signal, lines=lines, noise=noise)
    check(result, axis)
    status = [FitStatus(int(value)) for value in result.status]
    for k in (0, 1, 5):
        assert status[k] in (FitStatus.no_signal, FitStatus.invalid), k
    for k in (3, 4):
        assert status[k] == FitStatus.invalid, k
    assert status[7] == FitStatus.no_signal
    if isinstance(noise, PoissonNoise):
        assert status[6] == FitStatus.invalid  # shot noise of negative counts is none
    for k in (8, 9, 10, 11):
        assert status[k] == FitStatus.converged, k
        assert abs(result.f_minus[k] - truth.f_minus[k]) < 6 * result.f_minus_err[k]
    # neighbours in memory are not affected
    alone = fit(axis, signal[:, 9:], lines=lines, noise=noise)
    np.testing.assert_allclose(result.f_plus[9:], alone.f_plus, atol=0.1 * alone.f_plus_err.max())


def test_a_line_outside_the_window_is_not_made_up():
    axis = one_window(61)
    rng = np.random.default_rng(4)
    inside, outside = 2.87e9 + rng.uniform(-60e6, 60e6, 400), 2.87e9 + rng.choice([-1, 1], 400) * 130e6
    f = axis[:, None]
    signal = 1 - 0.02 / (1 + ((f - inside) / 6e6) ** 2) - 0.02 / (1 + ((f - outside) / 6e6) ** 2)
    signal = signal + 0.002 * rng.standard_normal(signal.shape)
    result = fit(axis, signal, noise=0.002)
    assert result.good.mean() < 0.02
    single = fit(axis, signal, noise=0.002, lines="auto")
    one = single.good & (single.n_lines == 1)
    assert one.mean() > 0.95
    assert np.mean(np.abs(single.f_minus - inside)[one] < 6 * single.f_minus_err[one]) > 0.99


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"frequency": np.linspace(1, 2, 3)}, "measure at least"),
        ({"frequency": np.linspace(2, 1, 61)}, "argsort"),
        ({"frequency": np.repeat(np.linspace(1, 2, 31), 2)[:61]}, "more than once"),
        ({"signal": np.ones((8, 8, 61))}, "frequency axis comes first"),
        ({"signal": np.ones(61)}, "signal\\[:, None\\]"),
        ({"signal": np.ones((61, 2), complex)}, "real"),
        ({"model": "voigt"}, "lorentzian, gaussian"),
        ({"lines": 3}, "1, 2, 4, 6, 8"),
        ({"baseline": "cubic"}, "quadratic"),
        ({"noise": -1.0}, "positive"),
        ({"noise": np.ones(5)}, "expected a number"),
        ({"start": {"f_minus": 2.8e9}}, "f_plus"),
        ({"start": {"f_minus": np.ones(7), "f_plus": np.ones(7)}}, "grid"),
        ({"threads": 0}, "threads"),
        ({"width": "same"}, "shared"),
    ],
)
def test_refusals_say_what_to_change(how, said):
    given_how = {"frequency": one_window(61), "signal": np.ones((61, 2)), **how}
    if "frequency" in how:
        given_how["signal"] = np.ones((len(how["frequency"]), 2))
    with pytest.raises(ValueError, match=said):
        fit(**given_how)


def test_masked_points_are_left_out():
    axis = one_window(61)
    truth = line_pairs(axis, 60, seed=8)
    mask = np.zeros(truth.signal.shape, bool)
    mask[5:9] = True
    spoilt = np.ma.masked_array(np.where(mask, 1e9, truth.signal), mask)
    result, expected = fit(axis, spoilt), fit(axis, np.where(mask, np.nan, truth.signal))
    np.testing.assert_array_equal(result.f_minus, expected.f_minus)
    assert result.good.mean() > 0.9


def test_as_many_points_as_parameters_allow_is_no_crash():
    axis = one_window(61)
    signal = line_pairs(axis, 500, seed=8).signal
    for points in (8, 9, 10):
        for lines in (2, "auto"):
            # one to three degrees of freedom tell noise from lines in next to no pixel
            assert fit(axis[:points], signal[:points], lines=lines).good.mean() < 0.02


def test_a_fit_of_single_lines_is_no_start_for_pairs():
    axis = one_window(61)
    truth = line_pairs(axis, 60, seed=8)
    result = fit(axis, truth.signal, start=fit(axis, truth.signal, lines=1))
    np.testing.assert_array_equal(result.f_minus, fit(axis, truth.signal).f_minus)


@pytest.mark.parametrize(
    ("signal", "how", "words"),
    [
        (np.ones((61, 0, 4)), {}, "no pixel"),
        (np.ones((61, 4)), {"noise": np.nan}, "every point"),
        (np.ones((61, 4)), {"lines": 2.0}, "lines must be"),
    ],
)
def test_what_cannot_be_fitted_is_refused(signal, how, words):
    with pytest.raises(ValueError, match=words):
        fit(one_window(61), signal, **how)
