"""Half a cosine wave: slow at both ends, steepest in the middle."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ravine.schedules.checks import check_floor, check_progress
from ravine.schedules.drawn import Drawn

__all__ = ["Cosine"]


@dataclass(frozen=True)
class Cosine(Drawn):
    """floor + (1 - floor) * (1 + cos(pi * progress)) / 2.

    Source: Loshchilov & Hutter 2017 (SGDR), one period without restarts.

    >>> Cosine()(0.0), Cosine()(0.5), Cosine(floor=0.1)(1.0)
    (1.0, 0.5, 0.1)
    """

    floor: float = 0.0  # factor reached at the end, in [0, 1)

    def __post_init__(self) -> None:
        check_floor("Cosine.floor", self.floor)

    def __call__(self, progress: float) -> float:
        check_progress(progress)
        return round(self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2, 15)
