"""The max-norm constraint: no unit's incoming weights grow longer than a limit.

Letters in shapes: out units of a layer, n weights into one unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.regularization.weights import Named, check_patterns, chosen
from ravine.rules.rule import check_range, narrow_one
from ravine.types import Hyper

__all__ = ["MaxNorm", "scales"]


@dataclass(frozen=True)
class MaxNorm:
    """After each step, a unit whose incoming weights are longer than `limit` has them scaled back to that length.

    A weight is [out, in, ...], so a unit's incoming weights are all dimensions but the first: for a convolution, one
    filter. A transposed convolution keeps its inputs first; leave it out with `exclude` if that is not meant.
    Lengths are Euclidean, and at most `limit` to rounding.
    include, exclude: patterns of parameter names, see `chosen`; weights alone unless they say otherwise. Of a
    bias, should they name one, each entry is a unit.
    Source: Srebro & Shraibman 2005; Srivastava et al. 2014, with dropout. Raises SettingError unless limit lies in (0, inf).

    >>> MaxNorm(2.5).project(torch.tensor([[3.0, 4.0], [1.0, 1.0], [0.0, 0.0]]))
    tensor([[1.5000, 2.0000],
            [1.0000, 1.0000],
            [0.0000, 0.0000]])
    """

    limit: float
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_range("MaxNorm", "limit", self.limit, 0.0)
        if self.limit == 0:
            raise SettingError(
                "MaxNorm.limit is 0, which leaves no weights: write a length above 0; 3 or 4 are common."
            )
        check_patterns("MaxNorm", include=self.include, exclude=self.exclude)

    def project(self, weight: Tensor) -> Tensor:
        """The nearest weight, [out, ...], that keeps the limit. A unit that keeps it already is the same bits."""
        rows = weight.reshape(len(weight), -1)
        return (rows * scales(rows, self.limit)).view_as(weight)

    @torch.no_grad()
    def apply_(self, model: Named) -> None:
        """Project in place, for a loop of your own, after optimizer.step(). Raises SettingError as `weights` does."""
        for weight in self.weights(model).values():
            weight.copy_(self.project(weight))

    def weights(self, model: Named) -> dict[str, Tensor]:
        """What the constraint touches, by name. Raises SettingError as `chosen` does, or for a parameter without units."""
        found = chosen(model, self.include, self.exclude)
        for name, weight in found.items():
            if weight.ndim == 0:
                raise SettingError(
                    f"MaxNorm holds the rows of a weight [out, in, ...] and {name} is a single number: "
                    f"write exclude=({name!r},)."
                )
        return found


def scales(rows: Tensor, limit: Hyper) -> Tensor:
    """The factor of each row that keeps the limit, [..., out, 1] for rows [..., out, n]; 1 where nothing is to be done.

    limit: a float, or one per trial, [K, 1, 1].
    """
    norms = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    limit = narrow_one(limit, rows)
    return torch.where(norms > limit, limit / norms, 1.0)  # a row of zeros, or of NaN, stays as it is
