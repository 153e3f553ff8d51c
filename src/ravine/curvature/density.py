"""How many eigenvalues lie where: the spectral density, by stochastic Lanczos quadrature.

Letters in shapes: K probes, M steps, P parameters, R eigenvalues counted one by one, G points of a grid.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.curvature.krylov import Krylov, draw
from ravine.curvature.lanczos import Eigenpairs
from ravine.curvature.operators import Operator
from ravine.errors import SettingError

__all__ = ["Density", "Estimate", "spectral_density"]


class Estimate(NamedTuple):
    """A number and its standard error."""

    value: float
    error: float


@dataclass(frozen=True, eq=False)
class Density:
    """The spectrum as weighted points; all weights together are 1.

    Each of K probes gives points `nodes` with `weights`, which sum to (P - R) / P; the R `outliers` weigh 1 / P each.
    """

    nodes: Tensor  # [K, M], float64
    weights: Tensor  # [K, M]
    outliers: Tensor  # [R], eigenvalues known one by one
    size: int  # P

    def moment(self, order: int) -> Estimate:
        """The mean of eigenvalue^order; order 1 is trace / P. The error is of the probes, the order >= 0."""
        return self._mean(self.nodes**order, float((self.outliers**order).sum()))

    def below(self, threshold: float) -> Estimate:
        """How many of the P eigenvalues are smaller than threshold.

        The error is the probes' and half the difference that a threshold twice or half as large would make: a point
        stands for eigenvalues on both sides of it.
        """
        at, low, high = (self._count(factor * threshold) for factor in (1.0, 0.5, 2.0))
        return Estimate(at.value, math.hypot(at.error, abs(high.value - low.value) / 2))

    def curve(self, grid: Tensor, width: float) -> Tensor:
        """The density on a grid [G], each point widened to a Gaussian of standard deviation `width`, [G]; its area is 1.

        Raises SettingError when width is not positive.
        """
        if not width > 0:
            raise SettingError(
                f"width is {width!r}; it must be positive: a hundredth of the spectrum's range is usual."
            )
        points = torch.cat([self.nodes.flatten(), self.outliers])
        share = torch.cat([self.weights.flatten() / len(self.nodes), torch.full_like(self.outliers, 1 / self.size)])
        bells = torch.exp(-(((grid.double()[:, None] - points) / width) ** 2) / 2) / (width * math.sqrt(2 * math.pi))
        return bells @ share

    def _count(self, threshold: float) -> Estimate:
        exact = float((self.outliers < threshold).sum())
        share = self._mean((self.nodes < threshold).double(), exact)
        return Estimate(share.value * self.size, share.error * self.size)

    def _mean(self, values: Tensor, exact: float) -> Estimate:
        """The mean over the spectrum of a function: `values` at the nodes, `exact` its sum over the outliers."""
        each = (self.weights * values).sum(1)
        error = float(each.std()) / math.sqrt(len(each)) if len(each) > 1 else math.nan
        return Estimate(float(each.mean()) + exact / self.size, error)


def spectral_density(
    operator: Operator,
    *,
    probes: int = 10,
    steps: int = 60,
    outliers: Eigenpairs | None = None,
    seed: int = 0,
    deadline: float = math.inf,
    memory: int = 2**29,
) -> Density:
    """The density of all P eigenvalues, from `probes` random vectors and `steps` products with each.

    Source: Ubaru, Chen & Saad 2017; for networks Ghorbani, Krishnan & Xiao 2019. The first 2 steps - 1 moments of a probe
    are exact for that probe; probes differ, the more so the fewer eigenvalues make up a moment. `outliers`, eigenpairs
    that are known (accurately: their vectors are taken as they are), are therefore counted one by one, and the probes see
    the rest of the space. After `deadline` (time.monotonic) no further probe is begun, but two are made at least.
    memory: bytes for the vectors of probes that go side by side; two go together in any case, with 16 steps P bytes.
    Raises SettingError for fewer than 2 probes, which have no spread, or less than 1 step.

    >>> from ravine.curvature.operators import Dense
    >>> found = spectral_density(Dense(2 * torch.eye(9)))
    >>> round(found.moment(1).value, 6), round(found.moment(2).value, 6)
    (2.0, 4.0)
    """
    if probes < 2 or steps < 1:
        raise SettingError(
            f"probes is {probes} and steps {steps}: 2 probes at least have a spread, and a step is needed: 10 and 60 are usual."
        )
    known = 0 if outliers is None else len(outliers)
    rest = operator.size - known
    steps = min(steps, max(rest, 1))
    starts = draw(operator, probes, seed, "probe")
    away = None if outliers is None else outliers.vectors
    found: list[tuple[Tensor, Tensor]] = []
    together = memory // (8 * steps * operator.size)
    for group in starts.split(max(together, 2)):
        if found and time.monotonic() > deadline:
            break
        found.append(_quadrature(operator, group, steps, away))
    nodes, weights = (torch.cat(parts) for parts in zip(*found, strict=True))
    values = starts.new_zeros(0) if outliers is None else outliers.values
    return Density(nodes, weights * rest / operator.size, values, operator.size)


def _quadrature(operator: Operator, starts: Tensor, steps: int, away: Tensor | None) -> tuple[Tensor, Tensor]:
    """Nodes and weights of each start, [K, M]: the eigenvalues seen, and the start's squared parts along them."""
    krylov = Krylov(operator, starts, away=away)
    for _ in range(steps):
        krylov.step()
        if krylov.invariant:
            break
    values, vectors = krylov.ritz()
    pad = steps - values.shape[1]
    weights = vectors[:, 0, :] ** 2
    return torch.nn.functional.pad(values, (0, pad)), torch.nn.functional.pad(weights, (0, pad))
