"""Losses and metrics against scikit-learn; which of two results is better.

Letters in shapes: K trials, N examples, C classes.
"""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score

from ravine.training import LOSSES, headline, losses_of, measure, rank
from ravine.training.objective import probabilities

K, N, C = 3, 40, 4


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def test_accuracy_and_nll_are_scikit_learns() -> None:
    outputs, y = draw(K, N, C), torch.arange(N) % C
    for k, found in enumerate(measure("classification", outputs, y)):
        assert set(found) == {"accuracy", "nll"}
        assert found["accuracy"] == pytest.approx(accuracy_score(y, outputs[k].argmax(1)), rel=1e-6)
        shares = probabilities("classification", outputs[k])
        assert found["nll"] == pytest.approx(log_loss(y, shares, labels=range(C)), rel=1e-9)


@pytest.mark.parametrize("shape", [(K, N), (K, N, 1)])
def test_rmse_and_r2_are_scikit_learns_in_units_of_the_target(shape: tuple[int, ...]) -> None:
    outputs, y, scale, offset = draw(*shape), torch.linspace(-1, 2, N, dtype=torch.float64), 12.5, 40.0
    for k, found in enumerate(measure("regression", outputs, y, scale=scale)):
        truth, guess = y * scale + offset, outputs[k].flatten() * scale + offset
        assert found["rmse"] == pytest.approx(math.sqrt(mean_squared_error(truth, guess)), rel=1e-9)
        assert found["r2"] == pytest.approx(r2_score(truth, guess), rel=1e-9)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_loss_of_a_split_is_the_training_loss_of_each_trial(task: str) -> None:
    outputs = draw(K, N, C if task == "classification" else 1)
    y = torch.arange(N) % C if task == "classification" else draw(N)
    wanted = torch.stack([LOSSES[task](one, y) for one in outputs])
    torch.testing.assert_close(losses_of(task, outputs, y), wanted)


def test_r2_of_a_target_without_spread_is_unknown() -> None:
    found = measure("regression", draw(1, N), torch.ones(N))[0]
    assert math.isnan(found["r2"])
    assert math.isfinite(found["rmse"])


def test_the_headline_is_a_metric_that_is_measured() -> None:
    assert (headline("classification"), headline("regression")) == ("accuracy", "r2")


def test_accuracy_ranks_first_then_likelihood_and_errors_rank_downwards() -> None:
    good, sure, bad = ({"accuracy": a, "nll": n} for a, n in ((0.9, 0.5), (0.9, 0.4), (0.8, 0.1)))
    assert rank(sure) > rank(good) > rank(bad)
    assert rank({"rmse": 1.0, "r2": 0.9}) > rank({"rmse": 2.0, "r2": 0.1})


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_result_that_is_not_finite_comes_last(broken: float) -> None:
    assert rank({"accuracy": 1.0, "nll": broken}) < rank({"accuracy": 0.0, "nll": 1e9})
    assert rank({"rmse": broken, "r2": 0.9}) < rank({"rmse": 1e9, "r2": -1e9})


def test_predictions_are_averaged_as_they_are() -> None:
    assert torch.equal(probabilities("regression", torch.ones(3)), torch.ones(3))
