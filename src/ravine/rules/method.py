"""What a method of second order is: a frozen value that asks for losses at places of its choosing.

A `Rule` is told a gradient and answers with a step. A method is handed the function itself, because its line
search looks before it steps. Everything is written for K independent problems at once, x [K, d]; a network is
K = 1. `step` is pure apart from calling the objective. `ravine.rules.minimize` drives it.

Letters in shapes: K problems, d coordinates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.line_search import Evaluate, Point

__all__ = ["Method", "Objective", "Step", "check_size", "differentiated", "one_each"]


@dataclass(frozen=True)
class Objective:
    """What is minimized: losses and gradients, and Hessians [K, d, d] for a method that asks for them."""

    evaluate: Evaluate
    hessian: Callable[[Tensor], Tensor] | None = None


class Step(NamedTuple):
    """What one step came to; each number [K]."""

    point: Point
    state: Any
    moved: Tensor  # length of the step in its largest coordinate, 0 where nothing acceptable was found
    used: Tensor  # evaluations
    retry: Tensor  # True where nothing was found, but the next step will look in another direction
    flat: Tensor  # True where the direction promised too little to be followed


class Method(ABC):
    """The contract of a method. Its fields are its settings."""

    @abstractmethod
    def init(self, x: Tensor) -> Any:
        """The state before the first step from x [K, d]; SettingError when d is more than the method can hold."""

    def check(self, x: Tensor) -> None:  # noqa: B027 - most methods hold any
        """Raise SettingError when x [K, d] is more than the method can hold; its values are not looked at."""

    @abstractmethod
    def step(
        self,
        objective: Objective,
        point: Point,
        state: Any,
        allowed: Tensor,
        *,
        weight: Tensor | float = 1.0,
        flat: float = 0.0,
    ) -> Step:
        """One step of every problem that may evaluate; the others stay where they are.

        allowed: evaluations each problem may use, [K]. weight: >= 0, multiplies each coordinate of the
        direction, [d]. flat: a direction that promises a decrease below this is not followed.
        """

    def minimal(self, objective: Objective, x: Tensor) -> Tensor:  # noqa: ARG002 - for methods that know more
        """Whether a place with no gradient may be taken for a minimum, [K]."""
        return torch.ones(len(x), dtype=torch.bool, device=x.device)


def differentiated(fun: Callable[[Tensor], Tensor]) -> Objective:
    """The objective of a differentiable function from [K, d] to [K] whose row k depends on row k alone.

    >>> objective = differentiated(lambda x: x.pow(3).sum(-1))
    >>> x = torch.tensor([[1.0, 2.0]])
    >>> objective.evaluate(x)
    (tensor([9.]), tensor([[ 3., 12.]]))
    >>> objective.hessian(x)
    tensor([[[ 6.,  0.],
             [ 0., 12.]]])
    """

    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            place = x.detach().requires_grad_()
            loss = one_each(fun(place), place)
            (grad,) = torch.autograd.grad(loss.sum(), place)
        return loss.detach(), grad

    def hessian(x: Tensor) -> Tensor:
        def gradient(place: Tensor) -> Tensor:
            slope: Tensor = torch.func.grad(lambda here: fun(here).sum())(place)
            return slope

        problems, size = x.shape
        pull = torch.func.vjp(gradient, x.detach())[1]
        units = torch.eye(size, dtype=x.dtype, device=x.device)[:, None].expand(size, problems, size)
        rows: Tensor = torch.vmap(pull)(units)[0]
        return rows.movedim(0, 1)

    return Objective(evaluate, hessian)


def one_each(loss: Tensor, x: Tensor) -> Tensor:
    """The losses of places x [..., d], if there is one for each, [...]; else SettingError."""
    if loss.shape != x.shape[:-1]:
        raise SettingError(
            f"the function gave a loss of shape {list(loss.shape)} for places of shape {list(x.shape)}; it must give "
            f"one loss per problem, shape {list(x.shape[:-1])}: reduce over the last dimension alone."
        )
    return loss


def check_size(owner: str, what: str, x: Tensor, limit: int) -> None:
    """Raise SettingError when a d x d matrix for each problem of x [K, d] is more than `limit` allows."""
    problems, size = x.shape
    if size > limit:
        gigabytes = problems * size * size * x.element_size() / 1e9
        raise SettingError(
            f"{owner} got {size:,} parameters and takes at most {limit:,}, because {what} has {size:,} x {size:,} "
            f"numbers ({gigabytes:.3g} GB): write LBFGS, or {owner}(..., max_size={size}) if that fits."
        )
