"""Text in x and y: what it computes, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch

from ravine.errors import SettingError
from ravine.landscapes import surface
from ravine.landscapes.expression import FUNCTIONS, expression

X = torch.tensor([[0.5, 0.25], [0.75, -0.5], [0.1, 0.9]], dtype=torch.float64)
A, B = X.unbind(-1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x**2 + 10*sin(y)", A**2 + 10 * torch.sin(B)),
        ("x^2 + y^2", A**2 + B**2),  # as Python reads ^, this would be x ^ (2 + y) ^ 2
        ("-x^2", -(A**2)),
        ("2*pi*x - e", 2 * math.pi * A - math.e),
        ("x", A),
        ("y", B),
        ("3", torch.full((3,), 3.0, dtype=torch.float64)),
        ("max(x, y) + min(x, 0.3)", torch.maximum(A, B) + A.clamp(max=0.3)),
        ("exp(-(x*x + y*y)/2)", torch.exp(-(A * A + B * B) / 2)),
        ("x**0.5", A.sqrt()),
        ("2**x", 2**A),
        ("x**y", A**B),
        ("sqrt(4) * x", 2 * A),
        (" x + y ", A + B),
        ("abs(y) + log(x) - tanh(y) / sigmoid(x)", B.abs() + A.log() - B.tanh() / A.sigmoid()),
    ],
)
def test_it_computes_what_it_says(text: str, expected: torch.Tensor) -> None:
    value = expression(text)
    assert torch.allclose(value(X), expected, rtol=1e-14)
    assert value(X.reshape(1, 3, 1, 2)).shape == (1, 3, 1)
    assert value(X.float()).dtype == torch.float32


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_is_that_of_torch(name: str) -> None:
    both = name in ("min", "max")
    text = f"{name}(x, y)" if both else f"{name}(x)"
    expected = getattr(torch, {"min": "minimum", "max": "maximum"}[name])(A, B) if both else getattr(torch, name)(A)
    assert torch.equal(expression(text)(X), expected)


def test_its_gradient_and_hessian_broadcast_where_a_letter_is_missing() -> None:
    one = surface("x^3")
    assert one.gradient(X).tolist() == torch.stack((3 * A**2, 0 * A), dim=-1).tolist()
    assert torch.allclose(one.hessian(X)[:, 0, 0], 6 * A)
    assert float(one.hessian(X)[:, 1].abs().max()) == 0
    level = surface("7")
    assert level.gradient(X).tolist() == [[0, 0]] * 3


def test_a_text_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    value = expression("x + y")

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("ast.parse", fail)
    assert torch.equal(value(X), A + B)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("z + x", "unknown name 'z'"),
        ("xx + 1", "'xx'; did you mean x"),
        ("snh(x)", "unknown 'snh'; did you mean sinh or sin"),
        ("__import__('os')", "unknown '__import__'"),
        ("open('f')", "unknown 'open'"),
        ("x.__class__", "attributes"),
        ("x.sum()", "attributes"),
        ("(lambda: x)()", "lambda"),
        ("[x for x in y]", "comprehensions"),
        ("sum(i for i in x)", "unknown 'sum'"),
        ("x if y else 1", "has if"),
        ("x[0]", "square brackets"),
        ("x < y", "comparisons"),
        ("x and y", "and, or"),
        ("x // y", "FloorDiv"),
        ("x @ y", "MatMult"),
        ("~x", "Invert"),
        ("'a' * 10", "'a', which is not a real number"),
        ("True", "not a real number|no surface"),
        ("x + 1j", "not a real number"),
        ("sin + x", r"write sin\(x\)"),
        ("sin(x, y)", "gives sin 2 values; it takes 1"),
        ("max(x)", "gives max 1 values; it takes 2"),
        ("sin(x=x)", "gives sin"),
        ("sin(x, y=2)", "gives sin 2 values"),
        ("x**1000", "power 1000 is too large"),
        ("9**9**9", "too large"),
        ("(10**99)**99", "cannot be computed"),
        ("(-8)**0.5", "not a real number"),
        ("1/0", "cannot be computed: float division by zero"),
        ("(x", "cannot be read"),
        ("", "cannot be read"),
        ("x = 3", "cannot be read"),
        ("x; y", "cannot be read"),
        ("x := 3", "cannot be read"),
        ("import os", "cannot be read"),
        ("x + " * 400 + "x", "at most 1,000"),
        ("(" * 400 + "x" + ")" * 400, "cannot be read"),
        ("x\x00", "cannot be read"),
        ("1" + "0" * 400 + " * x", "cannot be read"),
    ],
)
def test_what_is_not_arithmetic_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as refusal:
        surface(text)
    assert "\n" not in str(refusal.value)
