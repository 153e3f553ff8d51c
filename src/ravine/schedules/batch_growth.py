"""A larger batch instead of a lower rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ravine.schedules.checks import check_number, check_progress, check_schedule, check_whole
from ravine.schedules.drawn import Drawn
from ravine.schedules.point import Evaluations, Point, needs_metrics, point_at
from ravine.schedules.schedule import Schedule

__all__ = ["BatchGrowth", "batch_sizes"]


@dataclass(frozen=True)
class BatchGrowth(Drawn):
    """Where `body` would lower the rate, let the batch grow by as much; what is beyond `most` the rate still falls.

        growth <- min(most, 1 / body)
        batch  <- batch * growth
        rate   <- body * growth

    Source: Smith et al. 2018: a batch B times as large quiets the noise of SGD as a rate B times as low does, in B times
    fewer steps. They count time in epochs, so that a longer batch means fewer steps; so do that here: let progress be
    the share of epochs, not of steps, that are done. A warm-up stands in front, Warmup(BatchGrowth(...)): inside,
    its low first rates would be taken for a decay.

    >>> from ravine.schedules import Step
    >>> schedule = BatchGrowth(body=Step(factor=0.25, drops=2), most=8.0)
    >>> schedule(0.0), schedule(0.4), schedule(0.8)
    (1.0, 1.0, 0.5)
    >>> batch_sizes(schedule, base=32, steps=6)
    [32, 32, 128, 128, 256, 256]
    """

    body: Schedule
    most: float = 16.0  # the largest batch over the first, >= 1

    def __post_init__(self) -> None:
        check_schedule("BatchGrowth.body", self.body)
        check_number(
            "BatchGrowth.most", self.most, lambda most: 1 <= most < math.inf, "be a number, 1 or more: write most=16.0"
        )

    @property
    def needs_metrics(self) -> bool:
        return needs_metrics(self.body)

    def __call__(self, progress: float) -> float:
        return self.at(progress).factor

    def at(self, progress: float, metrics: Evaluations = ()) -> Point:
        check_progress(progress)
        body = point_at(self.body, progress, metrics)
        growth = 1 / max(body.factor, 1 / self.most)  # a factor of 0 included
        return body._replace(factor=body.factor * growth, batch=body.batch * growth)


def batch_sizes(schedule: Schedule, base: int, steps: int) -> list[int]:
    """The batch size at each of `steps` steps or epochs, in whole examples; `base` is the first.

    All are `base` where no BatchGrowth is in the schedule. One that follows a metric is tabulated as if it saw
    none: write round(base * point_at(schedule, epoch / epochs, metrics).batch) as the training goes.
    Raises SettingError unless base and steps are whole numbers, 1 or more.
    """
    check_whole("base", base, 1, "base=64")
    check_whole("steps", steps, 1, "steps=100")
    return [round(base * point_at(schedule, t / steps).batch) for t in range(steps)]
