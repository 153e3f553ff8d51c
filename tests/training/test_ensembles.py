"""An ensemble answers with the mean of its members' probabilities, or of their predictions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine.errors import ModelError
from ravine.training import Ensemble


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_softmax_of_the_answer_is_the_mean_of_the_probabilities(size: int, dtype: torch.dtype) -> None:
    members, x = [nn.Linear(4, 3).to(dtype) for _ in range(size)], 5 * torch.randn(9, 4, dtype=dtype)
    out = Ensemble(members, "classification")(x)
    mean = torch.stack([member(x).softmax(-1) for member in members]).mean(0)
    limit = 4 * torch.finfo(dtype).eps * 10  # a few roundings of logarithms near 10
    torch.testing.assert_close(out.exp(), mean, rtol=limit, atol=limit)
    torch.testing.assert_close(out.softmax(-1), mean, rtol=limit, atol=limit)
    assert out.dtype == dtype


def test_members_that_are_certain_and_disagree_stay_finite() -> None:
    members = [nn.Linear(1, 2) for _ in range(2)]
    for member, bias in zip(members, ([1e4, 0.0], [0.0, 1e4]), strict=True):
        nn.init.zeros_(member.weight)
        member.bias.data = torch.tensor(bias)
    out = Ensemble(members, "classification")(torch.zeros(1, 1))
    torch.testing.assert_close(out.exp(), torch.tensor([[0.5, 0.5]]))


def test_numbers_are_averaged() -> None:
    members, x = [nn.Linear(4, 1) for _ in range(3)], torch.randn(6, 4)
    out = Ensemble(members, "regression")(x)
    torch.testing.assert_close(out, torch.stack([member(x) for member in members]).mean(0))
    assert len(Ensemble(members, "regression")) == 3


def test_no_members_are_refused() -> None:
    with pytest.raises(ModelError, match="at least one model"):
        Ensemble([], "regression")
