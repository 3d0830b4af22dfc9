"""Several pixels in one register: a numba type for short vectors of float64.

The compiler vectorises loops over frequency, but then every sum ends in a horizontal reduction and the spectra must be
transposed. With a pixel in each lane neither is needed; numba has no such type, so it is defined here: load, store,
broadcast, a choice by comparison, the root and the four operations, as LLVM's own vector instructions, on any processor
LLVM knows.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="no-any-return"
from __future__ import annotations

import operator
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

__all__ = [
    "EXACT",
    "LANES",
    "REGISTER",
    "address",
    "broadcast",
    "choose",
    "is_matrix",
    "larger",
    "load",
    "root",
    "store",
]

LANES = 8 if llvm.get_host_cpu_features().get("avx512f", False) else 4
"""Pixels in a register."""

REGISTER = ir.VectorType(ir.DoubleType(), LANES)
EXACT = ("contract",)  # reordering would undo what is hoisted out of the loops


class LanesType(types.Type):
    """`LANES` float64 side by side."""

    def __init__(self) -> None:
        super().__init__(name=f"Lanes{LANES}")


lanes = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, REGISTER)


def address(context, builder, kind, matrix, row, column):
    """Where a row and column of a C-ordered matrix begin, as a pointer to lanes; for writing code."""
    array = context.make_array(kind)(context, builder, matrix)
    strides = cgutils.unpack_tuple(builder, array.strides, 2)
    offset = builder.add(builder.mul(row, strides[0]), builder.mul(column, ir.Constant(column.type, 8)))
    base = builder.ptrtoint(array.data, row.type)
    return builder.inttoptr(builder.add(base, offset), REGISTER.as_pointer())


def is_matrix(array: Any) -> bool:
    """Whether a numba type is that of a C-ordered matrix of float64."""
    return isinstance(array, types.Array) and array.ndim == 2 and array.dtype == types.float64 and array.layout == "C"


@intrinsic
def load(typingctx, array, row, column):
    """Read lanes from ``array[row, column:]``; neither index is checked."""
    if not is_matrix(array):
        return None

    def codegen(context, builder, signature, args):
        return builder.load(address(context, builder, signature.args[0], *args), align=8)

    return lanes(array, types.intp, types.intp), codegen


@intrinsic
def store(typingctx, array, row, column, value):
    """Write lanes to ``array[row, column:]``; neither index is checked."""
    if not is_matrix(array):
        return None

    def codegen(context, builder, signature, args):
        builder.store(args[3], address(context, builder, signature.args[0], *args[:3]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, lanes), codegen


@intrinsic
def broadcast(typingctx, value):
    """Put one number into every lane."""

    def codegen(context, builder, signature, args):
        single = builder.insert_element(ir.Constant(REGISTER, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(single, ir.Constant(REGISTER, ir.Undefined), everywhere)

    return lanes(types.float64), codegen


@intrinsic
def larger(typingctx, left, right):
    """Take the larger number in every lane; `right` where `left` is none."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[0], args[1])

    return lanes(lanes, lanes), codegen


@intrinsic
def choose(typingctx, left, right, above, otherwise):
    """Take `above` in the lanes where `left` > `right`, `otherwise` in the others, also where either is no number."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return lanes(lanes, lanes, lanes, lanes), codegen


@intrinsic
def root(typingctx, value):
    """Square root."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(REGISTER, [REGISTER])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f64")
        return builder.call(function, args)

    return lanes(lanes), codegen


def _operation(instruction: str) -> Any:
    @intrinsic
    def operation(typingctx, left, right):
        def codegen(context, builder, signature, args):
            return getattr(builder, instruction)(args[0], args[1], flags=EXACT)

        return lanes(lanes, lanes), codegen

    return operation


_add, _subtract, _multiply, _divide = (_operation(name) for name in ("fadd", "fsub", "fmul", "fdiv"))


def _both(left: Any, right: Any) -> bool:
    return isinstance(left, LanesType) and isinstance(right, LanesType)


@overload(operator.add)
def _overload_add(left, right):
    return (lambda left, right: _add(left, right)) if _both(left, right) else None


@overload(operator.sub)
def _overload_sub(left, right):
    return (lambda left, right: _subtract(left, right)) if _both(left, right) else None


@overload(operator.mul)
def _overload_mul(left, right):
    return (lambda left, right: _multiply(left, right)) if _both(left, right) else None


@overload(operator.truediv)
def _overload_div(left, right):
    return (lambda left, right: _divide(left, right)) if _both(left, right) else None
