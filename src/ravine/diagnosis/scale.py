"""In what units inputs stand: mean and deviation of every feature, and the inputs standardized by the training rows.

A feature is a column of a table, a channel of an image or a signal. Letters in shapes: F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.diagnosis.case import Case

__all__ = ["Units", "standardized", "units"]


@dataclass(frozen=True)
class Units:
    """Of the features that vary. names: which they are."""

    mean: Tensor  # [F]
    std: Tensor  # [F]
    names: Tensor  # [F] int64

    @property
    def size(self) -> Tensor:
        """Root of the mean square, [F]: what a weight of 1 makes of the feature."""
        return (self.mean.square() + self.std.square()).sqrt()


def units(case: Case) -> Units | None:
    """None for whole numbers (words, classes), for values that are not finite, and where nothing varies."""
    if not case.x.dtype.is_floating_point or not bool(torch.isfinite(case.x).all()):
        return None
    rest = _rest(case.x)
    mean, std = case.x.mean(rest).double(), case.x.std(rest).double()
    varies = (std > 1e-7 * mean.abs()) & (std > 0)
    if not bool(varies.any()):
        return None
    return Units(mean[varies], std[varies], varies.nonzero()[:, 0])


def standardized(case: Case) -> tuple[Tensor, Tensor]:
    """Inputs of both splits with mean 0 and deviation 1 by feature, by the training rows; features that do not vary as 0."""
    rest = _rest(case.x)
    mean, std = case.x.mean(rest, keepdim=True), case.x.std(rest, keepdim=True)
    std = torch.where(std > 1e-7 * mean.abs(), std, torch.ones_like(std)).clamp_min(1e-30)
    return (case.x - mean) / std, (case.held_x - mean) / std


def _rest(x: Tensor) -> tuple[int, ...]:
    """All dimensions but that of the features."""
    return (0, *range(2, x.ndim))
