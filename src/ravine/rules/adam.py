"""Adam: each coordinate steps by its mean gradient over the root of its mean squared gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.rules.rule import Rule, check_range
from ravine.types import Hyper

__all__ = ["Adam", "AdamCoefficients", "AdamState"]


class AdamState(NamedTuple):
    """The two moments, and with amsgrad the largest of the second."""

    mean: Tensor  # running mean of gradients, like param
    square: Tensor  # running mean of squared gradients, like param
    largest: Tensor | None = None  # the largest square so far, like param; None without amsgrad


class AdamCoefficients(NamedTuple):
    decay: Hyper
    take1: Hyper  # 1 - beta1
    take2: Hyper  # 1 - beta2
    rate: Hyper  # lr, with both bias corrections
    eps: Hyper  # with that of the square


@dataclass(frozen=True)
class Adam(Rule):
    """Adaptive moments, bias-corrected.

        grad    <- grad + weight_decay * param
        mean    <- beta1 * mean + (1 - beta1) * grad
        square  <- beta2 * square + (1 - beta2) * grad^2
        largest <- max(largest, square)                                     (amsgrad=True)
        largest <- square                                                   (amsgrad=False)
        root    <- sqrt(1 - beta2^t)
        param   <- param - lr * root / (1 - beta1^t) * mean / (sqrt(largest) + eps * root)

    Source: Kingma & Ba 2015, algorithm 1 with its corrections moved to lr and eps, as they propose below it,
    which saves a pass over the parameters; t = 1 at the first step (the lecture's slide divides by
    1 - beta1^0 = 0 there). amsgrad: Reddi, Kale & Kumar 2018. The maximum is taken before the bias
    correction, eps stands outside the root and decay is coupled, all three as in torch.optim.Adam.
    Memory: two tensors per parameter, three with amsgrad.

    >>> rule = Adam()
    >>> param, grad = torch.tensor([1.0]), torch.tensor([0.5])
    >>> rule.update(param, grad, rule.init(param), lr=0.25, step=1)[0]
    tensor([0.7500])
    """

    beta1: Hyper = 0.9  # share of the mean kept each step, in [0, 1)
    beta2: Hyper = 0.999  # share of the mean square kept each step, in [0, 1)
    eps: Hyper = 1e-8  # added to the root, in units of a gradient, >= 0
    weight_decay: Hyper = 0.0  # coupled L2: added to the gradient, >= 0
    amsgrad: bool = False  # divide by the root of the largest mean square so far, not the present one

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_range(name, "beta1", self.beta1, 0.0, 1.0)
        check_range(name, "beta2", self.beta2, 0.0, 1.0)
        check_range(name, "eps", self.eps, 0.0)
        check_range(name, "weight_decay", self.weight_decay, 0.0)

    def init(self, param: Tensor) -> AdamState:
        largest = torch.zeros_like(param) if self.amsgrad else None
        return AdamState(torch.zeros_like(param), torch.zeros_like(param), largest)

    def coefficients(self, lr: Hyper, step: int) -> AdamCoefficients:
        root = (1 - self.beta2**step) ** 0.5
        return AdamCoefficients(
            decay=self.weight_decay,
            take1=1 - self.beta1,
            take2=1 - self.beta2,
            rate=lr * root / (1 - self.beta1**step),
            eps=self.eps * root,
        )

    def apply(self, param: Tensor, grad: Tensor, state: AdamState, by: AdamCoefficients) -> tuple[Tensor, AdamState]:
        return moment_step(param, grad + by.decay * param, state, by)


def moment_step(param: Tensor, grad: Tensor, state: AdamState, by: AdamCoefficients) -> tuple[Tensor, AdamState]:
    """Adam's step once decay has had its say; AdamW shares it."""
    mean = torch.lerp(state.mean, grad, by.take1)
    square = torch.lerp(state.square, grad * grad, by.take2)
    largest = None if state.largest is None else torch.maximum(state.largest, square)
    scale = (square if largest is None else largest).sqrt() + by.eps
    return torch.addcdiv(param, by.rate * mean, scale, value=-1), AdamState(mean, square, largest)
