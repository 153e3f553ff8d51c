"""A differentiable function as an objective: its gradients and Hessians, problem by problem."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.method import check_size, differentiated


def function(x: Tensor) -> Tensor:
    return (x[:, 0] ** 3 * x[:, 1]) + torch.sin(x[:, 2])


def test_gradients_and_hessians_are_the_functions() -> None:
    x = torch.tensor([[1.0, 2.0, 0.5], [-1.0, 3.0, 2.0]], dtype=torch.float64)
    a, b, c = x.unbind(1)
    zero = torch.zeros_like(a)
    objective = differentiated(function)
    loss, grad = objective.evaluate(x)
    torch.testing.assert_close(loss, a**3 * b + torch.sin(c))
    torch.testing.assert_close(grad, torch.stack([3 * a**2 * b, a**3, torch.cos(c)], 1))
    expected = torch.stack([6 * a * b, 3 * a**2, zero, 3 * a**2, zero, zero, zero, zero, -torch.sin(c)], 1)
    assert objective.hessian is not None
    torch.testing.assert_close(objective.hessian(x), expected.view(2, 3, 3))


def test_nothing_of_the_graph_is_left_and_no_grad_does_not_matter() -> None:
    x = torch.ones(1, 3, requires_grad=True)
    with torch.no_grad():
        loss, grad = differentiated(function).evaluate(x)
    assert not loss.requires_grad
    assert not grad.requires_grad
    assert x.grad is None


def test_a_loss_that_is_not_one_per_problem_is_refused() -> None:
    with pytest.raises(SettingError, match=r"shape \[\] for places of shape \[2, 3\]"):
        differentiated(lambda x: x.sum()).evaluate(torch.ones(2, 3))


def test_the_memory_named_is_that_of_all_problems() -> None:
    check_size("Newton", "the Hessian", torch.empty(7, 100, device="meta"), 100)
    with pytest.raises(SettingError, match=r"1,000 x 1,000 numbers \(0.04 GB\).*max_size=1000"):
        check_size("Newton", "the Hessian", torch.empty(10, 1000, device="meta"), 999)
