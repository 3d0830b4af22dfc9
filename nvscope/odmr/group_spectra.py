"""Kernels of the joint fit of all NV groups: spectra at several biases as functions of one stress.

Places come from the exact levels of the spin Hamiltonian: with M = H less its mean, an energy λ obeys
λ³ − q λ − det M = 0, q = tr M²/2, which has a closed form, and (3λ² − q) dλ = λ dq + d det M gives its slopes. Depths
and baselines are solved for in every evaluation. Hz, GPa and γB in Hz; see `nvscope.analysis.joint.model`.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from nvscope.odmr.linear import cholesky, cholesky_solve
from nvscope.odmr.shapes import SAFE_FAST

__all__ = ["GAUSS_PART", "LORENTZ_PART", "SQUARE_PART", "evaluate_pixels", "group_places"]

LORENTZ_PART, SQUARE_PART, GAUSS_PART = 0.5346, 0.2166, 2 * math.log(2)
LINES, LINEAR, OWN = 8, 9, 10
THIRD_TURN = 2 * math.pi / 3


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def group_places(d0, coupling, frames, field, six, place, by_stress, by_field):
    """Write f- and f+ of every group, group by group, and their slopes.

    Parameters
    ----------
    coupling, frames : (4, 3, 6), (4, 3, 3)
        Π_Z, Π_X, Π_Y of each group for unit stresses; rotations into the groups' frames.
    field, six : (3,), (6,)
        γB and stress, crystal frame.
    place, by_stress, by_field : (8,), (8, 6), (8, 3)
    """
    slope, other = np.empty(6), np.empty(6)  # by Π_Z, Π_X, Π_Y, and the field's x, y, z in the group's frame
    for g in range(4):
        d, px, py, x, y, z = d0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(6):
            d += coupling[g, 0, k] * six[k]
            px += coupling[g, 1, k] * six[k]
            py += coupling[g, 2, k] * six[k]
        for k in range(3):
            x += frames[g, 0, k] * field[k]
            y += frames[g, 1, k] * field[k]
            z += frames[g, 2, k] * field[k]
        across, split = x * x + y * y, px * px + py * py
        q = d * d / 3 + z * z + across + split
        det = (
            -2 * d * d * d / 27 + 2 * d * z * z / 3 - across * d / 3 + 2 * d * split / 3
            - (x * x - y * y) * px + 2 * x * y * py
        )  # fmt: skip
        size = math.sqrt(q / 3)
        angle = math.acos(min(max(0.5 * det / (size * size * size), -1.0), 1.0)) / 3
        lowest = 0.0
        for level in range(3):  # the lowest first: lines are energies above it
            turn = THIRD_TURN if level == 0 else (-THIRD_TURN if level == 1 else 0.0)
            energy = 2 * size * math.cos(angle + turn)
            over = 1.0 / (3 * energy * energy - q)
            one = slope if level else other
            one[0] = over * (energy * 2 * d / 3 - 2 * d * d / 9 + 2 * z * z / 3 - across / 3 + 2 * split / 3)
            one[1] = over * (energy * 2 * px + 4 * d * px / 3 - (x * x - y * y))
            one[2] = over * (energy * 2 * py + 4 * d * py / 3 + 2 * x * y)
            one[3] = over * (energy * 2 * x - 2 * x * d / 3 - 2 * x * px + 2 * y * py)
            one[4] = over * (energy * 2 * y - 2 * y * d / 3 + 2 * y * px + 2 * x * py)
            one[5] = over * (energy * 2 * z + 4 * d * z / 3)
            if level == 0:
                lowest = energy
                continue
            k = 2 * g + level - 1
            place[k] = energy - lowest
            for i in range(6):
                by_stress[k, i] = 0.0
                for m in range(3):
                    by_stress[k, i] += (slope[m] - other[m]) * coupling[g, m, i]
            for i in range(3):
                by_field[k, i] = 0.0
                for m in range(3):
                    by_field[k, i] += (slope[3 + m] - other[3 + m]) * frames[g, m, i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def dots(rows, many, others, more, out):
    """Write the inner products of `many` rows with `more` others."""
    for i in range(many):
        for j in range(more):
            s = 0.0
            for f in range(rows.shape[1]):
                s += rows[i, f] * others[j, f]
            out[i, j] = s


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def line_rows(x, scale, place, wide, own, slope2, hyperfine, column, by_place, by_own, by_blur):
    """Write one smeared hyperfine triplet of unit area-depth, times `scale`, and its slopes."""
    root = wide - LORENTZ_PART * own
    follows = own * (LORENTZ_PART + SQUARE_PART * own / root) / wide
    spreads = GAUSS_PART * slope2 / (2 * root * wide)
    area = own / wide / 3
    over = 1.0 / wide
    for f in range(x.size):
        bells, slopes, twists = 0.0, 0.0, 0.0
        for m in range(-1, 2):
            u = (x[f] - place - m * hyperfine) * over
            bell = 1.0 / (1.0 + u * u)
            slope = 2 * u * bell * bell
            bells += bell
            slopes += slope
            twists += slope * u
        s = area * scale[f]
        column[f] = s * bells
        by_place[f] = s * slopes * over
        by_own[f] = s * (bells + follows * (twists - bells))
        by_blur[f] = s * spreads * (twists - bells)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def evaluate_pixels(
    x, target, scale, index, theta, fields, d0, coupling, frames, ratio, ratio_slope, slope2, blur2, hyperfine, depth,
    depth_err, log_width, width_err, chi2, normal, gradient, depths,
):  # fmt: skip
    """Write χ², JᵀJ, Jᵀr and depths of pixels `index` at parameters `theta`.

    Parameters
    ----------
    x : (bias, frequency)
        Hz.
    target, scale : (bias, pixel, frequency)
        Relative signal over its noise, and one over that noise; zeros where nothing was measured.
    theta : (n, 10)
        Stress (GPa) and log widths (Hz).
    fields : (bias, 3)
        γB (Hz), crystal frame.
    ratio, ratio_slope : (bias, pixel, 8)
        A line's own width over its group's, and the slope of its logarithm by how much of the width is not power's.
    slope2, blur2 : (bias, pixel, 8), float
        Square of how fast lines move across the image (Hz²/pixel²), and the variance of what a pixel sees (pixel²).
    depth, depth_err, log_width, width_err : (bias, pixel, 8) twice, (pixel, 4), float
        What is expected.
    normal, gradient : (n, size, size), (n, size)
        Of the 10 parameters or, if there is room for them, of three fields for each bias (Hz), of `blur2` and of what
        `ratio_slope` is a slope by.
    depths : (n, bias, 8)
    """
    biases, points = x.shape
    common = normal.shape[1] > OWN
    rows = OWN + 5 if common else OWN
    columns, jacobian = np.empty((LINEAR, points)), np.empty((rows, points))
    by_place, by_own, by_blur = np.empty((LINES, points)), np.empty((LINES, points)), np.empty((LINES, points))
    gram, factor, found = np.empty((LINEAR, LINEAR)), np.zeros((LINEAR, LINEAR)), np.empty(LINEAR)
    mixed, solved = np.empty((rows, LINEAR)), np.empty((rows, LINEAR))
    curved, residual = np.empty((rows, rows)), np.empty((1, points))
    along = np.empty((rows, 1))
    place, by_stress, by_field = np.empty(LINES), np.empty((LINES, 6)), np.empty((LINES, 3))
    at = np.empty(rows, np.int64)
    for t in range(index.size):
        p = index[t]
        chi2[t] = 0.0
        normal[t] = 0.0
        gradient[t] = 0.0
        for b in range(biases):
            axis, root = x[b], scale[b, p]
            group_places(d0, coupling, frames, fields[b], theta[t], place, by_stress, by_field)
            jacobian[:, :] = 0.0
            for k in range(LINES):
                own = math.exp(theta[t, 6 + k // 2]) * ratio[b, p, k]
                wide = LORENTZ_PART * own + math.sqrt(SQUARE_PART * own * own + GAUSS_PART * blur2 * slope2[b, p, k])
                line_rows(
                    axis, root, place[k], wide, own, slope2[b, p, k], hyperfine, columns[k], by_place[k],
                    by_own[k], by_blur[k],
                )  # fmt: skip
            columns[LINES] = root
            dots(columns, LINEAR, columns, LINEAR, gram)
            for k in range(LINES):
                certain = 1.0 / (depth_err[b, p, k] * depth_err[b, p, k])
                gram[k, k] += certain
                found[k] = certain * depth[b, p, k]
            gram[LINES, LINES] += 1e-9
            found[LINES] = 0.0
            for j in range(LINEAR):
                for f in range(points):
                    found[j] += columns[j, f] * target[b, p, f]
            cholesky(gram, LINEAR, factor)
            cholesky_solve(factor, LINEAR, found, found)
            for f in range(points):
                residual[0, f] = target[b, p, f]
            for j in range(LINEAR):
                for f in range(points):
                    residual[0, f] -= found[j] * columns[j, f]
            for f in range(points):
                chi2[t] += residual[0, f] * residual[0, f]
            for k in range(LINES):
                depths[t, b, k] = found[k]
                chi2[t] += ((found[k] - depth[b, p, k]) / depth_err[b, p, k]) ** 2
                for i in range(6):
                    s = found[k] * by_stress[k, i]
                    for f in range(points):
                        jacobian[i, f] += s * by_place[k, f]
                for f in range(points):
                    jacobian[6 + k // 2, f] += found[k] * by_own[k, f]
                if common:
                    for i in range(3):
                        s = found[k] * by_field[k, i]
                        for f in range(points):
                            jacobian[OWN + i, f] += s * by_place[k, f]
                    for f in range(points):
                        jacobian[OWN + 3, f] += found[k] * by_blur[k, f]
                        jacobian[OWN + 4, f] += found[k] * ratio_slope[b, p, k] * by_own[k, f]
            dots(jacobian, rows, columns, LINEAR, mixed)
            dots(jacobian, rows, jacobian, rows, curved)
            dots(jacobian, rows, residual, 1, along)
            for i in range(rows):
                at[i] = i if i < OWN else (3 * b + i if i < OWN + 3 else normal.shape[1] + i - rows)
                cholesky_solve(factor, LINEAR, mixed[i], solved[i])
            for i in range(rows):
                gradient[t, at[i]] += along[i, 0]
                for j in range(rows):
                    s = curved[i, j]
                    for k in range(LINEAR):
                        s -= mixed[i, k] * solved[j, k]
                    normal[t, at[i], at[j]] += s
        for g in range(4):
            off = (theta[t, 6 + g] - log_width[p, g]) / width_err
            chi2[t] += off * off
            normal[t, 6 + g, 6 + g] += 1.0 / (width_err * width_err)
            gradient[t, 6 + g] -= off / width_err
