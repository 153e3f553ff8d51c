"""Adagrad: steps worked by hand, and where eps and the initial value stand."""

from __future__ import annotations

import pytest
import torch

from ravine.rules import Adagrad


def test_the_first_two_steps_by_hand() -> None:
    rule = Adagrad(lr_decay=0.5, eps=0.5, initial_accumulator_value=3.0)
    param = torch.tensor([1.0], dtype=torch.float64)
    param, state = rule.update(param, torch.tensor([1.0], dtype=torch.float64), rule.init(param), lr=0.1, step=1)
    assert state.total.item() == 4.0
    assert param.item() == pytest.approx(1 - 0.1 * 1 / (2 + 0.5), rel=1e-14)
    before = param.item()
    param, state = rule.update(param, torch.tensor([-2.0], dtype=torch.float64), state, lr=0.1, step=2)
    assert state.total.item() == 8.0
    assert param.item() == pytest.approx(before + 0.1 / 1.5 * 2 / (8**0.5 + 0.5), rel=1e-14)


def test_the_rate_falls_as_one_over_the_root_of_the_step_on_a_steady_gradient() -> None:
    rule, param = Adagrad(eps=0.0), torch.zeros(1, dtype=torch.float64)
    state = rule.init(param)
    for step in range(1, 101):
        before = param
        param, state = rule.update(param, torch.full((1,), 7.0, dtype=torch.float64), state, lr=0.1, step=step)
        assert (before - param).item() == pytest.approx(0.1 / step**0.5, rel=1e-12)


def test_each_trial_may_begin_with_its_own_total_in_the_dtype_of_the_parameter() -> None:
    rule = Adagrad(initial_accumulator_value=torch.tensor([[0.0], [2.0]], dtype=torch.float64))
    total = rule.init(torch.zeros(2, 3)).total
    assert total.dtype == torch.float32
    assert total.tolist() == [[0.0] * 3, [2.0] * 3]
