"""AdaGrad: each coordinate's rate falls with the root of all its squared gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.rules.rule import Rule, check_range, narrow_one
from ravine.types import Hyper

__all__ = ["Adagrad", "AdagradState"]


class AdagradState(NamedTuple):
    """What the gradients so far add up to, squared."""

    total: Tensor  # sum of squared gradients, like param


class AdagradCoefficients(NamedTuple):
    decay: Hyper
    rate: Hyper
    eps: Hyper


@dataclass(frozen=True)
class Adagrad(Rule):
    """Adaptive gradient: steep coordinates slow down, rare ones keep their rate.

        grad  <- grad + weight_decay * param
        total <- total + grad^2
        param <- param - lr / (1 + (t - 1) * lr_decay) * grad / (sqrt(total) + eps)

    Source: Duchi, Hazan & Singer 2011, diagonal form. eps stands outside the root, as in torch.optim.Adagrad
    (one slide of the lecture has it inside). The lecture's settings: lr 0.01, eps 1e-8.
    Memory: one tensor per parameter.

    >>> rule = Adagrad()
    >>> param, grad = torch.tensor([1.0]), torch.tensor([2.0])
    >>> rule.update(param, grad, rule.init(param), lr=0.25, step=1)
    (tensor([0.7500]), AdagradState(total=tensor([4.])))
    """

    lr_decay: Hyper = 0.0  # lr falls further, as 1 / (1 + (t - 1) * lr_decay), >= 0
    initial_accumulator_value: Hyper = 0.0  # total before the first step, in squared units of a gradient, >= 0
    eps: Hyper = 1e-10  # added to the root, in units of a gradient, >= 0
    weight_decay: Hyper = 0.0  # coupled L2: added to the gradient, >= 0

    def __post_init__(self) -> None:
        for name in ("lr_decay", "initial_accumulator_value", "eps", "weight_decay"):
            check_range("Adagrad", name, getattr(self, name), 0.0)

    def init(self, param: Tensor) -> AdagradState:
        return AdagradState(torch.zeros_like(param) + narrow_one(self.initial_accumulator_value, param))

    def coefficients(self, lr: Hyper, step: int) -> AdagradCoefficients:
        return AdagradCoefficients(self.weight_decay, lr / (1 + (step - 1) * self.lr_decay), self.eps)

    def apply(
        self, param: Tensor, grad: Tensor, state: AdagradState, by: AdagradCoefficients
    ) -> tuple[Tensor, AdagradState]:
        grad = grad + by.decay * param
        total = state.total + grad * grad
        return param - by.rate * grad / (total.sqrt() + by.eps), AdagradState(total)
