"""AdamW: decay acts on the weight alone, times lr, and leaves the moments as they are."""

from __future__ import annotations

import pytest
import torch

from ravine.rules import Adam, AdamW


def test_a_step_by_hand() -> None:
    rule = AdamW(beta1=0.5, beta2=0.75, eps=0.5, weight_decay=0.25)
    param = torch.tensor([4.0], dtype=torch.float64)
    param, state = rule.update(param, torch.tensor([2.0], dtype=torch.float64), rule.init(param), lr=0.1, step=1)
    assert (state.mean.item(), state.square.item()) == (1.0, 1.0), "decay must not reach the moments"
    assert param.item() == pytest.approx(4 * (1 - 0.1 * 0.25) - 0.1 * 2 / (2 + 0.5), rel=1e-14)


def test_a_weight_without_gradient_loses_lr_times_decay_of_itself() -> None:
    rule, param = AdamW(weight_decay=0.5), torch.tensor([1.0, -2.0])
    shrunk, _ = rule.update(param, torch.zeros(2), rule.init(param), lr=0.5, step=1)
    assert shrunk.tolist() == [0.75, -1.5]


def test_without_decay_it_is_adam_to_the_bit() -> None:
    param, grad = torch.tensor([1.0, -2.0]), torch.tensor([0.3, 0.7])
    results = [rule.update(param, grad, rule.init(param), lr=0.1, step=1) for rule in (Adam(), AdamW(weight_decay=0.0))]
    assert torch.equal(results[0][0], results[1][0])


def test_each_trial_decays_by_its_own_rate_times_its_own_decay() -> None:
    rule = AdamW(weight_decay=torch.tensor([[0.0], [0.5]], dtype=torch.float64))
    param, rates = torch.ones(2, 1), torch.tensor([[0.5], [0.25]], dtype=torch.float64)
    shrunk, _ = rule.update(param, torch.zeros(2, 1), rule.init(param), lr=rates, step=1)
    assert shrunk.flatten().tolist() == [1.0, 1 - 0.25 * 0.5]


def test_its_default_decay_is_not_adams() -> None:
    assert AdamW().weight_decay == 0.01
    assert Adam().weight_decay == 0.0
