"""The sum of all eigenvalues, from a few products.

Letters in shapes: P parameters, S vectors of the sketch, G probes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ravine.curvature.krylov import draw
from ravine.curvature.operators import Operator
from ravine.errors import SettingError

__all__ = ["Trace", "trace_of"]

Z95 = 1.96  # standard errors that hold 95 % of a normal estimate


@dataclass(frozen=True)
class Trace:
    """The estimate of a trace, with its error and what it cost."""

    value: float
    error: float  # half-width of the 95 % interval
    products: int


def trace_of(operator: Operator, *, products: int = 60, seed: int = 0) -> Trace:
    """Hutch++: a third of the products finds where H is large, and there its trace is exact; probes see to the rest.

        Q      <- orthonormal basis of H S, S Gaussian [P, S]
        trace  <- tr Q' H Q + mean of g' (I - QQ') H (I - QQ') g over Gaussian g

    Source: Meyer et al. 2021. Error: the rest, A = (I - QQ') H (I - QQ'), has a mean of G probes whose variance is
    2 |A|^2 / G, |A| its Frobenius norm; and |A g|^2, which is at hand, is |A|^2 on average. That needs fewer probes than
    their own spread, which is why they are Gaussian and not signs. The interval is 1.96 standard errors, and the
    rounding of the products.
    Raises SettingError for fewer than 6 products.

    >>> from ravine.curvature.operators import Dense
    >>> round(trace_of(Dense(torch.diag(torch.tensor([3.0, 1.0, -2.0])))).value, 6)
    2.0
    """
    if products < 6:
        raise SettingError(f"products is {products}; Hutch++ parts them in three: give at least 6, 60 are usual.")
    third = min(products // 3, operator.size)
    sketch = operator(draw(operator, third, seed, "sketch"))
    basis = torch.linalg.qr(sketch.mT).Q  # [P, S]
    probes = draw(operator, third, seed, "trace")
    probes = probes - (probes @ basis) @ basis.mT
    seen = operator(torch.cat([basis.mT, probes]))
    inside, outside = seen[:third], seen[third:]
    outside = outside - (outside @ basis) @ basis.mT
    value = float((inside.mT * basis).sum()) + float((probes * outside).sum()) / third
    variance = 2 * float(outside.square().sum()) / third**2
    rounding = operator.eps * float(inside.norm(dim=1).sum())
    return Trace(value, Z95 * math.sqrt(variance) + rounding, 3 * third)
