"""LAMB: a step worked by hand, and when the trust ratio is 1."""

from __future__ import annotations

import math

import pytest
import torch

from ravine.rules.lamb import LAMB


def test_the_second_step_by_hand() -> None:
    rule = LAMB(beta1=0.5, beta2=0.75, eps=0.5, weight_decay=0.25)
    param = torch.tensor([3.0, 4.0], dtype=torch.float64)
    first, second = torch.tensor([[2.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    param, state = rule.update(param, first, rule.init(param), lr=0.1, step=1)
    moved, state = rule.update(param, second, state, lr=0.1, step=2)
    means = [0.5 * 0.5 * 2 - 0.5 * 1, 0.5 * 1]
    squares = [0.75 * 0.25 * 4 + 0.25 * 1, 0.25 * 1]
    assert (state.mean.tolist(), state.square.tolist()) == (means, squares)
    direction = [
        mean / 0.75 / (math.sqrt(square / (1 - 0.75**2)) + 0.5) + 0.25 * weight
        for mean, square, weight in zip(means, squares, param.tolist(), strict=True)
    ]
    trust = math.hypot(*param.tolist()) / math.hypot(*direction)
    expected = [weight - 0.1 * trust * each for weight, each in zip(param.tolist(), direction, strict=True)]
    assert moved.tolist() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_step_is_lr_times_the_length_of_the_whole_parameter(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    param, grad = scale * torch.randn(2, 4, 5, generator=generator, dtype=torch.float64)
    moved, _ = LAMB().update(param, grad, LAMB().init(param), lr=0.1, step=1)
    assert (moved - param).norm().item() == pytest.approx(0.1 * param.norm().item(), rel=1e-12)


def test_a_parameter_of_zeros_takes_adams_step() -> None:
    moved, _ = LAMB(eps=0.0).update(
        torch.zeros(2), torch.tensor([5.0, -5.0]), LAMB().init(torch.zeros(2)), lr=0.5, step=1
    )
    assert moved.tolist() == [-0.5, 0.5]


def test_without_gradient_and_decay_nothing_moves() -> None:
    param, rule = torch.tensor([3.0, 4.0]), LAMB(weight_decay=0.0)
    moved, _ = rule.update(param, torch.zeros(2), rule.init(param), lr=0.5, step=1)
    assert torch.equal(moved, param)


def test_a_nan_gradient_shows() -> None:
    param = torch.ones(2)
    moved, _ = LAMB().update(param, torch.tensor([torch.nan, 1.0]), LAMB().init(param), lr=0.5, step=1)
    assert moved.isnan().all(), "the norm is everyone's"
