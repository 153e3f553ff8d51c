"""Lion: steps worked by hand, the sign of what has none, and whose beta does what."""

from __future__ import annotations

import pytest
import torch

from ravine.rules.lion import Lion


def test_the_first_two_steps_by_hand() -> None:
    rule = Lion(beta1=0.5, beta2=0.75, weight_decay=0.5)
    param = torch.tensor([4.0], dtype=torch.float64)
    param, state = rule.update(param, torch.tensor([8.0], dtype=torch.float64), rule.init(param), lr=0.1, step=1)
    assert state.mean.item() == 0.25 * 8
    assert param.item() == pytest.approx(4 * (1 - 0.1 * 0.5) - 0.1, rel=1e-14)
    before = param.item()
    param, state = rule.update(param, torch.tensor([-4.0], dtype=torch.float64), state, lr=0.1, step=2)
    assert state.mean.item() == 0.75 * 2 - 0.25 * 4
    assert param.item() == pytest.approx(before * (1 - 0.1 * 0.5) + 0.1, rel=1e-14), "0.5 * 2 - 0.5 * 4 is negative"


def test_every_coordinate_moves_by_lr_whatever_its_gradients_scale() -> None:
    grad = torch.tensor([1e-20, 1.0, -1e20, torch.inf])
    moved, _ = Lion().update(torch.zeros(4), grad, Lion().init(grad), lr=0.5, step=1)
    assert moved.tolist() == [-0.5, -0.5, 0.5, -0.5]


def test_a_coordinate_without_any_gradient_stands_still() -> None:
    param = torch.tensor([3.0])
    moved, _ = Lion().update(param, torch.zeros(1), Lion().init(param), lr=0.5, step=1)
    assert moved.item() == 3.0


def test_a_nan_gradient_shows_in_its_own_coordinate_at_once() -> None:
    param, grad = torch.ones(2), torch.tensor([torch.nan, 1.0])
    moved, _ = Lion().update(param, grad, Lion().init(param), lr=0.5, step=1)
    assert moved.isnan().tolist() == [True, False]
