"""The eigenvalues at both ends of the spectrum, with a bound on the error of each.

Letters in shapes: M steps, P parameters, R eigenvalues of one end.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.curvature.krylov import Krylov, draw
from ravine.curvature.operators import Operator
from ravine.errors import SettingError

__all__ = ["Eigenpairs", "Extremes", "extremes"]

ROUNDING = 8
"""Units in the last place that rounding may take from an eigenvalue, of the largest one."""

LEAST = 12
"""Products that are made whatever the deadline: of fewer, a largest eigenvalue may be seen at a tenth of its size."""


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Eigenvalues, the outermost first, float64."""

    values: Tensor  # [R]
    errors: Tensor  # [R], an eigenvalue lies this near
    vectors: Tensor  # [R, P], orthonormal

    def __len__(self) -> int:
        return len(self.values)

    def first(self, count: int) -> Eigenpairs:
        """The `count` outermost."""
        return Eigenpairs(self.values[:count], self.errors[:count], self.vectors[:count])


@dataclass(frozen=True, eq=False)
class Extremes:
    """Both ends of a spectrum."""

    largest: Eigenpairs  # falling
    smallest: Eigenpairs  # rising
    products: int  # M, matrix-vector products spent
    scale: float  # the largest absolute value of an eigenvalue
    converged: bool  # every error is as small as was asked
    complete: bool  # the steps span the whole space: `values` are all P eigenvalues
    values: Tensor  # [M], rising: what the steps saw of the spectrum, inexact inside
    errors: Tensor  # [M]


def extremes(
    operator: Operator,
    *,
    largest: int = 1,
    smallest: int = 1,
    tol: float = 1e-4,
    floor: float = 1e-6,
    steps: int = 300,
    seed: int = 0,
    deadline: float = math.inf,
) -> Extremes:
    """The `largest` top and the `smallest` bottom eigenvalues with their vectors, by Lanczos from a Gaussian start.

    largest, smallest: how many of each end; one of them may be 0.

    It stops when each is known to within `tol` of its own size, or within `floor` of the largest size (an eigenvalue of
    next to nothing has no relative error to speak of), or after `steps` products, or, a dozen made, at `deadline`
    (time.monotonic).
    The error of a value is its residual |H v - value v|, and the rounding of the network's products: an eigenvalue lies
    that near (Parlett 1998, 4.5). The sharper residual^2 / gap is not used: the gap to the next eigenvalue is not known
    in early steps, and taking that to the next value seen stopped at a largest eigenvalue that was 5 % too small where
    1 % was asked. That none lies beyond is so with probability one for a random start once the steps go on, and is not
    shown at any one step. Several equal eigenvalues count as several only where an invariant space made the search
    start afresh.
    Memory: 8 P bytes a step.
    Raises SettingError for counts, tolerances or steps out of range.

    >>> from ravine.curvature.operators import Dense
    >>> found = extremes(Dense(torch.diag(torch.tensor([-1.0, 2.0, 5.0]))))
    >>> round(found.largest.values.item(), 6), round(found.smallest.values.item(), 6)
    (5.0, -1.0)
    """
    _check(operator, largest, smallest, tol, floor, steps)
    wanted = min(operator.size, largest + smallest)
    krylov = Krylov(operator, draw(operator, 1, seed, "start"), fresh=lambda m: draw(operator, 1, seed, "start", m))
    while True:
        krylov.step()
        whole = len(krylov) == operator.size
        last = whole or len(krylov) >= steps or (len(krylov) >= LEAST and time.monotonic() > deadline)
        if len(krylov) < wanted and not last:
            continue
        if len(krylov) > 64 and len(krylov) % 4 and not last:
            continue  # the small eigenproblem is not to outgrow a product
        seen = _seen(krylov, largest, smallest, tol, floor)
        if seen.converged or last:
            return _extremes(krylov, seen, largest, smallest)


class _Seen(NamedTuple):
    """What the steps so far say."""

    values: Tensor  # [M], rising
    errors: Tensor  # [M]
    vectors: Tensor  # [M, M], in columns, of the tridiagonal matrix
    converged: bool


def _seen(krylov: Krylov, largest: int, smallest: int, tol: float, floor: float) -> _Seen:
    values, vectors = (part[0] for part in krylov.ritz())
    scale, count = float(values.abs().max()), len(values)
    rounding = ROUNDING * krylov.operator.eps
    errors = krylov.off[0, -1] * vectors[-1].abs() + rounding * scale
    enough = errors <= torch.clamp(tol * values.abs(), min=max(floor, 2 * rounding) * scale)
    done = bool(enough[max(0, count - largest) :].all() and enough[:smallest].all())
    complete = count == krylov.operator.size
    return _Seen(values, errors, vectors, complete or (done and count >= largest + smallest))


def _extremes(krylov: Krylov, seen: _Seen, largest: int, smallest: int) -> Extremes:
    count = len(seen.values)

    def pairs(index: list[int]) -> Eigenpairs:
        return Eigenpairs(seen.values[index], seen.errors[index], seen.vectors[:, index].mT @ krylov.basis[0])

    return Extremes(
        largest=pairs(list(range(count))[::-1][:largest]),
        smallest=pairs(list(range(count))[:smallest]),
        products=count,
        scale=float(seen.values.abs().max()),
        converged=seen.converged,
        complete=count == krylov.operator.size,
        values=seen.values,
        errors=seen.errors,
    )


def _check(operator: Operator, largest: int, smallest: int, tol: float, floor: float, steps: int) -> None:
    if largest < 0 or smallest < 0 or not largest + smallest:
        raise SettingError(f"largest is {largest} and smallest {smallest}: ask for at least one eigenvalue of one end.")
    if not (0 < tol < 1 and 0 <= floor < 1):
        raise SettingError(f"tol is {tol!r} and floor {floor!r}; they are shares below 1: write tol=1e-4, floor=1e-6.")
    if steps < min(operator.size, largest + smallest):
        raise SettingError(
            f"steps is {steps}, fewer than the {largest + smallest} eigenvalues asked for: 300 are usual."
        )
