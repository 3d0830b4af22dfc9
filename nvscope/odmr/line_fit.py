"""Any number of lines of any shape: what the general kernel needs and what its table means."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvscope.odmr.line_growth import grow_starts
from nvscope.odmr.lines import fit_lines
from nvscope.odmr.setup import Setup
from nvscope.odmr.solved import Solved

__all__ = ["LineFit"]

Array = NDArray[np.float64]


class LineFit:
    """The general kernel on one setup.

    Parameters
    ----------
    setup : Setup
        What all pixels share.
    ascending : bool
        Whether several groups' lines leave in ascending order, or in that of their start.
    grow : bool
        Whether one or two lines too are guessed one after the other, which is dearer and better.
    """

    smallest_block = 24

    def __init__(self, setup: Setup, *, ascending: bool = True, grow: bool = False) -> None:
        self.setup = setup
        self._grow = grow or setup.lines > 2
        self._ascending = ascending or setup.lines <= 2
        self._offsets = np.array(setup.shape.offsets) / setup.unit
        self._starts = np.stack([setup.bank.centre, setup.bank.width])
        n = setup.lines
        self.widths = int(setup.which.max()) + 1
        self.rows = 6 * n + 8 + n * (n - 1) // 2

    def block(
        self,
        signal: NDArray[Any],
        root: Array,
        start: Array,
        first: int,
        solved: Solved,
    ) -> None:
        """Fit a block of pixels, (frequency, pixel), and fill `solved` from pixel `first` on."""
        s = self.setup
        part = slice(first, first + signal.shape[1])
        table = np.empty((signal.shape[1], self.rows))
        numbers = np.empty((signal.shape[1], 3), np.int32)
        spectra = np.ascontiguousarray(signal.T, dtype=np.float64)
        if self._grow and not (len(start) and np.isfinite(start).all()):
            start = np.array(start) if len(start) else np.full((len(spectra), start.shape[1]), np.nan)
            # the cheap guess of few lines knows what bends; humps on a bend are what misleads it
            degree = s.degrees[1 if s.lines > 2 else 0]
            grow_starts(
                s.x, spectra, root, s.weights.poisson, s.weights.known, s.shape.kind, self._offsets, s.lines, s.which,
                degree, s.bank.filters, self._starts, s.bounds, start,
            )  # fmt: skip
        fit_lines(
            s.x, spectra, root, s.weights.poisson, s.weights.known,
            s.shape.kind, self._offsets, s.lines, s.which, np.array(s.degrees), s.bank.filters, s.bank.overlap,
            self._starts, start, s.bounds, s.windows, s.needed, self._ascending, table, solved.status[part], numbers,
        )  # fmt: skip
        solved.table[:, part] = table.T
        solved.counts[:, part] = numbers.T

    def parameters(self, table: Array) -> Array:
        """Return centres and widths, (parameter, pixel), of a table."""
        n, which = self.setup.lines, self.setup.which
        widths = np.stack([table[4 + 6 * int(np.flatnonzero(which == w)[0])] for w in range(self.widths)])
        return np.vstack([table[0 : 6 * n : 6], widths])

    def maps(self, table: Array, grid: tuple[int, ...]) -> dict[str, Any]:
        """Turn the kernel's table, (row, pixel), into maps in Hz by name."""
        s, n = self.setup, self.setup.lines
        rows = table.reshape(-1, *grid)
        centre = rows[0 : 6 * n : 6] * s.unit + s.middle
        centre_err = rows[1 : 6 * n : 6] * s.unit
        amplitude, amplitude_err = rows[2 : 6 * n : 6], rows[3 : 6 * n : 6]
        width, width_err = rows[4 : 6 * n : 6] * s.unit, rows[5 : 6 * n : 6] * s.unit
        base, base_err = rows[6 * n : 6 * n + 3], rows[6 * n + 3 : 6 * n + 6]
        xi = (centre - s.middle) / s.unit
        level = base[0] + xi * (base[1] + xi * base[2]) - s.weights.offset
        with np.errstate(divide="ignore", invalid="ignore"):
            # an NV contrast never comes near 1/2: such a baseline is no level but the zero of a difference
            contrast = np.where(np.abs(level) > 2 * np.abs(amplitude), amplitude / level, np.nan)
            contrast_err = np.where(np.isfinite(contrast), amplitude_err / np.abs(level), np.nan)
        if n == 1:
            minus: Any = 0
            plus: Any = 0
            half, half_err = np.full(grid, np.nan), np.full(grid, np.nan)
            middle_err = centre_err[0]
        else:
            minus, plus = (0, 1) if n == 2 else (slice(0, n // 2), slice(n - 1, n // 2 - 1, -1))
            shared = self._pair_covariance(rows[6 * n + 8 :])
            both = centre_err[minus] ** 2 + centre_err[plus] ** 2
            half = (centre[plus] - centre[minus]) / 2
            half_err = np.sqrt(np.maximum(both - 2 * shared, 0)) / 2
            middle_err = np.sqrt(np.maximum(both + 2 * shared, 0)) / 2
        maps = {
            "half_splitting": half, "half_splitting_err": half_err,
            "center": (centre[minus] + centre[plus]) / 2, "center_err": middle_err,
            "baseline": base, "baseline_err": base_err,
            "chi2_reduced": rows[6 * n + 6], "chi2_gain": rows[6 * n + 7],
        }  # fmt: skip
        for name, values in (
            ("f", centre), ("f_err", centre_err), ("amplitude", amplitude), ("amplitude_err", amplitude_err),
            ("contrast", contrast), ("contrast_err", contrast_err), ("width", width), ("width_err", width_err),
        ):  # fmt: skip
            stem, _, suffix = name.partition("_")
            tail = f"_{suffix}" if suffix else ""
            maps[f"{stem}_minus{tail}"], maps[f"{stem}_plus{tail}"] = values[minus], values[plus]
        return maps

    def _pair_covariance(self, upper: Array) -> Array:
        """Pick the covariances of nested pairs (k, n-1-k) from the upper triangle of the centres' covariance."""
        n = self.setup.lines
        i, j = np.triu_indices(n, 1)
        place = {(int(a), int(b)): k for k, (a, b) in enumerate(zip(i, j, strict=True))}
        picked = upper[[place[k, n - 1 - k] for k in range(n // 2)]] * self.setup.unit**2
        return picked[0] if n == 2 else picked
