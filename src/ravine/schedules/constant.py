"""The schedule that changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ravine.schedules.checks import check_progress
from ravine.schedules.drawn import Drawn

__all__ = ["Constant"]


@dataclass(frozen=True)
class Constant(Drawn):
    """The same rate throughout.

    >>> Constant()(0.3)
    1.0
    """

    def __call__(self, progress: float) -> float:
        check_progress(progress)
        return 1.0
