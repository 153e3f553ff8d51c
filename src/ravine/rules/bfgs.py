"""BFGS: Newton's direction from an inverse Hessian that every step corrects."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.rules.line_search import Point, dot, pick
from ravine.rules.method import check_size
from ravine.rules.quasi_newton import Pair, QuasiNewton, Trace

__all__ = ["BFGS"]


@dataclass(frozen=True)
class BFGS(QuasiNewton):
    """The inverse Hessian B is corrected by rank two after each step s that changed the gradient by y:

        B <- max(1, y's / y'y) * I                                         (before the first correction)
        B <- B + (1 + y'By / y's) s s' / y's - (B y s' + s y'B) / y's      (only where y's > 0)
        x <- x - t B grad                                                  (t by the line search)

    Source: Broyden, Fletcher, Goldfarb and Shanno 1970; Nocedal & Wright 2006, equations 6.17 and 6.20,
    multiplied out. The lecture's slide says rank one; the correction adds two rank-one matrices. B stays positive
    definite because a pair is learned only where y's > 0. Equation 6.20 is used where it enlarges the identity
    alone: a B that is too large costs the line search a few looks, one that is too small is outgrown slowly (with
    6.20 throughout, a quadratic of condition 1e8 in 50 coordinates took 720 to 740 evaluations from two starts
    instead of 80).
    A search begins at min(1, 2.02 (loss - last loss) / slope), their equation 3.60: as much decrease as last time.
    Memory: d^2 numbers for d parameters, and two more of that size while a step is made.

    >>> from ravine.rules.minimize import minimize
    >>> def valley(x):
    ...     return x[0] ** 2 + 50 * x[1] ** 2
    >>> found = minimize(BFGS(), valley, torch.tensor([4.0, 0.5], dtype=torch.float64))
    >>> found.x.abs().max().item() < 1e-6, found.stopped
    (True, ('no gradient left',))
    """

    max_size: int = 4096  # parameters accepted, as B has their square: 0.13 GB in float64 for 4,096

    def check(self, x: Tensor) -> None:
        check_size("BFGS", "the inverse Hessian", x, self.max_size)

    def begin(self, x: Tensor) -> Tensor:
        size = x.shape[-1]
        return torch.eye(size, dtype=x.dtype, device=x.device).repeat(len(x), 1, 1)

    def learned(self, memory: Tensor, pair: Pair, keep: Tensor, age: Tensor) -> Tensor:
        step, change, inverse = pair
        scale = (1 / (inverse * dot(change, change))).clamp(min=1)
        memory = pick(keep & (age == 0), scale[:, None, None] * memory, memory)
        mapped = _times(memory, change)
        cross = step[:, :, None] * mapped[:, None, :]
        square = step[:, :, None] * step[:, None, :]
        grown = (1 + inverse * dot(change, mapped))[:, None, None] * square
        return pick(keep, memory + inverse[:, None, None] * (grown - (cross + cross.mT)), memory)

    def first(self, trace: Trace, point: Point, slope: Tensor) -> Tensor:
        guess = 2.02 * (point.loss - trace.loss) / slope
        return torch.where(guess > 0, guess.clamp(max=1), 1.0)

    def cleared(self, memory: Tensor, which: Tensor) -> Tensor:
        return pick(which, torch.eye(memory.shape[-1], dtype=memory.dtype, device=memory.device)[None], memory)

    def direction(self, memory: Tensor, grad: Tensor) -> Tensor:
        return -_times(memory, grad)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Products [K, d, d] x [K, d] -> [K, d]; written as sums, whose bits do not depend on K."""
    return (matrix * vector[:, None, :]).sum(-1)
