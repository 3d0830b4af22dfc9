"""Straight code for `LANES` pixels at once, written by running Python.

A few hundred operations on numbers that all stay in registers: as numba functions they take seconds to compile and, as
loops, spend most of their time on jumps that go wrong. Here Python expressions on `Lane` objects leave vector
instructions behind, once, when the kernel that uses them is compiled.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="no-any-return"
from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils

from nvscope.odmr.simd import EXACT, LANES, REGISTER, address, is_matrix

__all__ = ["Lane", "Rows"]


class Lane:
    """A register: arithmetic with others, or with a number, writes the instruction."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    def _with(self, instruction: str, other: Lane | float, *, reverse: bool = False) -> Lane:
        operands = (self.value, self._of(other).value)
        left, right = reversed(operands) if reverse else operands
        return Lane(self.builder, getattr(self.builder, instruction)(left, right, flags=EXACT))

    def _of(self, other: Lane | float) -> Lane:
        if isinstance(other, Lane):
            return other
        return Lane(self.builder, ir.Constant(REGISTER, [float(other)] * LANES))

    def __add__(self, other: Lane | float) -> Lane:
        return self._with("fadd", other)

    def __sub__(self, other: Lane | float) -> Lane:
        return self._with("fsub", other)

    def __mul__(self, other: Lane | float) -> Lane:
        return self._with("fmul", other)

    def __truediv__(self, other: Lane | float) -> Lane:
        return self._with("fdiv", other)

    def __radd__(self, other: float) -> Lane:
        return self._with("fadd", other, reverse=True)

    def __rsub__(self, other: float) -> Lane:
        return self._with("fsub", other, reverse=True)

    def __rmul__(self, other: float) -> Lane:
        return self._with("fmul", other, reverse=True)

    def __rtruediv__(self, other: float) -> Lane:
        return self._with("fdiv", other, reverse=True)

    def __neg__(self) -> Lane:
        return self._with("fsub", 0.0, reverse=True)

    def where_above(self, limit: Lane | float, otherwise: Lane | float, instead: Lane | None = None) -> Lane:
        """Take these lanes, or those of `instead`, where these are above `limit`, and `otherwise` elsewhere."""
        above = self.builder.fcmp_ordered(">", self.value, self._of(limit).value)
        chosen = self if instead is None else instead
        return Lane(self.builder, self.builder.select(above, chosen.value, self._of(otherwise).value))

    def root(self) -> Lane:
        """Take the square root."""
        kind = ir.FunctionType(REGISTER, [REGISTER])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.sqrt.v{LANES}f64")
        return Lane(self.builder, self.builder.call(function, [self.value]))


class Rows:
    """The first `LANES` columns of a matrix: indexing reads a row, assignment writes one."""

    def __init__(self, context: Any, builder: Any, kind: Any, matrix: Any, first: int = 0) -> None:
        if not is_matrix(kind):
            raise TypeError(f"needs a C-ordered matrix of float64, not {kind}")
        self.builder = builder
        self._where = lambda row: address(context, builder, kind, matrix, _index(first + row), _index(0))

    def __getitem__(self, row: int) -> Lane:
        return Lane(self.builder, self.builder.load(self._where(row), align=8))

    def __setitem__(self, row: int, value: Lane | float) -> None:
        number = value.value if isinstance(value, Lane) else ir.Constant(REGISTER, [float(value)] * LANES)
        self.builder.store(number, self._where(row), align=8)


def _index(value: int) -> Any:
    return ir.Constant(ir.IntType(64), value)
