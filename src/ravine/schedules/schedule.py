"""What a schedule is, and the one function that turns progress into steps.

A schedule is a shape: it maps progress in [0, 1] to a factor without units. The peak rate is separate, so
a shape chosen on a short run keeps its meaning on a long one.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ravine.errors import SettingError

__all__ = ["Schedule", "check_share", "table"]


@runtime_checkable
class Schedule(Protocol):
    """A pure function of progress: 0 is the first step, 1 would be the step after the last."""

    def __call__(self, progress: float) -> float: ...


def table(schedule: Schedule, steps: int) -> Tensor:
    """The factor of every step, [steps] float64: step t of T stands at progress t / T, t = 0 ... T - 1.

    So a run never trains at progress 1, where cosine and linear reach 0 and a step would be wasted.
    Raises SettingError when steps < 1.
    """
    if steps < 1:
        raise SettingError(f"a schedule was asked for {steps} steps; it needs at least 1.")
    return torch.tensor([schedule(t / steps) for t in range(steps)], dtype=torch.float64)


def check_share(owner: str, name: str, value: float, high: float = 1.0) -> None:
    """Raise SettingError unless value lies in [0, high)."""
    if not isinstance(value, int | float) or not 0 <= value < high:
        raise SettingError(
            f"{owner}.{name} is {value!r}; it must lie in [0, {high:g}). It is a fraction of training, "
            "not a number of steps: write 0.05 for the first 5 %."
        )
