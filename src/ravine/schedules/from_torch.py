"""A scheduler of torch.optim.lr_scheduler as a schedule: its rates are written down once, and are then a shape like any other.

For shapes that a person has as a torch scheduler. Each of torch's own has a schedule here that needs no number of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ravine.errors import SettingError
from ravine.schedules.checks import check_progress, check_whole
from ravine.schedules.drawn import Drawn
from ravine.schedules.schedule import ROUNDING

__all__ = ["Tabulated", "from_torch"]


@dataclass(frozen=True)
class Tabulated(Drawn):
    """Factors that were written down, one for each of the equal parts of a run."""

    name: str  # what they were written down of
    factors: tuple[float, ...] = field(repr=False)

    def __call__(self, progress: float) -> float:
        check_progress(progress)
        return self.factors[min(int(progress * len(self.factors) + ROUNDING), len(self.factors) - 1)]


def from_torch(make: Callable[[torch.optim.Optimizer], LRScheduler], steps: int) -> Tabulated:
    """The shape of a torch scheduler over so many of its steps.

    make: gives the scheduler of an optimizer, whose one group has a rate of 1 and a momentum. The factors are the rates; of a
    scheduler that sets rates of its own (max_lr of OneCycleLR and CyclicLR) their shares of the largest. What it does to the
    momentum is left out. Raises SettingError for a plateau, which follows a metric, and for what is no scheduler.

    >>> halved = from_torch(lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5), steps=4)
    >>> [halved(step / 4) for step in range(4)]
    [1.0, 1.0, 0.5, 0.5]
    """
    check_whole("steps", steps, 1, "steps=epochs * len(loader)")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.9)
    scheduler = make(optimizer)
    if isinstance(scheduler, ReduceLROnPlateau):
        raise SettingError(
            "ReduceLROnPlateau follows a metric and has no shape of its own: write ravine.schedules.Plateau()."
        )
    if not isinstance(scheduler, LRScheduler):
        raise SettingError(
            f"from_torch got a {type(scheduler).__name__}; it needs a torch scheduler: write from_torch(lambda optimizer: "
            "torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100), steps=100)."
        )
    (group,) = optimizer.param_groups
    rates = []
    for _ in range(steps):
        rates.append(float(group["lr"]))
        optimizer.step()
        scheduler.step()
    own = group["initial_lr"] != 1.0
    largest = max(rates) if own else 1.0
    return Tabulated(type(scheduler).__name__, tuple(rate / largest for rate in rates))
