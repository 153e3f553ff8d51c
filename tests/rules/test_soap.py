"""SOAP: against Adam on the flattened parameter in the full Kronecker basis, and when the basis turns.

Tolerance 1e-8: the same numbers through one large rotation rather than one per side, over 60 steps that divide
by roots of small mean squares.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules import AdamW
from ravine.rules.sides import unpack
from ravine.rules.soap import SOAP

RULE = SOAP(
    beta1=0.8, beta2=0.9, shampoo_beta=0.7, eps=1e-3, weight_decay=0.1, precondition_frequency=3, max_precond_dim=4
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def walked(rule: SOAP | AdamW, start: Tensor, noise: list[Tensor], lr: float) -> Tensor:
    param, state = start, rule.init(start)
    for step, each in enumerate(noise, start=1):
        param, state = rule.update(param, param + each, state, lr=lr, step=step)
    return param


def statistics_of(grad: np.ndarray, axis: int) -> np.ndarray:
    others = [other for other in range(grad.ndim) if other != axis]
    return np.tensordot(grad, grad, axes=(others, others))


def reference(rule: SOAP, start: np.ndarray, noise: np.ndarray, lr: float) -> np.ndarray:
    """The docstring's formula: Adam in the basis of one large orthogonal matrix."""
    param, mean, square = start, np.zeros_like(start), np.zeros_like(start)
    used = [axis for axis in range(start.ndim) if start.shape[axis] <= rule.max_precond_dim]
    basis = [np.eye(size) for size in start.shape]
    average = {axis: (1 - rule.shampoo_beta) * statistics_of(start + noise[0], axis) for axis in used}
    for axis in used:
        basis[axis] = np.linalg.eigh(average[axis])[1][:, ::-1]
    for s, each in enumerate(noise[1:], start=1):
        grad, whole = param + each, reduce(np.kron, basis)
        mean = rule.beta1 * mean + (1 - rule.beta1) * grad
        square = rule.beta2 * square + (1 - rule.beta2) * (whole.T @ grad.ravel()).reshape(grad.shape) ** 2
        step = (whole.T @ mean.ravel()).reshape(grad.shape) / (1 - rule.beta1**s)
        step = step / (np.sqrt(square / (1 - rule.beta2**s)) + rule.eps)
        param = param - lr * rule.weight_decay * param - lr * (whole @ step.ravel()).reshape(grad.shape)
        for axis in used:
            seen = statistics_of(grad, axis)
            average[axis] = rule.shampoo_beta * average[axis] + (1 - rule.shampoo_beta) * seen
            if s % rule.precondition_frequency == 0:
                order = np.argsort(-np.diag(basis[axis].T @ average[axis] @ basis[axis]))
                basis[axis] = np.linalg.qr(average[axis] @ basis[axis][:, order])[0]
                square = np.take(square, order, axis)
    return param


@pytest.mark.parametrize("shape", [(4, 3), (3, 3), (1, 2), (4, 6), (2, 3, 4), (2, 5, 2, 3)], ids=str)
def test_it_walks_adams_path_in_the_full_kronecker_basis(shape: tuple[int, ...]) -> None:
    start, noise = draw(*shape), draw(60, *shape, seed=1)
    theirs = reference(RULE, start.numpy(), noise.numpy(), 0.05)
    torch.testing.assert_close(walked(RULE, start, list(noise), 0.05), torch.from_numpy(theirs), rtol=1e-8, atol=1e-9)


def test_the_first_step_only_finds_the_basis() -> None:
    param, grad = draw(4, 3), draw(4, 3, seed=1)
    moved, state = RULE.update(param, grad, RULE.init(param), lr=0.1, step=1)
    assert torch.equal(moved, param)
    assert not state.mean.any()
    assert not state.square.any()
    left, right = unpack(state.basis, param, [0, 1])
    core = left.T @ grad @ right  # singular values on the diagonal, falling, and nothing beside it
    torch.testing.assert_close(core.diagonal().abs(), torch.linalg.svdvals(grad), rtol=1e-12, atol=0)
    assert core.square().sum().item() == pytest.approx(core.diagonal().square().sum().item(), rel=1e-12)


def test_the_second_step_by_hand() -> None:
    rule = SOAP(beta1=0.5, beta2=0.75, eps=0.5, weight_decay=0.25)
    param, grad = torch.ones(2, 2, dtype=torch.float64), torch.full((2, 2), 3.0, dtype=torch.float64)
    state = rule.init(param)
    for step in (1, 2):
        param, state = rule.update(param, grad, state, lr=0.1, step=step)
    # Along (1, 1) on both sides the gradient is 6, elsewhere 0; Adam's first step there is 6 / (6 + 1/2).
    assert param.flatten().tolist() == pytest.approx([1 - 0.1 * 0.25 - 0.1 * 0.5 * 6 / 6.5] * 4, rel=1e-12)


@pytest.mark.parametrize("shape", [(), (3,), (6, 5)], ids=str)
def test_what_has_no_side_takes_adamws_steps_from_the_second_on(shape: tuple[int, ...]) -> None:
    start, noise = draw(*shape), list(draw(20, *shape, seed=1))
    adamw = AdamW(0.8, 0.9, 1e-3, 0.1)
    assert torch.equal(walked(RULE, start, noise, 0.1), walked(adamw, start, noise[1:], 0.1))


def test_the_basis_turns_when_the_moves_divide_by_the_frequency() -> None:
    rule = SOAP(precondition_frequency=3)
    assert [step for step in range(2, 12) if rule.coefficients(0.1, step).refresh] == [4, 7, 10]
    param, noise = draw(4, 3), draw(8, 4, 3, seed=1)
    state, turned = rule.init(param), []
    for step in range(1, 9):
        before = state.basis
        param, state = rule.update(param, noise[step - 1], state, lr=0.1, step=step)
        turned.append(not torch.equal(state.basis, before))
    assert [step for step, moved in enumerate(turned, start=1) if moved] == [1, 4, 7]


# Each iteration gains a factor of the ratio of neighbouring eigenvalues, 4 here: 4^-20 is 1e-12.
def test_power_iterations_find_the_eigenvectors_of_constant_statistics() -> None:
    rule = replace(RULE, precondition_frequency=1, shampoo_beta=0.0)
    rotation = torch.linalg.qr(draw(3, 3))[0]
    grad = rotation @ torch.diag(torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64))
    param = torch.zeros(3, 3, dtype=torch.float64)
    _, state = rule.update(param, draw(3, 3, seed=1), rule.init(param), lr=0.1, step=1)
    for step in range(2, 22):
        _, state = rule.update(param, grad, state, lr=0.1, step=step)
    left = unpack(state.basis, param, [0, 1])[0]
    torch.testing.assert_close((rotation.T @ left).abs(), torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-9)


def test_the_basis_stays_orthogonal_in_float32_over_a_thousand_turns() -> None:
    rule = SOAP(precondition_frequency=1)
    param, generator = torch.zeros(6, 4), torch.Generator().manual_seed(0)
    state = rule.init(param)
    for step in range(1, 1002):
        param, state = rule.update(param, torch.randn(6, 4, generator=generator), state, lr=0.01, step=step)
    left = unpack(state.basis, param, [0, 1])[0]
    torch.testing.assert_close(left.T @ left, torch.eye(6), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("shape", "numbers"), [((4, 3), 16 + 9), ((4, 7), 16), ((2, 3, 7, 1), 4 + 9 + 1)], ids=str)
def test_the_memory_is_two_matrices_for_each_short_side(shape: tuple[int, ...], numbers: int) -> None:
    state = RULE.init(torch.zeros(shape, dtype=torch.bfloat16))
    assert state.statistics.shape == state.basis.shape == (numbers,)
    assert state.statistics.dtype == torch.float32, "no eigenvector survives bfloat16"
    assert state.square.dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["precondition_frequency", "max_precond_dim"])
@pytest.mark.parametrize("bad", [0, 2.5, True])
def test_a_count_that_is_none_is_refused(name: str, bad: object) -> None:
    with pytest.raises(SettingError, match=rf"SOAP\.{name} is {bad}; it must be a whole number, 1 or more"):
        SOAP(**{name: bad})
