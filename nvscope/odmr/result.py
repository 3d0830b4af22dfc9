"""What a fit returns: maps on the pixel grid, their 1-σ errors, and a status for every pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.odmr.shapes import LINE_MODELS, evaluate_line

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["FitStatus", "ODMRFit"]

Array = NDArray[np.float64]


class FitStatus(IntEnum):
    """How far a pixel's numbers may be trusted: only `converged` ones are measurements."""

    converged = 0
    at_bound = 1  # a line is not well inside of what was sampled, or a width, within its error, at its limit
    no_signal = 2  # a line is missing, or nothing but the baseline is significant
    not_converged = 3
    invalid = 4  # too few usable points, or counts that are cut off at the top


@dataclass(frozen=True, eq=False)
class ODMRFit:
    """Fitted lines of every pixel.

    Arrays have the shape of the pixel grid, `(y, x)` or `(pixel,)`; with more than one pair of lines those of a line
    have a leading `group` axis. Frequencies, widths and their errors are in Hz, amplitudes and baselines in the
    signal's unit, `*_err` are 1-σ, from the inverse Fisher matrix; they grow with chi2 that the noise given does not
    explain. Pixels that could not be fitted hold NaN.

    Attributes
    ----------
    f_minus, f_plus : ndarray
        Lower and upper line. With a single line both are that line.
    half_splitting, center : ndarray
        (f_plus - f_minus)/2, NaN with a single line, and (f_plus + f_minus)/2.
    amplitude_minus, amplitude_plus : ndarray
        Signed: negative for a dip.
    contrast_minus, contrast_plus : ndarray
        Amplitude over the baseline at the line; NaN where the baseline is no level.
    width_minus, width_plus : ndarray
        Half width at half maximum of a line, or of one hyperfine sub-line.
    baseline, baseline_err : ndarray, shape (3, *grid)
        Coefficients of 1, ξ, ξ² with ξ = (f - middle)/half span of the frequency axis; zero beyond `baseline_degree`.
    chi2_reduced : ndarray
        Weighted sum of squared residuals over the degrees of freedom; without known noise in the signal's unit
        squared (for counts: in units of Poisson noise at one electron per count).
    chi2_gain : ndarray
        How much the lines lower the weighted sum of squares.
    status, n_lines, baseline_degree, iterations : ndarray
        `FitStatus`, significant lines, chosen degree, iterations used.
    frequency, signal : ndarray
        What was fitted (not copied).
    """

    model_name: str
    frequency: Array
    signal: NDArray[Any] = field(repr=False)
    f_minus: Array = field(repr=False)
    f_plus: Array = field(repr=False)
    f_minus_err: Array = field(repr=False)
    f_plus_err: Array = field(repr=False)
    half_splitting: Array = field(repr=False)
    half_splitting_err: Array = field(repr=False)
    center: Array = field(repr=False)
    center_err: Array = field(repr=False)
    amplitude_minus: Array = field(repr=False)
    amplitude_plus: Array = field(repr=False)
    amplitude_minus_err: Array = field(repr=False)
    amplitude_plus_err: Array = field(repr=False)
    contrast_minus: Array = field(repr=False)
    contrast_plus: Array = field(repr=False)
    contrast_minus_err: Array = field(repr=False)
    contrast_plus_err: Array = field(repr=False)
    width_minus: Array = field(repr=False)
    width_plus: Array = field(repr=False)
    width_minus_err: Array = field(repr=False)
    width_plus_err: Array = field(repr=False)
    baseline: Array = field(repr=False)
    baseline_err: Array = field(repr=False)
    chi2_reduced: Array = field(repr=False)
    chi2_gain: Array = field(repr=False)
    status: NDArray[np.uint8] = field(repr=False)
    n_lines: NDArray[np.uint8] = field(repr=False)
    baseline_degree: NDArray[np.uint8] = field(repr=False)
    iterations: NDArray[np.int32] = field(repr=False)

    @property
    def grid(self) -> tuple[int, ...]:
        """Shape of the pixel grid."""
        return self.status.shape

    @property
    def good(self) -> NDArray[np.bool_]:
        """Pixels whose numbers are measurements."""
        return self.status == FitStatus.converged

    def model(self, frequency: ArrayLike | None = None) -> Array:
        """Evaluate the fitted spectra.

        Parameters
        ----------
        frequency : array-like, optional
            Hz; default the fitted axis.

        Returns
        -------
        ndarray, shape (frequency, *grid)
        """
        f = self.frequency if frequency is None else np.atleast_1d(np.asarray(frequency, float))
        axis = f.reshape(-1, *([1] * len(self.grid)))
        middle = (self.frequency[0] + self.frequency[-1]) / 2
        xi = (axis - middle) / ((self.frequency[-1] - self.frequency[0]) / 2)
        with np.errstate(all="ignore"):  # pixels that were not fitted may hold any number
            spectra: Array = self.baseline[0] + xi * (self.baseline[1] + xi * self.baseline[2])
            for centre, amplitude, width in self.lines():
                spectra = spectra + amplitude * evaluate_line(LINE_MODELS[self.model_name], axis, centre, width)
        return spectra

    def lines(self) -> list[tuple[Array, Array, Array]]:
        """Return (centre, amplitude, width) of every line, each on the grid; an absent line has amplitude 0."""
        minus = [self.f_minus, self.amplitude_minus, self.width_minus]
        plus = [self.f_plus, self.amplitude_plus, self.width_plus]
        if self.f_minus.ndim > len(self.grid):
            return [(a[g], b[g], c[g]) for a, b, c in (minus, plus) for g in range(self.f_minus.shape[0])]
        single = np.isnan(self.half_splitting) & np.isfinite(self.f_minus)
        plus[1] = np.where(single, 0.0, plus[1])
        return [(a, b, c) for a, b, c in (minus, plus)]

    def to_xarray(self) -> xr.Dataset:
        """Return every map with named axes, units and long names."""
        from nvscope.odmr.describe import to_xarray

        return to_xarray(self)

    def plot(self, pixel: tuple[int, ...] | int, ax: Axes | None = None) -> Axes:
        """Draw one pixel's spectrum with its fit and residuals.

        Parameters
        ----------
        pixel : int or tuple of int
            Index on the grid.
        ax : matplotlib Axes, optional
            Where to draw; default a new figure.
        """
        from nvscope.odmr.describe import plot_pixel

        return plot_pixel(self, pixel, ax)
