"""SOAP: Adam, run in the slowly turning basis in which Shampoo would whiten the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ravine.rules.counts import check_count
from ravine.rules.rule import Rule, check_range
from ravine.rules.sides import along_side, eigh, gram, pack, short_sides, unpack, wide_dtype
from ravine.types import Hyper

__all__ = ["SOAP", "SOAPState"]


class SOAPState(NamedTuple):
    """The two moments, and for a matrix the statistics of its two sides with their eigenbases."""

    mean: Tensor  # running mean of gradients, like param
    square: Tensor  # running mean of squared gradients in the eigenbasis, like param
    statistics: Tensor | None  # running mean of each side's gram matrix, packed, [S]; None without sides
    basis: Tensor | None  # each side's eigenvectors, in columns, packed, [S]; None without sides


class SOAPCoefficients(NamedTuple):
    decay: Hyper
    take1: Hyper  # 1 - beta1
    take2: Hyper  # 1 - beta2
    take3: Hyper  # 1 - shampoo_beta
    rate: Hyper  # lr, with both bias corrections
    eps: Hyper  # with that of the square
    first: bool  # find the basis, and stand still
    refresh: bool  # turn the basis at the end of this step


@dataclass(frozen=True)
class SOAP(Rule):
    """Shampoo with Adam in the preconditioner's eigenbasis.

        mean   <- beta1 * mean + (1 - beta1) * grad
        turned <- grad, multiplied by Q_i^T along each side i
        square <- beta2 * square + (1 - beta2) * turned^2
        step   <- mean, multiplied by Q_i^T along each side i
        step   <- (step / (1 - beta1^s)) / (sqrt(square / (1 - beta2^s)) + eps)
        param  <- param - lr * weight_decay * param
        param  <- param - lr * step, multiplied by Q_i along each side i
        S_i    <- shampoo_beta * S_i + (1 - shampoo_beta) * G_i G_i^T     (for each side i)
        Q_i    <- orthogonal factor of S_i Q_i, by QR                     (when s divides by precondition_frequency)

    G_i is the gradient as a matrix whose rows are its slices along axis i: G and G^T for a matrix. Before the QR
    the columns of Q_i are put in falling order of their estimated eigenvalues, and square with them.
    Source: Vyas et al. 2024, algorithm 3, with the first step of their code, which it leaves open: the first
    gradient only fills S_i and finds Q_i by eigendecomposition, and nothing moves, as in its own eigenbasis a
    gradient is nearly diagonal and Adam would step by the signs of its rounding errors. So s = t - 1. Decay
    comes before the step, as in AdamW; their code decays the moved weight. A side longer than max_precond_dim
    keeps its coordinates. Vectors and scalars take AdamW, one step late like the rest.
    Memory: two tensors per parameter, and two D x D matrices for each side of length D: hence a
    max_precond_dim smaller than their 10000.

    >>> rule = SOAP(weight_decay=0.0, eps=1e-4)
    >>> param, grad = torch.zeros(2, 2), torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    >>> state = rule.init(param)
    >>> for step in (1, 2):
    ...     param, state = rule.update(param, grad, state, lr=0.5, step=step)
    >>> param.round(decimals=2)
    tensor([[-0.2500, -0.2500],
            [-0.2500, -0.2500]])
    """

    beta1: Hyper = 0.95  # share of the mean kept each step, in [0, 1)
    beta2: Hyper = 0.95  # share of the mean square kept each step, in [0, 1)
    shampoo_beta: Hyper = 0.95  # share of the statistics kept each step, in [0, 1)
    eps: Hyper = 1e-8  # added to the root, in units of a gradient, >= 0
    weight_decay: Hyper = 0.01  # decoupled: share of a weight lost per unit of lr, >= 0
    precondition_frequency: int = 10  # steps between two turns of the basis, >= 1
    max_precond_dim: int = 1024  # the longest side that has a basis, >= 1

    elementwise: ClassVar[bool] = False
    decoupled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("SOAP", "beta1", self.beta1, 0.0, 1.0)
        check_range("SOAP", "beta2", self.beta2, 0.0, 1.0)
        check_range("SOAP", "shampoo_beta", self.shampoo_beta, 0.0, 1.0)
        check_range("SOAP", "eps", self.eps, 0.0)
        check_range("SOAP", "weight_decay", self.weight_decay, 0.0)
        check_count("SOAP", "precondition_frequency", self.precondition_frequency)
        check_count("SOAP", "max_precond_dim", self.max_precond_dim)

    def init(self, param: Tensor) -> SOAPState:
        mean, square = torch.zeros_like(param), torch.zeros_like(param)
        sides = short_sides(param, self.max_precond_dim)
        if not sides:
            return SOAPState(mean, square, None, None)
        count = sum(param.shape[axis] ** 2 for axis in sides)
        packed = param.new_zeros(count, dtype=wide_dtype(param))
        return SOAPState(mean, square, packed, packed.clone())

    def coefficients(self, lr: Hyper, step: int) -> SOAPCoefficients:
        moves = max(step - 1, 1)  # the first step is none, and its numbers are not used
        root = (1 - self.beta2**moves) ** 0.5
        return SOAPCoefficients(
            decay=1 - lr * self.weight_decay,
            take1=1 - self.beta1,
            take2=1 - self.beta2,
            take3=1 - self.shampoo_beta,
            rate=lr * root / (1 - self.beta1**moves),
            eps=self.eps * root,
            first=step == 1,
            refresh=moves % self.precondition_frequency == 0,
        )

    def apply(self, param: Tensor, grad: Tensor, state: SOAPState, by: SOAPCoefficients) -> tuple[Tensor, SOAPState]:
        if by.first:
            return param.clone(), self._observe(grad, state, by)
        mean = torch.lerp(state.mean, grad, by.take1)
        turned = self._turn(grad, state.basis)
        square = torch.lerp(state.square, (turned * turned).to(param.dtype), by.take2)
        step = by.rate * self._turn(mean, state.basis) / (square.sqrt() + by.eps)
        moved = by.decay * param - self._turn(step, state.basis, back=True).to(param.dtype)
        return moved, self._observe(grad, state._replace(mean=mean, square=square), by)

    def _turn(self, tensor: Tensor, basis: Tensor | None, *, back: bool = False) -> Tensor:
        """A tensor of the parameter's shape, into the basis or back out of it, in the basis' dtype."""
        if basis is None:
            return tensor
        sides = short_sides(tensor, self.max_precond_dim)
        turned = tensor.to(basis.dtype)
        for axis, q in zip(sides, unpack(basis, tensor, sides), strict=True):
            turned = along_side(turned, q if back else q.T, axis)
        return turned

    def _observe(self, grad: Tensor, state: SOAPState, by: SOAPCoefficients) -> SOAPState:
        """The state with this gradient in its statistics, and with another basis when one is due."""
        if state.statistics is None or state.basis is None:
            return state
        sides = short_sides(grad, self.max_precond_dim)
        seen = pack([gram(grad.to(state.statistics.dtype), axis) for axis in sides])
        statistics = torch.lerp(state.statistics, seen, by.take3)
        averages = unpack(statistics, grad, sides)
        if by.first:
            basis = [eigh(average)[1].flip(1) for average in averages]
            return SOAPState(state.mean, state.square, statistics, pack(basis))
        if by.refresh:
            square, basis = refreshed(state.square, sides, averages, unpack(state.basis, grad, sides))
            return SOAPState(state.mean, square, statistics, pack(basis))
        return state._replace(statistics=statistics)


def refreshed(
    square: Tensor, sides: list[int], averages: list[Tensor], basis: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """The square and the basis of each side after one power iteration towards the averages' eigenvectors."""
    turned = []
    for axis, average, q in zip(sides, averages, basis, strict=True):
        power = average @ q
        order = (q * power).sum(0).argsort(descending=True)
        turned.append(torch.linalg.qr(power[:, order])[0])
        square = square.index_select(axis, order)
    return square, turned
