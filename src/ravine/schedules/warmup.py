"""A climb in front of any other schedule."""

from __future__ import annotations

from dataclasses import dataclass

from ravine.errors import SettingError
from ravine.schedules.checks import check_floor, check_progress, check_schedule, check_share, check_whole
from ravine.schedules.drawn import Drawn
from ravine.schedules.point import Evaluations, Point, needs_metrics, point_at, within
from ravine.schedules.schedule import Schedule

__all__ = ["Warmup"]


@dataclass(frozen=True)
class Warmup(Drawn):
    """Climb in a straight line for the first `share` of training, then run `body` over the rest.

    Source: Goyal et al. 2017. The climb starts at `start`, a little above 0, because a first step with
    rate 0 would be a step not taken. It leads to where the body begins: to the peak for most, to the low of a
    cyclical one. Momentum and batch stand still until the body begins, and what is measured before does not count.

    >>> from ravine.schedules import Cosine
    >>> schedule = Warmup(body=Cosine(), share=0.5, start=0.0)
    >>> schedule(0.25), schedule(0.5), schedule(0.75)
    (0.5, 1.0, 0.5)
    """

    body: Schedule
    share: float = 0.05  # part of training spent climbing, in [0, 1)
    start: float = 0.01  # the very first step's share of the body's first factor, in [0, 1)

    def __post_init__(self) -> None:
        check_schedule("Warmup.body", self.body)
        check_share("Warmup.share", self.share)
        check_floor("Warmup.start", self.start)

    @classmethod
    def of_steps(cls, body: Schedule, warmup: int, steps: int, start: float = 0.01) -> Warmup:
        """The warm-up that climbs for `warmup` of `steps` steps.

        >>> from ravine.schedules import Cosine
        >>> Warmup.of_steps(Cosine(), warmup=100, steps=400)
        Warmup(body=Cosine(floor=0.0), share=0.25, start=0.01)
        """
        check_whole("steps", steps, 1, "steps=10_000")
        check_whole("warmup", warmup, 0, "warmup=500")
        if warmup >= steps:
            raise SettingError(
                f"a warm-up of {warmup} steps does not fit into a run of {steps}; it must be shorter than the run: "
                f"write warmup={steps // 20} for its first 5 %."
            )
        return cls(body, warmup / steps, start)

    @property
    def needs_metrics(self) -> bool:
        return needs_metrics(self.body)

    def __call__(self, progress: float) -> float:
        return self.at(progress).factor

    def at(self, progress: float, metrics: Evaluations = ()) -> Point:
        check_progress(progress)
        body = point_at(self.body, *within(self.share, 1.0, progress, metrics))
        if progress >= self.share:
            return body
        climb = self.start + (1 - self.start) * progress / self.share
        return body._replace(factor=body.factor * climb)
