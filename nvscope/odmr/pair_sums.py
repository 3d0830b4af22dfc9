"""The normal equations of two Lorentzians on a bent baseline, from eleven sums per line.

With u = (x - c)/w and h = 1/(1 + u²) every inner product within one line, with the signal and with powers of x follows
from Σ h^n, Σ u h^n (n = 1 … 4) and Σ y{h, h², u h²}, since u²h = 1 - h. Products of the two lines need no sums of their
own: h = -Im P with P = w/(x - z), z = c - iw, and P·Q = (w2 P - w1 Q)/(z1 - z2) takes any product apart into sums of
P, P², Q and Q². One pass over the spectrum per line, eleven accumulators in registers, one division a point,
a pixel in every lane.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from numba import njit

from nvscope.odmr.shapes import SAFE_FAST
from nvscope.odmr.simd import broadcast, larger, load, store

__all__ = ["BASE_SUMS", "COLUMNS", "LINE_SUMS", "assemble", "line_sums"]

LINE_SUMS = 11  # Σw h, h², h³, h⁴, u h, u h², u h³, u h⁴, then Σw y h, y h², y u h²
BASE_SUMS = 9  # Σw, x, x², x³, x⁴, then Σw y, x y, x² y, y²
COLUMNS = 9  # 1, h1, h2, slopes by c1, w1, c2, w2, x, x²


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def line_sums(x, spectra, column, weights, weights_column, q, line, sums):
    """Accumulate the sums of line 0 or 1 for `LANES` columns of `spectra`, (frequency, column), from `column` on.

    Rows of `q` are c1, w1, c2, w2, (4, LANES). `sums` is (2 `LINE_SUMS`, LANES).
    """
    zero, one = broadcast(0.0), broadcast(1.0)
    first = LINE_SUMS * line
    inverse = one / load(q, 2 * line + 1, 0)
    origin = load(q, 2 * line, 0) * inverse
    a1 = a2 = a3 = a4 = b1 = b2 = b3 = b4 = y1 = y2 = y3 = zero
    for t in range(x.size):
        u = broadcast(x[t]) * inverse - origin
        h = one / (one + u * u)
        y = load(spectra, t, column)
        p = load(weights, t, weights_column) * h
        a1 = a1 + p
        b1 = b1 + u * p
        y1 = y1 + y * p
        p = p * h
        a2 = a2 + p
        b2 = b2 + u * p
        y = y * p
        y2 = y2 + y
        y3 = y3 + u * y
        p = p * h
        a3 = a3 + p
        b3 = b3 + u * p
        p = p * h
        a4 = a4 + p
        b4 = b4 + u * p
    store(sums, first, 0, a1)
    store(sums, first + 1, 0, a2)
    store(sums, first + 2, 0, a3)
    store(sums, first + 3, 0, a4)
    store(sums, first + 4, 0, b1)
    store(sums, first + 5, 0, b2)
    store(sums, first + 6, 0, b3)
    store(sums, first + 7, 0, b4)
    store(sums, first + 8, 0, y1)
    store(sums, first + 9, 0, y2)
    store(sums, first + 10, 0, y3)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def assemble(sums, base, q, lines, bent, where, gram, right):
    """Fill the lower triangle of the normal matrix and its right-hand sides.

    Columns as in `COLUMNS`, slopes per unit amplitude. ``where[i, j]`` is the row of `gram` for columns i > j, and
    ``where[COLUMNS, i]`` that of `right` for column i. `q` holds c1, w1, c2, w2. What concerns x and x² is left alone
    unless `bent`, what concerns a second line if `lines` is 1.
    """
    store(gram, where[0, 0], 0, load(base, 0, 0))
    store(right, where[COLUMNS, 0], 0, load(base, 5, 0))
    if bent:
        store(gram, where[7, 0], 0, load(base, 1, 0))
        store(gram, where[7, 7], 0, load(base, 2, 0))
        store(gram, where[8, 0], 0, load(base, 2, 0))
        store(gram, where[8, 7], 0, load(base, 3, 0))
        store(gram, where[8, 8], 0, load(base, 4, 0))
        store(right, where[COLUMNS, 7], 0, load(base, 6, 0))
        store(right, where[COLUMNS, 8], 0, load(base, 7, 0))
    for line in range(lines):
        assemble_line(sums, base, q, line, bent, where, gram, right)
    if lines == 2:
        assemble_products(sums, q, where, gram)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def assemble_line(sums, base, q, line, bent, where, gram, right):
    """Fill what one line has with itself, with the baseline and with the signal."""
    two = broadcast(2.0)
    k = LINE_SUMS * line
    a, b, d = 1 + line, 3 + 2 * line, 4 + 2 * line  # amplitude, centre, width
    c, w = load(q, 2 * line, 0), load(q, 2 * line + 1, 0)
    m = two / w
    mm = m * m
    h1, h2, h3, h4 = load(sums, k, 0), load(sums, k + 1, 0), load(sums, k + 2, 0), load(sums, k + 3, 0)
    u1, u2, u3, u4 = load(sums, k + 4, 0), load(sums, k + 5, 0), load(sums, k + 6, 0), load(sums, k + 7, 0)
    y1, y2, y3 = load(sums, k + 8, 0), load(sums, k + 9, 0), load(sums, k + 10, 0)
    store(gram, where[a, 0], 0, h1)
    store(gram, where[a, a], 0, h2)
    store(gram, where[b, 0], 0, m * u2)
    store(gram, where[b, a], 0, m * u3)
    store(gram, where[b, b], 0, mm * (h3 - h4))
    store(gram, where[d, 0], 0, m * (h1 - h2))
    store(gram, where[d, a], 0, m * (h2 - h3))
    store(gram, where[d, b], 0, mm * (u3 - u4))
    store(gram, where[d, d], 0, mm * (h2 - two * h3 + h4))
    store(right, where[COLUMNS, a], 0, y1)
    store(right, where[COLUMNS, b], 0, m * y3)
    store(right, where[COLUMNS, d], 0, m * (y1 - y2))
    if bent:
        # x = c + w u, and u² h = 1 - h
        xh = c * h1 + w * u1
        store(gram, where[7, a], 0, xh)
        store(gram, where[7, b], 0, m * (c * u2 + w * (h1 - h2)))
        store(gram, where[7, d], 0, m * (xh - c * h2 - w * u2))
        cc, cw, ww = c * c, two * c * w, w * w
        xxh = cc * h1 + cw * u1 + ww * (load(base, 0, 0) - h1)
        store(gram, where[8, a], 0, xxh)
        store(gram, where[8, b], 0, m * (cc * u2 + cw * (h1 - h2) + ww * (u1 - u2)))
        store(gram, where[8, d], 0, m * (xxh - cc * h2 - cw * u2 - ww * (h1 - h2)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def assemble_products(sums, q, where, gram):
    """Fill what the two lines have with each other."""
    zero, half, one, two = broadcast(0.0), broadcast(0.5), broadcast(1.0), broadcast(2.0)
    c1, w1, c2, w2 = load(q, 0, 0), load(q, 1, 0), load(q, 2, 0), load(q, 3, 0)
    # ΣP, ΣP², ΣQ, ΣQ² (real, imaginary)
    p1r, p1i = load(sums, 4, 0), zero - load(sums, 0, 0)
    p2r, p2i = zero - p1i - two * load(sums, 1, 0), zero - two * load(sums, 5, 0)
    q1r, q1i = load(sums, 15, 0), zero - load(sums, 11, 0)
    q2r, q2i = zero - q1i - two * load(sums, 12, 0), zero - two * load(sums, 16, 0)
    d = c1 - c2
    e = w2 - w1
    # coincident lines: their difference is not resolved anyway
    norm = one / larger(d * d + e * e, broadcast(1e-6) * w1 * w2)
    fr, fi = d * norm, (w1 - w2) * norm  # 1/(z1 - z2)
    e = w1 + w2
    norm = one / (d * d + e * e)
    gr, gi = d * norm, e * norm  # 1/(z1 - z2*)
    tr, ti = w2 * p1r - w1 * q1r, w2 * p1i - w1 * q1i
    s11r, s11i = tr * fr - ti * fi, tr * fi + ti * fr
    ti = w2 * p1i + w1 * q1i
    t11r, t11i = tr * gr - ti * gi, tr * gi + ti * gr
    tr, ti = w2 * p2r - w1 * s11r, w2 * p2i - w1 * s11i
    s21r, s21i = tr * fr - ti * fi, tr * fi + ti * fr
    tr, ti = w2 * p2r - w1 * t11r, w2 * p2i - w1 * t11i
    t21r, t21i = tr * gr - ti * gi, tr * gi + ti * gr
    tr, ti = w2 * s11r - w1 * q2r, w2 * s11i - w1 * q2i
    s12r, s12i = tr * fr - ti * fi, tr * fi + ti * fr
    tr, ti = w2 * t11r - w1 * q2r, w2 * t11i + w1 * q2i
    t12r, t12i = tr * gr - ti * gi, tr * gi + ti * gr
    tr, ti = w2 * s21r - w1 * s12r, w2 * s21i - w1 * s12i
    s22r, s22i = tr * fr - ti * fi, tr * fi + ti * fr
    tr, ti = w2 * t21r - w1 * t12r, w2 * t21i - w1 * t12i
    t22r, t22i = tr * gr - ti * gi, tr * gi + ti * gr
    # Im a · Im b and its companions, from a·b (s) and a·b* (t)
    ii11 = half * (t11r - s11r)
    ii21 = half * (t21r - s21r)
    ii12 = half * (t12r - s12r)
    ii22 = half * (t22r - s22r)
    ri21 = half * (s21i - t21i)
    ri22 = half * (s22i - t22i)
    ir12 = half * (s12i + t12i)
    ir22 = half * (s22i + t22i)
    rr22 = half * (s22r + t22r)
    m, n = one / w1, one / w2
    mn = m * n
    store(gram, where[2, 1], 0, ii11)
    store(gram, where[5, 1], 0, n * ii12)
    store(gram, where[6, 1], 0, n * (ii11 - ir12))
    store(gram, where[3, 2], 0, m * ii21)
    store(gram, where[4, 2], 0, m * (ii11 - ri21))
    store(gram, where[5, 3], 0, mn * ii22)
    store(gram, where[6, 3], 0, mn * (ii21 - ir22))
    store(gram, where[5, 4], 0, mn * (ii12 - ri22))
    store(gram, where[6, 4], 0, mn * (ii11 - ir12 - ri21 + rr22))
