"""BFGS's inverse Hessian: the secant equation, two ranks, positive definite; and the sizes it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.bfgs import BFGS
from ravine.rules.line_search import Point, dot
from ravine.rules.method import Objective, differentiated
from ravine.rules.quasi_newton import Pair, State

SIZE = 5
ALL = torch.ones(1, dtype=torch.bool)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair_of(step: Tensor) -> Pair:
    """What a step shows of one positive definite Hessian."""
    root = draw(SIZE, SIZE, seed=99)
    change = step @ (root @ root.T + torch.eye(SIZE, dtype=torch.float64))
    return Pair(step, change, 1 / dot(step, change))


def ages(age: int) -> Tensor:
    return torch.tensor([age])


def corrected(count: int) -> Tensor:
    rule = BFGS()
    matrix = rule.begin(draw(1, SIZE))
    for age in range(count):
        matrix = rule.learned(matrix, pair_of(draw(1, SIZE, seed=age)), ALL, ages(age))
    return matrix


@pytest.mark.parametrize("flatter", [1.0, 1e-3])
def test_the_correction_is_the_textbooks(flatter: float) -> None:
    before, pair = corrected(2), pair_of(draw(1, SIZE, seed=8))
    pair = Pair(pair.step, flatter * pair.change, pair.inverse / flatter)
    step, change, inverse = (part[0] for part in pair)
    left = torch.eye(SIZE, dtype=torch.float64) - inverse * step[:, None] * change
    textbook = left @ before[0] @ left.T + inverse * step[:, None] * step  # Nocedal & Wright, 6.17
    torch.testing.assert_close(BFGS().learned(before, pair, ALL, ages(2))[0], textbook, rtol=1e-10, atol=1e-12)


def test_the_corrected_matrix_maps_the_change_of_gradient_to_the_step() -> None:
    pair = pair_of(draw(1, SIZE, seed=8))
    after = BFGS().learned(corrected(2), pair, ALL, ages(2))
    torch.testing.assert_close(after[0] @ pair.change[0], pair.step[0], rtol=1e-10, atol=1e-12)


def test_the_correction_has_rank_two_not_one() -> None:
    before = corrected(2)
    after = BFGS().learned(before, pair_of(draw(1, SIZE, seed=8)), ALL, ages(2))
    assert torch.linalg.matrix_rank((after - before)[0], rtol=1e-10) == 2


def test_the_matrix_stays_symmetric_and_positive_definite_along_a_run() -> None:
    def rosenbrock(x: Tensor) -> Tensor:
        return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(-1)

    objective, rule = differentiated(rosenbrock), BFGS()
    x = -torch.ones(1, SIZE, dtype=torch.float64)
    point, state = Point(x, *objective.evaluate(x)), rule.init(x)
    for _ in range(60):
        step = rule.step(objective, point, state, torch.full((1,), 25))
        point, state = step.point, step.state
        assert torch.equal(state.memory, state.memory.mT)
        assert torch.linalg.eigvalsh(state.memory).min() > 0
    assert point.loss < 1e-6


@pytest.mark.parametrize(("curvature", "scale"), [(0.01, 100.0), (100.0, 1.0)])
def test_the_first_pair_enlarges_the_identity_but_never_shrinks_it(curvature: float, scale: float) -> None:
    step = torch.zeros(1, SIZE, dtype=torch.float64)
    step[0, 0] = 1
    pair = Pair(step, curvature * step, torch.tensor([1 / curvature]).double())
    after = BFGS().learned(BFGS().begin(step), pair, ALL, ages(0))
    assert after[0].diagonal()[1:].tolist() == pytest.approx([scale] * (SIZE - 1))
    assert after[0, 0, 0].item() == pytest.approx(1 / curvature)


@pytest.mark.parametrize(("decrease", "length"), [(0.1, 0.202), (10.0, 1.0), (-1.0, 1.0)])
def test_a_search_begins_where_the_last_decrease_would_be_met_again(decrease: float, length: float) -> None:
    tried: list[float] = []

    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        tried.append(x.item())
        return x[:, 0], torch.ones_like(x)

    rule, x = BFGS(), torch.tensor([[5.0]])
    state: State = rule.init(x)
    trace = state.trace._replace(loss=torch.tensor([5 + decrease]), age=torch.tensor([1]))
    rule.step(Objective(evaluate), Point(x, *evaluate(x)), State(trace, state.memory), torch.full((1,), 1))
    assert tried[1] == pytest.approx(5 - length, rel=1e-6)


def test_a_stacked_problem_multiplies_to_the_bits_it_has_alone() -> None:
    matrices, grads = draw(3, 40, 40), draw(3, 40, seed=1)
    together = BFGS().direction(matrices, grads)
    for k in range(3):
        assert torch.equal(together[k], BFGS().direction(matrices[k : k + 1], grads[k : k + 1])[0])


def test_more_parameters_than_the_matrix_may_have_are_refused_with_their_memory() -> None:
    with pytest.raises(
        SettingError, match=r"BFGS got 10,000 parameters .* 10,000 x 10,000 numbers \(0.4 GB\): write LBFGS"
    ):
        BFGS().init(torch.zeros(1, 10_000))
    assert BFGS(max_size=3).init(torch.zeros(1, 3)).memory.shape == (1, 3, 3)
