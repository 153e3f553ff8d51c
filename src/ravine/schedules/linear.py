"""A straight line down."""

from __future__ import annotations

from dataclasses import dataclass

from ravine.schedules.checks import check_floor, check_progress
from ravine.schedules.drawn import Drawn

__all__ = ["Linear"]


@dataclass(frozen=True)
class Linear(Drawn):
    """1 - (1 - floor) * progress. The lecture's slide has a further 1/2, which belongs to cosine alone.

    >>> Linear()(0.25)
    0.75
    """

    floor: float = 0.0  # factor reached at the end, in [0, 1)

    def __post_init__(self) -> None:
        check_floor("Linear.floor", self.floor)

    def __call__(self, progress: float) -> float:
        check_progress(progress)
        return 1 - (1 - self.floor) * progress
