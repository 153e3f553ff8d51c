"""Several schedules at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ravine.schedules.checks import check_progress, check_schedules
from ravine.schedules.drawn import Drawn
from ravine.schedules.point import Evaluations, Point, needs_metrics, point_at
from ravine.schedules.schedule import Schedule

__all__ = ["Product"]


@dataclass(frozen=True)
class Product(Drawn):
    """The parts' factors, multiplied: a cosine, say, that also falls on a plateau.

    Momentum is that of the first part that has one. torch.optim.lr_scheduler.ChainedScheduler does this too, for those
    schedulers alone that multiply the rate they find; the others overwrite one another.

    >>> from ravine.schedules import Constant, Linear, Step
    >>> Product(parts=(Linear(), Step(factor=0.5, drops=1)))(0.5)
    0.25
    """

    parts: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        check_schedules("Product.parts", self.parts)

    @property
    def needs_metrics(self) -> bool:
        return any(needs_metrics(part) for part in self.parts)

    def __call__(self, progress: float) -> float:
        return self.at(progress).factor

    def at(self, progress: float, metrics: Evaluations = ()) -> Point:
        check_progress(progress)
        points = [point_at(part, progress, metrics) for part in self.parts]
        return Point(
            factor=math.prod(point.factor for point in points),
            momentum=next((point.momentum for point in points if point.momentum is not None), None),
            batch=math.prod(point.batch for point in points),
        )
