"""A made-up run of an annular flake, written with the real store, for whatever reads runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from nvscope.nv import GAMMA
from nvscope.odmr.accumulator import Spectra
from nvscope.odmr.maps import fit_point
from nvscope.store.info import RunInfo, software, write_info
from nvscope.store.layout import reserve_run
from nvscope.store.sums import Sums
from nvscope.store.writer import RunWriter
from nvscope.stream.messages import BlockClosed, Finish, JournalEntry, Maps, PointClosed, PointOpened

H = 97e-4
TEMPERATURES = (20.0, 30.0, 40.0, 50.0, 60.0, 65.0, 70.0, 74.0, 78.0, 82.0, 86.0, 92.0, 100.0)
NORMAL = 110.0
B_ERR = 1.7e-5
FRAMES = 8
OUTLINE = [(0.5 + 0.19 * np.cos(a), 0.5 + 0.19 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 17)[:-1]]
LOADING = {
    "name": "S1-A",
    "description": "made up",
    "nominal_pressure": 21e9,
    "crystal_azimuth": 0.0,
    "mirrored": False,
    "miscut": 0.0524,
    "miscut_azimuth": 0.3,
    "field_of_view": 6.4e-5,
    "polygons": [
        {"name": "S1", "kind": "sample", "vertices": OUTLINE},
        {"name": "ruby", "kind": "ruby", "vertices": [(0.80, 0.12), (0.90, 0.15), (0.88, 0.25), (0.79, 0.22)]},
        {"name": "Pt wire", "kind": "wire", "vertices": [(0.0, 0.90), (1.0, 0.86), (1.0, 0.95), (0.0, 1.0)]},
        {"name": "reference", "kind": "reference", "vertices": [(0.1, 0.1), (0.25, 0.1), (0.25, 0.25), (0.1, 0.25)]},
        {"name": "V+", "kind": "lead", "vertices": [(0.0, 0.45), (0.32, 0.48), (0.32, 0.52), (0.0, 0.55)]},
    ],
}


@dataclass
class Flake:
    """What the made-up sample does; its law of s(T) is not the one that is fitted."""

    size: int = 32
    tc: float = 80.0
    seed: int = 1
    noise: float = B_ERR
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        y, x = (np.mgrid[: self.size, : self.size] + 0.5) / self.size - 0.5
        radius = np.hypot(x, y) * 64
        ring = ((radius > 5) & (radius < 10.5)) * (1 + 0.25 * np.cos(np.arctan2(y, x) - 0.6))
        spot = np.exp(-((x * 64 + 9) ** 2 + (y * 64 - 2) ** 2) / 8)
        hole = 0.012 * np.exp(-((radius / 3.5) ** 2))
        self.response = -0.052 * ndimage.gaussian_filter(ring, 0.6 * self.size / 64) + 0.07 * spot + hole
        self.local_tc = self.tc - 4 * (3 * x) ** 2 - 4 * y
        self.light = np.exp(-(x**2 + y**2) / 0.35)
        self.center = 3.08e9 + 30e6 * (1 - 2 * (x**2 + y**2))
        self.stress = 14e6 * np.exp(-(((radius - 9) / 6) ** 2))
        self.b_err = self.noise / np.sqrt(self.light)

    def s(self, temperature: float) -> np.ndarray:
        reduced = np.minimum(temperature / self.local_tc, 0.999999)
        return 1 + self.response * np.tanh(1.74 * np.sqrt(1 / reduced - 1)) ** 2

    def maps(self, s: np.ndarray, field: float, *, exact: bool = False) -> dict[str, np.ndarray]:
        b = field * 1.003 * s + (0 if exact else self.b_err * self.rng.standard_normal(s.shape))
        half = np.hypot(GAMMA * b, self.stress)
        line_err = GAMMA * self.b_err
        found = {
            "f_minus": self.center - half,
            "f_plus": self.center + half,
            "half_splitting": half,
            "center": self.center,
            "b_z": half / GAMMA,
            "contrast_minus": np.full(s.shape, -0.02),
            "contrast_plus": np.full(s.shape, -0.017),
            "width_minus": np.full(s.shape, 6.0e6),
            "width_plus": np.full(s.shape, 6.5e6),
            "chi2_reduced": self.rng.normal(1, 0.15, s.shape),
            "b_z_err": self.b_err,
            "half_splitting_err": line_err,
            "center_err": line_err,
            "f_minus_err": line_err * np.sqrt(2),
            "f_plus_err": line_err * np.sqrt(2),
        }
        status = np.where(self.rng.random(s.shape) < 0.004, 3.0, 0.0)
        found = {name: np.where(status == 0, values, np.nan) for name, values in found.items()}
        return {**found, "status": status, "n_lines": np.full(s.shape, 2.0)}

    def sums(self, frequency: np.ndarray, maps: dict[str, np.ndarray]) -> Sums:
        f = frequency[:, None, None]
        level = np.ones((len(frequency), *self.light.shape))
        for side in ("minus", "plus"):
            center, width = np.nan_to_num(maps[f"f_{side}"]), np.nan_to_num(maps[f"width_{side}"], nan=6e6)
            level += np.nan_to_num(maps[f"contrast_{side}"]) / (1 + ((f - center) / width) ** 2)
        counts = self.rng.poisson(FRAMES * 20_000 * self.light * level).astype(np.uint32)
        frames = np.full(len(frequency), FRAMES, np.int64)
        return Sums(counts, frames, None, np.zeros_like(frames))

    def resistance(self, temperature: float) -> tuple[float, float]:
        r = (0.35 + 1.6e-3 * temperature) * (1 - 0.85 * np.clip((self.tc + 0.5 - temperature) / 22, 0, 1) ** 0.8)
        return float(r * (1 + 4e-4 * self.rng.standard_normal())), float(4e-4 * r)


def _means(sums: Sums) -> Spectra:
    mean = (sums.signal / FRAMES).astype(np.float32)
    return Spectra(mean, sums.signal_frames, sums.signal_frames.astype(float), None, sums.reference_frames, 1, 1, 1)


def write_run(
    folder: Path,
    flake: Flake | None = None,
    *,
    temperatures: Iterable[float] = TEMPERATURES,
    reference: bool = True,
    transport: bool = True,
    outcome: str | None = "done",
    loading: dict[str, Any] | None = LOADING,
    certificate: Callable[[int], dict[str, Any] | None] = lambda point: None,
    cut_last: bool = False,
    fitted: bool = False,
    regions: Iterable[dict[str, Any]] = (),
    normalised_by: Path | None = None,
) -> Path:
    """Write a run directory.

    `cut_last` leaves the last point open and without maps, as an abort does; `fitted` fits the frames for real instead
    of making the maps up.
    """
    flake = flake or Flake()
    run = reserve_run(folder, "zfc-fw", "S1", 21e9)
    parameters = {"field": H, "base_temperature": 20.0, "frames": FRAMES, "window": 150e6, "until": None}
    write_info(
        run,
        RunInfo(
            uid="5f0c7d7e", started="2026-11-21T08:12:03+01:00", sequence="zfc-fw", parameters=parameters,
            rig={"name": "simulated", "simulator": {"program": "lab", "seed": 1}},
            sample={"name": "S1", "formula": "La3Ni2O7", "expected_tc": 80.0}, loading=loading or {},
            nominal_pressure=21e9, operator="ecw", host="lab-pc", software=software(), note="",
        ),
    )  # fmt: skip
    writer = RunWriter(run)
    writer.entry(JournalEntry("state", 100.0, {"state": "running"}))
    if normalised_by is not None:
        writer.entry(JournalEntry("reference", 120.0, {"path": str(normalised_by)}))
    for region in regions:
        writer.entry(JournalEntry("region", 150.0, region))
    plan = [("find-lines", NORMAL)] + ([("reference", NORMAL)] if reference else [])
    plan += [("zfc" if i == 0 else "fw", t) for i, t in enumerate(temperatures)]
    for number, (purpose, temperature) in enumerate(plan):
        now = 200.0 + 600.0 * number
        window = np.linspace(-75e6, 75e6, 41)
        frequency = np.round(np.concatenate([3.095e9 - 0.272e9 + window, 3.095e9 + 0.272e9 + window]))
        extra: dict[str, Any] = {}
        if transport and purpose != "find-lines":
            extra = dict(zip(("resistance", "resistance_err"), flake.resistance(temperature), strict=True))
        attrs = {"purpose": purpose, "temperature": temperature, "field": H, **extra}
        shape = (flake.size, flake.size)
        writer.open_point(PointOpened(number, "odmr", frequency.tolist(), shape, now, attrs))
        s = np.ones(shape) if purpose in ("reference", "find-lines") else flake.s(temperature)
        maps = flake.maps(s, H, exact=fitted)
        sums = flake.sums(frequency, maps)
        last = number == len(plan) - 1
        if cut_last and last:
            break
        writer.commit(BlockClosed(number, 0, int(sums.frames), 1, True, now + 15), sums)
        if fitted:
            maps = dict(fit_point(frequency, _means(sums), {"camera_gain": 1.0}).maps)
        images = {name: np.asarray(values, np.float32) for name, values in maps.items()}
        if purpose != "find-lines":
            summary = {"median_b_err": float(np.median(flake.b_err)), "fitted_fraction": 1.0}
            writer.write_maps(Maps(number, 1, True, now + 16, shape, list(images), summary), images)
        verdict = certificate(number)
        closing = {"temperature": temperature + 0.01, "field": H * (1 + 1e-4 * flake.rng.standard_normal())}
        closing |= {"certificate": verdict} if verdict else {}
        writer.close_point(PointClosed(number, now + 17, closing))
    if outcome is not None:
        writer.finish(Finish(outcome, "" if outcome == "done" else "operator pressed Ctrl-C"))  # type: ignore[arg-type]
    writer.close()
    return run


@pytest.fixture
def run_writer(tmp_path: Path) -> Callable[..., Path]:
    """Write made-up runs below the test's own folder."""
    return lambda *args, **kwargs: write_run(tmp_path / "runs", *args, **kwargs)


@pytest.fixture
def flake() -> type[Flake]:
    """The made-up sample."""
    return Flake
