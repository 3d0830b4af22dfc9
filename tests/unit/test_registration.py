"""Images that have moved: by how much, and moved back."""

import numpy as np
import pytest
from scipy import ndimage

from nvscope.stream.registration import noise_gain, registered, shift_between


def scene(shape, shift=(0.0, 0.0), over=8):
    """A flake, two leads and a particle in a Gaussian beam; only the beam stands still. Drawn fine, then averaged."""
    y, x = np.mgrid[: shape[0] * over, : shape[1] * over] / over
    y, x = y - shift[0], x - shift[1]
    n = min(shape)
    flake = (np.hypot(y - 0.55 * n, (x - 0.45 * n) / 1.2) < 0.25 * n) * 0.1
    leads = ((np.abs(y - 0.3 * n - 0.2 * x) < 0.04 * n) | (np.abs(x - 0.8 * n) < 0.05 * n)) * 0.15
    particle = 0.3 * np.exp(-((y - 0.7 * n) ** 2 + (x - 0.7 * n) ** 2) / (0.03 * n) ** 2)
    fine = ndimage.gaussian_filter(1 + flake + leads + particle, over * 0.7)
    image = fine.reshape(shape[0], over, shape[1], over).mean(axis=(1, 3))
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    return image * np.exp(-((yy / shape[0] - 0.5) ** 2 + (xx / shape[1] - 0.5) ** 2) / 0.5)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.45), (-1.7, 0.25), (2.5, 3.5), (-6.0, 4.2)])
@pytest.mark.parametrize("shape", [(64, 64), (48, 80)])
def test_a_known_shift_is_found(shape, shift):
    rng = np.random.default_rng(3)
    pattern = 1 + 0.005 * rng.standard_normal(shape)  # of the camera: it does not move
    first, then = (
        rng.poisson(20_000 * scene(shape, moved) * pattern * light).astype(float)
        for moved, light in (((0.0, 0.0), 100), (shift, 80))
    )
    # 2 million photons a pixel leave 1e-3 of a pixel; the fixed pattern some hundredths, the beam 2 % of the shift
    assert np.abs(np.subtract(shift_between(then, first), shift)).max() < 0.05 + 0.02 * max(map(abs, shift))


def test_images_without_anything_in_them_have_not_moved():
    assert shift_between(np.full((32, 32), 7.0), np.full((32, 32), 9.0)) == (0.0, 0.0)
    with pytest.raises(ValueError, match="16 x 16"):
        shift_between(np.zeros((8, 32)), np.zeros((8, 32)))


def test_what_stands_still_is_left_alone():
    """Noise alone moves no image; neither does a scene in which there is next to nothing to follow."""
    rng = np.random.default_rng(4)
    still = [
        shift_between(*(rng.poisson(100 * 20_000 * scene((48, 48))).astype(float) for _ in "ab")) for _ in range(30)
    ]
    # few waves carry the scene, so that the errors have the tails of Student's t: 5 of these 60 beyond four of them
    assert np.count_nonzero(still) <= 9
    assert np.abs(still).max() < 0.02
    bare = np.exp(-(((np.mgrid[:48, :48] / 48 - 0.5) ** 2).sum(axis=0)) / 0.5)
    assert shift_between(rng.poisson(2e6 * bare).astype(float), rng.poisson(2e6 * bare).astype(float)) == (0.0, 0.0)


@pytest.mark.parametrize("shift", [(0.3, -0.45), (-1.7, 0.25), (2.0, -3.0)])
def test_moving_back(shift):
    first, then = scene((64, 64)), scene((64, 64), shift)
    beam = np.exp(-(((np.mgrid[:64, :64] / 64 - 0.5) ** 2).sum(axis=0)) / 0.5)
    back = registered(then / beam, shift)
    inner = (slice(8, -8), slice(8, -8))
    assert np.nanmax(np.abs(back - first / beam)[inner]) < 0.01  # 15 % edges a pixel wide
    rows = np.isnan(back).all(axis=1)
    assert rows.sum() == max(0, round(abs(shift[0]) + 1e-9))
    # a part of the rows with their neighbours is what it is of the whole
    part = registered((then / beam)[10:40], shift)
    np.testing.assert_array_equal(part[10:-10], back[20:30])


def test_standing_still_changes_nothing():
    image = np.random.default_rng(0).integers(0, 1000, (3, 20, 20))
    np.testing.assert_array_equal(registered(image, (0.001, -0.002)), image)
    assert noise_gain((0.001, 0.0)) == 1.0


@pytest.mark.parametrize("shift", [(0.5, 0.0), (0.2, 0.7), (-1.3, 0.4)])
def test_noise_after_interpolation_is_what_is_said(shift):
    noise = np.random.default_rng(1).standard_normal((400, 100, 100))
    inner = registered(noise, shift)[:, 8:-8, 8:-8]
    # 2.8 million values, correlated over a few pixels: 0.3 %
    assert np.nanvar(inner) == pytest.approx(noise_gain(shift), rel=0.01)
