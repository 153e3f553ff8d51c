"""Schedule-free learning: an average of the weights, kept along the way, in place of a decaying rate.

Three sequences: z takes the plain steps, x averages z, and y between them is where gradients are taken. The
parameter holds y while training. x is not stored: y and z determine it, and `settled` returns it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.rule import Rule, check_range, narrow_one
from ravine.types import Hyper

__all__ = ["ScheduleFreeAdamW", "ScheduleFreeAdamWState", "ScheduleFreeSGD", "ScheduleFreeState"]


class ScheduleFreeState(NamedTuple):
    """The scalars are float32 at least: in bfloat16 the sum would stop growing after some 256 steps."""

    z: Tensor  # where the plain steps have led, like param
    weight_sum: Tensor  # of the weights in the average so far, a scalar
    lr_max: Tensor  # the largest rate so far, a scalar


class ScheduleFreeCoefficients(NamedTuple):
    rate: Hyper
    beta: Hyper  # how far y lies from z towards x
    growth: Hyper  # t^r
    power: Hyper  # of the largest rate, in the weight
    decay: Hyper


@dataclass(frozen=True)
class ScheduleFreeSGD(Rule):
    """Gradient descent with averaging and interpolation.

        grad   <- grad + weight_decay * y
        z      <- z - lr * grad
        lr_max <- max(lr_max, lr)
        weight <- t^r * lr_max^weight_lr_power
        c      <- weight / (sum of all weights so far)          (0 where the sum is 0)
        x      <- (1 - c) * x + c * z
        y      <- (1 - momentum) * z + momentum * x             (the parameter)

    Source: Defazio et al. 2024 and their package schedulefree; decay acts at y, as there. Computed without x:
    y moves by c * (z - y) - lr * (1 - momentum * (1 - c)) * grad, with the z before the step. Give it a constant
    lr, after a warm-up if need be: weight_lr_power makes the steps of the warm-up count less. The first x is the
    first z, so no weight of the start remains. momentum > 0, as y would be z otherwise and x lost.
    Memory: one tensor per parameter, and two numbers.

    >>> rule = ScheduleFreeSGD(momentum=0.5)
    >>> param, state = torch.tensor([4.0]), rule.init(torch.tensor([4.0]))
    >>> for step in (1, 2):
    ...     param, state = rule.update(param, torch.tensor([2.0]), state, lr=0.5, step=step)
    >>> state.z, param, rule.settled(param, state)
    (tensor([2.]), tensor([2.2500]), tensor([2.5000]))
    """

    momentum: Hyper = 0.9  # beta: share of the average x in y, in (0, 1)
    weight_decay: Hyper = 0.0  # added to the gradient, at y, >= 0
    r: Hyper = 0.0  # power of the step in the weight of the average, >= 0
    weight_lr_power: Hyper = 2.0  # power of the largest rate in that weight, >= 0

    elementwise: ClassVar[bool] = False  # the weight is one number per parameter

    def __post_init__(self) -> None:
        check_share("ScheduleFreeSGD", "momentum", self.momentum)
        check_range("ScheduleFreeSGD", "weight_decay", self.weight_decay, 0.0)
        check_range("ScheduleFreeSGD", "r", self.r, 0.0)
        check_range("ScheduleFreeSGD", "weight_lr_power", self.weight_lr_power, 0.0)

    def init(self, param: Tensor) -> ScheduleFreeState:
        return begin(param)

    def coefficients(self, lr: Hyper, step: int) -> ScheduleFreeCoefficients:
        return ScheduleFreeCoefficients(lr, self.momentum, step**self.r, self.weight_lr_power, self.weight_decay)

    def apply(
        self, param: Tensor, grad: Tensor, state: ScheduleFreeState, by: ScheduleFreeCoefficients
    ) -> tuple[Tensor, ScheduleFreeState]:
        return interpolate(param, grad + by.decay * param, state, by)

    def settled(self, param: Tensor, state: ScheduleFreeState) -> Tensor:
        """x, the averaged weights: those to evaluate and to keep."""
        return average_of(param, state.z, self.momentum)


class ScheduleFreeAdamWState(NamedTuple):
    """The point that steps, the second moment, and the weights of the average so far."""

    z: Tensor  # where the plain steps have led, like param
    weight_sum: Tensor  # of the weights in the average so far, a scalar
    lr_max: Tensor  # the largest rate so far, a scalar
    square: Tensor  # running mean of squared gradients, like param


class ScheduleFreeAdamWCoefficients(NamedTuple):
    rate: Hyper
    beta: Hyper
    growth: Hyper
    power: Hyper
    decay: Hyper
    take2: Hyper  # 1 - beta2
    correction: Hyper  # root of the bias correction of the square
    eps: Hyper  # with that correction


@dataclass(frozen=True)
class ScheduleFreeAdamW(Rule):
    """AdamW whose momentum is replaced by averaging and interpolation.

        square    <- beta2 * square + (1 - beta2) * grad^2
        direction <- grad / (sqrt(square / (1 - beta2^t)) + eps) + weight_decay * y
        then ScheduleFreeSGD's steps of z, x and y, with beta1 for its momentum and direction for its gradient

    Source: Defazio et al. 2024, algorithm 1. Decay acts at y and is multiplied by lr. The bias correction divides
    the square, as in Adam and optax.contrib.schedule_free_adamw; the package schedulefree once multiplied
    the rate by its root instead, which also made the first steps count less in the average. beta1 > 0, as y
    would be z otherwise and x lost.
    Memory: two tensors per parameter, and two numbers.

    >>> rule = ScheduleFreeAdamW(beta1=0.5)
    >>> param, grad = torch.tensor([1.0]), torch.tensor([0.5])
    >>> param, state = rule.update(param, grad, rule.init(param), lr=0.25, step=1)
    >>> param, rule.settled(param, state)
    (tensor([0.7500]), tensor([0.7500]))
    """

    beta1: Hyper = 0.9  # share of the average x in y, in (0, 1)
    beta2: Hyper = 0.999  # share of the mean square kept each step, in [0, 1)
    eps: Hyper = 1e-8  # added to the root, in units of a gradient, >= 0
    weight_decay: Hyper = 0.0  # decoupled: share of y lost per unit of lr, >= 0
    r: Hyper = 0.0  # power of the step in the weight of the average, >= 0
    weight_lr_power: Hyper = 2.0  # power of the largest rate in that weight, >= 0

    elementwise: ClassVar[bool] = False
    decoupled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_share("ScheduleFreeAdamW", "beta1", self.beta1)
        check_range("ScheduleFreeAdamW", "beta2", self.beta2, 0.0, 1.0)
        check_range("ScheduleFreeAdamW", "eps", self.eps, 0.0)
        check_range("ScheduleFreeAdamW", "weight_decay", self.weight_decay, 0.0)
        check_range("ScheduleFreeAdamW", "r", self.r, 0.0)
        check_range("ScheduleFreeAdamW", "weight_lr_power", self.weight_lr_power, 0.0)

    def init(self, param: Tensor) -> ScheduleFreeAdamWState:
        return ScheduleFreeAdamWState(*begin(param), square=torch.zeros_like(param))

    def coefficients(self, lr: Hyper, step: int) -> ScheduleFreeAdamWCoefficients:
        root = (1 - self.beta2**step) ** 0.5
        return ScheduleFreeAdamWCoefficients(
            rate=lr,
            beta=self.beta1,
            growth=step**self.r,
            power=self.weight_lr_power,
            decay=self.weight_decay,
            take2=1 - self.beta2,
            correction=root,
            eps=self.eps * root,
        )

    def apply(
        self, param: Tensor, grad: Tensor, state: ScheduleFreeAdamWState, by: ScheduleFreeAdamWCoefficients
    ) -> tuple[Tensor, ScheduleFreeAdamWState]:
        square = torch.lerp(state.square, grad * grad, by.take2)
        direction = by.correction * grad / (square.sqrt() + by.eps) + by.decay * param
        moved, average = interpolate(param, direction, ScheduleFreeState(*state[:3]), ScheduleFreeCoefficients(*by[:5]))
        return moved, ScheduleFreeAdamWState(*average, square=square)

    def settled(self, param: Tensor, state: ScheduleFreeAdamWState) -> Tensor:
        """x, the averaged weights: those to evaluate and to keep."""
        return average_of(param, state.z, self.beta1)


def begin(param: Tensor) -> ScheduleFreeState:
    """Before the first step x, y and z are one."""
    scalar = param.new_zeros((), dtype=torch.promote_types(param.dtype, torch.float32))
    return ScheduleFreeState(param.clone(), scalar, scalar.clone())


def interpolate(
    y: Tensor, direction: Tensor, average: ScheduleFreeState, by: ScheduleFreeCoefficients
) -> tuple[Tensor, ScheduleFreeState]:
    """One step of z against `direction`, which is taken at y, of x towards z, and of y between them."""
    lr_max = average.lr_max.clamp(min=by.rate)
    weight = by.growth * lr_max**by.power
    weight_sum = average.weight_sum + weight
    share = torch.where(weight_sum == 0, 0.0, weight / weight_sum).to(y.dtype)
    moved = torch.lerp(y, average.z, share) - by.rate * (1 - by.beta * (1 - share)) * direction
    return moved, ScheduleFreeState(average.z - by.rate * direction, weight_sum, lr_max)


def average_of(y: Tensor, z: Tensor, beta: Hyper) -> Tensor:
    """The weights x = (y - (1 - beta) z) / beta, so written that x is y to the bit where y is z.

    y and z are like the parameter; with a beta per trial, [K, 1], they are [K, ...].
    """
    beyond = narrow_one(1 / beta - 1, y)
    if isinstance(beyond, Tensor):
        beyond = beyond.reshape(-1, *[1] * (y.ndim - 1))
    return y + beyond * (y - z)


def check_share(owner: str, name: str, value: Hyper) -> None:
    """Raise SettingError unless every value lies in (0, 1)."""
    check_range(owner, name, value, 0.0, 1.0)
    if not bool(torch.as_tensor(value).all()):
        raise SettingError(f"{owner}.{name} is 0; it must lie in (0, 1): without it the average cannot be recovered.")
