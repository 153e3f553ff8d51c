"""The line search: both Wolfe conditions, its budget, losses that are not finite, and K searches that never meet.

Letters in shapes: K problems, d coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.line_search import Found, FullStep, Point, Search, StrongWolfe

# From [..., 1] to [...], falling from 0 to the right.
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "parabola": lambda x: ((x - 3) ** 2).sum(-1),
    "quartic": lambda x: ((x - 1) ** 4 - x / 10).sum(-1),
    "waves": lambda x: (0.1 * x**2 - x + torch.sin(5 * x) / 4 - x / 2).sum(-1),
    "far and flat (More & Thuente 1994, 1)": lambda x: -(x / (x**2 + 2)).sum(-1),
    "sharp (More & Thuente 1994, 2)": lambda x: ((x + 0.004) ** 5 - 2 * (x + 0.004) ** 4).sum(-1),
    "barrier, NaN beyond 2": lambda x: (-x - torch.log(2 - x) / 10).sum(-1),
    "barrier, infinite beyond 2": lambda x: (-x + torch.where(x < 2, 0.1 / (2 - x).clamp(min=0), math.inf)).sum(-1),
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
MANY = 1000


def measured(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        place = x.clone().requires_grad_()
        loss = function(place)
        (grad,) = torch.autograd.grad(loss.sum(), place)
        return loss.detach(), grad

    return evaluate


def search(
    evaluate: Callable[[Tensor], tuple[Tensor, Tensor]],
    start: Tensor,
    first: Any = 1.0,
    allowed: Any = MANY,
    method: Search | None = None,
) -> tuple[Point, Found]:
    """Search from `start` [K, d] along steepest descent of length 1."""
    here = Point(start, *evaluate(start))
    direction = -here.grad / here.grad.norm(dim=-1, keepdim=True)
    zero = torch.zeros_like(here.loss)
    budget = torch.as_tensor(allowed).expand(len(start))
    found = (method or StrongWolfe())(
        evaluate, here, direction, zero + torch.as_tensor(first, dtype=zero.dtype), budget, zero
    )
    return here, found


def zeros(problems: int = 1) -> Tensor:
    return torch.zeros(problems, 1, dtype=torch.float64)


@every_function
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("c2", [0.1, 0.9])
def test_the_step_found_meets_both_strong_wolfe_conditions(function: Any, first: float, c2: float) -> None:
    start, found = search(measured(function), zeros(), first, method=StrongWolfe(c2=c2))
    slope, after = -start.grad.abs(), -found.point.grad * start.grad.sign()
    assert found.t > 0
    assert found.point.loss <= start.loss + 1e-4 * found.t * slope[:, 0]
    assert after.abs() <= c2 * slope.abs()
    assert found.used <= 20


@every_function
def test_the_point_found_is_where_its_step_leads(function: Any) -> None:
    start, found = search(measured(function), zeros(), 0.3)
    x = start.x - found.t[:, None] * start.grad.sign()
    assert torch.equal(found.point.x, x)
    assert torch.equal(found.point.loss, measured(function)(x)[0])
    assert torch.equal(found.point.grad, measured(function)(x)[1])


@every_function
@pytest.mark.parametrize("allowed", range(6))
def test_no_evaluation_beyond_the_budget_and_the_best_so_far_is_kept(function: Any, allowed: int) -> None:
    seen: list[float] = []

    def counted(x: Tensor) -> tuple[Tensor, Tensor]:
        loss, grad = measured(function)(x)
        seen.append(loss.item())
        return loss, grad

    start, found = search(counted, zeros(), 40.0, allowed, StrongWolfe(c2=1e-3))
    assert len(seen) - 1 == found.used.item() <= allowed
    assert found.point.loss <= start.loss
    assert found.point.loss.item() in seen


def test_a_gradient_that_is_not_finite_is_no_place_to_stay() -> None:
    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        loss, grad = measured(FUNCTIONS["parabola"])(x)
        return loss, torch.where(x > 1, math.nan, grad)

    _, found = search(evaluate, zeros(), 2.0)
    assert 0 < found.t <= 1
    assert found.point.finite.all()


def test_stacked_searches_take_the_steps_they_take_alone_to_the_bit() -> None:
    starts = torch.linspace(-2, 0.9, 6, dtype=torch.float64)[:, None]
    firsts = torch.tensor([1e-3, 1.0, 30.0, 0.2, 5.0, 1e3], dtype=torch.float64)
    budgets = torch.tensor([MANY, 2, MANY, 0, 1, MANY])
    evaluate = measured(FUNCTIONS["waves"])
    _, stacked = search(evaluate, starts, firsts, budgets)
    for k in range(6):
        _, alone = search(evaluate, starts[k : k + 1], firsts[k : k + 1], budgets[k : k + 1])
        assert torch.equal(stacked.t[k], alone.t[0])
        assert torch.equal(stacked.point.x[k], alone.point.x[0])
        assert torch.equal(stacked.used[k], alone.used[0])
    assert len(set(stacked.used.tolist())) > 3, "the searches should end at different times"


def test_one_problems_nan_leaves_the_bits_of_the_others_alone() -> None:
    def evaluate(x: Tensor, broken: int | None) -> tuple[Tensor, Tensor]:
        loss, grad = measured(FUNCTIONS["waves"])(x)
        if broken is not None:
            loss[broken], grad[broken] = math.nan, math.nan
        return loss, grad

    start = Point(zeros(3), *evaluate(zeros(3), None))
    settings = (-start.grad, torch.full((3,), 20.0).double(), torch.full((3,), MANY), torch.zeros(3).double())
    whole = StrongWolfe()(lambda x: evaluate(x, None), start, *settings)
    hurt = StrongWolfe()(lambda x: evaluate(x, 1), start, *settings)
    for k in (0, 2):
        assert torch.equal(whole.point.x[k], hurt.point.x[k])
        assert whole.used[k] == hurt.used[k]
    assert hurt.t[1] == 0, "a problem without a finite loss moved"
    assert torch.equal(hurt.point.x[1], start.x[1])


def test_a_minimum_that_rounding_hides_is_accepted_where_the_slope_flattens() -> None:
    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:  # the parabola's decrease of 1e-10 is lost beside 1
        return 1 + torch.where(x[:, 0] > 0, torch.finfo(x.dtype).eps, 0.0), 2e-10 * (x - 1)

    _, found = search(evaluate, torch.zeros(1, 1), 1.0)
    assert found.t == 1
    assert found.used == 1


def test_without_a_curvature_condition_the_first_ample_decrease_is_taken() -> None:
    _, found = search(measured(FUNCTIONS["parabola"]), zeros(), 1e-3, method=StrongWolfe(c2=math.inf))
    assert found.t == 1e-3
    assert found.used == 1


def test_a_level_start_is_left_along_negative_curvature() -> None:
    evaluate = measured(lambda x: (x**4 - x**2).sum(-1))
    start = Point(zeros(), *evaluate(zeros()))
    one = torch.ones(1, dtype=torch.float64)
    found = StrongWolfe(c2=math.inf)(evaluate, start, torch.ones_like(start.x), 4 * one, 9 * one.long(), -2 * one)
    assert found.point.loss < 0
    barely = StrongWolfe(c2=math.inf)(
        evaluate, start, torch.ones_like(start.x), 0.99999 * one, 9 * one.long(), -2 * one
    )
    assert barely.t < 0.9, "a decrease of 2e-5 is not ample where the curvature promises 1"


def test_a_search_that_is_over_is_not_looked_at_again() -> None:
    calls = 0

    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        loss, grad = measured(FUNCTIONS["parabola"])(x)
        return loss - calls * torch.tensor([1.0, 0.0]).double(), grad

    _, found = search(evaluate, zeros(2), [3.0, 300.0])
    assert found.used[0] == 1 < found.used[1]
    assert found.point.loss[0] == -2, "the loss of the second call, its first trial"


def test_a_bracket_without_a_number_left_inside_ends_the_search() -> None:
    def climbing(x: Tensor) -> tuple[Tensor, Tensor]:  # the gradient has the wrong sign
        return x[:, 0] ** 2, -2 * x

    start, found = search(climbing, torch.ones(1, 1))
    assert torch.equal(found.point.x, start.x)
    assert 5 < found.used < 12, "float32 has 7 digits, and each trial a tenth of the one before at the least"


def test_a_first_step_of_zero_goes_nowhere_and_costs_nothing() -> None:
    start, found = search(measured(FUNCTIONS["parabola"]), zeros(), 0.0)
    assert torch.equal(found.point.x, start.x)
    assert found.used == 0


def test_a_full_step_is_taken_whatever_its_loss_but_not_to_nan() -> None:
    _, up = search(measured(FUNCTIONS["parabola"]), zeros(), 100.0, method=FullStep())
    assert up.t == 100
    assert up.used == 1
    _, broken = search(measured(FUNCTIONS["barrier, NaN beyond 2"]), zeros(), 100.0, method=FullStep())
    assert broken.t == 0
    assert broken.point.finite.all()
    _, still = search(measured(FUNCTIONS["parabola"]), zeros(), 100.0, 0, FullStep())
    assert still.t == 0


@pytest.mark.parametrize("settings", [{"c1": 0.0}, {"c1": 0.5, "c2": 0.4}, {"c2": math.nan}, {"max_trials": 0}])
def test_conditions_that_no_step_need_meet_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="StrongWolfe"):
        StrongWolfe(**settings)
