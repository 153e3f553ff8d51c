"""AdamW: Adam whose weight decay shrinks the weights directly instead of passing through the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ravine.rules.adam import Adam, AdamCoefficients, AdamState, moment_step
from ravine.types import Hyper

__all__ = ["AdamW"]


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay.

        param <- param - lr * weight_decay * param
        then Adam's step without decay

    Source: Loshchilov & Hutter 2019, with the decay multiplied by lr, as in torch.optim.AdamW (the paper
    multiplies it by the schedule's factor alone).
    Memory: two tensors per parameter, three with amsgrad.

    >>> import torch
    >>> rule = AdamW(weight_decay=0.5)
    >>> param, grad = torch.tensor([1.0]), torch.tensor([0.0])
    >>> rule.update(param, grad, rule.init(param), lr=0.5, step=1)[0]
    tensor([0.7500])
    """

    weight_decay: Hyper = 0.01  # decoupled: share of a weight lost per unit of lr, >= 0

    decoupled: ClassVar[bool] = True

    def coefficients(self, lr: Hyper, step: int) -> AdamCoefficients:
        return super().coefficients(lr, step)._replace(decay=1 - lr * self.weight_decay)

    def apply(self, param: Tensor, grad: Tensor, state: AdamState, by: AdamCoefficients) -> tuple[Tensor, AdamState]:
        return moment_step(by.decay * param, grad, state, by)
