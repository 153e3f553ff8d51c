"""Adamax: steps worked by hand, and their bound."""

from __future__ import annotations

import pytest
import torch

from ravine.rules import Adamax


def test_the_first_two_steps_by_hand() -> None:
    rule = Adamax(beta1=0.5, beta2=0.75, eps=0.5)
    param = torch.tensor([1.0], dtype=torch.float64)
    param, state = rule.update(param, torch.tensor([2.0], dtype=torch.float64), rule.init(param), lr=0.1, step=1)
    assert (state.mean.item(), state.largest.item()) == (1.0, 2.5)
    assert param.item() == pytest.approx(1 - 0.1 / 0.5 * 1 / 2.5, rel=1e-14)
    before = param.item()
    param, state = rule.update(param, torch.tensor([-1.0], dtype=torch.float64), state, lr=0.1, step=2)
    assert (state.mean.item(), state.largest.item()) == (0.0, 0.75 * 2.5)
    assert param.item() == before


def test_no_step_is_longer_than_lr_on_growing_or_steady_gradients() -> None:
    rule, param = Adamax(eps=0.0), torch.zeros(1, dtype=torch.float64)
    state = rule.init(param)
    for step in range(1, 200):
        before = param
        grad = torch.tensor([1.0 + 10 * (step > 100)], dtype=torch.float64)
        param, state = rule.update(param, grad, state, lr=0.1, step=step)
        assert (before - param).abs().item() <= 0.1 * (1 + 1e-12)
