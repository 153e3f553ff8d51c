"""Shampoo: the gradient whitened along every side of the parameter by a root of what past gradients correlate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ravine.rules.counts import check_count
from ravine.rules.rule import Rule, check_range
from ravine.rules.sides import along_side, eigh, gram, pack, short_sides, unpack, wide_dtype
from ravine.types import Hyper

__all__ = ["Shampoo", "ShampooState"]


class ShampooState(NamedTuple):
    """The mean, and for a matrix the statistics of its two sides with their roots."""

    mean: Tensor  # running mean of gradients, like param
    square: Tensor | None  # running mean of squared gradients, like param; None where no step needs Adam's
    statistics: Tensor | None  # running mean of each side's gram matrix, packed, [S]; None without sides
    roots: Tensor | None  # their inverse roots at the last refresh, packed, [S]; None without sides


class ShampooCoefficients(NamedTuple):
    decay: Hyper
    take1: Hyper  # 1 - beta1
    take2: Hyper  # 1 - beta2
    correction1: Hyper  # of the mean's bias
    correction2: Hyper  # of the statistics' bias
    root: Hyper  # of the square's bias, 1 / sqrt(correction2)
    eps: Hyper  # with the root
    matrix_eps: Hyper
    rate: Hyper
    refresh: bool  # new roots in this step


@dataclass(frozen=True)
class Shampoo(Rule):
    """Kronecker-factored full-matrix AdaGrad, with Adam's step length.

        mean      <- beta1 * mean + (1 - beta1) * grad
        square    <- beta2 * square + (1 - beta2) * grad^2
        S_i       <- beta2 * S_i + (1 - beta2) * G_i G_i^T                   (for each of k sides i)
        R_i       <- (S_i / (1 - beta2^t) + matrix_eps * top * I)^(-1 / 2k)  (top: its largest eigenvalue)
        adam      <- (mean / (1 - beta1^t)) / (sqrt(square / (1 - beta2^t)) + eps)
        direction <- mean / (1 - beta1^t), multiplied by R_i along each side i
        direction <- direction * |adam| / |direction|                        (grafting=True)
        param     <- param - lr * weight_decay * param
        param     <- param - lr * direction

    G_i is the gradient as a matrix whose rows are its slices along axis i: G and G^T for a matrix.
    Source: Gupta, Koren & Singer 2018, algorithms 1 and 2, in the practical form of Anil et al. 2020: momentum,
    a ridge relative to the top eigenvalue, roots refreshed now and then, and a step length grafted from
    another rule, which is Adam here, so that rates tuned for Adam carry over. Chosen where they differ: the
    statistics are a bias-corrected running mean, as in Shi et al. 2023 (the paper's sum never forgets, and its
    steps fade). R_i is renewed at each of the first update_every steps, when it changes most, and at every
    update_every-th from then on. A side longer than max_size has no matrix, and k counts those that have one.
    Vectors, scalars and what has no side take Adam's own step: a vector's matrix would amplify unseen directions
    by 1 / sqrt(matrix_eps). Roots by eigendecomposition, in float32 at least.
    Memory: two tensors per parameter (one without grafting), and two D x D matrices for each side of length D.

    >>> rule = Shampoo(beta1=0.0, weight_decay=0.0, matrix_eps=0.0, grafting=False)
    >>> param, grad = torch.zeros(2, 2), torch.diag(torch.tensor([4.0, 0.25]))
    >>> rule.update(param, grad, rule.init(param), lr=0.5, step=1)[0].diag().round(decimals=4)
    tensor([-0.5000, -0.5000])
    """

    beta1: Hyper = 0.9  # share of the mean kept each step, in [0, 1)
    beta2: Hyper = 0.99  # share of the statistics and of the mean square kept each step, in [0, 1)
    eps: Hyper = 1e-8  # added to Adam's root, in units of a gradient, >= 0
    matrix_eps: Hyper = 1e-6  # ridge under the root, in units of the largest eigenvalue, >= 0
    weight_decay: Hyper = 0.01  # decoupled: share of a weight lost per unit of lr, >= 0
    update_every: int = 10  # steps between two refreshes of the roots, >= 1
    max_size: int = 1024  # the longest side that has a matrix, >= 1
    grafting: bool = True  # take the step's length from Adam

    elementwise: ClassVar[bool] = False
    decoupled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("Shampoo", "beta1", self.beta1, 0.0, 1.0)
        check_range("Shampoo", "beta2", self.beta2, 0.0, 1.0)
        check_range("Shampoo", "eps", self.eps, 0.0)
        check_range("Shampoo", "matrix_eps", self.matrix_eps, 0.0)
        check_range("Shampoo", "weight_decay", self.weight_decay, 0.0)
        check_count("Shampoo", "update_every", self.update_every)
        check_count("Shampoo", "max_size", self.max_size)

    def init(self, param: Tensor) -> ShampooState:
        sides = short_sides(param, self.max_size)
        square = torch.zeros_like(param) if self.grafting or not sides else None
        if not sides:
            return ShampooState(torch.zeros_like(param), square, None, None)
        count = sum(param.shape[axis] ** 2 for axis in sides)
        packed = param.new_zeros(count, dtype=wide_dtype(param))
        return ShampooState(torch.zeros_like(param), square, packed, packed.clone())

    def coefficients(self, lr: Hyper, step: int) -> ShampooCoefficients:
        root = (1 - self.beta2**step) ** 0.5
        return ShampooCoefficients(
            decay=1 - lr * self.weight_decay,
            take1=1 - self.beta1,
            take2=1 - self.beta2,
            correction1=1 / (1 - self.beta1**step),
            correction2=1 / (1 - self.beta2**step),
            root=root,
            eps=self.eps * root,
            matrix_eps=self.matrix_eps,
            rate=lr,
            refresh=step <= self.update_every or step % self.update_every == 0,
        )

    def apply(
        self, param: Tensor, grad: Tensor, state: ShampooState, by: ShampooCoefficients
    ) -> tuple[Tensor, ShampooState]:
        mean = torch.lerp(state.mean, grad, by.take1)
        square = None if state.square is None else torch.lerp(state.square, grad * grad, by.take2)
        state = self._observe(grad, state._replace(mean=mean, square=square), by)
        return by.decay * param - by.rate * self._direction(state, by), state

    def _observe(self, grad: Tensor, state: ShampooState, by: ShampooCoefficients) -> ShampooState:
        """The state with this gradient in its statistics, and with new roots when they are due."""
        if state.statistics is None:
            return state
        sides = short_sides(grad, self.max_size)
        seen = pack([gram(grad.to(state.statistics.dtype), axis) for axis in sides])
        statistics = torch.lerp(state.statistics, seen, by.take2)
        if not by.refresh:
            return state._replace(statistics=statistics)
        averages = unpack(by.correction2 * statistics, grad, sides)
        roots = pack([inverse_root(each, 2 * len(sides), by.matrix_eps) for each in averages])
        return state._replace(statistics=statistics, roots=roots)

    def _direction(self, state: ShampooState, by: ShampooCoefficients) -> Tensor:
        mean = by.correction1 * state.mean
        adam = None if state.square is None else by.root * mean / (state.square.sqrt() + by.eps)
        if state.roots is None:
            assert adam is not None, "a parameter without sides takes Adam's step"
            return adam
        sides = short_sides(mean, self.max_size)
        direction = mean.to(state.roots.dtype)
        for axis, root in zip(sides, unpack(state.roots, mean, sides), strict=True):
            direction = along_side(direction, root, axis)
        if adam is not None:
            direction = direction * (adam.norm() / direction.norm().clamp(min=torch.finfo(direction.dtype).tiny))
        return direction.to(mean.dtype)


def inverse_root(matrix: Tensor, order: int, ridge: Hyper) -> Tensor:
    """(matrix + ridge * top * I)^(-1 / order) of a symmetric matrix, [D, D], whose largest eigenvalue is top."""
    values, vectors = eigh(matrix)
    values = values + ridge * values[-1]
    values = values.clamp(min=torch.finfo(values.dtype).tiny)  # rounded below 0, or nothing was ever seen
    return (vectors * values ** (-1 / order)) @ vectors.T
