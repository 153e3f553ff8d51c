"""The rate falls when a metric no longer improves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from ravine.schedules.checks import check_choice, check_floor, check_number, check_progress, check_whole
from ravine.schedules.drawn import Drawn
from ravine.schedules.point import Evaluations, Point

__all__ = ["Plateau"]

Mode = Literal["min", "max"]
ThresholdMode = Literal["rel", "abs"]


@dataclass(frozen=True)
class Plateau(Drawn):
    """`factor` less, down to `floor`, each time more than `patience` evaluations in a row were no improvement.

    A pure function of the metrics so far, so it has nothing to save but them. What was measured before it began
    (while a warm-up in front of it climbed, say) does not count.

    As torch.optim.lr_scheduler.ReduceLROnPlateau, but: the floor is a factor of the peak where torch's min_lr is a rate;
    there is no `eps`, below which torch leaves a rate as it is; minus infinity is no improvement, as NaN is none. A relative
    threshold is meant for metrics above 0, as it is there: below 0 it would let a metric get worse by that much.

    >>> schedule = Plateau(factor=0.5, patience=1)
    >>> schedule.after([1.0, 0.8, 0.9, 0.8]), schedule.after([1.0, 0.8, 0.9, 0.7])
    (0.5, 1.0)
    """

    factor: float = 0.1  # multiplies the rate at each fall, in (0, 1)
    patience: int = 10  # evaluations without improvement that are forgiven, >= 0
    threshold: float = 1e-4  # what counts as an improvement, >= 0: a share of the best metric, or in its units
    threshold_mode: ThresholdMode = "rel"  # rel: a share; abs: in the metric's units
    mode: Mode = "min"  # min: lower is better, as for a loss; max: higher is
    cooldown: int = 0  # evaluations after a fall that are not counted, >= 0
    floor: float = 0.0  # the factor never falls below this, in [0, 1)

    needs_metrics: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number(
            "Plateau.factor", self.factor, lambda factor: 0 < factor < 1, "lie in (0, 1): 0.1 divides the rate by ten"
        )
        check_whole("Plateau.patience", self.patience, 0, "patience=10")
        check_number(
            "Plateau.threshold",
            self.threshold,
            lambda threshold: 0 <= threshold < math.inf,
            "be a number, 0 or more: write threshold=0.0001",
        )
        check_choice("Plateau.threshold_mode", self.threshold_mode, ThresholdMode)
        check_choice("Plateau.mode", self.mode, Mode)
        check_whole("Plateau.cooldown", self.cooldown, 0, "cooldown=0")
        check_floor("Plateau.floor", self.floor)

    def __call__(self, progress: float) -> float:
        """1: without metrics there is no plateau."""
        check_progress(progress)
        return 1.0

    def at(self, progress: float, metrics: Evaluations = ()) -> Point:
        check_progress(progress)
        return Point(self.after(metric for at, metric in metrics if at <= progress))

    def after(self, metrics: Iterable[float]) -> float:
        """The factor after these evaluations, in order."""
        factor, best, bad, resting = 1.0, math.nan, 0, 0
        for metric in metrics:
            bad += 1
            if self._improves(metric, best):
                best, bad = metric, 0
            if resting:
                resting, bad = resting - 1, 0
            if bad > self.patience:
                factor = max(factor * self.factor, self.floor)
                resting, bad = self.cooldown, 0
        return factor

    def _improves(self, metric: float, best: float) -> bool:
        """best: NaN as long as there is none."""
        if not math.isfinite(metric) or math.isnan(best):
            return math.isfinite(metric)
        sign = 1 if self.mode == "max" else -1
        margin = sign * self.threshold
        bar = best * (1 + margin) if self.threshold_mode == "rel" else best + margin
        return sign * metric > sign * bar
