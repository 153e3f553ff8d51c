"""Stochastic gradient descent: plain, with heavy-ball momentum, or with Nesterov's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.rule import Rule, check_range, narrow
from ravine.types import Hyper

__all__ = ["SGD", "SGDState"]


class SGDState(NamedTuple):
    """The velocity."""

    velocity: Tensor | None  # like param; None for plain descent, which needs no memory


class SGDCoefficients(NamedTuple):
    decay: Hyper
    keep: Hyper
    take: Hyper
    rate: Hyper


@dataclass(frozen=True)
class SGD(Rule):
    """Step against the gradient, along a decaying sum of the past ones when momentum is given.

        grad     <- grad + weight_decay * param
        velocity <- momentum * velocity + (1 - dampening) * grad      (the first step takes all of grad)
        param    <- param - lr * velocity                             (nesterov=False)
        param    <- param - lr * (grad + momentum * velocity)         (nesterov=True)

    Source: Polyak 1964; Nesterov 1983 in the practical form of Sutskever et al. 2013 and Bengio et al.
    2013; its own form, with the gradient taken ahead, is heavy ball at the place that `ahead` gives, and walks
    the same sequence. lr stands outside the velocity, as in torch.optim.SGD: the lecture's v is -lr * velocity, and the
    two agree while lr is constant. A momentum of exactly 0.0 is plain descent.
    Memory: none when plain, else one tensor per parameter.

    >>> rule = SGD(momentum=0.5)
    >>> param, grad = torch.tensor([4.0]), torch.tensor([2.0])
    >>> rule.update(param, grad, rule.init(param), lr=0.5, step=1)
    (tensor([3.]), SGDState(velocity=tensor([2.])))
    """

    momentum: Hyper = 0.0  # share of the velocity kept each step, in [0, 1)
    dampening: Hyper = 0.0  # share of the gradient kept out of the velocity, in [0, 1]
    weight_decay: Hyper = 0.0  # coupled L2: added to the gradient, >= 0
    nesterov: bool = False

    def __post_init__(self) -> None:
        check_range("SGD", "momentum", self.momentum, 0.0, 1.0)
        check_range("SGD", "dampening", self.dampening, 0.0, 1.0, closed=True)
        check_range("SGD", "weight_decay", self.weight_decay, 0.0)
        if self.nesterov and (self.plain or bool(torch.as_tensor(self.dampening).any())):
            raise SettingError(
                f"SGD(nesterov=True) has momentum {self.momentum} and dampening {self.dampening}; "
                "Nesterov needs a momentum and no dampening: write momentum=0.9, dampening=0."
            )

    @property
    def plain(self) -> bool:
        """No momentum at all: a structure without a velocity."""
        return not isinstance(self.momentum, Tensor) and self.momentum == 0

    def ahead(self, param: Tensor, state: SGDState, *, lr: Hyper) -> Tensor:
        """Where Nesterov's own form takes its gradient: x + rho v, with v = -lr * velocity.

        With x the parameter of heavy ball fed these gradients, and y that of nesterov=True, y = ahead(x) at
        every step of a constant lr. (A slide of the lecture defines the change of variables one step late.)
        """
        if state.velocity is None:
            return param
        by = narrow(self.coefficients(lr, step=2), param)
        return param - by.rate * by.keep * state.velocity

    def init(self, param: Tensor) -> SGDState:
        return SGDState(None if self.plain else torch.zeros_like(param))

    def coefficients(self, lr: Hyper, step: int) -> SGDCoefficients:
        take = 1.0 if step == 1 else 1 - self.dampening
        return SGDCoefficients(self.weight_decay, self.momentum, take, lr)

    def apply(self, param: Tensor, grad: Tensor, state: SGDState, by: SGDCoefficients) -> tuple[Tensor, SGDState]:
        grad = grad + by.decay * param
        if state.velocity is None:
            return param - by.rate * grad, state
        velocity = by.keep * state.velocity + by.take * grad
        step = grad + by.keep * velocity if self.nesterov else velocity
        return param - by.rate * step, SGDState(velocity)
