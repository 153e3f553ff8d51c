"""Tables of schedules against torch's schedulers, where the two describe the same curve.

Tolerance 1e-12: torch multiplies the rate step by step, so its own rounding grows with the steps.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
import torch
from torch.optim import Optimizer, lr_scheduler

from ravine.schedules import (
    Constant,
    Cosine,
    Cyclical,
    Exponential,
    InverseSqrt,
    Linear,
    MultiStep,
    OneCycle,
    Plateau,
    Polynomial,
    Product,
    Schedule,
    Sequence,
    Step,
    WarmRestarts,
    Warmup,
    bind,
    table,
)

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


@pytest.mark.parametrize(("factor", "milestones"), [(0.1, (60, 90)), (0.5, (7, 8, 119)), (0.9, ()), (0.3, (1,))])
def test_multi_step_is_MultiStepLR(factor: float, milestones: tuple[int, ...]) -> None:  # noqa: N802 - a name
    shares = tuple(step / STEPS for step in milestones)
    assert_agrees(MultiStep(factor, shares), lambda o: lr_scheduler.MultiStepLR(o, list(milestones), gamma=factor))


@pytest.mark.parametrize("gamma", [0.9, 0.99, 1.0])
def test_exponential_is_ExponentialLR(gamma: float) -> None:  # noqa: N802 - a name
    assert_agrees(Exponential(floor=gamma**STEPS), lambda o: lr_scheduler.ExponentialLR(o, gamma))


@pytest.mark.parametrize("power", [0.9, 1.0, 2.0, 3.5])
def test_polynomial_is_PolynomialLR(power: float) -> None:  # noqa: N802 - a name
    assert_agrees(Polynomial(power), lambda o: lr_scheduler.PolynomialLR(o, total_iters=STEPS, power=power))


@pytest.mark.parametrize(("first", "periods", "multiplier"), [(120, 1, 2), (40, 3, 1), (30, 2, 3), (8, 4, 2)])
@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_warm_restarts_are_CosineAnnealingWarmRestarts(  # noqa: N802 - a name
    first: int, periods: int, multiplier: int, floor: float
) -> None:
    assert_agrees(
        WarmRestarts(periods, multiplier, floor),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, first, multiplier, eta_min=floor * PEAK),
    )


def test_inverse_sqrt_is_the_lectures_one_over_root_t() -> None:
    assert_agrees(InverseSqrt(timescale=1 / STEPS), lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / math.sqrt(t + 1)))


def test_inverse_sqrt_behind_a_warm_up_is_the_transformers_rate() -> None:
    climb = 30
    share = climb / STEPS
    assert_agrees(
        Warmup(InverseSqrt(timescale=share / (1 - share)), share=share, start=0.0),
        lambda o: lr_scheduler.LambdaLR(o, lambda t: math.sqrt(climb) * min(t / climb**1.5, max(t, 1) ** -0.5)),
    )


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
@pytest.mark.parametrize(("up", "down"), [(15, 15), (10, 20), (24, 6)])
def test_cyclical_is_CyclicLR(mode: str, up: int, down: int) -> None:  # noqa: N802 - a name
    gamma = 0.98
    schedule = Cyclical(STEPS // (up + down), mode, floor=0.2, rise=up / (up + down), decay=gamma**STEPS)
    assert_agrees(
        schedule,
        lambda o: lr_scheduler.CyclicLR(
            o, 0.2 * PEAK, PEAK, step_size_up=up, step_size_down=down, mode=mode, gamma=gamma, cycle_momentum=False
        ),
    )


@pytest.mark.parametrize("anneal", ["cos", "linear"])
@pytest.mark.parametrize(("rise", "three_phase"), [(0.3, False), (0.75, False), (0.4, True), (0.1, True)])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_one_cycle_is_OneCycleLR_in_rate_and_momentum(  # noqa: N802 - a name
    kind: type[Optimizer], anneal: str, rise: float, three_phase: bool
) -> None:
    def of(optimizer: Optimizer, step: Callable[[], object]) -> list[tuple[float, float]]:
        told = []
        for _ in range(STEPS):
            group = optimizer.param_groups[0]
            told.append((group["lr"], group["betas"][0] if "betas" in group else group["momentum"]))
            optimizer.step()
            step()
        return told

    settings = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    ours, theirs = (kind([torch.nn.Parameter(torch.zeros(1))], lr=PEAK, **settings) for _ in range(2))
    schedule = OneCycle(rise, 1 / 10, 1 / 10 / 100, anneal, three_phase, base_momentum=0.8, max_momentum=0.93)
    torchs = lr_scheduler.OneCycleLR(
        theirs,
        PEAK,
        total_steps=STEPS + 1,
        pct_start=(rise * STEPS + 1) / (STEPS + 1),
        anneal_strategy=anneal,
        base_momentum=0.8,
        max_momentum=0.93,
        div_factor=10,
        final_div_factor=100,
        three_phase=three_phase,
    )
    expected = of(theirs, torchs.step)
    assert len({momentum for _, momentum in expected}) > 10
    actual = of(ours, bind(schedule, ours, STEPS).step)
    torch.testing.assert_close(torch.tensor(actual), torch.tensor(expected), rtol=0, atol=1e-12)


def test_the_defaults_of_one_cycle_are_those_of_OneCycleLR() -> None:  # noqa: N802 - a name
    pct_start = (0.3 * STEPS + 1) / (STEPS + 1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK, momentum=0.9)
    bind(OneCycle(), optimizer, STEPS)
    assert optimizer.param_groups[0]["momentum"] == 0.95
    assert_agrees(
        OneCycle(),
        lambda o: lr_scheduler.OneCycleLR(o, PEAK, total_steps=STEPS + 1, pct_start=pct_start, cycle_momentum=False),
    )


def metric_histories(seed: int) -> list[float]:
    """A metric that improves, stands still, worsens and now and then is no number, by its seed."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    level, history = 1.0, []
    for _ in range(STEPS):
        level = max(level * draw.choice([0.9, 0.99995, 1.0, 1.0, 1.02]), 0.01)
        history.append(draw.choices([level, math.nan, math.inf], weights=[18, 1, 1])[0])
    return history


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    "settings",
    [
        {"factor": 0.5, "patience": 2},
        {"factor": 0.7, "patience": 0, "cooldown": 3},
        {"factor": 0.1, "patience": 1, "cooldown": 1, "threshold": 0.05},
    ],
    ids=str,
)
@pytest.mark.parametrize("floor", [0.0, 0.03])
def test_plateau_is_ReduceLROnPlateau(  # noqa: N802 - a name
    mode: str, threshold_mode: str, settings: dict[str, float], floor: float
) -> None:
    falls = set()
    for seed in range(8):
        # Upwards an infinite metric would be torch's best for ever; ours takes it for no improvement.
        history = [m if mode == "min" or m != math.inf else math.nan for m in metric_histories(seed)]
        theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
        scheduler = lr_scheduler.ReduceLROnPlateau(
            theirs, mode, threshold_mode=threshold_mode, min_lr=floor * PEAK, eps=0.0, **settings
        )
        schedule = Plateau(mode=mode, threshold_mode=threshold_mode, floor=floor, **settings)
        for seen in range(STEPS):
            lr = theirs.param_groups[0]["lr"]
            assert PEAK * schedule.after(history[:seen]) == pytest.approx(lr, rel=1e-12, abs=0)
            falls.add(lr)
            scheduler.step(history[seen])
    assert len(falls) > 2


def test_a_bound_plateau_is_stepped_as_ReduceLROnPlateau_is() -> None:  # noqa: N802 - a name
    ours, theirs = (torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK) for _ in range(2))
    schedulers = [
        bind(Plateau(factor=0.5, patience=3), ours, STEPS),
        lr_scheduler.ReduceLROnPlateau(theirs, factor=0.5, patience=3, eps=0.0),
    ]
    for metric in metric_histories(seed=3):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12, abs=0)
        for optimizer, scheduler in zip((ours, theirs), schedulers, strict=True):
            optimizer.step()
            scheduler.step(metric)
    assert ours.param_groups[0]["lr"] < PEAK


def test_a_sequence_is_SequentialLR() -> None:  # noqa: N802 - a name
    def torchs(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
        parts = [
            lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.5, total_iters=30),
            lr_scheduler.StepLR(optimizer, step_size=25, gamma=0.1),
            lr_scheduler.CosineAnnealingLR(optimizer, T_max=40),
        ]
        return lr_scheduler.SequentialLR(optimizer, parts, milestones=[30, 80])

    parts = (Linear(floor=0.5), Step(drops=1), Cosine())
    assert_agrees(Sequence(parts, milestones=(30 / STEPS, 80 / STEPS)), torchs)


def test_a_product_is_ChainedScheduler() -> None:  # noqa: N802 - a name
    def torchs(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
        parts = [
            lr_scheduler.ExponentialLR(optimizer, gamma=0.99),
            lr_scheduler.StepLR(optimizer, step_size=40, gamma=0.5),
        ]
        return lr_scheduler.ChainedScheduler(parts, optimizer)

    assert_agrees(Product((Exponential(floor=0.99**STEPS), Step(factor=0.5, drops=2))), torchs)
