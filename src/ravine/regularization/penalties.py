"""Penalties on the loss: L2, L1 and both, by their gradient or by their proximal operator.

All are l1 * sum |W| + l2 * sum W^2, and `Strengths` holds that arithmetic once: for one penalty with two floats, for
K trials with a value each. A penalty that is added to the loss pulls weights towards zero and hardly ever leaves one
exactly there; its proximal operator, applied after the step on the data's loss, does (Parikh & Boyd 2014):

    prox_{lr R}(W) = argmin_V  R(V) + |V - W|^2 / (2 lr)  =  soft(W, lr * l1) / (1 + 2 * lr * l2)

where soft moves every entry by lr * l1 towards zero and stops there. With plain gradient descent this is the
proximal gradient method, and its rest point minimizes loss + penalty. A rule that scales each coordinate, such as
Adam, does not scale this step: it is decoupled from the gradient as AdamW's decay is.

Letters in shapes: K trials.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.regularization.weights import Named, check_patterns, chosen
from ravine.rules.rule import check_range
from ravine.types import Hyper

__all__ = ["L1", "L2", "ElasticNet", "Penalty", "Strengths"]


class Strengths(NamedTuple):
    """l1 * sum |W| + l2 * sum W^2, with floats or with one value per trial, [K, 1] beside weights [K, n]."""

    l1: Hyper
    l2: Hyper

    def add_slope_(self, grad: Tensor, weight: Tensor) -> Tensor:
        """Grad + l1 * sign(W) + 2 * l2 * W, in place of grad. The sign of 0 is 0, as in autograd.

        A kind that no trial has is a plain 0.0, and costs no pass over memory.
        """
        if not _absent(self.l1):
            grad.addcmul_(weight.sign(), _like(self.l1, weight))
        if not _absent(self.l2):
            grad.addcmul_(weight, _like(2 * self.l2, weight))
        return grad

    def proximal(self, weight: Tensor, lr: Hyper) -> Tensor:
        """The weight after the proximal step of size lr. What is clamped leaves an exact 0 behind."""
        threshold = _like(lr * self.l1, weight)
        soft = weight - weight.clamp(-threshold, threshold)
        return soft / _like(1 + 2 * lr * self.l2, weight)


class Penalty(ABC):
    """What every penalty can do; a subclass says how strong it is.

    include, exclude: patterns of parameter names, see `chosen`; weights alone unless they say otherwise.
    """

    include: tuple[str, ...]
    exclude: tuple[str, ...]

    @property
    @abstractmethod
    def strengths(self) -> Strengths:
        """(l1, l2), two floats."""

    def penalty(self, model: Named) -> Tensor:
        """The number to add to the loss, a scalar to differentiate: l1 * sum |W| + l2 * sum W^2.

        model: a module, or its parameters by name. Raises SettingError as `chosen` does.
        """
        l1, l2 = self.strengths
        return torch.stack([l1 * w.abs().sum() + l2 * w.square().sum() for w in self._chosen(model).values()]).sum()

    def __call__(self, model: Named) -> Tensor:
        """The same as `penalty`: loss = F.cross_entropy(model(x), y) + L2(1e-4)(model)."""
        return self.penalty(model)

    def slope(self, weight: Tensor) -> Tensor:
        """The penalty's gradient at one weight, in its shape: l1 * sign(W) + 2 * l2 * W."""
        weight = weight.detach()
        return self.strengths.add_slope_(torch.zeros_like(weight), weight)

    def proximal(self, weight: Tensor, lr: float) -> Tensor:
        """prox_{lr R} of one weight, in its shape, with exact zeros where l1 > 0. lr >= 0."""
        check_range(f"{type(self).__name__}.proximal", "lr", lr, 0.0)
        return self.strengths.proximal(weight, lr)

    @torch.no_grad()
    def shrink_(self, model: Named, lr: float) -> None:
        """The proximal step in place, for a loop of your own, after optimizer.step() on the loss without the penalty.

        lr: the rate of that step. Raises SettingError as `chosen` does, or when lr is negative.

        >>> model, penalty = torch.nn.Linear(3, 1), L1(0.1)
        >>> _ = model.weight.data.copy_(torch.tensor([[0.5, -0.01, -1.0]]))
        >>> penalty.shrink_(model, lr=0.5)
        >>> model.weight.data
        tensor([[ 0.4500,  0.0000, -0.9500]])
        """
        for weight in self._chosen(model).values():
            weight.copy_(self.proximal(weight, lr))

    def _chosen(self, model: Named) -> dict[str, Tensor]:
        return chosen(model, self.include, self.exclude)

    def _check(self, **numbers: float) -> None:
        owner = type(self).__name__
        for name, value in numbers.items():
            check_range(owner, name, value, 0.0)
        check_patterns(owner, include=self.include, exclude=self.exclude)


@dataclass(frozen=True)
class L2(Penalty):
    """l2 * sum W^2, without the factor 1/2: its gradient is 2 * l2 * W.

    So torch.optim.SGD(weight_decay=2 * l2) takes the same steps, if it decays the same parameters. AdamW's
    weight_decay is another thing: it does not pass through Adam's scaling. Source: Tikhonov 1963; Hoerl & Kennard
    1970, ridge regression. Raises SettingError unless l2 lies in [0, inf).

    >>> L2(0.1).slope(torch.tensor([1.0, -2.0]))
    tensor([ 0.2000, -0.4000])
    """

    l2: float
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check(l2=self.l2)

    @property
    def strengths(self) -> Strengths:
        return Strengths(0.0, float(self.l2))


@dataclass(frozen=True)
class L1(Penalty):
    """l1 * sum |W|, whose proximal form sets weights to exact zeros.

    Source: Tibshirani 1996, the lasso. Raises SettingError unless l1 lies in [0, inf).

    >>> L1(0.1).slope(torch.tensor([1.0, -2.0, 0.0]))
    tensor([ 0.1000, -0.1000,  0.0000])
    """

    l1: float
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check(l1=self.l1)

    @property
    def strengths(self) -> Strengths:
        return Strengths(float(self.l1), 0.0)


@dataclass(frozen=True)
class ElasticNet(Penalty):
    """l1 * sum (beta * W^2 + |W|): L1 of strength l1 and L2 of strength l1 * beta.

    Source: Zou & Hastie 2005, their naive elastic net, in the lecture's form with its lambda as l1. Raises SettingError
    unless l1, beta and their product lie in [0, inf).

    >>> ElasticNet(l1=0.1, beta=0.5).strengths
    Strengths(l1=0.1, l2=0.05)
    """

    l1: float
    beta: float
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check(l1=self.l1, beta=self.beta)
        self._check(**{"l1 * beta": self.l1 * self.beta})

    @property
    def strengths(self) -> Strengths:
        return Strengths(float(self.l1), float(self.l1 * self.beta))


def _absent(strength: Hyper) -> bool:
    return not isinstance(strength, Tensor) and strength == 0


def _like(value: Hyper, weight: Tensor) -> Tensor:
    """A number of float64 as a tensor of the weight's dtype, on its device."""
    return torch.as_tensor(value, dtype=weight.dtype, device=weight.device)
