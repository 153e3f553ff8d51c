"""What a schedule is, and the one function that turns progress into steps.

A schedule is a shape: it maps progress in [0, 1] to a factor without units. The peak rate is separate, so
a shape chosen on a short run keeps its meaning on a long one.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ravine.errors import SettingError

__all__ = ["ROUNDING", "Schedule", "table"]

ROUNDING = 1e-9
"""A jump this far ahead has been reached: in floats 15 / 22 * 22 is a hair below 15, one step late."""


@runtime_checkable
class Schedule(Protocol):
    """A pure function of progress: 0 is the first step, 1 would be the step after the last."""

    def __call__(self, progress: float) -> float: ...


def table(schedule: Schedule, steps: int) -> Tensor:
    """The factor of every step, [steps] float64: step t of T stands at progress t / T, t = 0 ... T - 1.

    So a run never trains at progress 1, where cosine and linear reach 0 and a step would be wasted.
    A schedule that follows a metric is tabulated as if it saw none; `factor_at` shows it what was measured.
    Raises SettingError unless steps is a whole number, 1 or more.
    """
    if not isinstance(steps, int) or steps < 1:
        raise SettingError(f"a schedule was asked for {steps} steps; it needs a whole number, at least 1.")
    return torch.tensor([schedule(t / steps) for t in range(steps)], dtype=torch.float64)
