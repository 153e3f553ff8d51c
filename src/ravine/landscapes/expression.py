"""A surface written as text in x and y, read by the safe library simpleeval: nothing of it is ever run as Python.

The text becomes a syntax tree once. Before anything is computed the tree is looked through, and whatever is not
arithmetic of known names and functions is refused by its name.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable

import torch
from simpleeval import SimpleEval
from torch import Tensor

from ravine.errors import SettingError, nearest
from ravine.limits import EXPRESSION

__all__ = ["FUNCTIONS", "expression"]

LARGEST_POWER = 100  # above it even 1000 overflows

Number = float | Tensor


def _of_tensors(name: str) -> Callable[[Number], Tensor]:
    function: Callable[[Tensor], Tensor] = getattr(torch, name)
    return lambda value: function(torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.float64))


def _of_two(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Number, Number], Tensor]:
    def both(a: Number, b: Number) -> Tensor:
        first, second = (torch.as_tensor(value, dtype=torch.float64) for value in (a, b))
        return function(first, second)

    return both


ONE_NUMBER = (
    "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "exp", "log", "log1p", "sqrt", "abs", "sigmoid",
)  # fmt: skip

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    **{name: _of_tensors(name) for name in ONE_NUMBER},
    "min": _of_two(torch.minimum),
    "max": _of_two(torch.maximum),
}
"""What may be called: functions of one number, and min and max of two."""

CONSTANTS = {"pi": math.pi, "e": math.e}


def _power(base: Number, exponent: Number) -> Number:
    if not isinstance(exponent, Tensor) and abs(exponent) > LARGEST_POWER:
        raise SettingError(f"the power {exponent:g} is too large: write one from -{LARGEST_POWER} to {LARGEST_POWER}.")
    value: complex | Tensor = base**exponent
    if isinstance(value, complex):
        raise SettingError(f"{base:g} to the power {exponent:g} is not a real number: write another power.")
    return value


OPERATORS: dict[type[ast.AST], Callable[..., Number]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: _power,
    ast.USub: lambda a: -a,
    ast.UAdd: lambda a: a,
}
"""The arithmetic there is."""


def expression(text: str) -> Callable[[Tensor], Tensor]:
    """The function of points [..., 2] that the text describes, with values [...].

    Numbers, x, y, pi, e, + - * /, ** or ^ for powers (100 at most), brackets, and FUNCTIONS. Raises SettingError
    for anything else, naming it and the nearest known.

    >>> expression("x^2 + 10*y**2")(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
    tensor([41., 10.])
    """
    tree = _parsed(text)
    evaluator = SimpleEval(operators=OPERATORS, functions=FUNCTIONS, names={})

    def value(x: Tensor) -> Tensor:
        evaluator.names = {**CONSTANTS, "x": x[..., 0], "y": x[..., 1]}
        found = torch.as_tensor(evaluator.eval(text, previously_parsed=tree))
        return found.to(x.dtype).expand(x.shape[:-1])

    try:
        value(torch.ones(1, 2, dtype=torch.float64))  # a number that cannot be computed is found now
    except (ArithmeticError, RecursionError) as refusal:
        raise SettingError(f"the expression {text!r} cannot be computed: {refusal}.") from refusal
    return value


def _parsed(text: str) -> ast.AST:
    """The syntax tree of a text that holds arithmetic alone."""
    if len(text) > EXPRESSION:
        raise SettingError(f"the expression has {len(text):,} characters; at most {EXPRESSION:,} are read: shorten it.")
    try:
        tree = ast.parse(text.replace("^", "**").strip(), mode="eval").body
        _check(tree, text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant):
                node.value = float(node.value)  # type: ignore[arg-type] # a whole number may have any length
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as refusal:
        if isinstance(refusal, SettingError):
            raise
        why = getattr(refusal, "msg", None) or type(refusal).__name__
        raise SettingError(
            f"the expression {text!r} cannot be read ({why}): write arithmetic in x and y such as 'x**2 + 10*y**2'."
        ) from refusal
    return tree


@functools.singledispatch
def _check(node: ast.AST, text: str) -> None:
    """Raise SettingError unless this part, and all below it, is arithmetic of known names."""
    words = {
        "Attribute": "attributes (a dot)", "Compare": "comparisons", "Subscript": "square brackets", "Lambda": "lambda",
        "ListComp": "comprehensions", "GeneratorExp": "comprehensions", "IfExp": "if", "BoolOp": "and, or",
    }  # fmt: skip
    kind = type(node).__name__
    raise SettingError(
        f"the expression {text!r} has {words.get(kind, kind)}, which cannot be read: "
        "write arithmetic in x and y such as 'x**2 + 10*sin(y)'."
    )


@_check.register
def _(node: ast.Constant, text: str) -> None:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise SettingError(f"the expression {text!r} has {node.value!r}, which is not a real number.")


@_check.register
def _(node: ast.Name, text: str) -> None:
    known = ["x", "y", *CONSTANTS]
    if node.id in FUNCTIONS:
        raise SettingError(f"the expression {text!r} has {node.id} without brackets: write {node.id}(x), for example.")
    if node.id not in known:
        raise SettingError(f"the expression {text!r} has the unknown name {node.id!r}; {nearest(node.id, known)}")


@_check.register
def _(node: ast.Call, text: str) -> None:
    if not isinstance(node.func, ast.Name):
        _check(node.func, text)  # an attribute, say
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    if name not in FUNCTIONS:
        raise SettingError(f"the expression {text!r} calls the unknown {name!r}; {nearest(name, FUNCTIONS)}")
    wanted = 1 if name in ONE_NUMBER else 2
    if node.keywords or len(node.args) != wanted:
        raise SettingError(
            f"the expression {text!r} gives {name} {len(node.args) + len(node.keywords)} values; it takes {wanted}."
        )
    for part in node.args:
        _check(part, text)


@_check.register
def _(node: ast.BinOp, text: str) -> None:
    _check_operator(node.op, text)
    _check(node.left, text)
    _check(node.right, text)


@_check.register
def _(node: ast.UnaryOp, text: str) -> None:
    _check_operator(node.op, text)
    _check(node.operand, text)


def _check_operator(operator: ast.AST, text: str) -> None:
    if type(operator) not in OPERATORS:
        raise SettingError(
            f"the expression {text!r} has the operator {type(operator).__name__}, which cannot be read: "
            "write + - * / and ** (or ^)."
        )
