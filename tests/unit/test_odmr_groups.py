"""All four groups at once, against the simulated lab's own Hamiltonian, stress algebra and line depths."""

from __future__ import annotations

import numpy as np
import pytest
from nvscope_simulators.ports import Ports
from nvscope_simulators.timeline import Timeline
from nvscope_simulators.world.lab_world import build_world
from nvscope_simulators.world.settings import WorldSettings

from nvscope import nv
from nvscope.config import Loading, Sample, read_model
from nvscope.nv.traction import coupling_matrix, tensor
from nvscope.odmr import fit
from nvscope.odmr.group_kernels import PARAMETERS, group_lines
from nvscope.odmr.groups import Biased, fit_groups
from nvscope.odmr.synthetic import lorentzian

SIDE = 16
NOISE = 0.0011  # a few sweeps of eight frames at 20 000 electrons
CENTRAL = (slice(4, 12), slice(4, 12))  # without the rim, where a few pixels' stress differs from pixel to pixel


@pytest.fixture(scope="module")
def layer():
    settings = WorldSettings.model_validate({"camera": {"height": SIDE, "width": SIDE}})
    loading = read_model(Loading, "loadings", "s1")
    world = build_world(Timeline(), Ports(), read_model(Sample, "samples", "s1"), loading, settings, 1)
    rotation = nv.crystal_rotation(loading.crystal_azimuth, loading.miscut, loading.miscut_azimuth, loading.mirrored)
    return world._microscope.spins, rotation


def spectra(layer, temperature, field, axis, seed):
    """Noisy spectra and true lines, (4, 2, y, x), in a culet-frame field, (3,) or (3, y, x)."""
    spins = layer[0]
    field = np.broadcast_to(np.asarray(field, float).reshape(3, -1), (3, SIDE * SIDE)).copy()
    places, strengths = spins.positions(temperature, field)
    lines = spins.lines(places, strengths, field, 0.0)
    clean = np.stack([lines.relative(f) for f in axis]).reshape(-1, SIDE, SIDE).astype(float)
    noisy = clean + NOISE * np.random.default_rng(seed).standard_normal(clean.shape)
    return noisy.astype(np.float32), places.reshape(4, 2, SIDE, SIDE)


def d0(temperature):
    return float(nv.zero_field_splitting(temperature))


def test_lines_are_those_of_the_exact_hamiltonian():
    rng = np.random.default_rng(0)
    coupling, lines = coupling_matrix() * 1e3, np.empty(8)
    for _ in range(50):
        stress, field = rng.normal([12, 12, 20, 0, 0, 0], 8), rng.normal(0, 30e-4, 3)
        own, remnant = field.copy(), rng.uniform(0, 10e-4)
        own[2] -= remnant
        p = np.zeros(PARAMETERS)
        p[:6], p[7] = stress, remnant * nv.GAMMA / 1e6
        group_lines(2877.0, coupling, nv.GROUP_FRAMES.copy(), own * nv.GAMMA / 1e6, 1.0, p, lines)
        np.testing.assert_allclose(
            lines, np.concatenate(nv.group_lines(2877e6, field, tensor(stress * 1e9))) / 1e6, atol=1e-3
        )


def test_a_bias_along_each_axis_names_the_lines_and_gives_the_stress(layer):
    axis = np.arange(2.96e9, 3.28e9, 3e6)
    axes = nv.GROUP_AXES @ layer[1]
    taken = [spectra(layer, 150.0, 20e-4 * along, axis, g) for g, along in enumerate(axes)]
    measured = [
        Biased(axis, signal, d0(150.0), 20e-4 * nv.GROUP_AXES[g], noise=NOISE) for g, (signal, _) in enumerate(taken)
    ]
    found = fit_groups(measured)
    right, seen = [], []
    for g in range(3):  # the fourth group is all but invisible: the wire's field lies along its axis
        pair, truth = found.fits[g], taken[g][1][g]
        near = (np.abs(pair.f_minus[g] - truth[0]) < np.maximum(5 * pair.f_minus_err[g], 2e6)) & (
            np.abs(pair.f_plus[g] - truth[1]) < np.maximum(5 * pair.f_plus_err[g], 2e6)
        )
        right.append(near[found.seen[g][g]])
        seen.append(found.seen[g][g][CENTRAL])
    assert np.concatenate(right).mean() > 0.96
    assert np.mean(seen) > 0.3  # where lines of two groups coincide neither is a measurement of its own
    # the stress itself, against the exact lines of the visible groups
    model = nv.group_lines(d0(150.0), 20e-4 * nv.GROUP_AXES[0], tensor(found.stress))
    off = np.abs(model.f_plus[:3] - taken[0][1][:3, 1])[(slice(None), *CENTRAL)]
    assert np.median(off) < 1e6
    errors = np.sqrt(np.einsum("yxii->yxi", found.covariance))
    assert np.median(errors) < 0.15e9


def test_a_remnant_field_is_found_at_zero_field(layer):
    zero_axis = np.arange(2.97e9, 3.23e9, 3e6)
    y, x = np.mgrid[:SIDE, :SIDE]
    remnant = np.where(np.hypot(y - 7.5, x - 7.5) < 5, 8e-4, 1e-4) * np.where(x > 7, 1, -1)
    field, bias = np.zeros((3, SIDE, SIDE)), np.array([0.0, 0.0, 97e-4])
    field[2] = remnant
    reference, lines = spectra(layer, 100.0, np.zeros(3), zero_axis, 1)
    center, half = float(np.median(lines[0].mean(axis=0))), 97e-4 * nv.GAMMA
    window = np.linspace(-75e6, 75e6, 41)
    far_axis = np.concatenate([center - half + window, center + half + window])
    far, _ = spectra(layer, 100.0, bias, far_axis, 2)
    trapped, _ = spectra(layer, 20.0, field, zero_axis, 3)
    found = fit_groups(
        [
            Biased(zero_axis, reference, d0(100.0)),
            Biased(far_axis, far, d0(100.0), layer[1] @ bias),
            Biased(zero_axis, trapped, d0(20.0), remnant=True),
        ],
        center=center,
        free_lines=False,
    )
    strong = np.abs(remnant) > 5e-4
    error = np.abs(found.field - np.abs(remnant))
    assert np.median(found.field[strong]) == pytest.approx(8e-4, abs=0.8e-4)
    assert np.median(error[strong]) < 1e-4
    assert np.median(found.field[~strong]) < 3e-4


def test_eight_separate_lines_of_unequal_depth():
    """Without any knowledge of groups lines are paired outermost with outermost; a start keeps its own pairs."""
    axis = np.linspace(2.70e9, 3.04e9, 301)
    half = np.array([140e6, 95e6, 60e6, 30e6])
    depth = np.array([0.02, -0.008, 0.015, 0.03])
    clean = np.ones_like(axis)
    for h, a in zip(half, depth, strict=True):
        clean = clean - a * lorentzian(axis, 2.87e9 - h, 6e6) - 0.8 * a * lorentzian(axis, 2.87e9 + h, 6e6)
    signal = clean[:, None] + 5e-4 * np.random.default_rng(2).standard_normal((axis.size, 60))
    result = fit(axis, signal, lines=8, baseline="constant", noise=5e-4)
    assert result.f_minus.shape == (4, 60)
    assert result.good.mean() > 0.95
    np.testing.assert_allclose(np.median(result.half_splitting, axis=1), half, atol=0.5e6)
    inside = np.abs(result.f_plus - (2.87e9 + half)[:, None])[:, result.good] < result.f_plus_err[:, result.good]
    assert inside.mean() == pytest.approx(0.683, abs=0.06)  # 240 lines: ± 0.03
    order = [2, 0, 3, 1]
    start = {"f_minus": (2.87e9 - half)[order, None], "f_plus": (2.87e9 + half)[order, None]}
    named = fit(axis, signal, lines=8, baseline="constant", noise=5e-4, start=start)
    np.testing.assert_allclose(np.median(named.half_splitting, axis=1), half[order], atol=0.5e6)


def test_what_cannot_be_told_apart_is_refused():
    axis = np.linspace(3.0e9, 3.2e9, 61)
    stack = np.ones((61, 8, 8))
    with pytest.raises(ValueError, match="give spectra without it"):
        fit_groups([Biased(axis, stack, 2.877e9, remnant=True)])
    with pytest.raises(ValueError, match="same pixels"):
        fit_groups([Biased(axis, stack, 2.877e9), Biased(axis, stack[:, :4], 2.877e9)])
