"""Newton: one step on a quadratic, downhill where the Hessian is not positive, away from saddles; sizes refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.line_search import Point
from ravine.rules.method import Objective, Step, differentiated
from ravine.rules.minimize import minimize
from ravine.rules.newton import Newton


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_step(function: Callable[[Tensor], Tensor], x: Tensor, rule: Newton | None = None) -> tuple[Point, Step]:
    objective = differentiated(function)
    point = Point(x, *objective.evaluate(x))
    return point, (rule or Newton()).step(objective, point, None, torch.full((len(x),), 30))


def ridge(x: Tensor) -> Tensor:
    """A saddle at 0 between two minima of loss -1/4 at (0, +-sqrt(1/2)); its ridge is the first axis."""
    return x[..., 0] ** 2 - x[..., 1] ** 2 + x[..., 1] ** 4


def test_a_quadratic_of_any_condition_takes_one_step() -> None:
    curvatures = torch.logspace(-4, 4, 9, dtype=torch.float64)
    _, step = one_step(lambda x: (curvatures * (x - 1) ** 2).sum(-1), draw(2, 9))
    torch.testing.assert_close(step.point.x, torch.ones(2, 9, dtype=torch.float64), rtol=1e-9, atol=1e-9)
    assert step.used.tolist() == [1, 1]


@pytest.mark.parametrize("start", [(1.0, 0.0), (0.0, 0.0), (-3.0, 1e-12), (0.0, -1e-9), (0.0, 1e-9)])
def test_the_saddle_is_left_from_its_ridge(start: tuple[float, float]) -> None:
    found = minimize(Newton(), ridge, torch.tensor(start, dtype=torch.float64))
    assert found.loss.item() == pytest.approx(-0.25, abs=1e-10)
    assert start[1] == 0 or found.x[1] * start[1] > 0, "it left towards the side that rises"
    assert found.stopped == ("no gradient left",)
    assert found.evaluations < 20


def test_a_maximum_is_left_too() -> None:
    found = minimize(
        Newton(), lambda x: -torch.exp(-(x**2).sum()) + 0.1 * (x**4).sum() + 2 * torch.exp(-9 * x @ x), torch.zeros(2)
    )
    assert found.stopped == ("no gradient left",)
    assert found.loss < 0


def test_a_saddle_in_the_middle_of_a_large_landscape_is_left_by_a_step_of_length_one() -> None:
    _, step = one_step(lambda x: x[:, 0] ** 2 - x[:, 1] ** 2, torch.zeros(1, 2, dtype=torch.float64))
    assert step.moved.item() == pytest.approx(1)


def test_where_the_function_curves_down_the_step_still_goes_down() -> None:
    x = 2 * draw(20, 3, seed=4)
    point, step = one_step(lambda x: torch.sin(x).sum(-1) + (x[:, 0] * x[:, 1]), x)
    assert ((step.point.x - x) * point.grad).sum(-1).max() < 0
    assert (step.point.loss < point.loss).all()


def test_eigenvalues_are_turned_round_one_by_one() -> None:
    rule = Newton(leave=0.0)
    x = torch.tensor([[1.0, 0.25]], dtype=torch.float64)
    _, step = one_step(lambda x: x[:, 0] ** 2 - x[:, 1] ** 2, x, rule)
    torch.testing.assert_close(step.point.x, torch.tensor([[0.0, 0.5]], dtype=torch.float64))


def test_a_hessian_without_any_curvature_is_steepest_descent() -> None:
    _, step = one_step(lambda x: x @ torch.tensor([1.0, -2.0]).double(), torch.zeros(1, 2, dtype=torch.float64))
    assert step.point.x.tolist() == [[-1.0, 2.0]]


def test_a_long_step_is_shortened_until_the_loss_is_finite_and_falls() -> None:
    point, step = one_step(lambda x: (x - torch.log(x)).sum(-1), torch.tensor([[3.0]], dtype=torch.float64))
    assert step.point.loss < point.loss
    assert step.used > 1, "the full step, to -3, has no logarithm"


def test_one_problems_broken_hessian_is_its_own() -> None:
    whole = differentiated(lambda x: torch.sin(x).sum(-1))

    def broken(x: Tensor) -> Tensor:
        assert whole.hessian is not None
        hessian = whole.hessian(x)
        hessian[1] = float("nan")
        return hessian

    x = draw(3, 4)
    point = Point(x, *whole.evaluate(x))
    budget = torch.full((3,), 30)
    with_nan = Newton().step(Objective(whole.evaluate, broken), point, None, budget).point.x
    without = Newton().step(whole, point, None, budget).point.x
    assert torch.equal(with_nan[[0, 2]], without[[0, 2]])
    assert with_nan[1].isfinite().all()


def test_more_parameters_than_the_hessian_may_have_are_refused_with_their_memory() -> None:
    with pytest.raises(
        SettingError, match=r"Newton got 5,000 parameters and takes at most 4,096.*\(0.2 GB\): write LBFGS"
    ):
        minimize(Newton(), lambda x: (x**2).sum(), torch.zeros(5000, dtype=torch.float64))


def test_an_objective_without_a_hessian_is_refused() -> None:
    objective = Objective(differentiated(ridge).evaluate)
    with pytest.raises(SettingError, match="write Objective\\(evaluate, hessian\\)"):
        minimize(Newton(), objective, torch.ones(1, 2))
