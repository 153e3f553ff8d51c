"""Tables of schedules against torch's schedulers, where the two describe the same curve.

Tolerance 1e-12: torch multiplies the rate step by step, so its own rounding grows with the steps.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.optim import Optimizer, lr_scheduler

from ravine.schedules import Constant, Cosine, Linear, Schedule, Step, Warmup, table

STEPS = 120
PEAK = 0.3

Make = Callable[[Optimizer], lr_scheduler.LRScheduler]


def torch_factors(make: Make) -> torch.Tensor:
    """The factor of the peak rate at each of STEPS steps, [STEPS] float64."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = make(optimizer)
    factors = []
    for _ in range(STEPS):
        factors.append(optimizer.param_groups[0]["lr"] / PEAK)
        optimizer.step()
        scheduler.step()
    return torch.tensor(factors, dtype=torch.float64)


def assert_agrees(schedule: Schedule, make: Make) -> None:
    torch.testing.assert_close(table(schedule, STEPS), torch_factors(make), rtol=0, atol=1e-12)


@pytest.mark.parametrize("floor", [0.0, 0.1, 0.5])
def test_cosine_is_CosineAnnealingLR_over_all_steps(floor: float) -> None:  # noqa: N802 - a name
    assert_agrees(Cosine(floor), lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS, eta_min=floor * PEAK))


@pytest.mark.parametrize("floor", [0.0, 0.1, 0.5])
def test_linear_is_LinearLR_over_all_steps(floor: float) -> None:  # noqa: N802 - a name
    assert_agrees(
        Linear(floor), lambda o: lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=floor, total_iters=STEPS)
    )


@pytest.mark.parametrize(("factor", "drops"), [(0.1, 2), (0.5, 3), (0.9, 0), (1.0, 5)])
def test_step_is_StepLR_with_equal_parts(factor: float, drops: int) -> None:  # noqa: N802 - a name
    assert_agrees(Step(factor, drops), lambda o: lr_scheduler.StepLR(o, step_size=STEPS // (drops + 1), gamma=factor))


def test_constant_is_no_scheduler() -> None:
    assert_agrees(Constant(), lambda o: lr_scheduler.LambdaLR(o, lambda _: 1.0))


def test_warmup_is_LinearLR_and_then_CosineAnnealingLR() -> None:  # noqa: N802 - a name
    climb = STEPS // 4

    def torchs(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
        up = lr_scheduler.LinearLR(optimizer, start_factor=0.01, end_factor=1.0, total_iters=climb)
        down = lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS - climb)
        return lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[climb])

    assert_agrees(Warmup(Cosine(), share=0.25, start=0.01), torchs)
