"""L-BFGS's direction against the matrix it stands for, its history, and problems that stay apart.

Letters in shapes: K problems, d coordinates.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.lbfgs import LBFGS, LBFGSMemory
from ravine.rules.line_search import Point, dot
from ravine.rules.method import differentiated
from ravine.rules.quasi_newton import Pair, State, Trace

SIZE = 6
ALL = torch.ones(1, dtype=torch.bool)
AGE = torch.zeros(1, dtype=torch.long)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pairs(count: int, problems: int = 1) -> list[Pair]:
    """Pairs as a positive definite Hessian gives them."""
    root = draw(SIZE, SIZE, seed=99)
    hessian = root @ root.T + torch.eye(SIZE, dtype=torch.float64)
    steps = [draw(problems, SIZE, seed=seed) for seed in range(count)]
    return [Pair(step, step @ hessian, 1 / dot(step, step @ hessian)) for step in steps]


def remembered(rule: LBFGS, seen: list[Pair]) -> LBFGSMemory:
    memory = rule.begin(draw(1, SIZE))
    for pair in seen:
        memory = rule.learned(memory, pair, ALL, AGE)
    return memory


def matrix(seen: list[Pair]) -> Tensor:
    """The inverse Hessian by Nocedal & Wright's equation 6.17, pair after pair, from their 7.20; [d, d]."""
    step, change, inverse = (part[0] for part in seen[-1])
    identity = torch.eye(SIZE, dtype=torch.float64)
    found = identity / (inverse * (change @ change))
    for pair in seen:
        step, change, inverse = (part[0] for part in pair)
        left = identity - inverse * step[:, None] * change
        found = left @ found @ left.T + inverse * step[:, None] * step
    return found


@pytest.mark.parametrize("count", [1, 3, 5])
def test_the_two_loops_multiply_by_the_matrix_of_the_pairs(count: int) -> None:
    seen, grad = pairs(count), draw(1, SIZE, seed=7)
    direction = LBFGS().direction(remembered(LBFGS(), seen), grad)
    torch.testing.assert_close(direction[0], -matrix(seen) @ grad[0], rtol=1e-10, atol=1e-12)


def test_only_the_last_pairs_are_kept() -> None:
    seen, grad = pairs(7), draw(1, SIZE, seed=7)
    rule = LBFGS(history_size=3)
    memory = remembered(rule, seen)
    assert len(memory.pairs) == 3
    torch.testing.assert_close(rule.direction(memory, grad)[0], -matrix(seen[-3:]) @ grad[0], rtol=1e-10, atol=1e-12)


def test_without_a_pair_it_is_steepest_descent() -> None:
    grad = draw(3, SIZE)
    assert torch.equal(LBFGS().direction(LBFGS().begin(grad), grad), -grad)


def test_a_problem_that_skips_a_pair_keeps_the_history_it_would_have_alone() -> None:
    rule, grad = LBFGS(history_size=2), draw(3, SIZE, seed=7)
    seen = pairs(5, problems=3)
    keeps = [[True, False, True], [True, True, False], [False, False, False], [True, True, True], [False, True, True]]
    together = rule.begin(grad)
    for pair, keep in zip(seen, keeps, strict=True):
        together = rule.learned(together, pair, torch.tensor(keep), AGE) if any(keep) else together
    for k in range(3):
        alone = rule.begin(grad[:1])
        for pair, keep in zip(seen, keeps, strict=True):
            if keep[k]:
                alone = rule.learned(alone, Pair(*(part[k : k + 1] for part in pair)), ALL, AGE)
        assert torch.equal(rule.direction(together, grad)[k], rule.direction(alone, grad[k : k + 1])[0])


def test_a_cleared_problem_forgets_and_the_others_do_not() -> None:
    rule, grad = LBFGS(), draw(2, SIZE, seed=7)
    memory = rule.begin(grad)
    for pair in pairs(3, problems=2):
        memory = rule.learned(memory, pair, torch.ones(2, dtype=torch.bool), AGE)
    after = rule.direction(rule.cleared(memory, torch.tensor([True, False])), grad)
    assert torch.equal(after[0], -grad[0])
    assert torch.equal(after[1], rule.direction(memory, grad)[1])


def test_a_pair_with_curvature_that_is_not_positive_is_not_learned() -> None:
    rule = LBFGS()
    point = Point(draw(3, 2), torch.zeros(3).double(), torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]).double())
    along = torch.tensor([[1.0, 0.0]]).double().expand(3, 2)
    one = torch.ones(3, dtype=torch.float64)
    trace = Trace(along, one, one, torch.zeros(3, 2).double(), age=torch.zeros(3, dtype=torch.long))
    objective = differentiated(lambda x: x.square().sum(-1))
    step = rule.step(objective, point, State(trace, rule.begin(point.x)), torch.full((3,), 9))
    assert step.state.trace.age.tolist() == [1, 0, 0], "y's is 1, -1 and 0"


def test_a_floor_under_the_curvature_skips_pairs_below_it() -> None:
    objective = differentiated(lambda x: 1e-6 * x.square().sum(-1))
    for floor, ages in ((0.0, 1), (1e-3, 0)):
        rule = LBFGS(min_curvature=floor)
        x = draw(1, SIZE)
        point, state = Point(x, *objective.evaluate(x)), rule.init(x)
        for _ in range(2):
            step = rule.step(objective, point, state, torch.full((1,), 9))
            point, state = step.point, step.state
        assert state.trace.age.item() == ages


def test_the_first_step_tried_has_length_one_or_the_gradients() -> None:
    for size, length in ((100.0, 1.0), (0.01, 0.01)):
        seen: list[Tensor] = []

        def evaluate(x: Tensor, size: float = size, seen: list[Tensor] = seen) -> tuple[Tensor, Tensor]:
            seen.append(x)
            return size * x[:, 0], torch.full_like(x, size)

        x = torch.zeros(1, 1, dtype=torch.float64)
        point = Point(x, *evaluate(x))
        objective = differentiated(lambda x: x.sum(-1))
        LBFGS().step(type(objective)(evaluate), point, LBFGS().init(x), torch.full((1,), 1))
        assert seen[1].item() == pytest.approx(-length)


@pytest.mark.parametrize("settings", [{"history_size": 0}, {"lr": -1.0}, {"lr": float("nan")}, {"min_curvature": -1.0}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=f"LBFGS.{next(iter(settings))}"):
        LBFGS(**settings)  # type: ignore[arg-type]
