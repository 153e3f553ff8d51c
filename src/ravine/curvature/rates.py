"""What the eigenvalues say about learning rates, by the theory of the quadratic.

With curvature value along a direction, a step of rate lr multiplies the distance to the minimum by 1 - lr value, and
the loss by its square. Source: Polyak 1964; Goh, distill.pub 2017.
"""

from __future__ import annotations

import math

__all__ = ["largest_rate", "steps_to_halve"]


def largest_rate(value: float, momentum: float = 0.0) -> float:
    """The rate below which descent converges along an eigenvalue: 2 (1 + momentum) / value; inf when it is not positive.

    momentum: of the heavy ball, in [0, 1). At the rate itself the distance neither grows nor shrinks.

    >>> largest_rate(100.0), largest_rate(100.0, momentum=0.9)
    (0.02, 0.038)
    """
    return 2 * (1 + momentum) / value if value > 0 else math.inf


def steps_to_halve(value: float, lr: float) -> float:
    """Steps of plain descent until the loss along an eigenvalue has halved: log(1/2) / (2 log |1 - lr value|).

    0 where one step reaches the minimum; inf where it never halves: at and beyond the largest rate, and where the
    curvature is not positive.

    >>> round(steps_to_halve(1.0, 0.1), 2), steps_to_halve(1.0, 2.0)
    (3.29, inf)
    """
    factor = abs(1 - lr * value)
    if value <= 0 or lr <= 0 or factor >= 1:
        return math.inf
    return math.log(0.5) / (2 * math.log(factor)) if factor else 0.0
