"""NAdam: a step worked by hand, and the product of its momenta worked out from the step."""

from __future__ import annotations

import math

import pytest
import torch

from ravine.rules import NAdam


def test_the_first_step_by_hand() -> None:
    rule = NAdam(beta1=0.5, beta2=0.75, eps=0.5, momentum_decay=0.0)  # every mu is 0.25
    param = torch.tensor([1.0], dtype=torch.float64)
    param, state = rule.update(param, torch.tensor([2.0], dtype=torch.float64), rule.init(param), lr=0.1, step=1)
    assert (state.mean.item(), state.square.item()) == (1.0, 1.0)
    step = (1 - 0.25) / (1 - 0.25) * 2 + 0.25 / (1 - 0.25**2) * 1
    assert param.item() == pytest.approx(1 - 0.1 * step / (math.sqrt(1 / 0.25) + 0.5), rel=1e-14)


@pytest.mark.parametrize("beta1", [0.0, 0.5, 0.9, 0.999])
def test_the_product_is_that_of_all_momenta_so_far(beta1: float) -> None:
    rule, product = NAdam(beta1=beta1, momentum_decay=0.01), 1.0
    for step in range(1, 2001):
        product *= rule.momentum_at(step)
        if step in (1, 2, 10, 400, 2000):
            assert 1 - rule.momentum_product(step) == pytest.approx(1 - product, rel=1e-12)


def test_the_product_is_worked_out_for_each_trial() -> None:
    betas = torch.tensor([[0.5], [0.9], [0.99]], dtype=torch.float64)
    found = NAdam(beta1=betas).momentum_product(30)
    assert found.shape == (3, 1)
    alone = [NAdam(beta1=beta).momentum_product(30) for beta in (0.5, 0.9, 0.99)]
    assert found.flatten().tolist() == pytest.approx(alone, rel=1e-13)


def test_a_product_too_small_to_matter_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "arange", None)
    assert NAdam().momentum_product(10**9) == 0
