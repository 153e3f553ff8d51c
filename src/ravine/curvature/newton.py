"""Where the minimum of the local quadratic lies, and how far off plain descent is aimed.

Letters in shapes: M steps, P parameters.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.curvature.krylov import Krylov
from ravine.curvature.operators import Operator

__all__ = ["NewtonDirection", "angle", "newton_direction"]


@dataclass(frozen=True, eq=False)
class NewtonDirection:
    """-f(H) gradient, with f(value) = value / (value^2 + damping^2) for what curves up and 0 for the rest."""

    vector: Tensor  # [P], float64: from here to the minimum of the quadratic, in its positive part
    damping: float  # an eigenvalue: directions much flatter take next to no part
    change: float  # how far the last tenth of the steps turned it, in degrees
    decrease: float  # of the loss, by the quadratic, for the whole step
    products: int


def newton_direction(
    operator: Operator,
    gradient: Tensor,
    *,
    damping: float,
    steps: int = 60,
    turn: float = 0.5,
    deadline: float = math.inf,
) -> NewtonDirection:
    """The direction from here to the minimum of the local quadratic, within the eigenvectors that curve up.

    f is 1 / value where value is large beside `damping`, > 0, and falls to 0 with it, without a jump: it minimizes
    |H d + gradient|^2 + damping^2 |d|^2 there, and a jump would take many more products.
    By Lanczos from the gradient, which a quadratic with negative curvature does not upset as it does conjugate
    gradients: f of the small tridiagonal matrix stands for f(H) (Higham 2008, 13.2). It ends when the last tenth of the
    steps turned the direction by less than `turn` degrees, or after `steps` products.
    Where the gradient is zero, or lies in no direction that curves up, the vector is zero.
    """
    size = float(gradient.norm())
    if size == 0:
        return NewtonDirection(torch.zeros_like(gradient), damping, 0.0, 0.0, 0)
    krylov = Krylov(operator, gradient[None])
    seen: list[Tensor] = []
    change = math.inf
    for _ in range(min(steps, operator.size)):
        krylov.step()
        values, vectors = (part[0] for part in krylov.ritz())
        inverse = torch.where(values > 0, values / (values**2 + damping**2), 0.0)
        seen.append(vectors @ (inverse * vectors[0]))  # in the basis, [M]
        before = seen[len(seen) * 9 // 10 - 1] if len(seen) >= 10 else None
        change = angle(seen[-1], _padded(before, len(seen[-1]))) if before is not None else math.inf
        if krylov.invariant:
            change = 0.0
        if change < turn or time.monotonic() > deadline:
            break
    found = seen[-1]
    return NewtonDirection(
        vector=-size * (found @ krylov.basis[0]),
        damping=damping,
        change=change,
        decrease=size**2 * float(found[0] - _bend(krylov, found) / 2),
        products=len(krylov),
    )


def angle(a: Tensor, b: Tensor) -> float:
    """Between two vectors, in degrees, 0 to 180; NaN when one of them is zero.

    >>> round(angle(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])), 3)
    45.0
    """
    a, b = a.double(), b.double()
    if not (a.any() and b.any()):
        return math.nan
    a, b = a / a.norm(), b / b.norm()
    return math.degrees(2 * math.atan2(float((a - b).norm()), float((a + b).norm())))  # exact also near 0 and 180


def _padded(vector: Tensor, length: int) -> Tensor:
    return torch.nn.functional.pad(vector, (0, length - len(vector)))


def _bend(krylov: Krylov, inside: Tensor) -> float:
    """The value v' H v of a vector in the basis, [M], by the tridiagonal matrix."""
    off = krylov.off[0, :-1]
    return float((krylov.diagonal[0] * inside**2).sum() + 2 * (off * inside[:-1] * inside[1:]).sum())
