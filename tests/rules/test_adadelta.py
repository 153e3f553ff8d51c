"""Adadelta: steps worked by hand, and the units of a step."""

from __future__ import annotations

import pytest
import torch

from ravine.rules import Adadelta


def test_the_first_two_steps_by_hand() -> None:
    rule = Adadelta(rho=0.75, eps=0.5)
    param = torch.tensor([1.0], dtype=torch.float64)
    grad = torch.tensor([2.0], dtype=torch.float64)
    param, state = rule.update(param, grad, rule.init(param), lr=0.1, step=1)
    first = 0.5**0.5 / 1.5**0.5 * 2
    assert state.square.item() == 1.0
    assert state.step_square.item() == pytest.approx(0.25 * first**2, rel=1e-14)
    assert param.item() == pytest.approx(1 - 0.1 * first, rel=1e-14)
    param, state = rule.update(param, grad, state, lr=0.1, step=2)
    second = (0.25 * first**2 + 0.5) ** 0.5 / (0.75 + 1 + 0.5) ** 0.5 * 2
    assert param.item() == pytest.approx(1 - 0.1 * (first + second), rel=1e-14)


def test_the_scale_of_the_gradients_does_not_matter() -> None:
    """With an eps that neither meets: the step has the units of the parameter."""
    ends = []
    for scale in (1.0, 1e6):
        rule, param = Adadelta(eps=1e-30), torch.zeros(3, dtype=torch.float64)
        state = rule.init(param)
        for step in range(1, 20):
            grad = scale * torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) * step
            param, state = rule.update(param, grad, state, lr=1.0, step=step)
        ends.append(param)
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-9, atol=0)
