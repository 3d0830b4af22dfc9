"""The normal equations of two Lorentzians on a bent baseline, from eleven sums per line, and their solution.

With u = (x - c)/w and h = 1/(1 + u²) every inner product within one line, with the signal and with powers of x follows
from Σ h^n, Σ u h^n (n = 1 … 4) and Σ y{h, h², u h²}, since u²h = 1 - h. Products of the two lines need no sums of their
own: h = -Im P with P = w/(x - z), z = c - iw, and P·Q = (w2 P - w1 Q)/(z1 - z2) takes any product apart into sums of
P, P², Q and Q².

All numbers are `lane.Lane`: this arithmetic is run once, to write the kernels' code. Matrices are dictionaries of their
lower triangles.
"""

from __future__ import annotations

from collections.abc import Sequence

from nvscope.odmr.lane import Lane, Rows

__all__ = ["BASE_SUMS", "COLUMNS", "LINE_SUMS", "add", "back", "columns_of", "factor", "normal_equations"]

LINE_SUMS = 11  # Σw h, h², h³, h⁴, u h, u h², u h³, u h⁴, then Σw y h, y h², y u h²
BASE_SUMS = 9  # Σw, x, x², x³, x⁴, then Σw y, x y, x² y, y²
COLUMNS = 9  # 1, h1, h2, slopes by c1, w1, c2, w2, x, x²
PIVOT = 1e-12  # share of its diagonal below which a pivot is lost in rounding, and its direction left alone

Complex = tuple[Lane, Lane]
Triangle = dict[tuple[int, int], Lane]


def columns_of(lines: int, degree: int) -> list[int]:
    """Order of the columns: those that are linear, the slopes of the lines, powers of x beyond `degree`."""
    powers = [7, 8]
    slopes = [3, 4, 5, 6][: 2 * lines]
    return [0, *[1, 2][:lines], *powers[:degree], *slopes, *powers[degree:]]


def normal_equations(sums: Rows, base: Rows, q: Rows, lines: int, *, bent: bool) -> tuple[Triangle, dict[int, Lane]]:
    """Inner products of the columns with each other, (i, j) with i >= j, and with the signal.

    Columns as in `COLUMNS`, slopes per unit amplitude. `q` holds c1, w1, c2, w2. What concerns x and x² is left out
    unless `bent`, what concerns a second line if `lines` is 1.
    """
    gram: Triangle = {(0, 0): base[0]}
    right = {0: base[5]}
    if bent:
        gram |= {(7, 0): base[1], (7, 7): base[2], (8, 0): base[2], (8, 7): base[3], (8, 8): base[4]}
        right |= {7: base[6], 8: base[7]}
    lanes = [sums[k] for k in range(LINE_SUMS * lines)]
    places = [q[k] for k in range(2 * lines)]
    for line in range(lines):
        first = LINE_SUMS * line
        _one_line(lanes[first : first + LINE_SUMS], base, places[2 * line : 2 * line + 2], line, bent, gram, right)
    if lines == 2:
        _products(lanes, places, gram)
    return gram, right


def _one_line(
    s: Sequence[Lane], base: Rows, q: Sequence[Lane], line: int, bent: bool, gram: Triangle, right: dict[int, Lane]
) -> None:
    """Fill what one line has with itself, with the baseline and with the signal."""
    a, b, d = 1 + line, 3 + 2 * line, 4 + 2 * line  # amplitude, centre, width
    c, w = q
    h1, h2, h3, h4, u1, u2, u3, u4, y1, y2, y3 = s
    m = 2.0 / w
    mm = m * m
    gram[a, 0] = h1
    gram[a, a] = h2
    gram[b, 0] = m * u2
    gram[b, a] = m * u3
    gram[b, b] = mm * (h3 - h4)
    gram[d, 0] = m * (h1 - h2)
    gram[d, a] = m * (h2 - h3)
    gram[d, b] = mm * (u3 - u4)
    gram[d, d] = mm * (h2 - 2.0 * h3 + h4)
    right[a] = y1
    right[b] = m * y3
    right[d] = m * (y1 - y2)
    if bent:
        # x = c + w u, and u² h = 1 - h
        xh = c * h1 + w * u1
        gram[7, a] = xh
        gram[7, b] = m * (c * u2 + w * (h1 - h2))
        gram[7, d] = m * (xh - c * h2 - w * u2)
        cc, cw, ww = c * c, 2.0 * c * w, w * w
        xxh = cc * h1 + cw * u1 + ww * (base[0] - h1)
        gram[8, a] = xxh
        gram[8, b] = m * (cc * u2 + cw * (h1 - h2) + ww * (u1 - u2))
        gram[8, d] = m * (xxh - cc * h2 - cw * u2 - ww * (h1 - h2))


def _products(s: Sequence[Lane], q: Sequence[Lane], gram: Triangle) -> None:
    """Fill what the two lines have with each other."""
    c1, w1, c2, w2 = q
    # ΣP, ΣP², ΣQ, ΣQ² (real, imaginary)
    p1, p2 = (s[4], -s[0]), (s[0] - 2.0 * s[1], -2.0 * s[5])
    q1, q2 = (s[15], -s[11]), (s[11] - 2.0 * s[12], -2.0 * s[16])
    d, narrower, both = c1 - c2, w1 - w2, w1 + w2
    # coincident lines: their difference is not resolved anyway
    least = 1e-6 * w1 * w2
    square = d * d + narrower * narrower
    share = 1.0 / square.where_above(least, least)
    f = (d * share, narrower * share)  # 1/(z1 - z2)
    share = 1.0 / (d * d + both * both)
    g = (d * share, both * share)  # 1/(z1 - z2*)

    def part(a: Complex, b: Complex, by: Complex, conjugate: float = 1.0) -> Complex:
        real = w2 * a[0] - w1 * b[0]
        imaginary = w2 * a[1] - w1 * b[1] if conjugate > 0 else w2 * a[1] + w1 * b[1]
        return real * by[0] - imaginary * by[1], real * by[1] + imaginary * by[0]

    # Σ P^m Q^n (s) and Σ P^m Q*^n (t)
    s11, t11 = part(p1, q1, f), part(p1, q1, g, -1.0)
    s21, t21 = part(p2, s11, f), part(p2, t11, g)
    s12, t12 = part(s11, q2, f), part(t11, q2, g, -1.0)
    s22, t22 = part(s21, s12, f), part(t21, t12, g)
    # Im a · Im b and its companions, from a·b (s) and a·b* (t)
    ii11, ii21, ii12, ii22 = (0.5 * (t[0] - s[0]) for s, t in ((s11, t11), (s21, t21), (s12, t12), (s22, t22)))
    ri21, ri22 = 0.5 * (s21[1] - t21[1]), 0.5 * (s22[1] - t22[1])
    ir12, ir22 = 0.5 * (s12[1] + t12[1]), 0.5 * (s22[1] + t22[1])
    rr22 = 0.5 * (s22[0] + t22[0])
    m, n = 1.0 / w1, 1.0 / w2
    mn = m * n
    gram[2, 1] = ii11
    gram[5, 1] = n * ii12
    gram[6, 1] = n * (ii11 - ir12)
    gram[3, 2] = m * ii21
    gram[4, 2] = m * (ii11 - ri21)
    gram[5, 3] = mn * ii22
    gram[6, 3] = mn * (ii21 - ir22)
    gram[5, 4] = mn * (ii12 - ri22)
    gram[6, 4] = mn * (ii11 - ir12 - ri21 + rr22)


def factor(gram: Triangle, right: dict[int, Lane], order: Sequence[int]) -> tuple[Triangle, list[Lane]]:
    """Factor A = L D Lᵀ with columns taken in `order`, and solve L z = right.

    Returns
    -------
    lower
        L, below its diagonal of ones; in place of the diagonal the reciprocal of D. What the leading n columns take off
        a sum of squares is the sum of the leading n z²/D.
    z
        The solution.
    """
    n = len(order)
    element = {(i, j): gram[max(order[i], order[j]), min(order[i], order[j])] for i in range(n) for j in range(i + 1)}
    z = [right[column] for column in order]
    least = [PIVOT * element[i, i] for i in range(n)]
    for j in range(n):
        pivot = element[j, j]
        inverse = pivot.where_above(least[j], 0.0, 1.0 / pivot)
        scaled = {i: element[i, j] * inverse for i in range(j + 1, n)}
        for i in range(j + 1, n):
            z[i] = z[i] - scaled[i] * z[j]
            for k in range(j + 1, i + 1):
                element[i, k] = element[i, k] - scaled[i] * element[k, j]
        element[j, j] = inverse
        for i, value in scaled.items():
            element[i, j] = value
    return element, z


def back(lower: Triangle, z: Sequence[Lane], size: int) -> list[Lane]:
    """Solve D Lᵀ x = z for the leading `size` columns."""
    value = [z[i] * lower[i, i] for i in range(size)]
    for i in reversed(range(size)):
        for k in range(i):
            value[k] = value[k] - lower[i, k] * value[i]
    return value


def add(values: Sequence[Lane]) -> Lane:
    """Sum of one or more."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
