"""The driver: why each problem stops, what is counted, and that problems stay apart, for every method.

Letters in shapes: K problems, d coordinates.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.bfgs import BFGS
from ravine.rules.lbfgs import LBFGS
from ravine.rules.line_search import Evaluate, Found, FullStep, Point, StrongWolfe
from ravine.rules.method import Method, Objective, differentiated
from ravine.rules.minimize import minimize
from ravine.rules.newton import Newton

METHODS = {"lbfgs": LBFGS(history_size=4), "bfgs": BFGS(), "newton": Newton()}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def starts(problems: int, size: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return 1 + 0.7 * torch.randn(problems, size, generator=generator, dtype=torch.float64)


@every_method
def test_stacked_problems_go_the_way_they_go_alone(method: Method) -> None:
    """To the bit for LBFGS and BFGS, to 1e-7 for Newton, whose eigenvectors LAPACK rounds by their place in memory."""
    x0 = starts(5)
    x0[2] = 1.0  # a minimum: this one is done before it begins
    together = minimize(method, rosenbrock, x0, max_iter=15)
    assert len(set(together.evaluations.tolist())) > 1
    for k in range(5):
        alone = minimize(method, rosenbrock, x0[k : k + 1], max_iter=15)
        assert alone.stopped[0] == together.stopped[k]
        assert alone.evaluations[0] == together.evaluations[k]
        if isinstance(method, Newton):
            torch.testing.assert_close(alone.x[0], together.x[k], rtol=1e-7, atol=1e-7)
        else:
            assert torch.equal(alone.x[0], together.x[k])


@every_method
def test_a_problem_that_turns_to_nan_leaves_the_bits_of_the_others_alone(method: Method) -> None:
    whole = differentiated(rosenbrock)
    calls = []

    def broken(x: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(1)
        loss, grad = whole.evaluate(x)
        if len(calls) > 6:
            loss[1], grad[1] = math.nan, math.nan
        return loss, grad

    x0 = starts(3)
    clean = minimize(method, whole, x0)
    hurt = minimize(method, Objective(broken, whole.hessian), x0)
    for k in (0, 2):
        assert torch.equal(clean.x[k], hurt.x[k])
        assert clean.evaluations[k] == hurt.evaluations[k]
    assert hurt.x[1].isfinite().all()
    assert hurt.loss[1].isfinite()
    assert hurt.stopped[1] == "no descent found"


@every_method
@pytest.mark.parametrize("most", [1, 2, 3, 7, 20])
def test_no_call_beyond_max_eval_is_made_even_within_a_search(method: Method, most: int) -> None:
    objective = differentiated(rosenbrock)
    seen: list[float] = []

    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        loss, grad = objective.evaluate(x)
        seen.append(loss.item())
        return loss, grad

    x0 = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    found = minimize(method, Objective(evaluate, objective.hessian), x0, max_eval=most, max_iter=10_000)
    assert len(seen) == found.evaluations.item() == most
    assert found.stopped == ("max_eval reached",)
    assert found.loss <= seen[0]
    assert found.loss.item() == rosenbrock(found.x).item(), "the place and its loss belong together"


@every_method
def test_each_reason_to_stop_is_told(method: Method) -> None:
    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)

    def stopped(fun: Any = rosenbrock, **limits: Any) -> str:
        return minimize(method, fun, start, **limits).stopped[0]

    assert stopped() == "no gradient left"
    assert stopped(max_iter=2) == "max_iter reached"
    assert stopped(max_iter=0) == "max_iter reached"
    assert stopped(max_eval=3) == "max_eval reached"
    assert stopped(tolerance_change=10.0) == "no change left"
    assert stopped(lambda x: torch.log(x).sum()) == "not finite at the start"
    assert stopped(lambda x: x.sum() / 4, tolerance_change=1.0) == "no change left"
    wrong = Objective(lambda x: (x.square().sum(-1), -2 * x), differentiated(lambda x: x.square().sum(-1)).hessian)
    assert minimize(method, wrong, start[None]).stopped == ("no descent found",)


@every_method
def test_a_loss_that_overflows_is_survived(method: Method) -> None:
    found = minimize(method, lambda x: torch.exp(x).sum() - x.sum() * 1e3, torch.zeros(2))  # float32
    torch.testing.assert_close(found.x, torch.full((2,), math.log(1e3)), rtol=1e-4, atol=1e-4)


@every_method
def test_float32_reaches_the_accuracy_that_its_losses_have(method: Method) -> None:
    found = minimize(method, lambda x: 1 + rosenbrock(x), torch.tensor([-1.2, 1.0]), tolerance_grad=1e-4)
    assert found.x.dtype == torch.float32
    torch.testing.assert_close(found.x, torch.ones(2), rtol=1e-2, atol=1e-2)


@every_method
def test_the_dtype_is_the_starts_whatever_torchs_default_is(method: Method) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        found = minimize(method, rosenbrock, torch.tensor([-1.2, 1.0], dtype=torch.float32), max_iter=8)
        saddle = minimize(method, lambda x: (x**4 - x**2).sum(), torch.zeros(2, dtype=torch.float32), max_iter=8)
    finally:
        torch.set_default_dtype(torch.float32)
    for each in (found.x, found.loss, found.grad, saddle.x):
        assert each.dtype == torch.float32


@every_method
def test_the_start_and_the_caller_are_left_as_they_were(method: Method) -> None:
    x0 = starts(2).requires_grad_()
    before = x0.detach().clone()
    minimize(method, rosenbrock, x0, max_iter=3)
    assert torch.equal(x0, before)
    assert x0.grad is None
    assert minimize(method, rosenbrock, x0, max_iter=0).x.data_ptr() != x0.data_ptr()


def test_a_direction_that_promises_less_than_the_tolerance_is_not_followed() -> None:
    start = torch.tensor([0.5], dtype=torch.float64)
    found = minimize(LBFGS(), lambda x: (x**2).sum() / 2, start, tolerance_change=0.3)
    assert found.stopped == ("no change left",)
    assert found.evaluations == 1
    assert torch.equal(found.x, start)


def test_steps_too_small_for_the_dtype_end_the_run() -> None:
    creeping = LBFGS(lr=1e-30, search=FullStep())
    found = minimize(creeping, lambda x: (x**2).sum(), torch.ones(2))
    assert found.stopped == ("no change left",)
    assert found.iterations == 1


def test_one_problem_may_come_without_its_dimension() -> None:
    alone = minimize(BFGS(), rosenbrock, torch.tensor([-1.2, 1.0], dtype=torch.float64))
    assert alone.x.shape == (2,)
    assert alone.loss.shape == alone.iterations.shape == alone.evaluations.shape == alone.grad_norm.shape == ()


def test_after_a_search_that_fails_the_memory_is_empty_and_the_run_goes_on() -> None:
    directions: list[Tensor] = []

    def stumbling(evaluate: Evaluate, start: Point, direction: Tensor, *rest: Tensor) -> Found:
        directions.append(direction / start.grad)
        if len(directions) == 5:
            zero = torch.zeros_like(start.loss)
            return Found(start, zero, zero.long() + 1)
        return StrongWolfe()(evaluate, start, direction, *rest)

    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    for method in (LBFGS(search=stumbling), BFGS(search=stumbling)):
        directions.clear()
        found = minimize(method, rosenbrock, start)
        assert found.stopped == ("no gradient left",)
        steepest = [bool((each == -1).all()) for each in directions[:7]]
        assert steepest == [True, False, False, False, False, True, False]


def test_a_direction_that_climbs_is_replaced_by_the_gradients() -> None:
    objective, x = differentiated(rosenbrock), torch.tensor([[-1.2, 1.0], [0.5, 0.5]], dtype=torch.float64)
    point = Point(x, *objective.evaluate(x))
    state = LBFGS().init(x)
    wrong = state.memory._replace(scale=torch.tensor([-1.0, 1e-3]).double())
    aged = state.trace._replace(age=torch.tensor([3, 3]))
    step = LBFGS().step(objective, point, state._replace(trace=aged, memory=wrong), torch.tensor([9, 9]))
    assert (step.point.loss < point.loss).all()
    assert step.state.trace.age.tolist() == [0, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x0": torch.zeros(1, 2, 3)}, r"x0 has shape \[1, 2, 3\]"),
        ({"x0": torch.zeros(2, dtype=torch.long)}, "torch.int64"),
        ({"x0": torch.zeros(0)}, r"shape \[0\]"),
        ({"max_iter": -1}, "max_iter is -1"),
        ({"max_eval": 0}, "max_eval is 0"),
        ({"max_eval": 2.5}, "max_eval is 2.5"),
        ({"tolerance_grad": math.nan}, "tolerance_grad is nan"),
        ({"fun": lambda x: x}, r"loss of shape \[2\] .* must give one loss per problem"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message) as refusal:
        minimize(LBFGS(), **{"fun": rosenbrock, "x0": torch.zeros(2), **arguments})
    assert "\n" not in str(refusal.value)
