"""amirgholami/PyHessian and noahgolmant/pytorch-hessian-eigenthings: eigenvalues of a network's Hessian."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ravine.curvature import Objective, extremes, hessian, trace_of

from .reports import report

PYHESSIAN = "amirgholami/PyHessian"


def network() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def examples(count: int = 90) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    return torch.randn(count, 4, generator=draw, dtype=torch.float64), torch.arange(count) % 3


def exact(of: Objective) -> Tensor:
    """The Hessian [P, P], by autograd on all examples at once."""
    x, y = of.rows(torch.arange(of.examples))

    def loss(point: Tensor) -> Tensor:
        values = dict(zip(of.layout.shapes, of.unpack(point), strict=True))
        return of.loss_function(torch.func.functional_call(of.module, values, x), y)

    found: Tensor = torch.autograd.functional.hessian(loss, of.point())
    return found


@report(
    PYHESSIAN,
    10,
    "There are eigenvalues of the whole network alone, and no way to ask for those of one layer.",
    ravine="The Hessian is over the parameters that are trainable: freeze the others, and it is the layer's own.",
)
def test_10_the_eigenvalues_of_one_layer_are_those_of_its_block() -> None:
    module = network()
    of = Objective(module, examples(), "classification")
    ours = of.pack([torch.full(shape, float(name.startswith("2."))) for name, shape in of.layout.shapes.items()]) == 1
    block = exact(of)[ours][:, ours]
    module[0].requires_grad_(False)
    layer = Objective(module, examples(), "classification")
    assert layer.size == len(block) == 21
    values = torch.linalg.eigvalsh(block)
    found = extremes(hessian(layer), largest=2, smallest=1)
    assert found.largest.values.tolist() == pytest.approx([values[-1].item(), values[-2].item()], rel=1e-3)
    assert abs(found.smallest.values.item() - values[0].item()) <= found.smallest.errors.item() + 1e-9


@report(
    PYHESSIAN,
    5,
    "The largest eigenvalue of ten runs lies between 159 and 1587, the trace between 1284 and 5054, with no word of the error.",
    ravine="All examples are looked at, and every figure carries its error: runs with other draws agree within it, and so does the truth.",
)
def test_5_runs_with_other_draws_agree_within_the_errors_they_say() -> None:
    of = Objective(network(), examples(), "classification")
    matrix = exact(of)
    top, trace = float(torch.linalg.eigvalsh(matrix)[-1]), float(matrix.trace())
    for seed in range(10):
        found = extremes(hessian(of), seed=seed).largest
        assert abs(found.values.item() - top) <= found.errors.item()
        assert found.errors.item() < 1e-3 * top
    inside = 0
    for seed in range(20):
        one = trace_of(hessian(of), products=18, seed=seed)
        inside += abs(one.value - trace) <= one.error
    assert inside >= 17  # of 20 intervals of 95 %, all but three; by chance once in 80


@report(
    "noahgolmant/pytorch-hessian-eigenthings",
    4,
    "Each power iteration sees another batch, so the estimate varies much with the batch size.",
    ravine="A product is with the Hessian of the mean over all examples; the batch size decides memory, not the result.",
)
def test_4_the_batch_size_does_not_change_the_eigenvalues() -> None:
    module = network()
    found = [
        extremes(hessian(Objective(module, examples(), "classification", batch=size)), largest=3).largest.values
        for size in (90, 32, 7)
    ]
    for values in found[1:]:
        torch.testing.assert_close(values, found[0], rtol=1e-6, atol=1e-9)
