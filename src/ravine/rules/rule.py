"""What an update rule is: a frozen value that maps (param, grad, state) to (param, state).

A rule is written in two pure functions. `coefficients` works out the few numbers of a step (rates, bias
corrections) in float64, where 1 - beta2^t keeps its digits. `apply` is the tensor arithmetic, in the
parameter's own dtype. `update` is the one after the other. An engine may call the two itself: to tabulate
the numbers of many steps at once, to pack many tensors into one, or to compile the arithmetic.

Letters in shapes: K trials.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from numbers import Real
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.types import Hyper

__all__ = ["Rule", "State", "check_range", "choose", "narrow", "narrow_one"]

State = tuple[Tensor | None, ...]
"""A NamedTuple of tensors shaped like the parameter, or None where a structure needs no memory. A rule that is not
elementwise may hold tensors of other shapes and numbers of its own."""

Coefficients = TypeVar("Coefficients", bound=tuple[Hyper, ...])


class Rule(ABC):
    """The contract of a rule. Fields are its hyper-parameters; a `Hyper` may hold one value per trial."""

    elementwise: ClassVar[bool] = True
    """True promises that no coordinate looks at another, so leading dimensions broadcast."""

    decoupled: ClassVar[bool] = False
    """True where weight_decay shrinks the weights by its share per unit of lr instead of joining the gradient."""

    @abstractmethod
    def init(self, param: Tensor) -> Any:
        """The state before the first step."""

    @abstractmethod
    def coefficients(self, lr: Hyper, step: int) -> Any:
        """The numbers of one step, as a NamedTuple of Hypers in float64. The first step is 1."""

    @abstractmethod
    def apply(self, param: Tensor, grad: Tensor, state: Any, by: Any) -> tuple[Tensor, Any]:
        """One step, given its numbers `by`. Nothing is changed in place."""

    def settled(self, param: Tensor, state: Any) -> Tensor:  # noqa: ARG002 - a rule that averages reads its state
        """The weights to evaluate and to keep: the parameter itself, unless the rule averages on the side."""
        return param

    def update(self, param: Tensor, grad: Tensor, state: Any, *, lr: Hyper, step: int) -> tuple[Tensor, Any]:
        """One step. lr: the rate now; step: 1 for the first. Returns the new parameter and the new state."""
        return self.apply(param, grad, state, narrow(self.coefficients(lr, step), param))


def narrow(by: Coefficients, like: Tensor) -> Coefficients:
    """Per-trial numbers cast from float64 to the parameter's dtype and device; floats stay floats.

    This is the one door between float64 and the parameters: a float64 tensor of shape [K, 1] would
    otherwise promote every float32 parameter it meets.
    """
    return type(by)(*(narrow_one(v, like) for v in by))  # type: ignore[arg-type]


def narrow_one(value: Hyper, like: Tensor) -> Hyper:
    """One hyper-parameter in the dtype and on the device of a parameter."""
    return value.to(like.device, like.dtype.to_real()) if isinstance(value, Tensor) else value


def choose(condition: Tensor | bool, this: Hyper, other: Hyper) -> Hyper:
    """Pick `this` where the condition holds, else `other`: for one value or for one per trial."""
    if isinstance(condition, Tensor):
        first, second = (torch.as_tensor(v, dtype=torch.float64, device=condition.device) for v in (this, other))
        return torch.where(condition, first, second)
    return this if condition else other


def check_range(
    owner: str, name: str, value: Hyper, low: float, high: float = math.inf, *, closed: bool = False
) -> None:
    """Raise SettingError unless every value lies in [low, high), or in [low, high] when closed; NaN lies nowhere."""
    if isinstance(value, Real | Tensor):
        lies = torch.as_tensor(value, dtype=torch.float64)  # in float32 a beta of 1 - 1e-8 would be 1
        below = lies <= high if closed else lies < high
        if bool(((lies >= low) & below).all()):
            return
    got = value.tolist() if isinstance(value, Tensor) else repr(value)
    raise SettingError(f"{owner}.{name} is {got}; it must lie in [{low:g}, {high:g}{']' if closed else ')'}.")
