"""Adam: a step worked by hand, the bias correction's digits, amsgrad's maximum."""

from __future__ import annotations

import math

import pytest
import torch

from ravine.rules import Adam, AdamState
from ravine.rules.rule import narrow


def test_the_first_two_steps_by_hand() -> None:
    rule = Adam(beta1=0.5, beta2=0.75, eps=0.5)
    param = torch.tensor([1.0], dtype=torch.float64)
    param, state = rule.update(param, torch.tensor([2.0], dtype=torch.float64), rule.init(param), lr=0.1, step=1)
    assert (state.mean.item(), state.square.item()) == (1.0, 1.0)
    assert param.item() == pytest.approx(1 - 0.1 * (1 / 0.5) / (math.sqrt(1 / 0.25) + 0.5), rel=1e-14)
    before = param.item()
    param, state = rule.update(param, torch.tensor([-1.0], dtype=torch.float64), state, lr=0.1, step=2)
    mean, square = 0.5 * 1 + 0.5 * -1, 0.75 * 1 + 0.25 * 1
    assert (state.mean.item(), state.square.item()) == (mean, square)
    step = 0.1 * (mean / 0.75) / (math.sqrt(square / (1 - 0.75**2)) + 0.5)
    assert param.item() == pytest.approx(before - step, rel=1e-14)


def test_weight_decay_passes_through_the_moments() -> None:
    rule = Adam(beta1=0.5, weight_decay=0.25)
    param = torch.tensor([4.0])
    _, state = rule.update(param, torch.tensor([1.0]), rule.init(param), lr=0.1, step=1)
    assert state.mean.item() == 0.5 * (1 + 0.25 * 4)


def test_the_size_of_the_first_step_is_lr_whatever_the_gradients_scale() -> None:
    param = torch.zeros(3, dtype=torch.float64)
    grad = torch.tensor([1e-3, 1.0, -1e6], dtype=torch.float64)
    moved, _ = Adam(eps=0.0).update(param, grad, Adam().init(param), lr=0.1, step=1)
    torch.testing.assert_close(moved, torch.tensor([-0.1, -0.1, 0.1], dtype=torch.float64), rtol=1e-12, atol=0)


# In float32, 1 - 0.999 is off by 2e-5 relative; worked out in float64 and rounded once, by 6e-8 at most.
def test_the_bias_correction_of_float32_trials_is_right_to_1e_7_at_the_first_step() -> None:
    betas = torch.tensor([[0.9], [0.999], [0.9999]], dtype=torch.float64)
    by = narrow(Adam(beta2=betas).coefficients(0.1, 1), torch.zeros(3, 2))
    exact = torch.tensor([[0.1], [0.001], [0.0001]], dtype=torch.float64)
    assert by.take2.dtype == by.rate.dtype == by.eps.dtype == torch.float32
    torch.testing.assert_close(by.take2.double(), exact, rtol=1e-7, atol=0)
    torch.testing.assert_close(by.rate.double(), exact.sqrt(), rtol=1e-7, atol=0)  # lr / (1 - beta1) is 1 here
    torch.testing.assert_close(by.eps.double(), 1e-8 * exact.sqrt(), rtol=1e-7, atol=0)


def test_the_bias_correction_fades_over_many_steps() -> None:
    by = Adam().coefficients(0.1, 100_000)
    assert by.rate == pytest.approx(0.1, rel=1e-12)
    assert by.eps == pytest.approx(1e-8, rel=1e-12)


def test_amsgrad_divides_by_the_largest_square_so_far() -> None:
    rule = Adam(beta1=0.0, beta2=0.5, eps=0.0, amsgrad=True)
    param = torch.zeros(1, dtype=torch.float64)
    one, four = torch.ones(1, dtype=torch.float64), torch.full((1,), 4.0, dtype=torch.float64)
    param, state = rule.update(param, four, rule.init(param), lr=1.0, step=1)
    assert (state.square.item(), state.largest.item()) == (8.0, 8.0)
    before = param.item()
    param, state = rule.update(param, one, state, lr=1.0, step=2)
    assert (state.square.item(), state.largest.item()) == (4.5, 8.0)
    assert param.item() == pytest.approx(before - 1 / math.sqrt(8 / 0.75), rel=1e-14)


def test_only_amsgrad_pays_for_a_third_tensor() -> None:
    param = torch.zeros(2)
    assert Adam().init(param).largest is None
    assert Adam(amsgrad=True).init(param).largest.tolist() == [0.0, 0.0]
    assert AdamState(param, param).largest is None
