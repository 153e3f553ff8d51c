"""What was found out about the curvature at one point, as plain numbers that can be written as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from ravine.curvature.density import Estimate
from ravine.curvature.lanczos import Extremes
from ravine.curvature.noise import NoiseScale
from ravine.curvature.point import STATIONARY, Index, Kind
from ravine.curvature.trace import Trace

__all__ = ["Curvature", "Direction", "NewtonAngle", "Points"]


@dataclass(frozen=True)
class Direction:
    """One eigenvector: how the loss bends along it, and what plain descent at the record's `lr` does there."""

    eigenvalue: float
    error: float  # an eigenvalue lies this near
    gradient_share: float  # of the squared gradient norm, in [0, 1]
    steps_to_halve: float  # the loss along it; inf: never


@dataclass(frozen=True)
class Points:
    """The spectral density as weighted points; the weights sum to 1. `moments` are the means of eigenvalue^1 to ^4."""

    nodes: tuple[float, ...]
    weights: tuple[float, ...]
    moments: tuple[Estimate, ...]


@dataclass(frozen=True)
class NewtonAngle:
    """Between the negative gradient and the way to the minimum of the local quadratic, in its positive part."""

    degrees: float
    change: float  # degrees by which the last tenth of the products still turned it
    damping: float  # an eigenvalue: directions much flatter take no part
    decrease: float  # of the loss that the quadratic promises for the whole way
    length: float  # of the way, in units of the parameters


@dataclass(frozen=True)
class Curvature:
    """The loss surface around a network's parameters, over a whole data set, in evaluation mode.

    What was not measured is None, and `notes` say why. Units: an eigenvalue is loss per squared parameter.
    """

    parameters: int
    examples: int
    dtype: str
    loss: float
    gradient_norm: float
    kind: Kind
    unused_drop: float  # share of the loss that the best plain step would take: stationary when below `stationary`
    index: Index
    threshold: float  # eigenvalues of smaller size count as zero here
    top: tuple[Direction, ...]  # falling
    bottom: tuple[Direction, ...]  # rising
    condition: float  # largest over smallest eigenvalue above the threshold; inf when there is none
    condition_exact: bool  # every eigenvalue is known; otherwise the smallest is where the density puts it
    max_lr: float  # plain descent converges below it: 2 / largest eigenvalue
    max_lr_momentum: dict[str, float]  # heavy ball, by its momentum
    lr: float  # the rate that steps_to_halve are for
    lr_given: bool  # otherwise it is the best of plain descent, 2 / (largest + smallest above the threshold)
    trace: Trace | None
    effective_rank: float | None  # (sum of eigenvalues)^2 / sum of their squares
    density: Points | None
    gauss_newton: Estimate | None  # its largest eigenvalue, with the bound on its error
    noise: NoiseScale | None
    newton: NewtonAngle | None
    converged: bool  # the eigenvalues of both ends are as accurate as was asked
    products: int  # Hessian-vector products spent
    seconds: float
    gradient_seconds: float  # of one gradient over the same examples
    notes: tuple[str, ...]
    ends: Extremes = field(repr=False, compare=False)  # the eigenvalues above with their vectors
    stationary: float = STATIONARY

    @property
    def largest(self) -> float:
        return self.top[0].eigenvalue

    @property
    def smallest(self) -> float:
        return self.bottom[0].eigenvalue

    def record(self) -> dict[str, Any]:
        """The fields for a JSON file, without `ends`; what is not finite is None."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self) if each.name != "ends"}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Estimate):
        return _plain(value._asdict())
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
