"""Newton's method, damped by a line search and made to leave saddles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.line_search import Point, Search, StrongWolfe, dot, pick
from ravine.rules.method import Method, Objective, Step, check_size
from ravine.rules.rule import check_range

__all__ = ["BACKTRACKING", "Newton"]

BACKTRACKING = StrongWolfe(c2=math.inf)
"""Ample decrease is enough: the step has its length from the model, and nothing is learned from the slope."""


class Spectrum(NamedTuple):
    """The Hessian's eigenvalues, the smallest first, and what counts as nothing beside them."""

    values: Tensor  # [K, d]
    vectors: Tensor  # [K, d, d], in columns
    floor: Tensor  # [K], the rounding error of the values

    @property
    def saddle(self) -> Tensor:
        """Whether some direction curves down, [K]."""
        return self.values[:, 0] < -self.floor

    def along(self, direction: Tensor) -> Tensor:
        """The second derivative along a direction [K, d], [K]."""
        return (self.values * (self.vectors * direction[:, :, None]).sum(1) ** 2).sum(-1)


@dataclass(frozen=True)
class Newton(Method):
    """Step to where the second-order model is flat, going downhill also where it curves down:

        H      = Q diag(values) Q'
        p      <- -Q diag(1 / max(|values|, floor)) Q' grad
        p      <- p + v                     (where a value is negative and |p| < leave; v: its vector, not uphill)
        x      <- x + t p                   (t = lr, and shorter until the loss falls amply)

    Source: Nocedal & Wright 2006, section 3.4 for the modified eigenvalues: |value| as in Greenstadt 1967 and
    Dauphin et al. 2014, not a shifted H, which would shorten the step in every other direction too. The floor
    is d eps max |value|. Where the gradient vanishes on a saddle p is next to nothing, and a step of length 1,
    in units of x, along the steepest fall leaves it (McCormick 1977; Goldfarb 1980); the line search settles
    its length. A Hessian that is not finite counts as the identity.
    Memory: 3 d^2 numbers while a step is made, none between two. Time: d^3, and d backward passes.

    >>> from ravine.rules.minimize import minimize
    >>> def saddle(x):
    ...     return x[0] ** 2 - x[1] ** 2 + x[1] ** 4
    >>> found = minimize(Newton(), saddle, torch.tensor([1.0, 0.0], dtype=torch.float64))
    >>> found.x.abs().round(decimals=4).tolist(), found.loss.item()
    ([0.0, 0.7071], -0.25)
    """

    lr: float = 1.0  # the first step tried, >= 0; 1 is Newton's
    search: Search = BACKTRACKING
    leave: float = 1e-3  # a step shorter than this, in units of x, does not count as leaving a saddle, >= 0
    max_size: int = 4096  # parameters accepted: their square is 0.13 GB in float64, their cube minutes a step

    def __post_init__(self) -> None:
        check_range("Newton", "lr", self.lr, 0.0)
        check_range("Newton", "leave", self.leave, 0.0)

    def check(self, x: Tensor) -> None:
        check_size("Newton", "the Hessian", x, self.max_size)

    def init(self, x: Tensor) -> None:
        """Nothing is remembered from one step to the next."""
        self.check(x)

    def minimal(self, objective: Objective, x: Tensor) -> Tensor:
        return ~_spectrum(objective, x).saddle

    def step(
        self,
        objective: Objective,
        point: Point,
        state: None,
        allowed: Tensor,
        *,
        weight: Tensor | float = 1.0,
        flat: float = 0.0,
    ) -> Step:
        spectrum = _spectrum(objective, point.x)
        direction, leaving = self._direction(spectrum, point.grad)
        direction = weight * direction
        curvature = torch.where(leaving, spectrum.along(direction).clamp(max=0), 0.0)
        slope = dot(point.grad, direction)
        lost = ~((slope < 0) | (curvature < 0))  # a Hessian of zeros, whose p is not a number
        direction = pick(lost, -weight * point.grad, direction)
        slope = dot(point.grad, direction)

        dull = slope + curvature / 2 > -flat
        first = torch.full_like(slope, self.lr)
        found = self.search(objective.evaluate, point, direction, first, torch.where(dull, 0, allowed), curvature)
        moved = found.t * direction.abs().amax(-1)
        return Step(found.point, state, moved, found.used, torch.zeros_like(dull), dull)

    def _direction(self, spectrum: Spectrum, grad: Tensor) -> tuple[Tensor, Tensor]:
        """The step p [K, d], and whether it is one that leaves a saddle, [K]."""
        values, vectors, floor = spectrum
        size = torch.maximum(values.abs(), floor[:, None])
        along = (vectors * grad[:, :, None]).sum(1) / size
        newton = -(vectors * along[:, None, :]).sum(-1)
        fall = vectors[:, :, 0]
        fall = pick(dot(fall, grad) > 0, -fall, fall)
        leaving = spectrum.saddle & (newton.norm(dim=-1) < self.leave)
        return newton + torch.where(leaving[:, None], fall, 0.0), leaving


def _spectrum(objective: Objective, x: Tensor) -> Spectrum:
    if objective.hessian is None:
        raise SettingError(
            "Newton got an objective without a Hessian; it needs one: write Objective(evaluate, hessian)."
        )
    hessian = objective.hessian(x)
    identity = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)[None]
    usable = hessian.isfinite().all(-1).all(-1)
    values, vectors = torch.linalg.eigh(pick(usable, (hessian + hessian.mT) / 2, identity))
    floor = x.shape[-1] * torch.finfo(x.dtype).eps * values.abs().amax(-1)
    return Spectrum(values, vectors, floor)
