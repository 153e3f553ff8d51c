"""Step 1: log C for a classifier, the variance for a regressor, and what is said when it is not so."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ravine.data import Data
from ravine.models.mlp import mlp
from ravine.recipe.initial_loss import initial_loss, judge
from ravine.recipe.session import Session

Sit = Callable[..., Session]


class Logarithm(nn.Module):
    """NaN for every input."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(features, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(-1 - self.layer(x).square())


def loud(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A network whose last layer starts a hundred times too large."""
    module = mlp(input_shape, outputs, hidden=(16,))
    with torch.no_grad():
        nn.init.normal_(list(module.parameters())[-2], std=100 * 0.25)  # 16 inputs: 1 / sqrt(16) would keep the scale
    return module


def test_a_good_classifier_starts_at_log_c(three_classes: Data, sit: Sit) -> None:
    verdict = initial_loss(sit(three_classes))
    assert verdict.status == "pass"
    assert verdict.evidence["expected"] == pytest.approx(math.log(3))
    assert verdict.evidence["mean"] == pytest.approx(math.log(3), abs=0.1)
    assert len(verdict.evidence["losses"]) == 8
    assert len(set(verdict.evidence["losses"])) > 1  # several initializations, not one eight times
    assert "log 3" in verdict.summary
    assert verdict.advice == ()


def test_a_good_regressor_starts_at_the_variance_of_the_target(numbers: Data, sit: Sit) -> None:
    verdict = initial_loss(sit(numbers))
    assert verdict.status == "pass"
    assert verdict.evidence["expected"] == pytest.approx(float(numbers.train.y.var(correction=0)))
    assert "variance" in verdict.summary


def test_a_last_layer_that_starts_too_large_fails_and_is_named(three_classes: Data, sit: Sit) -> None:
    verdict = initial_loss(sit(three_classes, loud))
    assert verdict.status == "fail"
    assert "last layer smaller" in verdict.advice[0]


def test_outputs_that_are_not_finite_fail(three_classes: Data, sit: Sit) -> None:
    verdict = initial_loss(sit(three_classes, lambda shape, outputs: Logarithm(shape[0], outputs)))
    assert verdict.status == "fail"
    assert verdict.summary == "The loss is not finite in 8 of 8 initializations."
    assert "logarithm" in verdict.advice[0]


def test_one_initialization_that_is_not_finite_fails_all() -> None:
    verdict = judge([1.1, 1.1, math.inf], math.log(3), classes=True)
    assert verdict.status == "fail"
    assert "1 of 3" in verdict.summary
    assert verdict.evidence["mean"] == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("losses", "status"),
    [([1.0, 1.0], "pass"), ([1.09, 1.09], "pass"), ([1.11, 1.11], "warn"), ([2.9, 2.9], "warn"), ([3.1, 3.1], "fail")],
)
def test_a_tenth_of_log_c_is_tolerated_and_three_times_fails(losses: list[float], status: str) -> None:
    assert judge(losses, 1.0, classes=True).status == status


def test_initializations_that_disagree_widen_the_tolerance() -> None:
    assert judge([1.2, 1.2, 1.2], 1.0, classes=True).status == "warn"
    wide = judge([1.0, 1.2, 1.4], 1.0, classes=True)  # the same mean
    assert wide.status == "pass"
    assert wide.evidence["tolerance"] == pytest.approx(3 * 0.2 / math.sqrt(3) + 0.1)


def test_an_untrained_model_that_knows_too_much_is_told_where_to_look() -> None:
    verdict = judge([0.1, 0.1], math.log(10), classes=True)
    assert verdict.status == "warn"
    assert "target among the inputs" in verdict.advice[0]
