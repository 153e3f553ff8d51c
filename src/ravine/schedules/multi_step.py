"""Step decay at moments of one's own choice."""

from __future__ import annotations

from dataclasses import dataclass

from ravine.schedules.checks import check_progress
from ravine.schedules.drawn import Drawn
from ravine.schedules.point import stretch
from ravine.schedules.sequence import check_milestones
from ravine.schedules.step import check_drop

__all__ = ["MultiStep"]


@dataclass(frozen=True)
class MultiStep(Drawn):
    """factor ** (number of milestones passed).

    Source: He et al. 2016, who trained 64,000 steps on CIFAR-10 and divided the rate by ten after 32,000 and
    48,000: the defaults. torch.optim.lr_scheduler.MultiStepLR counts its milestones in steps.

    >>> schedule = MultiStep(factor=0.5, milestones=(0.5, 0.75))
    >>> schedule(0.49), schedule(0.5), schedule(0.75)
    (1.0, 0.5, 0.25)
    """

    factor: float = 0.1  # multiplies the rate at each milestone, in (0, 1]
    milestones: tuple[float, ...] = (0.5, 0.75)  # shares of training, rising, each in (0, 1)

    def __post_init__(self) -> None:
        check_drop("MultiStep.factor", self.factor)
        check_milestones("MultiStep.milestones", self.milestones)

    def __call__(self, progress: float) -> float:
        check_progress(progress)
        passed, _, _ = stretch(self.milestones, progress)
        return float(self.factor**passed)
