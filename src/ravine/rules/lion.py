"""Lion: every coordinate steps by the same length, in the direction on which past and present agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ravine.rules.rule import Rule, check_range
from ravine.types import Hyper

__all__ = ["Lion", "LionState"]


class LionState(NamedTuple):
    """The mean whose sign is the step."""

    mean: Tensor  # running mean of gradients, like param


class LionCoefficients(NamedTuple):
    decay: Hyper
    take1: Hyper  # 1 - beta1
    take2: Hyper  # 1 - beta2
    rate: Hyper


@dataclass(frozen=True)
class Lion(Rule):
    """Evolved sign momentum.

        param     <- param - lr * weight_decay * param
        direction <- beta1 * mean + (1 - beta1) * grad
        param     <- param - lr * sign(direction)
        mean      <- beta2 * mean + (1 - beta2) * grad

    Source: Chen et al. 2023, program 1. The step blends with beta1, the memory with beta2. A coordinate moves
    by lr whatever its gradient, so lr is 3 to 10 times smaller than Adam's, and weight_decay, which is
    multiplied by lr, as many times larger. The sign of NaN is NaN here, where torch.sign says 0: a broken
    gradient must show.
    Memory: one tensor per parameter.

    >>> rule = Lion()
    >>> param, grad = torch.tensor([1.0, 1.0]), torch.tensor([0.001, -100.0])
    >>> rule.update(param, grad, rule.init(param), lr=0.25, step=1)[0]
    tensor([0.7500, 1.2500])
    """

    beta1: Hyper = 0.9  # share of the mean in the direction, in [0, 1)
    beta2: Hyper = 0.99  # share of the mean kept each step, in [0, 1)
    weight_decay: Hyper = 0.0  # decoupled: share of a weight lost per unit of lr, >= 0

    decoupled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("Lion", "beta1", self.beta1, 0.0, 1.0)
        check_range("Lion", "beta2", self.beta2, 0.0, 1.0)
        check_range("Lion", "weight_decay", self.weight_decay, 0.0)

    def init(self, param: Tensor) -> LionState:
        return LionState(torch.zeros_like(param))

    def coefficients(self, lr: Hyper, step: int) -> LionCoefficients:  # noqa: ARG002 - every step is alike
        return LionCoefficients(1 - lr * self.weight_decay, 1 - self.beta1, 1 - self.beta2, lr)

    def apply(self, param: Tensor, grad: Tensor, state: LionState, by: LionCoefficients) -> tuple[Tensor, LionState]:
        direction = torch.lerp(state.mean, grad, by.take1)
        sign = torch.where(direction.isnan(), direction, direction.sign())
        return by.decay * param - by.rate * sign, LionState(torch.lerp(state.mean, grad, by.take2))
