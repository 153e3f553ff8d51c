"""LBFGS against torch.optim.LBFGS: the same path, and saved states that go on in either direction.

A tiny network on full batches in float64. Tolerance 1e-10: the same operations in another order, over steps few
enough for their roundings not to have grown beyond it (a quasi-Newton path multiplies them by about 10 per step).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine.engines.second_order import LBFGS

Optimizer = Any


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network() -> list[nn.Parameter]:
    return [nn.Parameter(0.5 * draw(4, 6, seed=1)), nn.Parameter(draw(6, seed=2)), nn.Parameter(draw(6, 2, seed=3))]


def closure_of(params: list[nn.Parameter], optimizer: Optimizer) -> Callable[[], Tensor]:
    inputs, targets = draw(30, 4, seed=4), draw(30, 2, seed=5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        first, bias, second = params
        loss = (torch.tanh(inputs @ first + bias) @ second - targets).square().mean()
        loss.backward()
        return loss

    return closure


def run(optimizer: Optimizer, params: list[nn.Parameter], steps: int) -> Tensor:
    """Where all parameters are after these steps, [d]."""
    for _ in range(steps):
        optimizer.step(closure_of(params, optimizer))
    return torch.cat([param.detach().flatten() for param in params])


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("lr", [1.0, 0.3])
@pytest.mark.parametrize("history_size", [3, 100])
def test_with_fixed_steps_it_walks_torchs_path_and_keeps_torchs_state(lr: float, history_size: int) -> None:
    settings: dict[str, Any] = {"lr": lr, "line_search_fn": None, "history_size": history_size, "max_iter": 7}
    ours, theirs = network(), network()
    mine, twin = LBFGS(ours, **settings), torch.optim.LBFGS(theirs, **settings)
    for _ in range(3):
        assert_same(run(mine, ours, 1), run(twin, theirs, 1))
    held, torchs = mine.state_dict()["state"][0], twin.state_dict()["state"][0]
    assert held.keys() == torchs.keys()
    for key in ("func_evals", "n_iter"):
        assert held[key] == torchs[key]
    for key in ("d", "prev_flat_grad", "H_diag", "t", "prev_loss", "old_dirs", "old_stps", "ro"):
        torch.testing.assert_close(held[key], torchs[key], rtol=1e-7, atol=1e-9, check_dtype=False)
    assert len(held["al"]) == len(torchs["al"])


@pytest.mark.parametrize("first", [LBFGS, torch.optim.LBFGS])
def test_a_state_saved_by_either_goes_on_in_the_other_to_the_same_numbers(first: Any) -> None:
    settings: dict[str, Any] = {"line_search_fn": None, "max_iter": 6, "history_size": 5, "lr": 0.5}
    straight = network()
    expected = run(torch.optim.LBFGS(straight, **settings), straight, 3)
    second = torch.optim.LBFGS if first is LBFGS else LBFGS
    params = network()
    optimizer = first(params, **settings)
    run(optimizer, params, 2)
    other = second(params)  # its settings come with the state
    other.load_state_dict(optimizer.state_dict())
    assert_same(run(other, params, 1), expected)


def test_with_fixed_steps_pairs_of_tiny_curvature_are_left_out_as_torch_leaves_them() -> None:
    ends = []
    for kind in (LBFGS, torch.optim.LBFGS):
        x = nn.Parameter(draw(4, seed=1))
        optimizer = kind([x], line_search_fn=None, tolerance_grad=0.0, tolerance_change=0.0)

        def closure(optimizer: Optimizer = optimizer, x: nn.Parameter = x) -> Tensor:
            optimizer.zero_grad()
            loss = 1e-6 * (torch.arange(1, 5) * x**2).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        ends.append(x.detach())
    assert_same(*ends)


def rosenbrocks_minimum(x: nn.Parameter, *optimizers: Optimizer) -> Tensor:
    """Where the optimizers end, each going on from the state of the one before."""
    for place, optimizer in enumerate(optimizers):
        if place:
            optimizer.load_state_dict(optimizers[place - 1].state_dict())

        def closure(optimizer: Optimizer = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
            loss.backward()
            return loss

        for _ in range(2 if place + 1 < len(optimizers) else 10):
            optimizer.step(closure)
    return x.detach()


@pytest.mark.parametrize(
    "kinds",
    [[LBFGS], [torch.optim.LBFGS], [LBFGS, torch.optim.LBFGS], [torch.optim.LBFGS, LBFGS]],
    ids=["ours", "torch's", "ours then torch's", "torch's then ours"],
)
def test_by_line_search_the_same_minimum_is_reached_whoever_begins(kinds: list[Any]) -> None:
    x = nn.Parameter(torch.tensor([-1.2, 1.0, -0.5, 2.0], dtype=torch.float64))
    end = rosenbrocks_minimum(x, *(kind([x], max_iter=10, line_search_fn="strong_wolfe") for kind in kinds))
    torch.testing.assert_close(end, torch.ones(4, dtype=torch.float64), rtol=1e-5, atol=1e-5)


def calls_in_one_step(kind: Any, **settings: Any) -> int:
    params = network()
    optimizer = kind(params, **settings)
    closure = closure_of(params, optimizer)
    calls = 0

    def counted() -> Tensor:
        nonlocal calls
        calls += 1
        return closure()

    optimizer.step(counted)
    return calls


@pytest.mark.parametrize("max_iter", [1, 2, 7, 20])
def test_with_fixed_steps_the_closure_is_called_as_often_as_by_torch(max_iter: int) -> None:
    settings: dict[str, Any] = {"max_iter": max_iter, "line_search_fn": None}
    assert calls_in_one_step(LBFGS, **settings) == calls_in_one_step(torch.optim.LBFGS, **settings) == max_iter


@pytest.mark.parametrize("max_eval", [1, 2, 3, 5])
def test_a_search_makes_no_call_beyond_max_eval(max_eval: int) -> None:
    """The complaint of pytorch's issue 91581: a search used to make 25 calls whatever max_eval was."""
    assert calls_in_one_step(LBFGS, lr=1e3, max_eval=max_eval) == max_eval
