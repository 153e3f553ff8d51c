"""RMSprop: steps divided by the root of a running mean of squared gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.rules.rule import Rule, check_range
from ravine.types import Hyper

__all__ = ["RMSprop", "RMSpropState"]


class RMSpropState(NamedTuple):
    """The mean square, and where they are asked for the mean and the velocity."""

    square: Tensor  # running mean of squared gradients, like param
    mean: Tensor | None = None  # running mean of gradients, like param; None unless centered
    velocity: Tensor | None = None  # like param; None without momentum


class RMSpropCoefficients(NamedTuple):
    decay: Hyper
    take: Hyper  # 1 - alpha
    eps: Hyper
    keep: Hyper
    rate: Hyper


@dataclass(frozen=True)
class RMSprop(Rule):
    """AdaGrad that forgets: plain, centered, and with momentum.

        grad     <- grad + weight_decay * param
        square   <- alpha * square + (1 - alpha) * grad^2
        mean     <- alpha * mean + (1 - alpha) * grad                       (centered=True)
        scale    <- sqrt(square) + eps                                      (centered=False)
        scale    <- sqrt(square - mean^2) + eps                             (centered=True)
        velocity <- momentum * velocity + grad / scale                      (momentum > 0)
        param    <- param - lr * velocity                                   (or lr * grad / scale without)

    Source: Hinton 2012, lecture 6e; centered: Graves 2013, section 4.2. eps stands outside the root, as in
    torch.optim.RMSprop; the lecture has it inside, with alpha 0.9 and lr 0.001. The variance square - mean^2
    is held at 0 where rounding makes it negative (torch takes its root all the same, and gets NaN).
    Memory: one tensor per parameter, one more when centered, one more with momentum.

    >>> rule = RMSprop(alpha=0.75)
    >>> param, grad = torch.tensor([1.0]), torch.tensor([2.0])
    >>> rule.update(param, grad, rule.init(param), lr=0.25, step=1)
    (tensor([0.5000]), RMSpropState(square=tensor([1.]), mean=None, velocity=None))
    """

    alpha: Hyper = 0.99  # share of the mean square kept each step, in [0, 1)
    eps: Hyper = 1e-8  # added to the root, in units of a gradient, >= 0
    weight_decay: Hyper = 0.0  # coupled L2: added to the gradient, >= 0
    momentum: Hyper = 0.0  # share of the velocity kept each step, in [0, 1)
    centered: bool = False  # divide by the standard deviation instead of the root mean square

    def __post_init__(self) -> None:
        check_range("RMSprop", "alpha", self.alpha, 0.0, 1.0)
        check_range("RMSprop", "eps", self.eps, 0.0)
        check_range("RMSprop", "weight_decay", self.weight_decay, 0.0)
        check_range("RMSprop", "momentum", self.momentum, 0.0, 1.0)

    def init(self, param: Tensor) -> RMSpropState:
        steady = not isinstance(self.momentum, Tensor) and self.momentum == 0
        return RMSpropState(
            square=torch.zeros_like(param),
            mean=torch.zeros_like(param) if self.centered else None,
            velocity=None if steady else torch.zeros_like(param),
        )

    def coefficients(self, lr: Hyper, step: int) -> RMSpropCoefficients:  # noqa: ARG002 - every step is alike
        return RMSpropCoefficients(self.weight_decay, 1 - self.alpha, self.eps, self.momentum, lr)

    def apply(
        self, param: Tensor, grad: Tensor, state: RMSpropState, by: RMSpropCoefficients
    ) -> tuple[Tensor, RMSpropState]:
        grad = grad + by.decay * param
        variance = square = torch.lerp(state.square, grad * grad, by.take)
        mean = state.mean
        if mean is not None:
            mean = torch.lerp(mean, grad, by.take)
            variance = torch.clamp(square - mean * mean, min=0.0)
        scaled = grad / (variance.sqrt() + by.eps)
        velocity = None if state.velocity is None else by.keep * state.velocity + scaled
        step = scaled if velocity is None else velocity
        return param - by.rate * step, RMSpropState(square, mean, velocity)
