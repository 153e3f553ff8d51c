"""The same share lost at every step."""

from __future__ import annotations

from dataclasses import dataclass

from ravine.schedules.checks import check_number, check_progress
from ravine.schedules.drawn import Drawn

__all__ = ["Exponential"]


@dataclass(frozen=True)
class Exponential(Drawn):
    """floor ** progress: a straight line on a logarithmic scale.

    torch.optim.lr_scheduler.ExponentialLR is told what each step keeps, gamma, so that its shape depends on how
    long one trains; over T steps the two agree for floor = gamma ** T.

    >>> Exponential(floor=0.01)(0.0), Exponential(floor=0.01)(0.5), Exponential(floor=0.01)(1.0)
    (1.0, 0.1, 0.01)
    """

    floor: float = 0.01  # factor reached at the end, in (0, 1]

    def __post_init__(self) -> None:
        check_number(
            "Exponential.floor",
            self.floor,
            lambda floor: 0 < floor <= 1,
            "lie in (0, 1]. It is the factor reached at the end: write 0.01 for a hundredth of the peak",
        )

    def __call__(self, progress: float) -> float:
        check_progress(progress)
        return float(self.floor**progress)
