"""RAdam: Adam that waits for its mean square to become reliable before it divides by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.rules.rule import Rule, check_range, choose
from ravine.types import Hyper

__all__ = ["RAdam", "RAdamState"]


class RAdamState(NamedTuple):
    """The two moments."""

    mean: Tensor  # running mean of gradients, like param
    square: Tensor  # running mean of squared gradients, like param


class RAdamCoefficients(NamedTuple):
    shrink: Hyper  # decoupled decay
    decay: Hyper  # coupled decay
    take1: Hyper  # 1 - beta1
    take2: Hyper  # 1 - beta2
    plain: Hyper  # the rate without the root; 0 once the mean square is reliable
    rate: Hyper  # the rate with it; 0 until then
    eps: Hyper


@dataclass(frozen=True)
class RAdam(Rule):
    """Rectified Adam: the first steps are momentum's, the later ones Adam's with a rectified rate.

        grad    <- grad + weight_decay * param                              (decoupled_weight_decay=False)
        param   <- param - lr * weight_decay * param                        (decoupled_weight_decay=True)
        mean    <- beta1 * mean + (1 - beta1) * grad
        square  <- beta2 * square + (1 - beta2) * grad^2
        rho_inf <- 2 / (1 - beta2) - 1
        rho     <- rho_inf - 2 * t * beta2^t / (1 - beta2^t)
        rate    <- lr / (1 - beta1^t)
        param   <- param - rate * mean                                      (rho <= 5)
        rect    <- sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
        param   <- param - rate * rect * sqrt(1 - beta2^t) * mean / (sqrt(square) + eps)       (rho > 5)

    Source: Liu et al. 2020, algorithm 2, with the threshold 5 of its authors' code and of torch.optim.RAdam
    (the paper has 4). beta1 and beta2 are the lecture's for Adam.
    Memory: two tensors per parameter.

    >>> rule = RAdam()
    >>> param, grad = torch.tensor([1.0]), torch.tensor([0.5])
    >>> rule.update(param, grad, rule.init(param), lr=0.5, step=1)[0]
    tensor([0.7500])
    """

    beta1: Hyper = 0.9  # share of the mean kept each step, in [0, 1)
    beta2: Hyper = 0.999  # share of the mean square kept each step, in [0, 1)
    eps: Hyper = 1e-8  # added to the root, in units of a gradient, >= 0
    weight_decay: Hyper = 0.0  # added to the gradient, or a share of a weight lost per unit of lr, >= 0
    decoupled_weight_decay: bool = False  # shrink the weights directly, as AdamW does

    def __post_init__(self) -> None:
        check_range("RAdam", "beta1", self.beta1, 0.0, 1.0)
        check_range("RAdam", "beta2", self.beta2, 0.0, 1.0)
        check_range("RAdam", "eps", self.eps, 0.0)
        check_range("RAdam", "weight_decay", self.weight_decay, 0.0)

    def init(self, param: Tensor) -> RAdamState:
        return RAdamState(torch.zeros_like(param), torch.zeros_like(param))

    def coefficients(self, lr: Hyper, step: int) -> RAdamCoefficients:
        rate = lr / (1 - self.beta1**step)
        rectifier = self._rectifier(step)
        ready = choose(rectifier > 0, 1.0, 0.0)
        return RAdamCoefficients(
            shrink=1 - lr * self.weight_decay if self.decoupled_weight_decay else 1.0,
            decay=0.0 if self.decoupled_weight_decay else self.weight_decay,
            take1=1 - self.beta1,
            take2=1 - self.beta2,
            plain=rate * (1 - ready),
            rate=rate * rectifier,
            eps=choose(rectifier > 0, self.eps, 1.0),  # a root of 0 divides nothing while it is not used
        )

    def apply(self, param: Tensor, grad: Tensor, state: RAdamState, by: RAdamCoefficients) -> tuple[Tensor, RAdamState]:
        param, grad = by.shrink * param, grad + by.decay * param
        mean = torch.lerp(state.mean, grad, by.take1)
        square = torch.lerp(state.square, grad * grad, by.take2)
        return param - (by.plain + by.rate / (square.sqrt() + by.eps)) * mean, RAdamState(mean, square)

    def _rectifier(self, step: int) -> Hyper:
        """The product rect * sqrt(1 - beta2^t), or 0 while rho is not above 5."""
        whole = 2 / (1 - self.beta2) - 1
        kept = self.beta2**step
        rho = whole - 2 * step * kept / (1 - kept)
        whole = choose(rho > 5, whole, 6.0)  # rho is below it, so nothing is divided by 0 here
        rho = choose(rho > 5, rho, 4.0)  # which makes the product 0
        rect = (rho - 4) * (rho - 2) * whole / ((whole - 4) * (whole - 2) * rho)
        return (rect * (1 - kept)) ** 0.5
