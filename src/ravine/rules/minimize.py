"""Run a method until each of K problems has stopped for a reason of its own.

Letters in shapes: K problems, d coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.line_search import Point
from ravine.rules.method import Method, Objective, Step, differentiated, one_each
from ravine.rules.rule import check_range

__all__ = ["STOPPED", "Limits", "Result", "drive", "minimize"]

RUNNING, NO_GRADIENT, NO_CHANGE, MAX_ITER, MAX_EVAL, NO_DESCENT, NOT_FINITE = range(7)

STOPPED = (
    "still running",
    "no gradient left",
    "no change left",
    "max_iter reached",
    "max_eval reached",
    "no descent found",
    "not finite at the start",
)
"""Why a problem stopped, by code. "no descent found": neither along the method's direction nor along the gradient."""


@dataclass(frozen=True)
class Limits:
    """When to stop; each holds for every problem on its own."""

    max_iter: int = 1000  # steps, >= 0
    max_eval: int | None = None  # evaluations, >= 1, counted within line searches too; None: no limit
    tolerance_grad: float = 1e-6  # stop when no partial derivative is larger, >= 0
    tolerance_change: float = 0.0  # stop when a step changes every coordinate, or the loss, by less, >= 0

    def __post_init__(self) -> None:
        check_range("Limits", "tolerance_grad", self.tolerance_grad, 0.0)
        check_range("Limits", "tolerance_change", self.tolerance_change, 0.0)
        for name, value, least in (("max_iter", self.max_iter, 0), ("max_eval", self.max_eval, 1)):
            if value is not None and (not isinstance(value, int) or value < least):
                raise SettingError(f"{name} is {value!r}; it must be a whole number, {least} or more.")


@dataclass(frozen=True)
class Result:
    """Where each problem ended: the best place its method accepted. Shapes are [K, ...], or without K for one problem."""

    x: Tensor  # [K, d]
    loss: Tensor  # [K]
    grad: Tensor  # [K, d]
    iterations: Tensor  # [K], steps
    evaluations: Tensor  # [K], of loss and gradient together
    stopped: tuple[str, ...]  # why, one of STOPPED for each problem

    @property
    def grad_norm(self) -> Tensor:
        """The largest partial derivative in size, [K]."""
        return self.grad.abs().amax(-1)


def minimize(
    method: Method,
    fun: Callable[[Tensor], Tensor] | Objective,
    x0: Tensor,
    *,
    max_iter: int = 1000,
    tolerance_grad: float = 1e-6,
    tolerance_change: float = 0.0,
    max_eval: int | None = None,
) -> Result:
    """The minimum that `method` finds from x0.

    x0: [d], and fun maps [d] to one loss; or [K, d] for K problems, and fun maps [K, d] to [K] losses, row k
    depending on row k alone. Or fun is an Objective, which is batched. For the rest see Limits.

    >>> from ravine.rules.lbfgs import LBFGS
    >>> centres = torch.tensor([[1.0, 2.0], [-3.0, 0.5]])
    >>> minimize(LBFGS(), lambda x: (x - centres).square().sum(-1), torch.zeros(2, 2)).x
    tensor([[ 1.0000,  2.0000],
            [-3.0000,  0.5000]])
    """
    if x0.dim() not in (1, 2) or not x0.is_floating_point() or not x0.numel():
        raise SettingError(
            f"x0 has shape {list(x0.shape)} and dtype {x0.dtype}; it must hold real numbers of shape [d], or [K, d] "
            "for K problems: write torch.zeros(2), for example."
        )
    alone = x0.dim() == 1
    x = x0.detach().clone().reshape(-1, x0.shape[-1])
    if not isinstance(fun, Objective):
        single = fun
        fun = differentiated((lambda x: one_each(single(x[0]), x[0])[None]) if alone else single)
    result, _ = drive(method, fun, x, method.init(x), Limits(max_iter, max_eval, tolerance_grad, tolerance_change))
    if not alone:
        return result
    return Result(
        result.x[0], result.loss[0], result.grad[0], result.iterations[0], result.evaluations[0], result.stopped
    )


@torch.no_grad()
def drive(
    method: Method, objective: Objective, x: Tensor, state: Any, limits: Limits, weight: Tensor | float = 1.0
) -> tuple[Result, Any]:
    """Step from x [K, d] and `state` until every problem has stopped; also returns the state to go on from."""
    point = Point(x, *objective.evaluate(x))
    used = torch.ones_like(point.loss, dtype=torch.long)
    iterations = torch.zeros_like(used)
    most = torch.full_like(used, limits.max_eval or torch.iinfo(torch.long).max)

    def enough(fresh: Tensor) -> dict[int, Tensor]:
        """The reasons to stop that lie in where the problems stand, `fresh` if just arrived, and what they have used."""
        level = fresh & (point.grad.abs().amax(-1) <= limits.tolerance_grad)
        if bool(level.any()):
            level = level & method.minimal(objective, point.x)
        return {NO_GRADIENT: level, MAX_EVAL: used >= most, MAX_ITER: iterations >= limits.max_iter}

    why = torch.where(point.finite, RUNNING, NOT_FINITE)
    why = _first(why, enough(why == RUNNING))
    while bool((running := why == RUNNING).any()):
        allowed = torch.where(running, most - used, 0)
        step = method.step(objective, point, state, allowed, weight=weight, flat=limits.tolerance_change)
        idle = _idle(step, point, limits.tolerance_change)
        point, state, used, iterations = step.point, step.state, used + step.used, iterations + running
        # One that has not moved was looked at before: there is a gradient, or a way down from a saddle.
        why = _first(why, {**enough(running & (step.moved > 0)), **idle})
    stopped = tuple(STOPPED[code] for code in why.tolist())
    return Result(point.x, point.loss, point.grad, iterations, used, stopped), state


def _idle(step: Step, before: Point, tolerance: float) -> dict[int, Tensor]:
    """The reasons to stop that lie in the last step."""
    found = step.moved > 0
    after = step.point
    small = (step.moved <= tolerance) | ((after.loss - before.loss).abs() < tolerance)
    small = small | (after.x == before.x).all(-1)
    return {NO_CHANGE: step.flat | (found & small), NO_DESCENT: ~found & ~step.retry}


def _first(why: Tensor, reasons: dict[int, Tensor]) -> Tensor:
    """Why each problem stopped, [K]: for those still running the first reason that holds."""
    for code, holds in reasons.items():
        why = torch.where((why == RUNNING) & holds, code, why)
    return why
