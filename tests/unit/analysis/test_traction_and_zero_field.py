"""Traction and remnant-field points, from stored maps to figures, report and validation."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nvscope.analysis.dataset import MapPoint, RunData
from nvscope.analysis.report import write_report
from nvscope.analysis.stress_of_run import splitting_without_stress
from nvscope.analysis.traction import find_pairs, measure_traction
from nvscope.analysis.zero_field import zero_field_maps
from nvscope.config import Loading
from nvscope.errors import DataError
from nvscope.nv import GAMMA, crystal_rotation, group_lines

GPA, GAUSS = 1e9, 1e-4
SIZE = 28
LOADING = Loading.model_validate(
    {
        "name": "S1-A", "nominal_pressure": "21 GPa", "crystal_azimuth": "25 degree", "miscut": "3 degree",
        "miscut_azimuth": "70 degree", "mirrored": True, "field_of_view": "64 um",
        "polygons": [{"name": "S1", "kind": "sample", "vertices": [(0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)]}],
    }
)  # fmt: skip


def culet_stress():
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE - 0.5
    s = np.zeros((SIZE, SIZE, 3, 3))
    s[..., 2, 2] = 21 - 6 * (x**2 + y**2) + 2 * x
    s[..., 0, 0] = s[..., 1, 1] = 15.0
    s[..., 0, 2] = s[..., 2, 0] = 4 * x + 0.8
    s[..., 1, 2] = s[..., 2, 1] = -4 * y
    return s * GPA


def traction_point(index, field, groups, noise, rng, loading=LOADING):
    rotation = crystal_rotation(loading.crystal_azimuth, loading.miscut, loading.miscut_azimuth, loading.mirrored)
    crystal = rotation @ culet_stress() @ rotation.T
    lines = group_lines(splitting_without_stress(150.0)[0], rotation @ field, crystal)
    maps = {}
    for group in groups:
        for name, values in zip(("f_minus", "f_plus"), lines, strict=True):
            suffix = f"_{group}" if len(groups) > 1 else ""
            maps[f"{name}{suffix}"] = values[group] + noise * rng.standard_normal((SIZE, SIZE))
            maps[f"{name}{suffix}_err"] = np.full((SIZE, SIZE), noise)
    attrs = {"field_vector": [float(v) for v in field]} | ({"group": groups[0]} if len(groups) == 1 else {})
    return MapPoint(index, "traction", 150.0, 20e-4, attrs, maps)


def run_of(*points, path=Path("nowhere"), loading=LOADING):
    return RunData(path, {"sequence": "x"}, tuple(points), loading)


@pytest.mark.parametrize("together", [True, False], ids=["one bias, all groups", "each group along its own axis"])
def test_traction_of_a_run(together):
    rng = np.random.default_rng(1)
    rotation = crystal_rotation(LOADING.crystal_azimuth, LOADING.miscut, LOADING.miscut_azimuth, LOADING.mirrored)
    if together:
        points = [traction_point(1, 20 * GAUSS * np.array([0.8, 0.6, 0.0]), range(4), 1e6, rng)]
    else:
        axes = group_axes_in_culet(rotation)
        points = [traction_point(i, 20 * GAUSS * axes[i], [i], 1e6, rng) for i in range(4)]
    pairs, temperature = find_pairs(run_of(*points))
    assert len(pairs) == 4
    assert temperature == 150.0
    found = measure_traction(run_of(*points))
    assert found is not None
    true = culet_stress()
    for name, i, j in (("sigma_zz", 2, 2), ("sigma_xz", 0, 2), ("sigma_yz", 1, 2)):
        pull = (getattr(found, name) - true[..., i, j]) / getattr(found, f"{name}_err")
        assert abs(pull.mean()) < 0.15
        # lines are known to 1 MHz, so that not knowing D0 to better than 0.1 MHz hardly counts
        assert np.quantile(np.abs(pull), 0.683) == pytest.approx(1, abs=0.15)
    tau = np.hypot(true[..., 0, 2], true[..., 1, 2])
    clear = tau > 6 * found.tau_err
    assert clear.mean() > 0.5
    assert np.median(np.abs(found.tau - tau)[clear]) / GPA < 0.15  # 0.1 GPa of noise
    # with the other susceptibilities shear changes by a third or so, normal stress by little
    assert np.median((found.tau_systematic / tau)[clear]) == pytest.approx(0.35, abs=0.1)
    assert np.median(found.sigma_zz_systematic) / GPA < 0.8


def group_axes_in_culet(rotation):
    from nvscope.nv import GROUP_AXES

    return GROUP_AXES @ rotation


def test_traction_needs_all_groups():
    rng = np.random.default_rng(2)
    point = traction_point(1, 20 * GAUSS * np.array([0.8, 0.6, 0.0]), [0, 1, 2], 2e5, rng)
    with pytest.raises(DataError, match=r"missing: \[3\]"):
        measure_traction(run_of(point))
    assert measure_traction(run_of()) is None


def zero_point(index, purpose, field_map, stress, temperature, rng, noise=1e5):
    half = np.hypot(GAMMA * field_map, stress) + noise * rng.standard_normal(field_map.shape)
    err = np.full(field_map.shape, noise)
    maps = {"half_splitting": half, "half_splitting_err": err, "b_z": half / GAMMA, "b_z_err": err / GAMMA}
    return MapPoint(index, purpose, temperature, 2e-6, {}, maps)


def trapped(rng):
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE - 0.5
    ring = np.exp(-(((np.hypot(x, y) - 0.12) / 0.05) ** 2))
    stress = 18e6 + 6e6 * x
    nothing = np.zeros_like(ring)
    return (
        8 * GAUSS * ring,
        zero_point(1, "reference", nothing, stress, 110.0, rng),
        zero_point(2, "flux-trap", 8 * GAUSS * ring, stress, 20.0, rng),
    )


def test_remnant_field_of_a_run():
    rng = np.random.default_rng(3)
    true, reference, point = trapped(rng)
    (zero,) = zero_field_maps(run_of(reference, point))
    assert zero.reference is reference
    strong = true > 3 * GAUSS
    assert_allclose(zero.remnant.b[strong] / GAUSS, true[strong] / GAUSS, atol=1.0)
    assert zero.remnant.detected[strong].all()
    assert zero.remnant.detected[true < 0.05 * GAUSS].mean() < 0.2
    (alone,) = zero_field_maps(run_of(point))
    assert alone.reference is None
    assert not alone.remnant.separable
    # a point in a field is none of its business
    assert zero_field_maps(run_of(replace(point, field=97e-4))) == ()


def test_report_of_flux_trap_and_traction(tmp_path):
    rng = np.random.default_rng(4)
    _, reference, point = trapped(rng)
    traction = traction_point(3, 20 * GAUSS * np.array([0.8, 0.6, 0.0]), range(4), 2e5, rng)
    report = write_report(run_of(reference, point, traction, path=tmp_path))
    names = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert names == {"remnant-field", "traction"}
    text = report.read_text("utf-8")
    assert "None." in re.search(r"<h2>Warnings</h2>(.*?)</section>", text, re.S)[1]
    assert "point 1 at 110 K" in text
    alone = write_report(run_of(point, path=tmp_path))
    assert "upper limit only" in alone.read_text("utf-8")


def test_a_figure_that_cannot_be_drawn_is_named(tmp_path):
    rng = np.random.default_rng(5)
    _, reference, point = trapped(rng)
    broken = traction_point(3, 20 * GAUSS * np.array([0.8, 0.6, 0.0]), [0, 1], 2e5, rng)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "traction.png").write_bytes(b"of an earlier report")
    text = write_report(run_of(reference, point, broken, path=tmp_path)).read_text("utf-8")
    assert "the figure traction could not be drawn: DataError: traction needs the lines of all four" in text
    assert "remnant field" in text
    assert not (tmp_path / "figures" / "traction.png").exists()
