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
from nvscope.odmr.simd import LANES, broadcast, load, store

__all__ = ["BASE_SUMS", "COLUMNS", "LINE_SUMS", "assemble", "line_sums"]

LINE_SUMS = 11  # Σw h, h², h³, h⁴, u h, u h², u h³, u h⁴, then Σw y h, y h², y u h²
BASE_SUMS = 9  # Σw, x, x², x³, x⁴, then Σw y, x y, x² y, y²
COLUMNS = 9  # 1, h1, h2, slopes by c1, w1, c2, w2, x, x²


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def line_sums(count, x, spectra, weights, own, q, line, sums):
    """Accumulate the sums of line 0 or 1 for the first `count` columns of `spectra`, (frequency, slot).

    Rows of `q` are c1, w1, c2, w2. Every column has its own weights if `own` is 1; if it is 0 the first `LANES` columns
    of `weights` serve all. Slots come in multiples of `LANES`.
    """
    zero, one = broadcast(0.0), broadcast(1.0)
    first = LINE_SUMS * line
    for slot in range(0, count, LANES):
        inverse = one / load(q, 2 * line + 1, slot)
        origin = load(q, 2 * line, slot) * inverse
        a1 = a2 = a3 = a4 = b1 = b2 = b3 = b4 = y1 = y2 = y3 = zero
        for t in range(x.size):
            u = broadcast(x[t]) * inverse - origin
            h = one / (one + u * u)
            y = load(spectra, t, slot)
            p = load(weights, t, slot * own) * h
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
        store(sums, first, slot, a1)
        store(sums, first + 1, slot, a2)
        store(sums, first + 2, slot, a3)
        store(sums, first + 3, slot, a4)
        store(sums, first + 4, slot, b1)
        store(sums, first + 5, slot, b2)
        store(sums, first + 6, slot, b3)
        store(sums, first + 7, slot, b4)
        store(sums, first + 8, slot, y1)
        store(sums, first + 9, slot, y2)
        store(sums, first + 10, slot, y3)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SAFE_FAST)
def assemble(count, sums, base, q, gram, right):
    """Fill the lower triangle of the normal matrix and its right-hand sides, for `count` slots.

    Columns as in `COLUMNS`, slopes per unit amplitude. `q` holds c1, w1, c2, w2; slots are the last axis everywhere.
    """
    for s in range(count):
        gram[0, 0, s] = base[0, s]
        gram[7, 0, s] = base[1, s]
        gram[7, 7, s] = base[2, s]
        gram[8, 0, s] = base[2, s]
        gram[8, 7, s] = base[3, s]
        gram[8, 8, s] = base[4, s]
        right[0, s] = base[5, s]
        right[7, s] = base[6, s]
        right[8, s] = base[7, s]
    for line in range(2):
        k = LINE_SUMS * line
        a, b, d = 1 + line, 3 + 2 * line, 4 + 2 * line  # amplitude, centre, width
        for s in range(count):
            c, w = q[2 * line, s], q[2 * line + 1, s]
            m = 2.0 / w
            h1, h2, h3, h4 = sums[k, s], sums[k + 1, s], sums[k + 2, s], sums[k + 3, s]
            u1, u2, u3, u4 = sums[k + 4, s], sums[k + 5, s], sums[k + 6, s], sums[k + 7, s]
            gram[a, 0, s] = h1
            gram[a, a, s] = h2
            gram[b, 0, s] = m * u2
            gram[b, a, s] = m * u3
            gram[b, b, s] = m * m * (h3 - h4)
            gram[d, 0, s] = m * (h1 - h2)
            gram[d, a, s] = m * (h2 - h3)
            gram[d, b, s] = m * m * (u3 - u4)
            gram[d, d, s] = m * m * (h2 - 2.0 * h3 + h4)
            right[a, s] = sums[k + 8, s]
            right[b, s] = m * sums[k + 10, s]
            right[d, s] = m * (sums[k + 8, s] - sums[k + 9, s])
            # x = c + w u, and u² h = 1 - h
            xh = c * h1 + w * u1
            xh2 = c * h2 + w * u2
            xu2 = c * u2 + w * (h1 - h2)
            gram[7, a, s] = xh
            gram[7, b, s] = m * xu2
            gram[7, d, s] = m * (xh - xh2)
            xxh = c * c * h1 + 2.0 * c * w * u1 + w * w * (base[0, s] - h1)
            xxh2 = c * c * h2 + 2.0 * c * w * u2 + w * w * (h1 - h2)
            gram[8, a, s] = xxh
            gram[8, b, s] = m * (c * c * u2 + 2.0 * c * w * (h1 - h2) + w * w * (u1 - u2))
            gram[8, d, s] = m * (xxh - xxh2)
    for s in range(count):
        c1, w1, c2, w2 = q[0, s], q[1, s], q[2, s], q[3, s]
        # ΣP, ΣP², ΣQ, ΣQ² (real, imaginary)
        p1r, p1i = sums[4, s], -sums[0, s]
        p2r, p2i = sums[0, s] - 2.0 * sums[1, s], -2.0 * sums[5, s]
        q1r, q1i = sums[15, s], -sums[11, s]
        q2r, q2i = sums[11, s] - 2.0 * sums[12, s], -2.0 * sums[16, s]
        d = c1 - c2
        e = w2 - w1
        norm = max(d * d + e * e, 1e-6 * w1 * w2)  # coincident lines: their difference is not resolved anyway
        fr, fi = d / norm, -e / norm  # 1/(z1 - z2)
        e = -(w1 + w2)
        norm = d * d + e * e
        gr, gi = d / norm, -e / norm  # 1/(z1 - z2*)
        tr, ti = w2 * p1r - w1 * q1r, w2 * p1i - w1 * q1i
        s11r, s11i = tr * fr - ti * fi, tr * fi + ti * fr
        tr, ti = w2 * p1r - w1 * q1r, w2 * p1i + w1 * q1i
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
        ii11 = 0.5 * (t11r - s11r)
        ii21 = 0.5 * (t21r - s21r)
        ii12 = 0.5 * (t12r - s12r)
        ii22 = 0.5 * (t22r - s22r)
        ri21 = 0.5 * (s21i - t21i)
        ri22 = 0.5 * (s22i - t22i)
        ir12 = 0.5 * (s12i + t12i)
        ir22 = 0.5 * (s22i + t22i)
        rr22 = 0.5 * (s22r + t22r)
        m, n = 1.0 / w1, 1.0 / w2
        gram[2, 1, s] = ii11
        gram[5, 1, s] = n * ii12
        gram[6, 1, s] = n * (ii11 - ir12)
        gram[3, 2, s] = m * ii21
        gram[4, 2, s] = m * (ii11 - ri21)
        gram[5, 3, s] = m * n * ii22
        gram[6, 3, s] = m * n * (ii21 - ir22)
        gram[5, 4, s] = m * n * (ii12 - ri22)
        gram[6, 4, s] = m * n * (ii11 - ir12 - ri21 + rr22)
