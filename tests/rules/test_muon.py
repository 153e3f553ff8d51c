"""Muon: against torch.optim.Muon, against the same polynomial on singular values, and who takes AdamW."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules import AdamW
from ravine.rules.muon import Muon, orthogonalized

STEPS = 200
SHAPES = [(4, 4), (6, 3), (3, 6), (1, 5)]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def settings_of(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)  # noqa: S311 - a draw for a test
    return {
        "momentum": rng.uniform(0.3, 0.97),
        "nesterov": bool(seed % 2),
        "ns_steps": rng.randint(1, 6),
        "weight_decay": rng.uniform(0.0, 0.3),
        "adjust_lr_fn": ["original", "match_rms_adamw"][seed // 2 % 2],
    }


def walked(rule: Muon, start: Tensor, grads: list[Tensor], lr: float) -> Tensor:
    param, state = start, rule.init(start)
    for step, grad in enumerate(grads, start=1):
        param, state = rule.update(param, param + grad, state, lr=lr, step=step)
    return param


def walked_by_torch(settings: dict[str, Any], start: Tensor, grads: list[Tensor], lr: float) -> Tensor:
    param = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.Muon([param], lr=lr, **settings)
    for grad in grads:
        param.grad = param.detach() + grad
        optimizer.step()
    return param.detach()


# torch iterates in bfloat16; made to stay in float64, it does the same operations as we do.
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_walks_torchs_path_when_torch_iterates_in_float64(
    shape: tuple[int, int], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tensor, "bfloat16", Tensor.clone)
    settings, start, grads = settings_of(seed), draw(*shape), list(draw(STEPS, *shape, seed=1))
    ours, theirs = walked(Muon(**settings), start, grads, 0.02), walked_by_torch(settings, start, grads, 0.02)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


# bfloat16 has 8 bits, of which the quintic, whose slope is up to 3.4 per iteration, leaves some 4.
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_one_step_is_torchs_to_bfloat16(shape: tuple[int, int]) -> None:
    settings, start, grads = settings_of(1) | {"ns_steps": 5}, draw(*shape), [draw(*shape, seed=1)]
    ours, theirs = walked(Muon(**settings), start, grads, 1.0), walked_by_torch(settings, start, grads, 1.0)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.05)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_newton_schulz_moves_the_singular_values_by_its_polynomial_and_keeps_the_vectors(
    shape: tuple[int, int],
) -> None:
    matrix = draw(*shape)
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    values = values / values.norm()
    for _ in range(5):
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    torch.testing.assert_close(orthogonalized(matrix, 5, 1e-7), u * values @ v, rtol=1e-11, atol=1e-12)
    assert ((values > 0.65) & (values < 1.25)).all(), "five steps bring values of a hundredth near 1"


def test_the_first_step_by_hand() -> None:
    rule = Muon(momentum=0.75, ns_steps=1, weight_decay=0.5, adjust_lr_fn="match_rms_adamw")
    param, grad = torch.ones(4, 1, dtype=torch.float64), torch.full((4, 1), 8.0, dtype=torch.float64)
    moved, state = rule.update(param, grad, rule.init(param), lr=0.1, step=1)
    assert state.mean.flatten().tolist() == [2.0] * 4
    direction = 0.5 * (3.4445 - 4.775 + 2.0315)  # of length 1, so that each of four coordinates was 1/2
    expected = 1 * (1 - 0.1 * 0.5) - 0.1 * 0.2 * 4**0.5 * direction
    assert moved.flatten().tolist() == pytest.approx([expected] * 4, rel=1e-14)


def test_a_convolution_steps_as_the_matrix_of_its_output_channels() -> None:
    kernel, grads = draw(4, 3, 2, 2), list(draw(10, 4, 3, 2, 2, seed=1))
    matrix = walked(Muon(), kernel.reshape(4, 12), [grad.reshape(4, 12) for grad in grads], 0.1)
    assert torch.equal(walked(Muon(), kernel, grads, 0.1), matrix.view(4, 3, 2, 2))


@pytest.mark.parametrize(("shape", "matrix"), [((), True), ((5,), True), ((4, 3), False), ((4, 3, 2), False)], ids=str)
def test_what_is_no_matrix_takes_adamws_step_at_its_own_rate(shape: tuple[int, ...], matrix: bool) -> None:
    rule = Muon(beta1=0.8, beta2=0.95, adamw_eps=1e-3, weight_decay=0.2, adamw_lr_ratio=0.25, matrix=matrix)
    adamw, grads = AdamW(0.8, 0.95, 1e-3, 0.2), list(draw(10, *shape, seed=1))
    assert torch.equal(walked(rule, draw(*shape), grads, 0.1), walked(adamw, draw(*shape), grads, 0.025))


def test_a_matrix_needs_one_tensor_and_a_vector_two() -> None:
    assert Muon().init(torch.zeros(2, 2)).square is None
    assert Muon().init(torch.zeros(2)).square is not None


# The mean is rounded to bfloat16 before it is made orthogonal, and the step after; nothing in between is.
def test_a_bfloat16_matrix_is_made_orthogonal_in_float32() -> None:
    grad, rule = draw(6, 4).bfloat16(), Muon(momentum=0.0, weight_decay=0.0)
    param = torch.zeros_like(grad)
    moved, _ = rule.update(param, grad, rule.init(param), lr=1.0, step=1)
    exact, _ = rule.update(param.float(), grad.float(), rule.init(param.float()), lr=1.0, step=1)
    assert torch.equal(moved, exact.bfloat16())


def test_without_gradient_and_decay_a_matrix_stands_still() -> None:
    param = draw(3, 2)
    moved, _ = Muon(weight_decay=0.0).update(param, torch.zeros_like(param), Muon().init(param), lr=0.1, step=1)
    assert torch.equal(moved, param)


def test_a_nan_gradient_shows() -> None:
    grad = torch.eye(2)
    grad[0, 1] = torch.nan
    moved, _ = Muon().update(torch.eye(2), grad, Muon().init(grad), lr=0.1, step=1)
    assert moved.isnan().all()


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"adjust_lr_fn": "orignal"}, "write 'match_rms_adamw' or 'original'"),
        ({"ns_steps": 0}, r"Muon\.ns_steps is 0; it must be a whole number, 1 or more"),
        ({"ns_steps": 2.5}, r"Muon\.ns_steps is 2\.5"),
        ({"ns_steps": torch.tensor([[5.0], [6.0]])}, r"the same for all stacked trials"),
    ],
    ids=str,
)
def test_a_structure_that_cannot_be_is_refused(settings: dict[str, Any], hint: str) -> None:
    with pytest.raises(SettingError, match=hint):
        Muon(**settings)
