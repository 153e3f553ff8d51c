"""How an operation on single numbers is said in C, by its name in aten.

Arguments come as text, converted already to the type that the operation computes in; text that uses BY_TYPE needs it
above. Steps of a model and rules say theirs by the same table.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["BY_TYPE", "COMPARISONS", "SENTENCES", "WRAPPED"]

BY_TYPE = """\
/* A function of C's library by the type of its argument. */
#define BY_TYPE(name, x) _Generic((x), float: name##f, default: name)(x)
"""

SENTENCES: dict[str, Callable[..., str]] = {
    "_to_copy": lambda a: a,
    "scalar_tensor": lambda a: a,
    "clone": lambda a: a,
    "copy": lambda _, b: b,
    "fill": lambda _, b: b,
    "ones_like": lambda _: "1",
    "zeros_like": lambda _: "0",
    "new_zeros": lambda _: "0",
    "full_like": lambda _, b: b,
    "add": lambda a, b, alpha="1": f"{a} + {alpha} * {b}" if alpha != "1" else f"{a} + {b}",
    "sub": lambda a, b, alpha="1": f"{a} - {alpha} * {b}" if alpha != "1" else f"{a} - {b}",
    "rsub": lambda a, b: f"{b} - {a}",
    "mul": lambda a, b: f"{a} * {b}",
    "div": lambda a, b: f"{a} / {b}",
    "neg": lambda a: f"-{a}",
    "reciprocal": lambda a: f"1 / {a}",
    "abs": lambda a: f"BY_TYPE(fabs, {a})",
    "sgn": lambda a: f"({a} > 0) - ({a} < 0)",
    "sqrt": lambda a: f"BY_TYPE(sqrt, {a})",
    "rsqrt": lambda a: f"1 / BY_TYPE(sqrt, {a})",
    "exp": lambda a: f"EXP({a})",
    "log": lambda a: f"BY_TYPE(log, {a})",
    "erf": lambda a: f"BY_TYPE(erf, {a})",
    "tanh": lambda a: f"BY_TYPE(tanh, {a})",
    "round": lambda a: f"BY_TYPE(rint, {a})",
    "sigmoid": lambda a: f"1 / (1 + EXP(-{a}))",
    "relu": lambda a: f"{a} <= 0 ? 0 : {a}",
    "silu": lambda a: f"{a} / (1 + EXP(-{a}))",
    "clamp_min": lambda a, b: f"{a} < {b} ? {b} : {a}",
    "maximum": lambda a, b: f"({a} > {b} || {a} != {a}) ? {a} : {b}",  # NaN wins, as in torch
    "minimum": lambda a, b: f"({a} < {b} || {a} != {a}) ? {a} : {b}",
    "where": lambda condition, a, b: f"{condition} ? {a} : {b}",
    "masked_fill": lambda a, mask, b: f"{mask} ? {b} : {a}",
    "threshold_backward": lambda grad, a, threshold: f"{a} <= {threshold} ? 0 : {grad}",
    "tanh_backward": lambda grad, out: f"{grad} * (1 - {out} * {out})",
    "sigmoid_backward": lambda grad, out: f"{grad} * (1 - {out}) * {out}",
    "logical_and": lambda a, b: f"{a} && {b}",
    "silu_backward": lambda grad, a: f"{grad} / (1 + EXP(-{a})) * (1 + {a} * (1 - 1 / (1 + EXP(-{a}))))",
    "bitwise_and": lambda a, b: f"{a} & {b}",
    "bitwise_xor": lambda a, b: f"{a} ^ {b}",
    "__rshift__": lambda a, b: f"{a} >> {b}",
}

COMPARISONS = {"eq": "==", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
"""Computed in the type that both sides are raised to, and bool in the end."""

WRAPPED = frozenset({"add", "sub", "mul"})
"""Of 64-bit integers, these go round at the end as in torch: in C only unsigned ones do."""
