"""An ensemble answers with the mean of its members' probabilities, or of their predictions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ravine.errors import ModelError
from ravine.training import Ensemble, averaged
from ravine.types import Task


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
    with pytest.raises(ModelError, match="at least one model"):
        averaged([], "regression")


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_weight_of_three_is_the_member_three_times(task: Task, average: str) -> None:
    first, second, x = nn.Linear(4, 3).double(), nn.Linear(4, 3).double(), torch.randn(7, 4).double()
    weighted = Ensemble([first, second], task, weights=[1, 3], average=average)(x)  # type: ignore[arg-type]
    repeated = Ensemble([first, second, second, second], task, average=average)(x)  # type: ignore[arg-type]
    torch.testing.assert_close(weighted, repeated)  # float64: 1e-7


def test_only_the_ratio_of_weights_counts() -> None:
    outputs = torch.randn(3, 5, 4, dtype=torch.float64)
    one = averaged(outputs, "classification", weights=[0.1, 0.2, 0.3])
    torch.testing.assert_close(averaged(list(outputs), "classification", weights=[10, 20, 30]), one)
    torch.testing.assert_close(one.exp().sum(-1), torch.ones(5, dtype=torch.float64))


def test_the_average_of_logits_is_the_geometric_mean_of_the_probabilities() -> None:
    outputs = 3 * torch.randn(3, 5, 4, dtype=torch.float64)
    shares = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    product = outputs.softmax(-1).pow(shares[:, None, None]).prod(0)
    out = averaged(outputs, "classification", weights=shares.tolist(), average="logits")
    torch.testing.assert_close(out.exp(), product / product.sum(-1, keepdim=True))
    plain = outputs.softmax(-1).prod(0).pow(1 / 3)
    equal = averaged(outputs, "classification", average="logits")
    torch.testing.assert_close(equal.exp(), plain / plain.sum(-1, keepdim=True))


def test_weights_keep_the_dtype() -> None:
    outputs = [torch.randn(2, 3), torch.randn(2, 3)]
    for task in ("classification", "regression"):
        assert averaged(outputs, task, weights=[1, 2]).dtype == torch.float32  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([1.0], "1 weights were given for 2 models"),
        ([1.0, 0.0], "positive"),
        ([1.0, -2.0], "positive"),
        ([1.0, float("nan")], "positive and finite"),
        ([], "0 weights"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: list[float], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Ensemble([nn.Linear(1, 1), nn.Linear(1, 1)], "regression", weights=weights)


def test_members_of_other_classes_are_refused_in_one_line() -> None:
    ensemble = Ensemble([nn.Linear(4, 3), nn.Linear(4, 2)], "classification")
    with pytest.raises(ModelError, match=r"different shapes, \[6, 2\] and \[6, 3\]") as error:
        ensemble(torch.zeros(6, 4))
    assert "\n" not in str(error.value)


def test_an_average_that_is_not_known_is_refused() -> None:
    with pytest.raises(ModelError, match="did you mean logits"):
        Ensemble([nn.Linear(1, 1)], "regression", average="logit")  # type: ignore[arg-type]


def test_weights_do_not_enter_the_state() -> None:
    def names(weights: list[float] | None) -> list[str]:
        return list(Ensemble([nn.Linear(1, 1)], "regression", weights=weights).state_dict())

    assert names([2.0]) == names(None)


def test_gradients_reach_every_member() -> None:
    members = [nn.Linear(2, 3) for _ in range(2)]
    loss: Tensor = Ensemble(members, "classification", weights=[1, 2])(torch.randn(4, 2))[:, 0].sum()
    loss.backward()
    assert all(float(member.weight.grad.abs().sum()) > 0 for member in members if member.weight.grad is not None)
    assert all(member.weight.grad is not None for member in members)
