"""Adamax: Adam with the largest recent gradient in place of the root mean square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.rules.rule import Rule, check_range
from ravine.types import Hyper

__all__ = ["Adamax", "AdamaxState"]


class AdamaxState(NamedTuple):
    """The mean, and the largest gradient so far, which decays."""

    mean: Tensor  # running mean of gradients, like param
    largest: Tensor  # decaying maximum of gradient sizes, like param


class AdamaxCoefficients(NamedTuple):
    decay: Hyper
    take1: Hyper  # 1 - beta1
    keep2: Hyper
    eps: Hyper
    rate: Hyper  # lr, bias-corrected


@dataclass(frozen=True)
class Adamax(Rule):
    """Adam under the infinity norm: no step is longer than lr.

        grad    <- grad + weight_decay * param
        mean    <- beta1 * mean + (1 - beta1) * grad
        largest <- max(beta2 * largest, |grad| + eps)
        param   <- param - lr / (1 - beta1^t) * mean / largest

    Source: Kingma & Ba 2015, algorithm 2. The paper has no eps; it stands where torch.optim.Adamax puts it.
    Memory: two tensors per parameter.

    >>> rule = Adamax(eps=0.0)
    >>> param, grad = torch.tensor([1.0]), torch.tensor([0.5])
    >>> rule.update(param, grad, rule.init(param), lr=0.25, step=1)[0]
    tensor([0.7500])
    """

    beta1: Hyper = 0.9  # share of the mean kept each step, in [0, 1)
    beta2: Hyper = 0.999  # share of the maximum kept each step, in [0, 1)
    eps: Hyper = 1e-8  # added to the size of a gradient, >= 0
    weight_decay: Hyper = 0.0  # coupled L2: added to the gradient, >= 0

    def __post_init__(self) -> None:
        check_range("Adamax", "beta1", self.beta1, 0.0, 1.0)
        check_range("Adamax", "beta2", self.beta2, 0.0, 1.0)
        check_range("Adamax", "eps", self.eps, 0.0)
        check_range("Adamax", "weight_decay", self.weight_decay, 0.0)

    def init(self, param: Tensor) -> AdamaxState:
        return AdamaxState(torch.zeros_like(param), torch.zeros_like(param))

    def coefficients(self, lr: Hyper, step: int) -> AdamaxCoefficients:
        rate = lr / (1 - self.beta1**step)
        return AdamaxCoefficients(self.weight_decay, 1 - self.beta1, self.beta2, self.eps, rate)

    def apply(
        self, param: Tensor, grad: Tensor, state: AdamaxState, by: AdamaxCoefficients
    ) -> tuple[Tensor, AdamaxState]:
        grad = grad + by.decay * param
        mean = torch.lerp(state.mean, grad, by.take1)
        largest = torch.maximum(by.keep2 * state.largest, grad.abs() + by.eps)
        return param - by.rate * mean / largest, AdamaxState(mean, largest)
