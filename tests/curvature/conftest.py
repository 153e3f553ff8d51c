"""Small networks of several kinds, each with its dense Hessian by torch.func, and one trained until it is at rest."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ravine.curvature import Objective
from ravine.engines import Loss
from ravine.randomness import seeded
from ravine.training import LOSSES


@dataclass(frozen=True, eq=False)
class Case:
    """A network and its examples; `matrix` is its Hessian in the packed order, float64."""

    model: nn.Module
    x: Tensor
    y: Tensor
    loss: Loss
    matrix: Tensor

    @property
    def values(self) -> Tensor:
        return torch.linalg.eigvalsh(self.matrix)

    def objective(self, batch: int = 1000, dtype: torch.dtype = torch.float64) -> Objective:
        return Objective(copy.deepcopy(self.model).to(dtype), (self.x, self.y), self.loss, batch=batch)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> Tensor:
    """The Hessian [P, P] by torch.func.hessian, in evaluation mode."""
    objective = Objective(model, (x, y), loss)

    def value(point: Tensor) -> Tensor:
        return loss(functional_call(objective.module, objective.layout.views(point), (objective._fitted(x),)), y)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's forward mode loads torch.jit, which it deprecates
        return torch.func.hessian(value)(objective.point()).detach()


def tanh_classifier() -> tuple[nn.Module, Tensor, Tensor, Loss]:
    """Trained for a moment, so that a few large eigenvalues stand out as they do in use."""
    model = nn.Sequential(nn.Linear(20, 25), nn.Tanh(), nn.Dropout(0.5), nn.Linear(25, 15), nn.ReLU(), nn.Linear(15, 4))
    x, y = normal(90, 20), torch.arange(90) % 4
    optimizer = torch.optim.Adam(model.double().eval().parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.train(), x, y, LOSSES["classification"]


def batch_norm_classifier() -> tuple[nn.Module, Tensor, Tensor, Loss]:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)
    )
    x = normal(70, 1, 8, 8)
    model.double()(x * 2 + 1)  # statistics that are not those of a fresh layer
    return model, x, torch.arange(70) % 5, LOSSES["classification"]


def regression() -> tuple[nn.Module, Tensor, Tensor, Loss]:
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1))
    return model, normal(50, 6), normal(50, seed=1), LOSSES["regression"]


CASES: dict[str, Callable[[], tuple[nn.Module, Tensor, Tensor, Loss]]] = {
    "tanh classifier": tanh_classifier,
    "convolution and batch norm": batch_norm_classifier,
    "regression": regression,
}


@pytest.fixture(scope="package")
def cases() -> dict[str, Case]:
    """Every network of CASES, built once; the tests leave them as they are."""
    found = {}
    for name, make in CASES.items():
        with seeded(3, name):
            model, x, y, loss = make()
        model = model.double()
        found[name] = Case(model, x, y, loss, dense(model, x, y, loss))
    return found


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    return cases[request.param]


@pytest.fixture(scope="package")
def at_rest() -> Case:
    """A tanh classifier trained by L-BFGS and then Newton until its gradient has vanished.

    A third of its labels are noise, so that no network of its size is always right and a minimum is reached.
    """
    with seeded(5, "at rest"):
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    x = normal(300, 3)
    y = ((x[:, 0] + x[:, 1] ** 2 > 0.5).long() + (x[:, 2] > 0.8).long() + (torch.arange(300) % 3 == 0).long()) % 3
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=4000, tolerance_grad=1e-9, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(model(x), y)
        value.backward()
        return value

    optimizer.step(closure)
    for _ in range(5):  # Newton's steps take away what the line search cannot tell from rounding
        objective = Objective(model, (x, y), F.cross_entropy)
        values, vectors = torch.linalg.eigh(dense(model, x, y, F.cross_entropy))
        inverse = torch.where(values > 1e-6, 1 / values, 0.0)  # equal shifts of all logits change nothing
        away = vectors @ (inverse * (vectors.mT @ objective.gradient()))
        model.load_state_dict(objective.layout.views(objective.point() - away))
    return Case(model, x, y, F.cross_entropy, dense(model, x, y, F.cross_entropy))
