"""How far to go along a direction: K searches in lockstep, each with its own bracket and its own budget.

Every round evaluates all K problems once; a problem whose search is over is evaluated where it last was, and
nothing of it is read. So no number of one problem ever enters another's.

Letters in shapes: K problems, d coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.rule import check_range

__all__ = ["Evaluate", "Found", "FullStep", "Point", "Search", "StrongWolfe", "dot", "pick", "pick_each"]

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From places [K, d] to losses [K] and gradients [K, d]; row k depends on row k alone."""

Parts = TypeVar("Parts", bound=tuple[Tensor, ...])
"""A NamedTuple of tensors [K, ...]."""


class Point(NamedTuple):
    """Where K problems stand, and what was measured there."""

    x: Tensor  # [K, d]
    loss: Tensor  # [K]
    grad: Tensor  # [K, d]

    @property
    def finite(self) -> Tensor:
        """Whether the loss and every partial derivative is a finite number, [K]."""
        return self.loss.isfinite() & self.grad.isfinite().all(-1)


class Found(NamedTuple):
    point: Point  # the best acceptable place, or the start where there was none
    t: Tensor  # [K], the step to it, 0 for the start
    used: Tensor  # [K], evaluations, whole numbers


class Search(Protocol):
    """From a start along `direction` [K, d], trying the step `first` [K] before others.

    allowed: how many evaluations each problem may use, [K]; one that may use none stays where it is.
    curvature: the second derivative along the direction where it is known to be negative, else 0; [K].
    """

    def __call__(
        self, evaluate: Evaluate, start: Point, direction: Tensor, first: Tensor, allowed: Tensor, curvature: Tensor, /
    ) -> Found: ...


@dataclass(frozen=True)
class FullStep:
    """No search: go the first step, unless the loss there is not finite. One evaluation."""

    def __call__(
        self,
        evaluate: Evaluate,
        start: Point,
        direction: Tensor,
        first: Tensor,
        allowed: Tensor,
        curvature: Tensor,  # noqa: ARG002 - part of the contract
    ) -> Found:
        moving = allowed > 0
        end = _try(evaluate, start, direction, torch.where(moving, first, 0.0))
        reached = moving & end.finite
        return Found(pick_each(reached, end, start), torch.where(reached, first, 0.0), moving.long())


class End(NamedTuple):
    """One end of a bracket; phi(t) is the loss at start + t * direction. Each [K]."""

    t: Tensor
    loss: Tensor  # phi(t)
    slope: Tensor  # phi'(t)


@dataclass(frozen=True)
class StrongWolfe:
    """Search for a step t with ample decrease and a slope that has flattened:

        phi(t) <= phi(0) + c1 * (t * phi'(0) + t^2 / 2 * curvature)      and     |phi'(t)| <= c2 * |phi'(0)|

    Source: Nocedal & Wright 2006, algorithms 3.5 and 3.6. The two are one loop here: `low` is the best
    acceptable step so far and `other` what it is interpolated with, the far end of the bracket once there is
    one, the step before `low` until then. The next trial is the cubic's minimum (their 3.59), kept 0.1 of the
    bracket away from its ends, or between 2 and 10 strides ahead while there is no bracket.
    A step whose loss or gradient is not finite is a far end: the next trial is a tenth of the way to it.
    Near a minimum the decrease drowns in rounding: a loss equal to the start's but for 4 roundings is
    accepted where the slope has flattened (the approximate condition of Hager & Zhang 2005). The curvature
    term is that of Goldfarb 1980, for directions that begin level and fall away.
    c2 = inf asks for ample decrease alone, and the accepted step is then the last one tried.

    >>> evaluate = lambda x: ((x - 3).square().sum(-1), 2 * (x - 3))
    >>> start = Point(torch.zeros(1, 1), torch.tensor([9.0]), torch.tensor([[-6.0]]))
    >>> one = torch.ones(1)
    >>> found = StrongWolfe()(evaluate, start, -start.grad, one, 10 * one.long(), 0 * one)
    >>> found.point.x.tolist(), found.used.tolist()
    ([[3.0]], [2])
    """

    c1: float = 1e-4  # share of the predicted decrease that is ample, in (0, 1)
    c2: float = 0.9  # share of the slope that may be left, in (c1, inf]
    max_trials: int = 25  # evaluations in one search

    def __post_init__(self) -> None:
        check_range("StrongWolfe", "c1", self.c1, 0.0, 1.0)
        check_range("StrongWolfe", "c2", self.c2, 0.0, math.inf, closed=True)
        if not 0 < self.c1 < self.c2:
            raise SettingError(
                f"StrongWolfe has c1 {self.c1} and c2 {self.c2}; a step that meets both need not exist unless "
                "0 < c1 < c2: write c1=1e-4, c2=0.9."
            )
        if self.max_trials < 1:
            raise SettingError(f"StrongWolfe.max_trials is {self.max_trials}; it must be 1 or more: write 25.")

    def __call__(
        self, evaluate: Evaluate, start: Point, direction: Tensor, first: Tensor, allowed: Tensor, curvature: Tensor
    ) -> Found:
        slope = dot(start.grad, direction)
        low = other = End(torch.zeros_like(first), start.loss, slope)
        bracketed = torch.zeros_like(first, dtype=torch.bool)
        best, used = start, torch.zeros_like(allowed)
        active = (allowed > 0) & (first > 0)
        t = torch.where(active, first, 0.0)
        while bool(active.any()):
            trial = _try(evaluate, start, direction, t)
            used = used + active
            end = End(t, trial.loss, dot(trial.grad, direction))
            ample = end.loss <= start.loss + self.c1 * (t * slope + t * t / 2 * curvature)
            lower = (end.loss < low.loss) | (_same(end.loss, low.loss) & (end.slope.abs() < low.slope.abs()))
            good = trial.finite & ((ample & lower) | self._level(start, slope, end))
            done = good & ~(end.slope.abs() > self.c2 * slope.abs())  # inf * 0 is NaN: nothing is asked
            past = good & torch.where(bracketed, end.slope * (other.t - low.t) >= 0, end.slope >= 0)

            best = pick_each(active & good, trial, best)
            far = End(t, torch.where(trial.finite, trial.loss, math.inf), end.slope)
            near = good & (past | ~bracketed)  # `low` is the better neighbour of the new low
            other = pick_each(active & ~good, far, pick_each(active & near, low, other))
            low = pick_each(active & good, end, low)
            bracketed = bracketed | ~good | past

            active = active & ~done & (used < allowed.clamp(max=self.max_trials))
            active = active & ~(bracketed & _too_narrow(start, direction, other.t - low.t))
            t = torch.where(active, _next_trial(low, other, bracketed), t)
        return Found(best, low.t, used)

    def _level(self, start: Point, slope: Tensor, end: End) -> Tensor:
        """Whether a step is as low as the start and flatter: its decrease cannot be told from rounding, [K]."""
        return _same(end.loss, start.loss) & (end.slope.abs() <= min(self.c2, 0.9) * slope.abs())


def _same(loss: Tensor, other: Tensor) -> Tensor:
    """Whether two losses differ by no more than 4 roundings, [K]."""
    return (loss - other).abs() <= 4 * torch.finfo(loss.dtype).eps * other.abs()


def _try(evaluate: Evaluate, start: Point, direction: Tensor, t: Tensor) -> Point:
    x = start.x + t[:, None] * direction
    return Point(x, *evaluate(x))


def _too_narrow(start: Point, direction: Tensor, width: Tensor) -> Tensor:
    """Whether no number between the ends differs from both, [K]."""
    eps = torch.finfo(start.x.dtype).eps
    return width.abs() * direction.abs().amax(-1) <= eps * start.x.abs().amax(-1)


def _next_trial(low: End, other: End, bracketed: Tensor) -> Tensor:
    """The step to try next, [K], measured from `low` in strides towards `other`: negative is away from it."""
    stride = other.t - low.t
    d1 = low.slope + other.slope - 3 * (other.loss - low.loss) / stride
    d2 = stride.sign() * (d1 * d1 - low.slope * other.slope).sqrt()
    cubic = 1 - (other.slope + d2 - d1) / (other.slope - low.slope + 2 * d2)
    one = torch.ones_like(stride)
    nearest, farthest = torch.where(bracketed, 0.1 * one, -9.0), torch.where(bracketed, 0.9 * one, -1.0)
    fallback = torch.where(bracketed & other.loss.isfinite(), 0.5, nearest)  # where the cubic has no minimum
    strides = torch.where(cubic.isfinite(), cubic, fallback).clamp(nearest, farthest)
    return low.t + strides * stride


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products, [K, d] x [K, d] -> [K]; written as a sum, whose bits do not depend on K."""
    return (a * b).sum(-1)


def pick(which: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """`new` for the problems in `which` [K], `old` for the others; any [K, ...]."""
    return torch.where(which.view(-1, *[1] * (new.dim() - 1)), new, old)


def pick_each(which: Tensor, new: Parts, old: Parts) -> Parts:
    """`pick` for every tensor of a NamedTuple."""
    return type(new)(*(pick(which, a, b) for a, b in zip(new, old, strict=True)))
