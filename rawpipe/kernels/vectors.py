"""Sixteen floats at once for code that Numba compiles: what stays in registers needn't go through the cache.

LLVM makes of them whatever the processor has: one register of 512 bits, two of 256, four of 128; eight at a time are
slower on the latter too, since too little is left to do while a result is on its way. `+`, `-`, `*` and `/`
round one by one, and take numbers too.

Numba's cache doesn't look at this file's date: whoever changes something here touches the files that use it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

from llvmlite import binding, ir
from numba import config, types
from numba.extending import intrinsic, models, overload, register_model
from numba.np.arrayobj import make_array

LANES = 16
_TOLD = getattr(config, "CPU_NAME", None) or getattr(config, "CPU_FEATURES", None)  # to write for another processor
PICKS = bool(not _TOLD and binding.get_host_cpu_features().get("avx512f"))
"""Whether the processor picks from sixteen numbers in one instruction."""

_FLOATS, _INTS = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.IntType(32), LANES)
_MANTISSA, _ONE, _EXPONENT = 0x7FFFFF, 0x3F800000, 23  # of a float32's bits
_EVEN, _ODD = range(0, 2 * LANES, 2), range(1, 2 * LANES, 2)
_FIRST, _SECOND = ([i // 2 + LANES * (i % 2) for i in part] for part in (range(LANES), range(LANES, 2 * LANES)))

Emit = Callable[..., ir.Value]


class FloatsType(types.Type):
    """Sixteen float32."""

    def __init__(self) -> None:
        super().__init__("Floats")


floats = FloatsType()


@register_model(FloatsType)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, _FLOATS)


def _every(value: int) -> ir.Constant:
    return ir.Constant(_INTS, [value] * LANES)


def _spread(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """A number in all lanes."""
    if value.type == _FLOATS:
        return value
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return _shuffled(builder, one, one, [0] * LANES)


def _shuffled(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, lanes: Sequence[int]) -> ir.Value:
    return builder.shuffle_vector(a, b, ir.Constant(_INTS, list(lanes)))


def _called(builder: ir.IRBuilder, name: str, *values: ir.Value) -> ir.Value:
    """An intrinsic function of LLVM."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * len(values))
    return builder.call(builder.module.globals.get(name) or ir.Function(builder.module, kind, name), values)


def _of_floats(emit: Emit) -> Any:
    """A function of floats, or of numbers in their place, from what it emits."""

    def typed(typing: Any, *kinds: types.Type) -> Any:
        def lowered(context: Any, builder: ir.IRBuilder, _: Any, values: Sequence[ir.Value]) -> ir.Value:
            return emit(builder, *(_spread(builder, value) for value in values))

        return floats(*(floats if isinstance(kind, FloatsType) else types.float32 for kind in kinds)), lowered

    typed.__name__, typed.__doc__ = emit.__name__, emit.__doc__
    typed.__signature__ = signature(emit)  # type: ignore[attr-defined] # Numba asks for the names of arguments
    return intrinsic(typed)


def _operator(symbol: Callable[[Any, Any], Any], emit: Emit) -> None:
    function = _of_floats(emit)

    def of_floats(a: Any, b: Any) -> Any:
        return function(a, b)

    @overload(symbol, jit_options={"forceinline": True})
    def chosen(a: Any, b: Any) -> Any:
        return of_floats if isinstance(a, FloatsType) or isinstance(b, FloatsType) else None


_operator(operator.add, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b))


@_of_floats
def fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Product of the first two plus the third, rounded once where the processor can."""
    return _called(builder, "llvm.fmuladd.v16f32", a, b, c)


@_of_floats
def least(builder: Any, a: Any, b: Any) -> Any:
    """The first where it is less than the second, or the second."""
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


@_of_floats
def most(builder: Any, a: Any, b: Any) -> Any:
    """The first where it is more than the second, or the second."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@_of_floats
def where_less(builder: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """The third where the first is less than the second, or the fourth."""
    return builder.select(builder.fcmp_ordered("<", a, b), x, y)


@_of_floats
def size_of(builder: Any, a: Any) -> Any:
    """Without the sign."""
    return _called(builder, "llvm.fabs.v16f32", a)


@_of_floats
def signed(builder: Any, a: Any, like: Any) -> Any:
    """With the sign of another."""
    return _called(builder, "llvm.copysign.v16f32", a, like)


@_of_floats
def exponent(builder: Any, a: Any) -> Any:
    """The e of 2**e m, for what is positive."""
    bits = builder.sub(builder.bitcast(a, _INTS), _every(_ONE))
    return builder.sitofp(builder.ashr(bits, _every(_EXPONENT)), _FLOATS)


@_of_floats
def mantissa(builder: Any, a: Any) -> Any:
    """The m of 2**e m, from 1 to 2, for what is positive."""
    bits = builder.and_(builder.bitcast(a, _INTS), _every(_MANTISSA))
    return builder.bitcast(builder.or_(bits, _every(_ONE)), _FLOATS)


@_of_floats
def shifted(builder: Any, a: Any, e: Any) -> Any:
    """Times 2 to the power that stands in the last bits of e."""
    power = builder.shl(builder.bitcast(e, _INTS), _every(_EXPONENT))
    return builder.bitcast(builder.add(builder.bitcast(a, _INTS), power), _FLOATS)


def _place(context: Any, builder: ir.IRBuilder, call: Any, values: Sequence[ir.Value], to: ir.Type) -> ir.Value:
    """Where an array's items from an index on stand: the first two arguments of a call."""
    data = make_array(call.args[0])(context, builder, values[0]).data
    return builder.bitcast(builder.gep(data, [values[1]]), to.as_pointer())


def _flat(kind: types.Type, *dtypes: types.Type) -> bool:
    return isinstance(kind, types.Array) and kind.ndim == 1 and kind.layout == "C" and kind.dtype in dtypes


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Sixteen of an array's float32 from an index on."""

    def lowered(context: Any, builder: Any, call: Any, values: Any) -> Any:
        return builder.load(_place(context, builder, call, values, _FLOATS), align=4)

    return (floats(array, types.intp), lowered) if _flat(array, types.float32) else None


@intrinsic
def picked(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """One of sixteen of an array's float32 from an index on: the one that the exponent, in its last bits, names."""

    def lowered(context: Any, builder: Any, call: Any, values: Any) -> Any:
        table = builder.load(_place(context, builder, call, values, _FLOATS), align=4)
        bits = builder.and_(builder.lshr(builder.bitcast(values[2], _INTS), _every(_EXPONENT)), _every(LANES - 1))
        result = ir.Constant(_FLOATS, ir.Undefined)  # LLVM knows that all this is one instruction, where there is one
        for lane in range(LANES):
            here = ir.Constant(ir.IntType(32), lane)
            one = builder.extract_element(table, builder.extract_element(bits, here))
            result = builder.insert_element(result, one, here)
        return result

    return (floats(array, types.intp, floats), lowered) if _flat(array, types.float32) else None


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Put floats into an array of float32 from an index on."""

    def lowered(context: Any, builder: Any, call: Any, values: Any) -> Any:
        builder.store(values[2], _place(context, builder, call, values, _FLOATS), align=4)
        return context.get_dummy_value()

    return (types.void(array, types.intp, floats), lowered) if _flat(array, types.float32) else None


@intrinsic
def store_pairs(typing: Any, array: Any, index: Any, even: Any, odd: Any) -> Any:
    """Put two, alternating, into an array of float32, or from -1 to 65536, cut to whole numbers, into one of uint16."""

    def lowered(context: Any, builder: Any, call: Any, values: Any) -> Any:
        even, odd = values[2:]
        if call.args[0].dtype is types.uint16:
            low, high = (builder.fptosi(one, _INTS) for one in (even, odd))
            both = builder.or_(low, builder.shl(high, _every(16)))
            builder.store(both, _place(context, builder, call, values, _INTS), align=2)
        else:
            here = _place(context, builder, call, values, _FLOATS)
            for part, lanes in enumerate((_FIRST, _SECOND)):
                there = builder.gep(here, [ir.Constant(ir.IntType(32), part)])
                builder.store(_shuffled(builder, even, odd, lanes), there, align=4)
        return context.get_dummy_value()

    known = _flat(array, types.float32, types.uint16)
    return (types.void(array, types.intp, floats, floats), lowered) if known else None


@intrinsic
def load_pairs(typing: Any, array: Any, index: Any) -> Any:
    """The even and the odd ones of an array's next 32 float32."""

    def lowered(context: Any, builder: Any, call: Any, values: Any) -> Any:
        here = _place(context, builder, call, values, _FLOATS)
        a, b = (builder.load(builder.gep(here, [ir.Constant(ir.IntType(32), i)]), align=4) for i in range(2))
        return context.make_tuple(
            builder, call.return_type, [_shuffled(builder, a, b, lanes) for lanes in (_EVEN, _ODD)]
        )

    known = _flat(array, types.float32)
    return (types.UniTuple(floats, 2)(array, types.intp), lowered) if known else None
