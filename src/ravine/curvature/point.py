"""What kind of point the parameters are at: only where the gradient has all but vanished is it called a saddle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ravine.curvature.density import Density
from ravine.curvature.lanczos import Extremes

__all__ = ["STATIONARY", "Index", "Kind", "index_of", "kind_of", "unused_drop"]

Kind = Literal["minimum", "saddle", "negative curvature here", "slope"]

STATIONARY = 1e-4
"""A point is stationary where the best plain step would lower the loss by less than this share of it."""


@dataclass(frozen=True)
class Index:
    """How many eigenvalues are below `-threshold`: of a saddle, its index."""

    value: float
    error: float  # standard error; 0 where every eigenvalue is known
    at_least: int  # found one by one, each with its error beyond the threshold
    threshold: float


def unused_drop(gradient_norm: float, scale: float, loss: float) -> float:
    """The share of the loss that one plain step of rate 1 / scale would take away: |gradient|^2 / (2 scale |loss|).

    scale: the largest size of an eigenvalue. It does not change with the units of loss or parameters.

    >>> unused_drop(0.1, 5.0, 1.0)
    0.0010000000000000002
    """
    if gradient_norm == 0:
        return 0.0
    bottom = 2 * scale * abs(loss)
    return gradient_norm**2 / bottom if bottom else float("inf")


def kind_of(drop: float, extremes: Extremes, threshold: float) -> Kind:
    """What to call the point.

    drop: from `unused_drop`. Negative curvature counts when the smallest eigenvalue is below -threshold, error included.
    A "minimum" is one as far as eigenvalues beyond the threshold say: flatter directions may go either way. "slope" is
    a point that is not stationary and whose curvature is not negative.
    """
    smallest = float(extremes.smallest.values[0] + extremes.smallest.errors[0])
    if smallest < -threshold:
        return "saddle" if drop < STATIONARY else "negative curvature here"
    return "minimum" if drop < STATIONARY else "slope"


def index_of(extremes: Extremes, density: Density | None, threshold: float) -> Index:
    """The count of negative eigenvalues: exact where all are known, else by the density, else what was found."""
    sure = int((extremes.values + extremes.errors < -threshold).sum())
    if extremes.complete or density is None:
        return Index(float(sure), 0.0 if extremes.complete else float("nan"), sure, threshold)
    estimate = density.below(-threshold)
    return Index(max(estimate.value, float(sure)), estimate.error, sure, threshold)
