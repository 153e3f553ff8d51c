"""One over the square root of the time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ravine.schedules.checks import check_number, check_progress
from ravine.schedules.drawn import Drawn

__all__ = ["InverseSqrt"]


@dataclass(frozen=True)
class InverseSqrt(Drawn):
    """sqrt(timescale / (timescale + progress)): at the peak at first, and never at rest.

    Source: Vaswani et al. 2017 behind a warm-up; Zhai et al. 2022 name the time scale. The lecture's slide has
    a further 1/2, which belongs to cosine alone.
    The paper's rate behind w steps of warm-up, sqrt(w / t) with t counted from the first step, is
    Warmup(InverseSqrt(timescale=s / (1 - s)), share=s) with s = w / T. The slide's 1 / sqrt(t), t = 1 ... T, is
    InverseSqrt(timescale=1 / T): its shape depends on how long one trains.

    >>> InverseSqrt(timescale=0.25)(0.0), InverseSqrt(timescale=0.25)(0.75)
    (1.0, 0.5)
    """

    timescale: float = 0.05  # share of training in which the rate falls by sqrt(2) for the first time, > 0

    def __post_init__(self) -> None:
        check_number(
            "InverseSqrt.timescale",
            self.timescale,
            lambda timescale: 0 < timescale < math.inf,
            "be a positive number. It is a fraction of training, not a number of steps: write 0.05 for 5 %",
        )

    def __call__(self, progress: float) -> float:
        check_progress(progress)
        return math.sqrt(self.timescale / (self.timescale + progress))
