"""What a schedule says at one point of training, and the way into schedules that are nested.

Most schedules say a factor of progress alone and need nothing from here. Three kinds say more: one-cycle also
moves the momentum, batch growth also moves the batch, a plateau also looks at what was measured. They have a
method `at`, and so has whatever they can be nested in, so that each can stand behind a warm-up, in a sequence
or in a product.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeGuard

from ravine.errors import SettingError
from ravine.schedules.checks import check_progress
from ravine.schedules.schedule import ROUNDING, Schedule

__all__ = ["Detailed", "Evaluations", "Point", "factor_at", "needs_metrics", "point_at", "stretch", "within"]

Evaluations = Sequence[tuple[float, float]]
"""(progress, metric) of every evaluation so far, in order: after t of T steps the progress is t / T."""


class Point(NamedTuple):
    """What a schedule asks for at one point of training."""

    factor: float  # of the peak rate, in [0, 1]
    momentum: float | None = None  # None leaves it as it is
    batch: float = 1.0  # multiplies the batch size, >= 1


class Detailed(Schedule, Protocol):
    """A schedule that says more than a factor of progress, or that may hold one which does."""

    @property
    def needs_metrics(self) -> bool: ...

    def at(self, progress: float, metrics: Evaluations = ()) -> Point: ...


def needs_metrics(schedule: Schedule) -> bool:
    """Whether a schedule looks at evaluations, itself or in one that is nested in it.

    >>> from ravine.schedules import Cosine, Plateau, Warmup
    >>> needs_metrics(Warmup(Cosine())), needs_metrics(Warmup(Plateau()))
    (False, True)
    """
    return _is_detailed(schedule) and schedule.needs_metrics


def point_at(schedule: Schedule, progress: float, metrics: Evaluations = ()) -> Point:
    """All that a schedule asks for at this progress; evaluations later than it are not looked at."""
    if _is_detailed(schedule):
        return schedule.at(progress, metrics)
    return Point(schedule(progress))


def factor_at(schedule: Schedule, progress: float, metrics: Evaluations = ()) -> float:
    """The factor of the peak rate at this progress, after these evaluations; those later than it are not looked at.

    Raises SettingError when progress is outside [0, 1] or metrics are not pairs.

    >>> from ravine.schedules import Plateau, Warmup
    >>> schedule = Warmup(Plateau(factor=0.5, patience=0), share=0.2)
    >>> seen = [(0.1, 2.0), (0.3, 1.0), (0.4, 1.0), (0.5, 0.7)]  # a loss that stands still once
    >>> factor_at(schedule, 0.35, seen), factor_at(schedule, 0.45, seen)
    (1.0, 0.5)
    """
    check_progress(progress)
    if not all(isinstance(each, tuple) and len(each) == 2 for each in metrics):
        raise SettingError(f"metrics are {metrics!r}; each must be a pair: write (step / steps, metric).")
    return point_at(schedule, progress, metrics).factor


def within(begin: float, end: float, progress: float, metrics: Evaluations = ()) -> tuple[float, Evaluations]:
    """The progress and the evaluations of a schedule that runs from `begin` to `end`, in its own [0, 1].

    What was measured before it began does not count.
    """

    def own(at: float) -> float:
        return min(max((at - begin) / (end - begin), 0.0), 1.0)

    return own(progress), [(own(at), metric) for at, metric in metrics if begin <= at + ROUNDING]


def stretch(milestones: tuple[float, ...], progress: float) -> tuple[int, float, float]:
    """The stretch between milestones that progress lies in: its number from 0, its begin and its end."""
    i = bisect_right(milestones, progress + ROUNDING)
    return i, (0.0, *milestones)[i], (*milestones, 1.0)[i]


def _is_detailed(schedule: Schedule) -> TypeGuard[Detailed]:
    # Asked at every step: isinstance with a protocol is ten times as slow.
    return hasattr(schedule, "at")
