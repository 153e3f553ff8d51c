"""Step decay: the rate falls by a constant factor at equal distances."""

from __future__ import annotations

from dataclasses import dataclass

from ravine.schedules.checks import check_number, check_progress, check_whole
from ravine.schedules.drawn import Drawn
from ravine.schedules.schedule import ROUNDING

__all__ = ["Step", "check_drop"]


@dataclass(frozen=True)
class Step(Drawn):
    """factor ** (number of drops so far); `drops` of them cut training into drops + 1 equal parts.

    >>> Step(factor=0.5, drops=3)(0.0), Step(factor=0.5, drops=3)(0.25), Step(factor=0.5, drops=3)(0.99)
    (1.0, 0.5, 0.125)
    """

    factor: float = 0.1  # multiplies the rate at each drop, in (0, 1]
    drops: int = 2  # how many times it falls, >= 0

    def __post_init__(self) -> None:
        check_drop("Step.factor", self.factor)
        check_whole("Step.drops", self.drops, 0, "drops=2")

    def __call__(self, progress: float) -> float:
        check_progress(progress)
        passed = min(int(progress * (self.drops + 1) + ROUNDING), self.drops)
        return float(self.factor**passed)


def check_drop(label: str, value: object) -> None:
    """Raise SettingError unless value can multiply the rate at a drop."""
    check_number(label, value, lambda factor: 0 < factor <= 1, "lie in (0, 1]: 0.1 divides the rate by ten")
