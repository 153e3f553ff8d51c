"""A power of what is left of training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ravine.schedules.checks import check_floor, check_number, check_progress
from ravine.schedules.drawn import Drawn

__all__ = ["Polynomial"]


@dataclass(frozen=True)
class Polynomial(Drawn):
    """floor + (1 - floor) * (1 - progress) ** power. Power 1 is `Linear`.

    Source: the "poly" policy of Chen et al. 2017 (DeepLab), with their power of 0.9, where torch's default is 1.
    torch.optim.lr_scheduler.PolynomialLR has no floor.

    >>> Polynomial(power=2.0)(0.0), Polynomial(power=2.0)(0.5), Polynomial(power=2.0, floor=0.2)(1.0)
    (1.0, 0.25, 0.2)
    """

    power: float = 0.9  # > 0; above 1 it falls fast at first, below 1 fast at last
    floor: float = 0.0  # factor reached at the end, in [0, 1)

    def __post_init__(self) -> None:
        check_number(
            "Polynomial.power", self.power, lambda power: 0 < power < math.inf, "be a positive number: write power=0.9"
        )
        check_floor("Polynomial.floor", self.floor)

    def __call__(self, progress: float) -> float:
        check_progress(progress)
        left = float((1 - progress) ** self.power)
        return self.floor * (1 - left) + left
