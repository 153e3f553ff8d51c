"""Cosine again and again, each time from the peak."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from ravine.schedules.checks import check_floor, check_number, check_progress, check_whole
from ravine.schedules.cosine import Cosine
from ravine.schedules.drawn import Drawn
from ravine.schedules.point import stretch, within

__all__ = ["WarmRestarts"]


@dataclass(frozen=True)
class WarmRestarts(Drawn):
    """`Cosine`, `periods` times over; each period lasts `multiplier` times as long as the one before.

    Source: Loshchilov & Hutter 2017 (SGDR), equation 5. They and torch.optim.lr_scheduler.CosineAnnealingWarmRestarts
    give the length of the first period, T_0, and let the run end anywhere. Here the periods fill training, so that it
    ends at the floor: T_0 = T / (1 + multiplier + ... + multiplier ** (periods - 1)).

    >>> schedule = WarmRestarts(periods=2, multiplier=3.0)
    >>> schedule(0.0), schedule(0.125), schedule(0.25), schedule(0.625)
    (1.0, 0.5, 1.0, 0.5)
    """

    periods: int = 3  # how many, >= 1
    multiplier: float = 2.0  # length of a period over that of the one before, >= 1
    floor: float = 0.0  # factor reached at the end of each, in [0, 1)

    def __post_init__(self) -> None:
        check_whole("WarmRestarts.periods", self.periods, 1, "periods=3")
        check_number(
            "WarmRestarts.multiplier",
            self.multiplier,
            lambda multiplier: 1 <= multiplier < math.inf,
            "be a number, 1 or more: write multiplier=2.0 for periods that double",
        )
        check_floor("WarmRestarts.floor", self.floor)

    @property
    def restarts(self) -> tuple[float, ...]:
        """The shares of training at which it starts again."""
        # Lengths over that of the last period: counted from the first they would overflow.
        ends = list(itertools.accumulate(self.multiplier ** (i - self.periods) for i in range(self.periods)))
        return tuple(end / ends[-1] for end in ends[:-1])

    def __call__(self, progress: float) -> float:
        check_progress(progress)
        _, begin, end = stretch(self.restarts, progress)
        own, _ = within(begin, end, progress)
        return Cosine(self.floor)(own)
