"""What BFGS and L-BFGS share: a direction made of the pairs (step, change of gradient) seen so far.

A pair is learned at the beginning of the next step, from the gradient found there, as in torch.optim.LBFGS: the
gradient may by then be that of another batch.

Letters in shapes: K problems, d coordinates.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ravine.rules.line_search import Point, Search, StrongWolfe, dot, pick
from ravine.rules.method import Method, Objective, Step
from ravine.rules.rule import check_range

__all__ = ["Pair", "QuasiNewton", "State", "Trace"]


class Trace(NamedTuple):
    """The last step, and how much is known."""

    direction: Tensor  # [K, d]
    t: Tensor  # [K], how far along it
    loss: Tensor  # [K], where the step began
    grad: Tensor  # [K, d], where the step began
    age: Tensor  # [K], pairs learned since the memory was last empty


class Pair(NamedTuple):
    """What one step showed: the Hessian H maps `step` to `change`."""

    step: Tensor  # s, [K, d]
    change: Tensor  # y, [K, d]
    inverse: Tensor  # 1 / y's, [K]; 0: an empty place, which changes nothing


class State(NamedTuple):
    trace: Trace
    memory: Any


@dataclass(frozen=True)
class QuasiNewton(Method):
    """Search along the direction that the memory gives; begin anew where that fails.

    The first trial of a search is lr, and while nothing is known lr * min(1, 1 / |grad|_1), as in
    torch.optim.LBFGS. A pair with y's <= max(min_curvature, eps |s| |y|) is not learned, eps being the dtype's:
    it would take away the promise that the direction descends.
    """

    lr: float = 1.0  # the first step tried along a direction, >= 0
    search: Search = field(default_factory=StrongWolfe)
    min_curvature: float = 0.0  # pairs with y's no larger than this are not learned, >= 0

    def __post_init__(self) -> None:
        check_range(type(self).__name__, "lr", self.lr, 0.0)
        check_range(type(self).__name__, "min_curvature", self.min_curvature, 0.0)

    @abstractmethod
    def begin(self, x: Tensor) -> Any:
        """The memory when nothing is known."""

    @abstractmethod
    def learned(self, memory: Any, pair: Pair, keep: Tensor, age: Tensor) -> Any:
        """The memory with the pair, for the problems that keep it [K]."""

    @abstractmethod
    def cleared(self, memory: Any, which: Tensor) -> Any:
        """The memory, empty again for the problems in `which` [K]."""

    @abstractmethod
    def direction(self, memory: Any, grad: Tensor) -> Tensor:
        """Minus the inverse Hessian, as far as it is known, times the gradient; [K, d]."""

    def first(self, trace: Trace, point: Point, slope: Tensor) -> Tensor:  # noqa: ARG002 - for methods that ask
        """The first step tried along a direction with this slope, in units of lr, once a pair is known; [K]."""
        return torch.ones_like(slope)

    def init(self, x: Tensor) -> State:
        self.check(x)
        zero = torch.zeros_like(x[:, 0])
        none = torch.zeros_like(x)
        return State(Trace(none, zero, zero, none, zero.long()), self.begin(x))

    def step(
        self,
        objective: Objective,
        point: Point,
        state: State,
        allowed: Tensor,
        *,
        weight: Tensor | float = 1.0,
        flat: float = 0.0,
    ) -> Step:
        memory, age = self._learn(state, point.grad)
        direction = weight * self.direction(memory, point.grad)
        slope = dot(point.grad, direction)
        lost = ~(slope < 0) & (age > 0)  # rounding, or weights that differ: steepest descent always descends
        if bool(lost.any()):
            memory, age = self.cleared(memory, lost), torch.where(lost, 0, age)
            direction = pick(lost, -weight * point.grad, direction)
            slope = dot(point.grad, direction)
        dull = slope > -flat

        cautious = point.grad.abs().sum(-1).reciprocal().clamp(max=1)
        first = self.lr * torch.where(age > 0, self.first(state.trace, point, slope), cautious)
        zero = torch.zeros_like(first)
        found = self.search(objective.evaluate, point, direction, first, torch.where(dull, 0, allowed), zero)

        stuck = (found.t == 0) & (found.used > 0) & (found.used < allowed) & (age > 0)
        if bool(stuck.any()):
            memory, age = self.cleared(memory, stuck), torch.where(stuck, 0, age)
        trace = Trace(direction, found.t, point.loss, point.grad, age)
        moved = found.t * direction.abs().amax(-1)
        return Step(found.point, State(trace, memory), moved, found.used, stuck, dull)

    def _learn(self, state: State, grad: Tensor) -> tuple[Any, Tensor]:
        """The memory and its age once the last step's pair has been looked at."""
        trace = state.trace
        step, change = trace.t[:, None] * trace.direction, grad - trace.grad
        curvature = dot(change, step)
        least = torch.finfo(grad.dtype).eps * (dot(step, step) * dot(change, change)).sqrt()
        keep = curvature > least.clamp(min=self.min_curvature)
        if not bool(keep.any()):
            return state.memory, trace.age
        return self.learned(state.memory, Pair(step, change, 1 / curvature), keep, trace.age), trace.age + keep
