"""Products against dense matrices, in batches, kept or built again, one vector or many."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.nn import functional as F

from ravine.curvature import Objective, gauss_newton, hessian
from ravine.errors import DataError, ModelError, SettingError
from ravine.training import LOSSES

from .conftest import Case, normal


def close(found: Tensor, wanted: Tensor, rel: float) -> bool:
    return float((found - wanted).norm() / wanted.norm()) < rel


@pytest.mark.parametrize("batch", [1000, 32])
@pytest.mark.parametrize("memory", [2**30, 0])
def test_products_are_the_dense_hessians(case: Case, batch: int, memory: int) -> None:
    """A batch of 32 leaves a smaller last one; memory 0 builds every graph again."""
    operator = hessian(case.objective(batch), memory=memory)
    assert (operator.kept is None) == (memory == 0)
    vectors = normal(3, operator.size)
    assert close(operator(vectors), vectors @ case.matrix, 1e-10)
    assert operator.count == 3


def test_many_vectors_at_once_are_what_each_is_alone(case: Case) -> None:
    operator = hessian(case.objective())
    operator.together = 4
    vectors = normal(6, operator.size)
    assert close(operator(vectors), torch.cat([operator(one[None]) for one in vectors]), 1e-12)


def test_single_precision_is_right_to_its_rounding(case: Case) -> None:
    vectors = normal(2, len(case.matrix))
    found = hessian(case.objective(32, torch.float32))(vectors)
    assert found.dtype == torch.float64
    assert close(found, vectors @ case.matrix, 1e-5)


def outputs_jacobian(objective: Objective) -> tuple[Tensor, Tensor]:
    """Outputs [N, C], and their derivatives by the packed parameters, [N, C, P]."""
    ((x, _, _),) = objective.parts()

    def of(point: Tensor) -> Tensor:
        return functional_call(objective.module, objective.layout.views(point), (x,))

    point = objective.point()
    return of(point).detach(), jacrev(of)(point).detach()


@pytest.mark.parametrize("memory", [2**30, 0])
def test_gauss_newton_is_the_dense_one(case: Case, memory: int) -> None:
    outputs, jacobian = outputs_jacobian(case.objective())
    rows, width = outputs.shape
    if case.loss is LOSSES["classification"]:
        p = torch.softmax(outputs, 1)
        bend = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    else:
        bend = 2 * torch.eye(width, dtype=torch.float64).expand(rows, width, width)
    wanted = torch.einsum("nip,nij,njq->pq", jacobian, bend, jacobian) / rows
    vectors = normal(3, len(wanted))
    assert close(gauss_newton(case.objective(32), memory=memory)(vectors), vectors @ wanted, 1e-10)


def test_gauss_newton_of_cross_entropy_is_the_fisher_information() -> None:
    """The mean over classes drawn from the model's own probabilities of the outer product of gradients."""
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3)).double()
    x = normal(20, 4)
    objective = Objective(model, (x, torch.zeros(20, dtype=torch.int64)), "classification")
    fisher = torch.zeros(objective.size, objective.size, dtype=torch.float64)
    for row in x:
        logits = objective.module(row[None])
        for chance, log in zip(torch.softmax(logits, 1)[0], torch.log_softmax(logits, 1)[0], strict=True):
            slope = objective.pack(torch.autograd.grad(log, objective.params, retain_graph=True))
            fisher += chance.item() * torch.outer(slope, slope) / len(x)
    assert close(gauss_newton(objective)(torch.eye(objective.size)), fisher, 1e-10)


def test_a_loss_that_is_linear_in_the_parameters_has_no_curvature() -> None:
    objective = Objective(nn.Linear(3, 1), (normal(5, 3), normal(5)), lambda out, _: out.mean())
    assert not hessian(objective)(torch.ones(2, objective.size)).any()
    assert not gauss_newton(objective)(torch.ones(2, objective.size)).any()


def test_attention_whose_fused_kernel_has_no_second_derivative_is_run_by_its_formula() -> None:
    class Attentive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            heads = self.inner(x)[:, None]
            return F.scaled_dot_product_attention(heads, heads, heads).mean((1, 2))

    objective = Objective(Attentive().double(), (normal(6, 5, 4), torch.arange(6) % 4), "classification")
    step, vector = 1e-5, normal(1, objective.size)
    slopes = []
    for side in (1, -1):
        moved = Attentive().double()
        moved.load_state_dict({n: t + 0.0 for n, t in objective.module.state_dict().items()})
        with torch.no_grad():
            shifts = objective.layout.views(side * step * vector[0])
            for name, param in moved.named_parameters():
                param += shifts[name]
        slopes.append(Objective(moved, objective.split, "classification").gradient())
    assert close(hessian(objective)(vector)[0], (slopes[0] - slopes[1]) / (2 * step), 1e-5)


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 3 * ctx.saved_tensors[0] ** 2 * grad


class Blocked(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.inner, self.kind = nn.Linear(3, 3), kind

    def forward(self, x: Tensor) -> Tensor:
        inner = self.inner(x)
        return Once.apply(inner) if self.kind == "once" else torch.cdist(inner, inner + 1)


@pytest.mark.parametrize(("kind", "named"), [("once", "Once"), ("cdist", "cdist")])
def test_an_operation_without_a_second_derivative_is_named(kind: str, named: str) -> None:
    """The mean as loss: autograd lets Once pass there, and leaves its curvature out."""
    objective = Objective(Blocked(kind), (normal(5, 3), normal(5)), lambda out, _: out.mean())
    with pytest.raises(ModelError, match=f"Blocked cannot be differentiated twice: .*{named}"):
        hessian(objective)


X, Y = normal(6, 3), torch.arange(6) % 3


def frozen() -> nn.Module:
    model = nn.Linear(3, 3)
    return model.requires_grad_(False)


class Noisy(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.randn(3)


@pytest.mark.parametrize(
    ("model", "data", "loss", "error", "said"),
    [
        (frozen(), (X, Y), "classification", ModelError, "requires_grad=True"),
        (nn.Linear(3, 3), (X[:0], Y[:0]), "classification", DataError, "no examples"),
        (nn.Linear(3, 3), (X * torch.nan, Y), "classification", DataError, "is nan"),
        (nn.Linear(3, 3).half(), (X, Y), "classification", ModelError, "float16"),
        (nn.Linear(3, 3), (X, Y), "clasification", SettingError, "did you mean classification"),
        (nn.Linear(3, 3), (X, Y), lambda out, _: out, ModelError, "one number"),
        (nn.Linear(3, 3), (X, Y), lambda out, _: out.detach().mean(), ModelError, "does not depend"),
        (Noisy(3, 3), (X, Y), "classification", ModelError, "draws random numbers"),
    ],
)
def test_what_has_no_curvature_is_refused(model: nn.Module, data: Any, loss: Any, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        Objective(model, data, loss)


def test_the_gradient_and_loss_of_uneven_batches_are_those_of_the_whole(case: Case) -> None:
    whole, parts = case.objective(), case.objective(32)
    assert parts.loss() == pytest.approx(whole.loss(), rel=1e-12)
    assert close(parts.gradient(), whole.gradient(), 1e-12)
