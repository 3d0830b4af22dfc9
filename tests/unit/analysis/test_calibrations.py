"""Calibrations recover what was put in, from lines made by the exact Hamiltonian and noise of known size."""

import numpy as np
import pytest

from nvscope.analysis.dataset import MapPoint
from nvscope.analysis.exposure import heating, photon_transfer
from nvscope.analysis.magnet_calibration import LineMeans, calibrate_magnet, line_means
from nvscope.analysis.microwave_power import compare_powers
from nvscope.analysis.rotation import axis_from_splittings
from nvscope.engine.screening import screened_share
from nvscope.nv import GAMMA
from nvscope.nv.hamiltonian import transitions

GAUSS = 1e-4
ERR = 20e3
"""Hz; what a thousand pixels leave of 0.5 MHz."""
STRESS = 15e6


def means_of(matrix, residual, nominal, rng):
    """Lines of the aligned group (z is its axis) at `nominal` fields (T) through a magnet B = matrix b + residual."""
    columns = np.asarray(nominal)
    true = columns @ np.asarray(matrix).T + residual
    lines = transitions(3067e6, true, STRESS, 0.0)
    half = (lines.f_plus - lines.f_minus) / 2 + rng.normal(0, ERR, len(true))
    center = (lines.f_plus + lines.f_minus) / 2 + rng.normal(0, ERR, len(true))
    err = np.full(len(true), ERR)
    return LineMeans(columns, center, half**2, err, 2 * half * ERR, 1000)


def test_a_coil_is_recovered_with_its_tilt_and_offset():
    rng = np.random.default_rng(1)
    tilt = np.radians(3.0)
    axis = 1.003 * np.array([np.sin(tilt), 0.0, np.cos(tilt)])
    fields = GAUSS * np.array([97, 138, 180, -180, -138, -97])[:, None]
    pulls = []
    for _ in range(40):
        found = calibrate_magnet(means_of(axis[:, None], [0, 0, 0.35 * GAUSS], fields, rng))
        pulls.append(
            [
                (found.gain[0] - 1.003) / found.gain_err[0],
                (found.offset - 0.35 * GAUSS) / found.offset_err,
                (found.tilt - tilt) / found.tilt_err,
            ]
        )
    # widths of 40 pulls scatter by 11 %, their means by 0.16; chi squared widens errors, never narrows them
    assert np.std(pulls, axis=0) == pytest.approx(1.0, abs=0.4)
    assert np.mean(pulls, axis=0) == pytest.approx(0.0, abs=0.6)
    assert found.tilt_err < np.radians(0.3)


def test_a_residual_that_a_run_cancels_is_still_part_of_what_is_calibrated():
    """H counts what is known of it, as in a night after zfc; the calibration must find it all the same."""
    asked = (97, 180, -97)
    maps = {name: np.full((20, 20), 1e9) for name in ("center", "half_splitting")}
    known = {"residual_field": 0.4 * GAUSS}
    points = [
        MapPoint(k, "calibrate-field", 110.0, b * GAUSS, {"field_asked": [0, 0, b * GAUSS], **known}, maps)
        for k, b in enumerate(asked)
    ]
    assert line_means(points).field[:, 0] == pytest.approx((np.array(asked) - 0.4) * GAUSS)


def test_a_vector_magnet_is_recovered_with_its_angles():
    rng = np.random.default_rng(2)
    matrix = np.array([[1.01, 0.004, 0.03], [0.0, 0.995, 0.04], [0.02, 0.05, 1.002]])
    a, b = 40 * GAUSS, 180 * GAUSS
    along = [[0, 0, h * GAUSS] for h in (97, 138, 180, -180, -138, -97)]
    across = [[a, 0, b], [-a, 0, b], [0, a, b], [0, -a, b], [a, a, b], [a, 0, -b], [0, a, -b]]
    found = calibrate_magnet(means_of(matrix, np.array([0.1, -0.2, 0.3]) * GAUSS, along + across, rng))
    gain = np.linalg.norm(matrix, axis=0)
    unit = matrix / gain
    # four standard deviations
    assert np.abs(found.gain - gain) == pytest.approx(0, abs=4 * found.gain_err.max())
    assert np.all(np.abs(found.gain - gain) < 4 * found.gain_err)
    assert abs(found.tilt - np.arccos(unit[2, 2])) < 4 * found.tilt_err + 0.003 * found.tilt
    assert abs(found.azimuth - np.arctan2(unit[2, 1], unit[2, 0])) < 4 * found.azimuth_err
    angles = [np.arccos(unit[:, i] @ unit[:, j]) for i, j in ((0, 1), (1, 2), (2, 0))]
    assert np.all(np.abs(found.angles - angles) < 4 * found.angles_err)


def test_fields_that_cannot_tell_are_refused():
    rng = np.random.default_rng(3)
    same = np.full((6, 1), 100 * GAUSS)
    assert calibrate_magnet(means_of(np.array([[0], [0], [1.0]]), [0, 0, 0], same, rng)) is None


def test_the_best_power_is_judged_in_the_same_pixels():
    rng = np.random.default_rng(4)
    power = np.array([6.0, -6.0, 0.0])
    b_err = np.array([1.02, 2.0, 1.0])[:, None] * rng.uniform(0.9, 1.1, 400) * 1e-5
    # at little power only the better half of the pixels fits; their own median must not count
    b_err[1, b_err[1] > np.quantile(b_err[1], 0.6)] = np.nan
    found = compare_powers(power, np.full((3, 400), 0.02), np.full((3, 400), 6e6), b_err)
    assert found.power_dbm.tolist() == [-6.0, 0.0, 6.0]
    assert found.power_dbm[found.best] == 0.0
    assert found.power_dbm[found.enough] == 0.0
    assert found.fitted[0] == pytest.approx(0.6, abs=0.01)


def test_photon_transfer_finds_gain_and_read_noise():
    rng = np.random.default_rng(5)
    gain, read, offset, pixels, frames = 2.2, 3.0, 100.0, 4000, 30
    mean, variance = [], []
    for electrons in (0.0, 5000.0, 20000.0):
        counts = (rng.poisson(electrons, (frames, pixels)) + rng.normal(0, read, (frames, pixels))) / gain + offset
        mean.append(counts.mean())
        variance.append(0.5 * (np.diff(counts, axis=0) ** 2).mean())
    found = photon_transfer(mean, variance, [frames] * 3, pixels, 0)
    assert abs(found.gain - gain) < 4 * found.gain_err
    assert found.gain_err < 0.01 * gain
    # variance of the dark frame is known to 0.5 %
    assert found.read_noise == pytest.approx(read, rel=0.02)
    assert abs(found.read_noise - read) < 4 * found.read_noise_err
    assert 0.001 * read < found.read_noise_err < 0.01 * read
    assert abs(found.offset - offset) < 4 * found.offset_err
    assert found.offset_err == pytest.approx(read / gain / (pixels * frames) ** 0.5, rel=0.05)


def test_heating_is_the_change_of_r_over_its_slope():
    slope = 8e-4
    warm = {"laser": 0.1, "microwaves": 0.04}
    light = ["off", "off", "laser", "microwaves", "off"]
    temperature = np.array([102.0, 100.0, 100.0, 100.0, 100.0])
    r = 0.11 + slope * (temperature - 100 + np.array([warm.get(name, 0.0) for name in light]))
    rng = np.random.default_rng(6)
    found, measured = heating(light, [0, 0, 0.05, 1e-3, 0], temperature, r + rng.normal(0, 1e-6, 5), np.full(5, 1e-6))
    assert measured == pytest.approx(slope, rel=0.01)
    for heat in found:
        assert abs(heat.warmer - warm[heat.light]) < 4 * heat.warmer_err
        assert heat.warmer_err < 0.01
    with pytest.raises(ValueError, match="two temperatures"):
        heating(["off", "laser"], [0, 1], [100, 100], [1, 1], [1, 1])


def test_the_gyromagnetic_ratio_links_splitting_and_field():
    found = calibrate_magnet(
        means_of(
            np.array([[0], [0], [1.0]]),
            [0, 0, 0],
            GAUSS * np.array([[97.0], [138], [180], [-180], [-138], [-97]]),
            np.random.default_rng(7),
        )
    )
    assert np.sqrt(found.model[1][0] - STRESS**2) == pytest.approx(GAMMA * 97 * GAUSS, rel=1e-3)
    assert found.tilt < 4 * found.tilt_err


def test_the_axis_is_found_from_splittings_at_angles():
    rng = np.random.default_rng(8)
    theta, axis, amplitude, err = np.radians(np.linspace(-60, 60, 9)), np.radians(1.2), 96.5 * GAUSS, 20e3
    pulls = []
    for _ in range(60):
        half = np.sqrt((GAMMA * amplitude * np.cos(theta - axis)) ** 2 + STRESS**2) + rng.normal(0, err, 9)
        found = axis_from_splittings(theta, half, np.full(9, err))
        pulls.append([(found[0] - axis) / found[1], (found[2] - amplitude) / found[3]])
    # 60 pulls: their width is known to 9 %, their mean to 0.13; errors are never narrowed, by a chi squared of 6
    assert np.std(pulls, axis=0) == pytest.approx(1.0, abs=0.3)
    assert np.mean(pulls, axis=0) == pytest.approx(0.0, abs=0.5)
    assert np.isnan(axis_from_splittings(theta[:3], half[:3], np.full(3, err))).all()


def test_a_map_that_still_screens_is_told_from_one_that_does_not():
    rng = np.random.default_rng(9)
    reference = 97e-4 * (1 + 0.02 * rng.standard_normal((64, 64)))
    err = np.full((64, 64), 2e-5)
    noise = [2e-5 * rng.standard_normal((64, 64)) for _ in range(2)]
    assert screened_share(reference + noise[0], err, reference + noise[1], err) == 0
    screening = reference.copy()
    screening[20:40, 20:40] *= 0.95
    share = screened_share(screening + noise[0], err, reference + noise[1], err)
    assert share == pytest.approx(400 / 64**2, rel=0.3)  # blocks at the edge count whole or not at all
    assert np.isnan(screened_share(np.full((8, 8), np.nan), err[:8, :8], reference[:8, :8], err[:8, :8]))
