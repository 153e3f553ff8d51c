"""RMSprop: a step worked by hand in each structure, and a variance that rounding makes negative."""

from __future__ import annotations

import pytest
import torch

from ravine.rules import RMSprop

PARAM, GRAD = torch.tensor([1.0], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64)


def test_the_plain_step_by_hand() -> None:
    rule = RMSprop(alpha=0.75, eps=0.5)
    param, state = rule.update(PARAM, GRAD, rule.init(PARAM), lr=0.1, step=1)
    assert state.square.item() == 1.0
    assert (state.mean, state.velocity) == (None, None)
    assert param.item() == pytest.approx(1 - 0.1 * 2 / (1 + 0.5), rel=1e-14)


def test_the_centered_step_with_momentum_by_hand() -> None:
    rule = RMSprop(alpha=0.75, eps=0.5, centered=True, momentum=0.5)
    state = rule.init(PARAM)
    param, state = rule.update(PARAM, GRAD, state, lr=0.1, step=1)
    first = 2 / ((1 - 0.25) ** 0.5 + 0.5)
    assert state.mean.item() == 0.5
    assert state.velocity.item() == pytest.approx(first, rel=1e-14)
    param, state = rule.update(param, GRAD, state, lr=0.1, step=2)
    mean, square = 0.75 * 0.5 + 0.25 * 2, 0.75 * 1 + 0.25 * 4
    second = 0.5 * first + 2 / ((square - mean**2) ** 0.5 + 0.5)
    assert param.item() == pytest.approx(1 - 0.1 * (first + second), rel=1e-14)


def test_a_variance_below_zero_by_rounding_counts_as_zero() -> None:
    """A steady gradient has no variance; in float32 the difference of its two means is now and then negative."""
    rule = RMSprop(alpha=0.5, centered=True)
    grad = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    param, state = torch.zeros(1000), rule.init(torch.zeros(1000))
    negative = False
    for step in range(1, 100):
        param, state = rule.update(param, grad, state, lr=1e-9, step=step)
        negative |= bool((state.square - state.mean * state.mean < 0).any())
    assert negative, "this test met no such variance"
    assert param.isfinite().all()
