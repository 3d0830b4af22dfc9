"""The one door to the fit: live worker, offline refit and analysis all call `fit`."""

from __future__ import annotations

import operator
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nvscope.odmr.checks import check_axis, check_signal, saturated
from nvscope.odmr.choose_lines import choose_lines
from nvscope.odmr.known_field import EXPECTED_WIDTH, ExpectedPair, PairSearch, find_pairs
from nvscope.odmr.line_fit import LineFit
from nvscope.odmr.line_stack import solve_line_stack
from nvscope.odmr.noise import Noise, resolve_noise, usable_points
from nvscope.odmr.pair_fit import PairFit
from nvscope.odmr.parallel import available_cores
from nvscope.odmr.result import ODMRFit
from nvscope.odmr.setup import make_setup
from nvscope.odmr.shapes import LINE_MODELS, LineModel
from nvscope.odmr.solving import solve, to_result
from nvscope.odmr.spatial import solve_stack
from nvscope.odmr.stack import Stack

__all__ = ["check_options", "fit"]

BASELINES = {"constant": (0, 0), "linear": (1, 1), "quadratic": (2, 2), "auto": (0, 2)}


def fit(
    frequency: ArrayLike,
    signal: ArrayLike,
    model: str = "lorentzian",
    lines: int | str = 2,
    baseline: str = "auto",
    noise: Noise = None,
    start: ODMRFit | ExpectedPair | Mapping[str, ArrayLike] | None = None,
    threads: int | None = None,
    *,
    width: str = "separate",
    neighbours: bool = True,
) -> ODMRFit:
    """Fit signed lines on a polynomial baseline to the spectrum of every pixel.

    Parameters
    ----------
    frequency : array-like, shape (frequency,)
        Hz, strictly ascending, not necessarily uniform; gaps between windows are fine.
    signal : array-like, shape (frequency, y, x) or (frequency, pixel)
        Counts, ratios or differences; any real dtype. Points that are not finite are left out.
    model : {"lorentzian", "gaussian", "n14", "n15"}
        Line shape; the last two are hyperfine multiplets of Lorentzians.
    lines : int or "auto"
        1, or a multiple of 2: two lines for every NV group. "auto" chooses one line or two for every pixel by the
        Bayesian information criterion; see `ODMRFit.n_lines`.
    baseline : {"auto", "constant", "linear", "quadratic"}
        "auto" chooses for every pixel by the Bayesian information criterion.
    noise : None, float, ndarray or PoissonNoise
        1-σ noise in the signal's unit: a number, one for each frequency, for each pixel or for each point; or the
        camera's shot noise. Without it errors follow from the scatter about the fit.
    start : ODMRFit, mapping or ExpectedPair, optional
        An earlier fit of the same grid to start from, or ``{"f_minus": …, "f_plus": …}`` (Hz; numbers or maps,
        optionally "width_minus", "width_plus"), or what is known of the splitting. Pixels without finite values are
        guessed. The lines found from a start are looked for elsewhere only where they make a bad fit or are not
        significant. With several groups the result keeps the order of the start; without one, groups are paired
        outermost line with outermost line.
    threads : int, optional
        Default: the cores this process may use.
    width : {"separate", "shared"}
        Whether the two lines of a pair have their own widths.
    neighbours : bool
        Whether pixels that are not sure may be fitted again from what their neighbours in (y, x) are sure of.

    Returns
    -------
    ODMRFit

    Raises
    ------
    ValueError
        If the arguments do not describe a fit; the message says what to change.
    """
    shape = _model(model)
    most = _most_lines(lines)
    lowest, highest = _degrees(baseline)
    if width not in ("separate", "shared"):
        raise ValueError(f'width must be "separate" or "shared", got {width!r}')
    if threads is not None and not (isinstance(threads, (int, np.integer)) and threads >= 1):
        raise ValueError(f"threads must be a whole number, 1 or more, got {threads!r}")
    which = np.arange(most)
    if width == "shared":
        which = np.minimum(which, most - 1 - which)
    axis = check_axis(frequency, lowest + 1 + 2 * most + int(which.max()) + 1)
    values = check_signal(signal, axis.size)
    grid = values.shape[1:]
    # counts stay counts where some of them are masked
    kind = signal.dtype.kind if isinstance(signal, np.ndarray) else values.dtype.kind
    weights = resolve_noise(noise, axis.size, grid, kind == "u")
    setup = make_setup(axis, shape, most, which, (lowest, highest), weights, choose_lines=lines == "auto")
    fast = model == "lorentzian" and most <= 2 and width == "separate"
    if lines == "auto" and not fast:
        pair = fit(axis, signal, model, 2, baseline, noise, start, threads, width=width, neighbours=neighbours)
        single = fit(axis, signal, model, 1, baseline, noise, None, threads, neighbours=neighbours)
        used = usable_points(values.reshape(axis.size, -1), weights.root).reshape(grid)
        return choose_lines(pair, single, int(which.max()) + 1, used, weights.known)
    engine = PairFit(setup) if fast else LineFit(setup)
    threads = threads or available_cores()
    around = neighbours and len(grid) == 2
    together = fast and around and lines == 2
    search = None
    if isinstance(start, ExpectedPair):
        if most != 2:
            raise ValueError(
                f'an expected pair is a start for lines=2 or "auto", not for {most}: give maps of all lines'
            )
        if together:
            search, start = PairSearch.about(axis, start.half_splitting), None
        else:
            start = find_pairs(axis, values, start.half_splitting, threads)
    first = _start(start, most, which, grid) / setup.unit
    first[:, :most] -= setup.middle / setup.unit
    if together:
        solved = solve_stack(Stack(setup, values, first, search), threads)
    elif isinstance(engine, LineFit):
        laid_out = values if around else values.reshape(axis.size, 1, -1)
        solved = solve_line_stack(Stack(setup, laid_out, first), threads, neighbours=around)
    else:
        solved = solve(engine, values.reshape(axis.size, -1), first, threads)
    if (cut := saturated(values)).any():
        solved.invalidate(cut.ravel())
    return to_result(engine, values, solved)


def check_options(model: str, lines: int | str, baseline: str) -> None:
    """Refuse what `fit` would refuse whatever the signal, before there is one.

    Raises
    ------
    ValueError
        If there is no such model, number of lines or baseline.
    """
    _model(model)
    _most_lines(lines)
    _degrees(baseline)


def _degrees(baseline: str) -> tuple[int, int]:
    """Return the lowest and the highest degree a baseline may have."""
    if not isinstance(baseline, str) or baseline not in BASELINES:
        raise ValueError(f"baseline must be one of {', '.join(BASELINES)}, got {baseline!r}")
    return BASELINES[baseline]


def _most_lines(lines: int | str) -> int:
    try:
        most = 2 if lines == "auto" else operator.index(lines)  # type: ignore[arg-type]
    except TypeError:
        most = 0
    if isinstance(lines, bool) or most not in (1, 2, 4, 6, 8):
        raise ValueError(f'lines must be 1, 2, 4, 6, 8 or "auto", got {lines}')
    return most


def _model(name: str) -> LineModel:
    try:
        return LINE_MODELS[name]
    except (KeyError, TypeError):
        raise ValueError(f"model must be one of {', '.join(LINE_MODELS)}, got {name!r}") from None


def _start(
    start: ODMRFit | Mapping[str, ArrayLike] | None, lines: int, which: NDArray[np.int64], grid: tuple[int, ...]
) -> NDArray[np.float64]:
    """Lay out warm-start centres and widths as (pixel, 2 n or fewer); no rows where everything is to be guessed."""
    widths = int(which.max()) + 1
    if start is None:
        return np.empty((0, lines + widths))
    if not isinstance(start, ODMRFit | Mapping):
        raise ValueError(f"start must be an earlier fit, a mapping or ExpectedPair, got {type(start).__name__}")
    half = max(1, lines // 2)
    suffixes = ("minus",) if lines == 1 else ("minus", "plus")
    stacked: dict[str, NDArray[np.float64]] = {}
    for kind in ("f", "width"):
        parts = []
        for suffix in suffixes:
            name = f"{kind}_{suffix}"
            if isinstance(start, ODMRFit):
                values = np.where(start.good, getattr(start, name), np.nan)
            elif name in start:
                values = np.asarray(start[name], float)
            elif kind == "width":
                values = np.asarray(EXPECTED_WIDTH)
            else:
                raise ValueError(f'start needs "f_minus" and "f_plus", or an earlier fit; {name!r} is missing')
            try:
                parts.append(np.broadcast_to(values, (half, *grid)).reshape(half, -1))
            except ValueError:
                raise ValueError(f"start's {name} has shape {values.shape}; the signal's grid is {grid}") from None
        upper = parts[-1][::-1]
        stacked[kind] = np.concatenate([parts[0], upper]) if lines > 1 else parts[0]
    if lines > 1 and isinstance(start, ODMRFit):
        # a fit of one line knows no pair
        stacked["f"][
            :, np.isnan(np.broadcast_to(start.half_splitting, (half, *grid)).reshape(half, -1)).any(axis=0)
        ] = np.nan
    out = np.empty((stacked["f"].shape[1], lines + widths))
    out[:, :lines] = stacked["f"].T
    for k in range(lines):
        out[:, lines + which[k]] = stacked["width"][k]
    return out
