"""What is special to LBFGS, BFGS and Newton as torch optimizers; what they share is in test_closure_face.py."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine.engines.second_order import BFGS, LBFGS, Newton
from ravine.errors import SettingError
from ravine.rules import lbfgs
from ravine.rules.minimize import minimize


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def start() -> nn.Parameter:
    return nn.Parameter(torch.tensor([-1.2, 1.0, -0.5], dtype=torch.float64))


def run(optimizer: Any, param: nn.Parameter, steps: int = 1, scale: float = 1.0) -> None:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = scale * rosenbrock(param)
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)


def test_lbfgs_has_torchs_arguments_and_defaults_but_for_the_line_search() -> None:
    ours, torchs = (inspect.signature(kind.__init__).parameters for kind in (LBFGS, torch.optim.LBFGS))
    assert list(ours)[: len(torchs)] == list(torchs)
    differing = {name for name in torchs if ours[name].default != torchs[name].default}
    assert differing == {"line_search_fn"}
    for max_iter, most in ((20, 25), (100, 125), (1, 10)):
        assert LBFGS([start()], max_iter=max_iter).defaults["max_eval"] == most


def test_one_long_step_is_what_minimize_does() -> None:
    param = start()
    run(LBFGS([param], max_iter=30, max_eval=1000, history_size=5, tolerance_change=0.0), param)
    bare = minimize(lbfgs.LBFGS(history_size=5), rosenbrock, start().detach(), max_iter=30, tolerance_grad=1e-7)
    assert torch.equal(param, bare.x)


@pytest.mark.parametrize("kind", [LBFGS, BFGS])
def test_the_memory_is_carried_from_one_step_to_the_next(kind: Any) -> None:
    """Ten steps of three iterations are thirty, but for the evaluation that each step begins with."""
    short, long = start(), start()
    run(kind([short], max_iter=3, max_eval=1000, tolerance_change=0.0), short, 10, scale=1e-3)
    run(kind([long], max_iter=30, max_eval=1000, tolerance_change=0.0), long, scale=1e-3)
    assert torch.equal(short, long)


def test_after_a_search_that_was_cleared_no_empty_pair_is_saved() -> None:
    param = start()
    optimizer = LBFGS([param], history_size=4)
    run(optimizer, param)
    held = optimizer.state[param]
    assert 0 < len(held["ro"]) <= 4
    assert all(float(inverse) > 0 for inverse in held["ro"])
    held["ro"] = [torch.zeros_like(inverse) for inverse in held["ro"]]  # as a cleared memory has them
    optimizer.param_groups[0]["max_iter"] = 1
    run(optimizer, param)
    assert all(float(inverse) > 0 for inverse in optimizer.state[param]["ro"])


def test_another_line_search_is_refused_with_the_name_of_ours() -> None:
    with pytest.raises(SettingError, match=r"line_search_fn is 'wolfe'; (did you mean|known:) strong_wolfe"):
        LBFGS([start()], line_search_fn="wolfe")
    with pytest.raises(SettingError, match="history_size is 0"):
        LBFGS([start()], history_size=0)


@pytest.mark.parametrize(("kind", "matrix"), [(BFGS, "inverse Hessian"), (Newton, "Hessian")])
def test_too_many_parameters_are_refused_before_the_first_step(kind: Any, matrix: str) -> None:
    with pytest.raises(SettingError, match=f"{kind.__name__} got 5,000 parameters.*the {matrix} has 5,000 x 5,000"):
        kind([nn.Parameter(torch.zeros(5000))])
    optimizer = kind([nn.Parameter(torch.zeros(3))], max_size=4)
    with pytest.raises(SettingError, match="got 5 parameters and takes at most 4"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})
    assert len(optimizer.param_groups) == 1


def test_newton_solves_a_linear_regression_in_one_iteration() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, 3, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 10.0, 100.0])
    targets = torch.randn(50, 2, generator=generator, dtype=torch.float64)
    model = nn.Linear(3, 2).double()
    optimizer = Newton(model.parameters(), max_iter=1)
    optimizer.step(lambda: (model(inputs) - targets).square().mean())
    padded = torch.cat([inputs, torch.ones(50, 1).double()], 1)
    solution = torch.linalg.lstsq(padded, targets).solution
    torch.testing.assert_close(model.weight.detach(), solution[:3].T, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(model.bias.detach(), solution[3], rtol=1e-8, atol=1e-10)


def test_newton_leaves_the_saddle_of_a_network_that_begins_at_zero() -> None:
    """With both weights zero there is no gradient at all, and first-order rules stay for ever."""
    first, second = nn.Parameter(torch.zeros(1).double()), nn.Parameter(torch.zeros(1).double())
    optimizer = Newton([first, second])
    optimizer.step(lambda: ((first * second - 1) ** 2).sum())
    assert (first * second).item() == pytest.approx(1, abs=1e-6)


def test_newton_on_a_saddle_without_a_finite_way_down_stays() -> None:
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def closure() -> Tensor:
        loss = (first * second).sum()
        return loss if not first.any() else loss * float("nan")

    Newton([first, second]).step(closure)
    assert first == second == 0


def test_newton_may_be_given_a_closure_that_keeps_the_graph() -> None:
    param = start()
    optimizer = Newton([param], max_iter=100, max_eval=200)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = rosenbrock(param)
        loss.backward(retain_graph=True)
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(param.detach(), torch.ones(3, dtype=torch.float64), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["backward", "number", "detached"])
def test_newton_without_a_graph_says_what_to_leave_out(kind: str) -> None:
    param = start()

    def closure() -> Any:
        loss = rosenbrock(param)
        if kind == "backward":
            loss.backward()
        return {"backward": loss, "number": 0.5, "detached": loss.detach()}[kind]

    with pytest.raises(SettingError, match=r"whose graph is gone.*leave out loss.backward"):
        Newton([param]).step(closure)


def test_a_fixed_step_to_a_loss_that_is_not_finite_is_taken_back() -> None:
    param = nn.Parameter(torch.tensor([3.0], dtype=torch.float64))
    optimizer = LBFGS([param], lr=50.0, line_search_fn=None, max_iter=3)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (param - torch.log(param)).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert param.item() == 3
