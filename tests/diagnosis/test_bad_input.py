"""Models and data that cannot be used: one clear line, never a traceback of somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ravine
from ravine.errors import DataError, ModelError
from ravine.randomness import generator

X = torch.randn(120, 6, generator=generator(0, "bad input"))
Y = (X[:, 0] > 0).long()


class Net(nn.Module):
    """A linear layer, and what becomes of its outputs."""

    def __init__(self, then: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.then = nn.Linear(6, 2), then

    def forward(self, x: Tensor) -> Any:
        return self.then(self.layer(x))


def refuse(_: Tensor) -> Tensor:
    raise KeyError("no such column")


def few(out: Tensor) -> Tensor:
    if len(out) > 50:
        raise RuntimeError("too many rows")
    return out


class Two(nn.Linear):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x) * mask


def diagnosed(make: Any, x: Any = X, y: Any = Y, loss: Any = "cross_entropy") -> list[ravine.Finding]:
    return ravine.diagnose(make, (x, y), loss=loss, rule="adam", lr=1e-2, batch_size=32, epochs=2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Net(refuse), "cannot be trained on inputs of shape (B, 6): 'no such column'"),
        (lambda: Net(lambda out: (out - 1e9).log()), "the loss of the untrained model is nan"),
        (lambda: Net(lambda out: (out,)), "returns tuple from forward; it must return a tensor"),
        (lambda: Net(lambda out: {"logits": out}), "returns dict from forward"),
        (lambda: Net(lambda _: None), "returns NoneType from forward"),
        (lambda: Net(lambda out: out.mean()), "a single number for a batch"),
        (lambda: Net(few), "too many rows"),
        (lambda: Two(6, 2), "missing 1 required positional argument: 'mask'"),
        (lambda: nn.Linear(7, 2), "mat1 and mat2 shapes cannot be multiplied"),
        (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.LazyLinear(2)), "cannot take inputs of shape (2, 6)"),
        (lambda: nn.Linear(6, 2).double(), "same dtype"),
        (lambda: 1 / 0, "the model cannot be made: division by zero"),
        (lambda: 3, "make_model gives int"),
        ("mlp", "not callable"),
    ],
    ids=[
        "raises",
        "nan",
        "tuple",
        "dict",
        "none",
        "number",
        "rows",
        "inputs",
        "shape",
        "lazy",
        "double",
        "zero",
        "int",
        "name",
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_in_a_line(make: Any, said: str) -> None:
    with pytest.raises(ModelError) as refused:
        diagnosed(make)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (X, Y[:100], "targets of shape (100,)"),
        (X, np.array(["a"] * 120), "cannot be made into tensors"),
        (X[:1], Y[:1], "needs two rows or more"),
        (X[:3], Y[:3], "data has 3 rows; 10 are needed"),
        (X[:, 0], Y, "inputs of shape (120,)"),
    ],
    ids=["rows", "words", "one", "few", "flat"],
)
def test_data_that_cannot_be_used_are_refused_in_a_line(x: Any, y: Any, said: str) -> None:
    with pytest.raises(DataError) as refused:
        diagnosed(lambda: nn.Linear(6, 2), x, y)
    assert said in str(refused.value)


def test_validation_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"validation inputs have shape \(5,\)"):
        ravine.diagnose(
            lambda: nn.Linear(6, 2), (X, Y), loss="cross_entropy", rule="adam", lr=1e-2, batch_size=32, epochs=2,
            validation=(X[:, :5], Y),
        )  # fmt: skip


def test_a_loss_that_raises_is_told_in_its_own_words() -> None:
    def loss(_out: Tensor, _y: Tensor) -> Tensor:
        raise LookupError("no weight for class 1")

    with pytest.raises(ModelError, match="no weight for class 1"):
        diagnosed(lambda: nn.Linear(6, 2), loss=loss)


def test_a_finding_is_better_than_a_refusal() -> None:
    """Where a check knows what is wrong with a model that cannot be trained, it says so."""
    found = diagnosed(lambda: nn.Linear(6, 2), y=torch.where(Y == 1, 7, 0))
    assert found[0].alarm


def test_lazy_layers_are_filled_by_the_first_rows() -> None:
    found = diagnosed(lambda: nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(2)))
    assert not any(finding.fault in ("wrong-output-size", "frozen-parameters") for finding in found)
