"""AdaDelta: the rate of each coordinate is the size of its own past steps over that of its gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.rules.rule import Rule, check_range
from ravine.types import Hyper

__all__ = ["Adadelta", "AdadeltaState"]


class AdadeltaState(NamedTuple):
    """Two running means, of the gradients' squares and of the steps'."""

    square: Tensor  # running mean of squared gradients, like param
    step_square: Tensor  # running mean of squared steps, before lr, like param


class AdadeltaCoefficients(NamedTuple):
    decay: Hyper
    take: Hyper  # 1 - rho
    eps: Hyper
    rate: Hyper


@dataclass(frozen=True)
class Adadelta(Rule):
    """Steps in the units of the parameter, so that a rate of 1 is natural.

        grad        <- grad + weight_decay * param
        square      <- rho * square + (1 - rho) * grad^2
        step        <- sqrt(step_square + eps) / sqrt(square + eps) * grad
        step_square <- rho * step_square + (1 - rho) * step^2
        param       <- param - lr * step

    Source: Zeiler 2012, algorithm 1; lr is torch.optim.Adadelta's addition, 1 in the paper and the lecture.
    Memory: two tensors per parameter.

    >>> rule = Adadelta(rho=0.75, eps=1.0)
    >>> param, grad = torch.tensor([1.0]), torch.tensor([2.0])
    >>> rule.update(param, grad, rule.init(param), lr=0.5, step=1)[1].square
    tensor([1.])
    """

    rho: Hyper = 0.9  # share of both means kept each step, in [0, 1)
    eps: Hyper = 1e-6  # added inside both roots; starts the first steps, >= 0
    weight_decay: Hyper = 0.0  # coupled L2: added to the gradient, >= 0

    def __post_init__(self) -> None:
        check_range("Adadelta", "rho", self.rho, 0.0, 1.0)
        check_range("Adadelta", "eps", self.eps, 0.0)
        check_range("Adadelta", "weight_decay", self.weight_decay, 0.0)

    def init(self, param: Tensor) -> AdadeltaState:
        return AdadeltaState(torch.zeros_like(param), torch.zeros_like(param))

    def coefficients(self, lr: Hyper, step: int) -> AdadeltaCoefficients:  # noqa: ARG002 - every step is alike
        return AdadeltaCoefficients(self.weight_decay, 1 - self.rho, self.eps, lr)

    def apply(
        self, param: Tensor, grad: Tensor, state: AdadeltaState, by: AdadeltaCoefficients
    ) -> tuple[Tensor, AdadeltaState]:
        grad = grad + by.decay * param
        square = torch.lerp(state.square, grad * grad, by.take)
        step = (state.step_square + by.eps).sqrt() / (square + by.eps).sqrt() * grad
        step_square = torch.lerp(state.step_square, step * step, by.take)
        return param - by.rate * step, AdadeltaState(square, step_square)
