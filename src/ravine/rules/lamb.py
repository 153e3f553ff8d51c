"""LAMB: Adam's direction, with a step as long as the parameter itself calls for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ravine.rules.rule import Rule, check_range
from ravine.types import Hyper

__all__ = ["LAMB", "LAMBState"]


class LAMBState(NamedTuple):
    """The two moments."""

    mean: Tensor  # running mean of gradients, like param
    square: Tensor  # running mean of squared gradients, like param


class LAMBCoefficients(NamedTuple):
    decay: Hyper
    take1: Hyper  # 1 - beta1
    take2: Hyper  # 1 - beta2
    correction: Hyper  # of the mean over the root, for both biases
    eps: Hyper  # with the bias correction of the square
    rate: Hyper


@dataclass(frozen=True)
class LAMB(Rule):
    """Layer-wise adaptive moments for large batches.

        mean      <- beta1 * mean + (1 - beta1) * grad
        square    <- beta2 * square + (1 - beta2) * grad^2
        direction <- (mean / (1 - beta1^t)) / (sqrt(square / (1 - beta2^t)) + eps) + weight_decay * param
        trust     <- |param| / |direction|                  (1 where either is 0)
        param     <- param - lr * trust * direction

    Source: You et al. 2020, algorithm 2, with Adam's bias corrections, which its later versions leave out, and
    phi the identity: the form of optax.lamb. |.| is the Euclidean norm of one whole parameter. Decay is part of
    the direction, so it enters the trust ratio too. lr is the share of its own norm that a parameter moves
    per step. BERT's recipe leaves biases and norms out of both decay and trust: a group of AdamW does that.
    Memory: two tensors per parameter.

    >>> rule = LAMB(weight_decay=0.0)
    >>> param, grad = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 2.0])
    >>> rule.update(param, grad, rule.init(param), lr=0.5, step=1)[0]
    tensor([3.0000, 1.5000])
    """

    beta1: Hyper = 0.9  # share of the mean kept each step, in [0, 1)
    beta2: Hyper = 0.999  # share of the mean square kept each step, in [0, 1)
    eps: Hyper = 1e-6  # added to the root, in units of a gradient, >= 0
    weight_decay: Hyper = 0.01  # added to the direction before its norm is taken, >= 0

    elementwise: ClassVar[bool] = False
    decoupled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("LAMB", "beta1", self.beta1, 0.0, 1.0)
        check_range("LAMB", "beta2", self.beta2, 0.0, 1.0)
        check_range("LAMB", "eps", self.eps, 0.0)
        check_range("LAMB", "weight_decay", self.weight_decay, 0.0)

    def init(self, param: Tensor) -> LAMBState:
        return LAMBState(torch.zeros_like(param), torch.zeros_like(param))

    def coefficients(self, lr: Hyper, step: int) -> LAMBCoefficients:
        root = (1 - self.beta2**step) ** 0.5
        return LAMBCoefficients(
            decay=self.weight_decay,
            take1=1 - self.beta1,
            take2=1 - self.beta2,
            correction=root / (1 - self.beta1**step),
            eps=self.eps * root,
            rate=lr,
        )

    def apply(self, param: Tensor, grad: Tensor, state: LAMBState, by: LAMBCoefficients) -> tuple[Tensor, LAMBState]:
        mean = torch.lerp(state.mean, grad, by.take1)
        square = torch.lerp(state.square, grad * grad, by.take2)
        direction = by.correction * mean / (square.sqrt() + by.eps) + by.decay * param
        ours, its = param.norm(), direction.norm()
        trust = torch.where((ours == 0) | (its == 0), 1.0, ours / its)
        return param - by.rate * trust * direction, LAMBState(mean, square)
