"""Shampoo: against the full Kronecker matrix it stands for, steps worked by hand, who takes Adam's step.

The reference forms the whole preconditioner of a flattened parameter, with scipy's fractional matrix power.
Tolerance 1e-8: a root of order 4 or 6 of matrices whose condition number is bounded by 1 / matrix_eps.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
import torch
from scipy.linalg import fractional_matrix_power
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules import AdamW
from ravine.rules.shampoo import Shampoo, inverse_root

RULE = Shampoo(beta1=0.8, beta2=0.9, eps=1e-3, matrix_eps=1e-3, weight_decay=0.1, update_every=4, max_size=4)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def walked(rule: Shampoo | AdamW, start: Tensor, noise: list[Tensor], lr: float) -> Tensor:
    param, state = start, rule.init(start)
    for step, each in enumerate(noise, start=1):
        param, state = rule.update(param, param + each, state, lr=lr, step=step)
    return param


def reference(rule: Shampoo, start: np.ndarray, noise: np.ndarray, lr: float) -> np.ndarray:
    """The docstring's formula, on the flattened parameter and one matrix for it."""
    param, mean, square = start, np.zeros_like(start), np.zeros_like(start)
    sizes = param.shape
    used = [axis for axis in range(param.ndim) if sizes[axis] <= rule.max_size]
    statistics = {axis: np.zeros((sizes[axis], sizes[axis])) for axis in used}
    for t, each in enumerate(noise, start=1):
        grad = param + each
        mean = rule.beta1 * mean + (1 - rule.beta1) * grad
        square = rule.beta2 * square + (1 - rule.beta2) * grad**2
        for axis in used:
            others = [other for other in range(param.ndim) if other != axis]
            seen = np.tensordot(grad, grad, axes=(others, others))
            statistics[axis] = rule.beta2 * statistics[axis] + (1 - rule.beta2) * seen
        if t <= rule.update_every or t % rule.update_every == 0:
            sides = [np.eye(size) for size in sizes]
            for axis in used:
                average = statistics[axis] / (1 - rule.beta2**t)
                ridge = rule.matrix_eps * np.linalg.norm(average, 2) * np.eye(sizes[axis])
                sides[axis] = fractional_matrix_power(average + ridge, -1 / (2 * len(used)))
            whole = reduce(np.kron, sides)
        average_grad = mean / (1 - rule.beta1**t)
        direction = (whole @ average_grad.ravel()).reshape(sizes)
        adam = average_grad / (np.sqrt(square / (1 - rule.beta2**t)) + rule.eps)
        if rule.grafting:
            direction = direction * np.linalg.norm(adam) / np.linalg.norm(direction)
        param = param - lr * rule.weight_decay * param - lr * direction
    return param


@pytest.mark.parametrize("grafting", [True, False])
@pytest.mark.parametrize("shape", [(4, 3), (1, 4), (3, 6), (2, 3, 4), (2, 5, 2, 3)], ids=str)
def test_it_walks_the_path_of_the_full_kronecker_matrix(shape: tuple[int, ...], grafting: bool) -> None:
    rule, start, noise = replace(RULE, grafting=grafting), draw(*shape), draw(50, *shape, seed=1)
    theirs = reference(rule, start.numpy(), noise.numpy(), 0.05)
    torch.testing.assert_close(walked(rule, start, list(noise), 0.05), torch.from_numpy(theirs), rtol=1e-8, atol=1e-9)


def test_the_first_step_by_hand() -> None:
    rule = Shampoo(beta1=0.5, beta2=0.75, eps=0.0, matrix_eps=0.0, weight_decay=0.5, grafting=False)
    param, grad = torch.eye(2, dtype=torch.float64), torch.diag(torch.tensor([4.0, 0.25], dtype=torch.float64))
    moved, state = rule.update(param, grad, rule.init(param), lr=0.1, step=1)
    left = [0.25 * 16, 0.0, 0.0, 0.25 / 16]  # the right side's is the same
    assert state.statistics.tolist() == left + left
    # Each side's root is diag(1/2, 2): 1/2 * 4 * 1/2 and 2 * 1/4 * 2 are both 1.
    assert moved.diag().tolist() == pytest.approx([1 - 0.05 - 0.1] * 2, rel=1e-12)


def test_grafting_takes_adams_length_and_keeps_shampoos_direction() -> None:
    start, noise = draw(4, 3), [draw(4, 3, seed=1)]
    plain = replace(RULE, weight_decay=0.0)
    step, direction, adam = (
        walked(rule, start, noise, 1.0) - start
        for rule in (plain, replace(plain, grafting=False), AdamW(0.8, 0.9, 1e-3, 0.0))
    )
    torch.testing.assert_close(step, direction * (adam.norm() / direction.norm()), rtol=1e-12, atol=0)


@pytest.mark.parametrize("grafting", [True, False])
@pytest.mark.parametrize("shape", [(), (3,), (5,), (5, 6)], ids=str)
def test_what_has_no_side_takes_adamws_step(shape: tuple[int, ...], grafting: bool) -> None:
    start, noise = draw(*shape), list(draw(20, *shape, seed=1))
    ours = walked(replace(RULE, grafting=grafting), start, noise, 0.1)
    torch.testing.assert_close(ours, walked(AdamW(0.8, 0.9, 1e-3, 0.1), start, noise, 0.1), rtol=1e-12, atol=1e-13)


def test_roots_are_renewed_at_each_of_the_first_steps_and_seldom_from_then_on() -> None:
    rule = Shampoo(update_every=4)
    assert [step for step in range(1, 14) if rule.coefficients(0.1, step).refresh] == [1, 2, 3, 4, 8, 12]


def test_between_two_refreshes_the_roots_stay_and_the_statistics_move() -> None:
    param, grads = draw(4, 3), draw(6, 4, 3, seed=1)
    state = RULE.init(param)
    for step in range(1, 5):
        param, state = RULE.update(param, grads[step - 1], state, lr=0.1, step=step)
    _, later = RULE.update(param, grads[5], state, lr=0.1, step=5)
    assert torch.equal(later.roots, state.roots)
    assert not torch.equal(later.statistics, state.statistics)


def test_the_inverse_root_of_a_matrix_of_rank_one_is_bounded_by_the_ridge() -> None:
    column = draw(5, 1)
    top = column.square().sum().item()
    values = torch.linalg.eigvalsh(inverse_root(column @ column.T, 4, 1e-6))
    assert values.tolist() == pytest.approx([top**-0.25] + [(1e-6 * top) ** -0.25] * 4, rel=1e-6)


def test_without_gradient_and_decay_a_matrix_stands_still() -> None:
    rule, param = Shampoo(weight_decay=0.0), draw(3, 2)
    moved, _ = rule.update(param, torch.zeros_like(param), rule.init(param), lr=0.1, step=1)
    assert torch.equal(moved, param)


@pytest.mark.parametrize(("shape", "numbers"), [((4, 3), 16 + 9), ((4, 7), 16), ((2, 3, 7, 1), 4 + 9 + 1)], ids=str)
def test_the_memory_is_two_matrices_for_each_short_side(shape: tuple[int, ...], numbers: int) -> None:
    state = RULE.init(torch.zeros(shape, dtype=torch.bfloat16))
    assert state.statistics.shape == state.roots.shape == (numbers,)
    assert state.statistics.dtype == torch.float32, "no root survives bfloat16"
    assert state.mean.dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["update_every", "max_size"])
@pytest.mark.parametrize("bad", [0, 2.5, True])
def test_a_count_that_is_none_is_refused(name: str, bad: object) -> None:
    with pytest.raises(SettingError, match=rf"Shampoo\.{name} is {bad}; it must be a whole number, 1 or more"):
        Shampoo(**{name: bad})
