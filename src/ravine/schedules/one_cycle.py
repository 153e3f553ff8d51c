"""Up once and down once, with the momentum going the other way."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import ClassVar, Literal

from ravine.errors import SettingError
from ravine.schedules.checks import check_choice, check_floor, check_number, check_progress
from ravine.schedules.drawn import Drawn
from ravine.schedules.point import Evaluations, Point

__all__ = ["OneCycle"]

Anneal = Literal["cos", "linear"]


@dataclass(frozen=True)
class OneCycle(Drawn):
    """From `start` to the peak in the first `rise` of training, then down to `end`; the momentum falls and climbs again.

        phase        ends at     rate              momentum
        1            rise        start -> 1        max_momentum -> base_momentum
        2            1           1 -> end          base_momentum -> max_momentum
    or with three phases
        2            2 * rise    1 -> start        base_momentum -> max_momentum
        3            1           start -> end      max_momentum

    A phase goes along half a cosine wave, or a straight line.

    Source: Smith & Topin 2018, who have three straight phases; the defaults are those of
    torch.optim.lr_scheduler.OneCycleLR (start = 1 / div_factor, end = start / final_div_factor). torch ends a phase one
    step early, so that its last step stands at `end`: OneCycleLR with total_steps = T + 1 and
    pct_start = (rise * T + 1) / (T + 1) agrees on the first T steps. Its max_lr is the optimizer's own rate here.

    >>> schedule = OneCycle(rise=0.5, start=0.2, end=0.0)
    >>> schedule(0.0), schedule(0.25), schedule(0.5), schedule(1.0)
    (0.2, 0.6, 1.0, 0.0)
    >>> schedule.momentum(0.0), schedule.momentum(0.5)
    (0.95, 0.85)
    """

    rise: float = 0.3  # share of training spent climbing, in (0, 1); below 1/2 with three phases
    start: float = 0.04  # factor at the very first step, in (0, 1)
    end: float = 4e-6  # factor reached at the end, in [0, 1)
    anneal: Anneal = "cos"  # the form of a phase
    three_phase: bool = False  # come down to `start` first, as steeply as it climbed
    cycle_momentum: bool = True  # False leaves the momentum as it is
    base_momentum: float = 0.85  # momentum at the peak rate, in [0, 1)
    max_momentum: float = 0.95  # momentum at both ends, in [base_momentum, 1)

    needs_metrics: ClassVar[bool] = False

    def __post_init__(self) -> None:
        highest = 0.5 if self.three_phase else 1.0
        check_number(
            "OneCycle.rise",
            self.rise,
            lambda rise: 0 < rise < highest,
            f"lie in (0, {highest:g}). It is a fraction of training, not a number of steps: write 0.3 for the first 30 %",
        )
        check_number(
            "OneCycle.start",
            self.start,
            lambda start: 0 < start < 1,
            "lie in (0, 1). It is a fraction of the peak rate, not a rate: write 0.04 for 1/25 of the peak",
        )
        check_floor("OneCycle.end", self.end)
        check_choice("OneCycle.anneal", self.anneal, Anneal)
        for name in ("base_momentum", "max_momentum"):
            check_number(
                f"OneCycle.{name}", getattr(self, name), lambda m: 0 <= m < 1, f"lie in [0, 1): write {name}=0.9"
            )
        if self.base_momentum > self.max_momentum:
            raise SettingError(
                f"OneCycle.base_momentum is {self.base_momentum!r}, above max_momentum {self.max_momentum!r}; it is the "
                "lower of the two: write base_momentum=0.85, max_momentum=0.95."
            )

    def __call__(self, progress: float) -> float:
        check_progress(progress)
        return self._along(
            (self.start, 1.0, self.start, self.end) if self.three_phase else (self.start, 1.0, self.end), progress
        )

    def momentum(self, progress: float) -> float | None:
        """The momentum (SGD) or beta1 (Adam) at this progress; None with cycle_momentum=False."""
        check_progress(progress)
        if not self.cycle_momentum:
            return None
        high, low = self.max_momentum, self.base_momentum
        return self._along((high, low, high, high) if self.three_phase else (high, low, high), progress)

    def at(self, progress: float, metrics: Evaluations = ()) -> Point:  # noqa: ARG002 - it looks at progress alone
        return Point(self(progress), self.momentum(progress))

    def _along(self, values: tuple[float, ...], progress: float) -> float:
        """From each value to the next; values stand at the beginning and at the end of every phase."""
        times = (0.0, self.rise, 2 * self.rise, 1.0) if self.three_phase else (0.0, self.rise, 1.0)
        i = min(bisect_right(times, progress), len(times) - 1)
        way = (progress - times[i - 1]) / (times[i] - times[i - 1])
        if self.anneal == "cos":
            way = (1 - math.cos(math.pi * way)) / 2
        return values[i - 1] * (1 - way) + values[i] * way
