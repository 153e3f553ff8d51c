"""A climb in front of any other schedule."""

from __future__ import annotations

from dataclasses import dataclass

from ravine.errors import SettingError
from ravine.schedules.schedule import Schedule, check_share

__all__ = ["Warmup"]


@dataclass(frozen=True)
class Warmup:
    """Climb in a straight line for the first `share` of training, then run `body` over the rest.

    Source: Goyal et al. 2017. The climb starts at `start`, a little above 0, because a first step with
    rate 0 would be a step not taken.

    >>> from ravine.schedules import Cosine
    >>> schedule = Warmup(body=Cosine(), share=0.5, start=0.0)
    >>> schedule(0.25), schedule(0.5), schedule(0.75)
    (0.5, 1.0, 0.5)
    """

    body: Schedule
    share: float = 0.05  # part of training spent climbing, in [0, 1)
    start: float = 0.01  # factor at the very first step, in [0, 1)

    def __post_init__(self) -> None:
        if not callable(self.body) or isinstance(self.body, type):
            raise SettingError(f"Warmup.body is {self.body!r}; it must be a schedule: write body=Cosine().")
        check_share("Warmup", "share", self.share)
        check_share("Warmup", "start", self.start)

    def __call__(self, progress: float) -> float:
        if progress < self.share:
            return self.start + (1 - self.start) * progress / self.share
        return self.body((progress - self.share) / (1 - self.share))
