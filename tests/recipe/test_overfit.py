"""Step 2: a good model learns a few batches by heart; of one that does not, the cause is named."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ravine.data import Data, MemorySplit
from ravine.models.mlp import mlp
from ravine.recipe import overfit as step
from ravine.recipe.overfit import overfit
from ravine.recipe.session import Session

Sit = Callable[..., Session]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hopeless model need not take 3,000 steps to be told so."""
    monkeypatch.setattr(step, "MOST_STEPS", 100)


class Own(nn.Module):
    """A linear layer, a bias beside it, and a forward of the test's."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.layer, self.bias = nn.Linear(input_shape[0], outputs), nn.Parameter(torch.zeros(outputs))


class Detached(Own):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).detach() + 0 * self.bias


class Deaf(Own):
    def forward(self, x: Tensor) -> Tensor:
        return self.bias + 0 * x.sum(1, keepdim=True)


class Lost(Own):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(-1 - self.layer(x).square())


def soft(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(input_shape[0], outputs), nn.Softmax(dim=-1))


def test_a_good_model_learns_five_batches_by_heart(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    verdict = overfit(session)
    assert verdict.status == "pass"
    e = verdict.evidence
    assert (e["samples"], e["batches"], e["goal"], e["metric"], e["cause"]) == (80, 5, 1.0, "accuracy", None)
    assert e["final_metric"][e["best"]] == 1.0
    assert e["reached_at_step"][e["best"]] == e["curve"]["step"][-1]
    assert e["curve"]["metric"][-1] == 1.0
    assert e["curve"]["loss"][-1] < e["curve"]["loss"][0]
    assert 0 < session.pace < 1  # the time a trial's step takes is known from here on


def test_a_good_regressor_reaches_an_r2_of_099(numbers: Data, sit: Sit) -> None:
    verdict = overfit(sit(numbers, mlp, hidden=(64,)))
    assert verdict.status == "pass"
    assert verdict.evidence["metric"] == "r2"
    assert max(verdict.evidence["final_metric"]) >= 0.99


def test_dropout_is_off_while_a_sample_is_learnt_by_heart(three_classes: Data, sit: Sit) -> None:
    assert overfit(sit(three_classes, mlp, hidden=(32,), dropout=0.9)).status == "pass"


@pytest.mark.parametrize(
    ("factory", "cause", "advice"),
    [
        (soft, "probabilities already", "softmax"),
        (Detached, "no gradient reaches the weights", "detach()"),
        (Deaf, "does not go down at any rate", "inputs are not all alike"),
        (Lost, "not finite at any rate", "log"),
        (lambda shape, outputs: nn.Linear(shape[0], outputs), "stops short", "wider network"),
    ],
    ids=["softmax", "detached", "deaf", "not finite", "too small"],
)
@pytest.mark.usefixtures("short")
def test_the_cause_of_a_failure_is_named(
    three_classes: Data, sit: Sit, factory: Callable[..., nn.Module], cause: str, advice: str
) -> None:
    verdict = overfit(sit(three_classes, factory))
    assert verdict.status in ("warn", "fail")
    assert cause in verdict.evidence["cause"]
    assert cause in verdict.summary
    assert advice in verdict.advice[0]


def test_examples_that_contradict_each_other_lower_the_goal_and_are_counted(three_classes: Data, sit: Sit) -> None:
    x, y = three_classes.train.batch(torch.arange(40))
    clashing = MemorySplit(torch.cat([x, x[:10]]), torch.cat([y, (y[:10] + 1) % 3]))
    verdict = overfit(sit(dataclasses.replace(three_classes, train=clashing), mlp, hidden=(64,)))
    assert verdict.status == "warn"
    assert verdict.evidence["goal"] == pytest.approx(40 / 50, abs=1e-5)
    assert verdict.evidence["cause"].startswith("20 of its examples have the same input")
    assert "by heart: 80.0 % accuracy" in verdict.summary


def test_numbers_that_contradict_each_other_lower_the_goal(numbers: Data, sit: Sit) -> None:
    x, y = numbers.train.batch(torch.arange(20))
    clashing = MemorySplit(torch.cat([x, x]), torch.cat([y, y + 1]))
    verdict = overfit(sit(dataclasses.replace(numbers, train=clashing), mlp, hidden=(64,)))
    both = torch.cat([y, y + 1])
    assert verdict.status == "warn"
    assert verdict.evidence["goal"] == pytest.approx(1 - 0.25 / float(both.var(correction=0)) - 0.01, abs=1e-4)


def test_without_time_the_verdict_says_that_it_is_unsure(three_classes: Data, sit: Sit) -> None:
    verdict = overfit(sit(three_classes), time.monotonic())
    assert verdict.status == "warn"
    assert "unsure" in verdict.summary
    assert not math.isnan(verdict.evidence["final_metric"][verdict.evidence["best"]])


def test_the_sample_is_of_the_training_split_and_the_same_for_a_seed(three_classes: Data, sit: Sit) -> None:
    first, again = (step._sample(sit(three_classes)).train for _ in range(2))
    assert isinstance(first, MemorySplit)
    assert isinstance(again, MemorySplit)
    assert torch.equal(first.x, again.x)
    x, _ = three_classes.train.batch(torch.arange(len(three_classes.train)))
    assert all(bool((row == x).all(1).any()) for row in first.x)
