"""Frames with microwaves off: what they remove, and what that costs."""

import numpy as np
import pytest

from nvscope.odmr.accumulator import Spectra
from nvscope.odmr.maps import fit_point
from nvscope.stream.light import block_light, divide_light, relative_light, worth

OFFSET, GAIN, READ = 100.0, 0.5, 2.0
SHAPE = (48, 40)
AXIS = np.concatenate([np.linspace(2.57e9, 2.72e9, 31), np.linspace(3.02e9, 3.17e9, 31)])
HALF = 225e6


def drifting(rng, drift, frames):
    """Frames of two dips in light that drifts as a whole and wanders from side to side; truth of f+ − f−."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / SHAPE[0]
    beam = 20_000 * np.exp(-((y - 0.5) ** 2) - (x - 0.4) ** 2)
    half = HALF + 6e6 * (x - 0.4)
    signal, reference = np.empty((AXIS.size, *SHAPE)), np.empty((AXIS.size, *SHAPE))
    for step, f in enumerate(AXIS):
        phase = 2 * np.pi * step / AXIS.size
        light = beam * (1 + drift * np.sin(3 * phase) + drift * (x - 0.4) * np.cos(5 * phase))
        dips = sum(0.02 / (1 + ((f - 2.87e9 - sign * half) / 7e6) ** 2) for sign in (-1, 1))
        for target, mean, n in ((signal, light * (1 - dips), frames), (reference, light, frames // 4)):
            electrons = rng.poisson(n * mean * GAIN) + rng.normal(0, READ * np.sqrt(n), SHAPE)
            target[step] = np.round(electrons / GAIN + n * OFFSET)
    return signal, reference, half


def spectra_of(signal, frames, light, off):
    mean = (signal / frames).astype(np.float32)
    return Spectra(mean, np.full(AXIS.size, frames), np.full(AXIS.size, float(frames)), light, off, 1, 1, 1)


@pytest.mark.parametrize("drift", [0.0, 0.05])
def test_division_removes_drift_and_keeps_errors_honest(drift):
    rng = np.random.default_rng(5)
    frames = 32
    signal, reference, half = drifting(rng, drift, frames)
    on, off = np.full(AXIS.size, frames), np.full(AXIS.size, frames // 4)
    light = block_light(reference, off, on)
    attrs = {"camera_gain": GAIN, "camera_offset": OFFSET, "read_noise": READ, "field": HALF / 28.024951e9,
             "baseline": "constant"}  # fmt: skip
    divided = fit_point(AXIS, spectra_of(signal, frames, light, off), attrs)
    plain = fit_point(AXIS, spectra_of(signal, frames, None, np.zeros_like(off)), attrs)

    def pulls(maps):
        return (maps["half_splitting"] - half) / maps["half_splitting_err"]

    # 1900 pixels: the width of the pulls is known to 1/√(2·1900) = 1.6 %. The surface divided out is common to all:
    # it moves them together by √(6 · 4 / 1920) = 0.11 of their noise
    pull = pulls(divided.maps)
    assert np.nanstd(pull) == pytest.approx(1.0, abs=0.06)
    assert abs(np.nanmean(pull)) < 0.35
    assert divided.summary["median_chi2_reduced"] == pytest.approx(1.0, abs=0.05)
    if drift:
        assert plain.summary["median_chi2_reduced"] > 3  # 5 % of 20 000 counts is 28 times the noise
    else:  # where nothing drifts the division costs next to nothing
        assert divided.summary["median_b_err"] < 1.02 * plain.summary["median_b_err"]


def test_one_reference_for_a_whole_sweep_tells_the_sweeps_apart():
    shape = (32, 32)
    on = np.array([[4, 4, 0], [0, 4, 4]])  # two blocks that visit different frequencies
    gains = (1.0, 0.5)
    total = np.zeros((3, *shape))
    light = np.zeros((3, 4, 4))
    for frames, gain in zip(on, gains, strict=True):
        total += frames[:, None, None] * (1000.0 * gain + OFFSET)
        reference = np.zeros((3, *shape))
        reference[0] = 2 * (1000.0 * gain + OFFSET)
        light += block_light(reference, np.array([2, 0, 0]), frames)
    frames = on.sum(axis=0)
    relative = relative_light(light, frames, OFFSET)
    steady = divide_light((total / frames[:, None, None]), relative, OFFSET)
    np.testing.assert_allclose(steady - OFFSET, 750.0, rtol=1e-5)
    # an eighth part of the rows is what it is of the whole
    part = divide_light((total / frames[:, None, None])[:, 8:12], relative, OFFSET, shape, slice(8, 12))
    np.testing.assert_array_equal(part, steady[:, 8:12])


def test_darkness_and_missing_references_are_no_light():
    assert block_light(np.zeros((3, 8, 8)), np.zeros(3, int), np.ones(3, int)) is None
    dark = block_light(np.full((3, 8, 8), OFFSET), np.ones(3, int), np.ones(3, int))
    assert dark is not None
    np.testing.assert_array_equal(relative_light(dark, np.ones(3), OFFSET), [[1, 0, 0, 0, 0, 0]] * 3)


def test_frames_are_worth_their_noise():
    relative = np.array([[0.5, 0, 0, 0, 0, 0], [1.5, 0, 0, 0, 0, 0]])
    found = worth(np.array([4, 4]), np.array([1, 1]), relative, (32, 32))
    np.testing.assert_allclose(found, [4 * 0.5 / (1 + 4 * 6 / 1024), 4 * 1.5 / (1 + 4 * 6 / 1024)])
