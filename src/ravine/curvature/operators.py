"""Matrices that are never formed: what they make of a vector, exact and over the whole data set.

Hessian-vector products are by double backward. Against forward over reverse (2 cores, in gradients of the same data):
2.5 to 3.2 for an MLP of 270,000 parameters, 2.5 to 4.4 for one of 2,400, 2.8 to 1.9 for a small convolution. But the
graph of a gradient can be kept, and the next product is then its backward alone: 1.3, 1.3 and 1.6. So graphs are kept
as long as they fit `memory`; where they do not, each product builds them again, batch by batch.

Letters in shapes: K vectors, P parameters, B batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ravine.curvature.objective import Objective, Part
from ravine.curvature.twice import check_functions, differentiated_twice
from ravine.engines.memory import keeping
from ravine.errors import SettingError

__all__ = ["Dense", "Operator", "Products", "gauss_newton", "hessian"]

TOGETHER = 2**21
"""Bytes of kept graph that several vectors may pass at once: beyond the cache, one by one is as fast or faster.

Measured with 1 and 2 threads, per vector and against one by one: 0.15 to 0.25 at 19 kB of graph and 64 vectors, 0.9 at 900 kB and 4, up
to 2.2 at 2 MB and 64."""


class Operator(Protocol):
    """A symmetric matrix [P, P] that is known by its products."""

    size: int  # P
    eps: float  # relative rounding of a product
    device: torch.device

    def __call__(self, vectors: Tensor) -> Tensor:
        """Products with the rows of vectors, [K, P] -> [K, P], float64."""
        ...


class Dense:
    """A symmetric matrix [P, P] that is at hand, as an operator.

    >>> Dense(torch.diag(torch.tensor([1.0, 2.0])))(torch.ones(1, 2))
    tensor([[1., 2.]], dtype=torch.float64)
    """

    eps = torch.finfo(torch.float64).eps

    def __init__(self, matrix: Tensor) -> None:
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise SettingError(f"a matrix of shape {list(matrix.shape)} is not square: give one of shape [P, P].")
        self.matrix, self.size, self.device = matrix.double(), len(matrix), matrix.device

    def __call__(self, vectors: Tensor) -> Tensor:
        return vectors.double() @ self.matrix.mT


Linear = Callable[[Sequence[Tensor], bool], Sequence[Tensor | None]]
"""A batch's matrix: one tensor per parameter -> the same; with True each has a leading dimension of K vectors."""

Linearize = Callable[[Objective, Part], Linear]


class Products:
    """The mean over batches of a matrix that autograd can multiply with. `count` is of vectors multiplied so far.

    memory: bytes that kept graphs may take altogether.
    Raises ModelError, with its name, for an operation that cannot be differentiated twice.
    """

    def __init__(self, objective: Objective, linearize: Linearize, *, memory: int = 2**30) -> None:
        self.objective, self.linearize = objective, linearize
        self.size, self.eps, self.device = objective.size, objective.eps, objective.device
        self.count = 0
        first = next(objective.parts())
        graph_bytes = _graph_bytes(objective, linearize, first)
        self.together = max(1, min(64, TOGETHER // max(graph_bytes, 1)))
        self.kept: list[tuple[float, Linear]] | None = None
        if graph_bytes / first.share <= memory:
            self.kept = list(self._linear_parts())

    def __call__(self, vectors: Tensor) -> Tensor:
        total = torch.zeros(vectors.shape, dtype=torch.float64, device=self.device)
        for share, linear in self.kept or self._linear_parts():
            for rows, sums in zip(vectors.split(self.together), total.split(self.together), strict=True):
                sums += share * self._multiplied(linear, rows)
        self.count += len(vectors)
        return total

    def _multiplied(self, linear: Linear, rows: Tensor) -> Tensor:
        many = len(rows) > 1
        found = linear(self.objective.unpack(rows if many else rows[0]), many)
        if all(part is None for part in found):
            return torch.zeros_like(rows)
        packed = self.objective.pack(found)
        return packed if many else packed[None]

    def _linear_parts(self) -> Iterator[tuple[float, Linear]]:
        for part in self.objective.parts():
            yield part.share, _linearized(self.objective, self.linearize, part)


def hessian(objective: Objective, *, memory: int = 2**30) -> Products:
    """The Hessian of the mean loss.

    >>> from torch import nn
    >>> cubic = lambda outputs, y: ((outputs - y) ** 3).mean()
    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(model.weight, 2.0)
    >>> hessian(Objective(model, (torch.ones(1, 1), torch.ones(1, 1)), cubic))(torch.ones(1, 1))
    tensor([[6.]], dtype=torch.float64)
    """
    return Products(objective, _hessian_of, memory=memory)


def gauss_newton(objective: Objective, *, memory: int = 2**30) -> Products:
    """The Gauss-Newton matrix J' H J: J the outputs by the parameters, H the loss by the outputs.

    The Hessian without the curvature of the network itself: never negative for a loss that is convex in the outputs.
    For cross-entropy it is the Fisher information; for a mean squared error (without a half) twice that of a Gaussian
    of unit variance. Source: Schraudolph 2002; Martens 2020.
    """
    return Products(objective, _gauss_newton_of, memory=memory)


def _hessian_of(objective: Objective, part: Part) -> Linear:
    value = objective.loss_of(part.x, part.y)
    slopes = torch.autograd.grad(value, objective.params, create_graph=True, allow_unused=True)
    live = [k for k, slope in enumerate(slopes) if slope is not None and slope.requires_grad]
    outputs = [slopes[k] for k in live]

    def linear(vectors: Sequence[Tensor], many: bool) -> Sequence[Tensor | None]:
        if not live:  # the loss is linear in the parameters
            return [None] * len(vectors)
        return _backward(outputs, objective.params, [vectors[k] for k in live], many)

    return linear


def _gauss_newton_of(objective: Objective, part: Part) -> Linear:
    outputs = objective.module(part.x)
    dual = torch.zeros_like(outputs, requires_grad=True)
    pulled = torch.autograd.grad(outputs, objective.params, dual, create_graph=True, allow_unused=True)
    live = [k for k, slope in enumerate(pulled) if slope is not None]
    pulled_live = [slope for slope in pulled if slope is not None]
    answer = outputs.detach().requires_grad_()
    (slope,) = torch.autograd.grad(objective.loss_function(answer, part.y), answer, create_graph=True)

    def linear(vectors: Sequence[Tensor], many: bool) -> Sequence[Tensor | None]:
        # pulled is J' dual, linear in dual; so its backward by dual is J times what is handed in
        (moved,) = _backward(pulled_live, [dual], [vectors[k] for k in live], many)
        (bent,) = _backward([slope], [answer], [moved], many) if slope.requires_grad else (None,)
        if bent is None:
            return [None] * len(vectors)
        return _backward([outputs], objective.params, [bent], many)

    return linear


def _backward(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], vectors: Sequence[Tensor | None], many: bool
) -> Sequence[Tensor | None]:
    return torch.autograd.grad(outputs, inputs, vectors, retain_graph=True, allow_unused=True, is_grads_batched=many)


def _linearized(objective: Objective, linearize: Linearize, part: Part) -> Linear:
    """A batch's matrix; attention is by its formula, for its fused kernels have no second derivative."""
    with sdpa_kernel(SDPBackend.MATH), differentiated_twice(objective.name):
        return linearize(objective, part)


def _graph_bytes(objective: Objective, linearize: Linearize, part: Part) -> int:
    """Bytes that a batch's graph keeps, beside the network and the examples; shows that there is a product at all."""
    check_functions(objective.name, objective.loss_of(part.x, part.y))
    with keeping([*objective.module.parameters(), *part[:2]]) as kept:
        linear = _linearized(objective, linearize, part)
    with differentiated_twice(objective.name):
        linear([torch.zeros_like(param) for param in objective.params], False)
    return sum(kept.values())
