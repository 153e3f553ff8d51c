"""One schedule after another."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ravine.errors import SettingError
from ravine.schedules.checks import check_number, check_progress, check_schedules
from ravine.schedules.drawn import Drawn
from ravine.schedules.point import Evaluations, Point, needs_metrics, point_at, stretch, within
from ravine.schedules.schedule import Schedule

__all__ = ["Sequence", "check_milestones"]


@dataclass(frozen=True)
class Sequence(Drawn):
    """Each part runs over its own stretch of training, from its beginning to its end.

    A plateau in it sees what is measured in its own stretch alone. A momentum stays where the last part that
    moves it has left it. torch.optim.lr_scheduler.SequentialLR counts milestones in steps, lets a part end anywhere
    and refuses a plateau.

    >>> from ravine.schedules import Constant, Linear
    >>> schedule = Sequence(parts=(Constant(), Linear()), milestones=(0.5,))
    >>> schedule(0.25), schedule(0.5), schedule(0.75)
    (1.0, 1.0, 0.5)
    """

    parts: tuple[Schedule, ...]
    milestones: tuple[float, ...]  # where each part but the first begins: shares of training, rising, in (0, 1)

    def __post_init__(self) -> None:
        check_schedules("Sequence.parts", self.parts)
        check_milestones("Sequence.milestones", self.milestones)
        if len(self.milestones) != len(self.parts) - 1:
            raise SettingError(
                f"Sequence.milestones has {len(self.milestones)} entries for {len(self.parts)} parts; it needs "
                f"{len(self.parts) - 1}, one between each two parts."
            )

    @property
    def needs_metrics(self) -> bool:
        return any(needs_metrics(part) for part in self.parts)

    def __call__(self, progress: float) -> float:
        return self.at(progress).factor

    def at(self, progress: float, metrics: Evaluations = ()) -> Point:
        check_progress(progress)
        i, begin, end = stretch(self.milestones, progress)
        point = point_at(self.parts[i], *within(begin, end, progress, metrics))
        if point.momentum is None:
            return point._replace(momentum=self._momentum_left_by(self.parts[:i]))
        return point

    def _momentum_left_by(self, parts: tuple[Schedule, ...]) -> float | None:
        left = (point_at(part, 1.0).momentum for part in reversed(parts))
        return next((momentum for momentum in left if momentum is not None), None)


def check_milestones(label: str, values: object) -> None:
    """Raise SettingError unless values is a tuple of rising shares of training."""
    if not isinstance(values, tuple):
        raise SettingError(f"{label} is {values!r}; it must be a tuple: write milestones=(0.5, 0.75).")
    for i, value in enumerate(values):
        check_number(
            f"{label}[{i}]",
            value,
            lambda share: 0 < share < 1,
            "lie in (0, 1). It is a fraction of training, not a number of steps: write 0.5 for the middle",
        )
    if any(later <= earlier for earlier, later in itertools.pairwise(values)):
        raise SettingError(f"{label} is {values!r}; each must be later than the one before: write (0.5, 0.75).")
