"""What must hold of every schedule: a shape over progress, written as factors of the peak rate."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import math
import random

import pytest
import torch
from torch.optim import Optimizer

from ravine import schedules
from ravine.errors import SettingError
from ravine.schedules import (
    SCHEDULES,
    BatchGrowth,
    BoundSchedule,
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
    factor_at,
    needs_metrics,
    table,
)

# Every body as it comes, and those that have settings with others than their defaults.
BODIES = [make() for make in SCHEDULES.values()]
BODIES += [
    Cosine(floor=0.1),
    Linear(floor=0.25),
    Step(factor=0.5, drops=3),
    MultiStep(factor=0.3, milestones=(0.2, 0.25, 0.9)),
    MultiStep(milestones=()),
    Exponential(floor=1.0),
    Polynomial(power=3.0, floor=0.2),
    WarmRestarts(periods=1),
    WarmRestarts(periods=4, multiplier=1.0, floor=0.1),
    InverseSqrt(timescale=2.0),
    Cyclical(cycles=3, mode="triangular2", floor=0.1, rise=0.2),
    Cyclical(mode="exp_range", decay=0.5),
    OneCycle(anneal="linear", three_phase=True, end=0.0),
    OneCycle(cycle_momentum=False),
    Plateau(factor=0.5, patience=1, cooldown=1, floor=0.1, mode="max", threshold_mode="abs"),
]
WARMED = [Warmup(body, share=share) for body in BODIES for share in (0.05, 0.3)]
COMPOSED = [
    Sequence(
        parts=(Linear(floor=0.5), Plateau(factor=0.5, patience=0), OneCycle(), Cosine()), milestones=(0.1, 0.3, 0.6)
    ),
    Product(parts=(WarmRestarts(floor=0.1), Plateau(factor=0.5, patience=0), Step())),
    BatchGrowth(body=Step(), most=4.0),
    BatchGrowth(body=Cosine()),
    Warmup(Warmup(Product(parts=(Plateau(factor=0.3, patience=1), OneCycle()))), share=0.2),
]
CLIMBING = (Cyclical, OneCycle, WarmRestarts)  # not only downwards
LOW_AT_FIRST = (Cyclical, OneCycle)  # below the peak
SHRINKING = [Cyclical(mode="exp_range", decay=0.5)]  # even the first climb falls a little short of it
GRID = [i / 997 for i in range(998)]
T = 24  # steps of a bound schedule

every_body = pytest.mark.parametrize("body", BODIES, ids=repr)
every_schedule = pytest.mark.parametrize("schedule", [*BODIES, *WARMED, *COMPOSED], ids=repr)


@every_schedule
def test_factors_lie_between_0_and_1(schedule: Schedule) -> None:
    assert all(0.0 <= schedule(progress) <= 1.0 for progress in GRID)


@every_body
def test_a_body_never_climbs_unless_that_is_its_point(body: Schedule) -> None:
    climbs = any(later > earlier for earlier, later in itertools.pairwise(body(progress) for progress in GRID))
    assert climbs == (isinstance(body, CLIMBING) and body != WarmRestarts(periods=1))


@every_body
def test_a_body_begins_at_the_peak_rate_or_climbs_to_it(body: Schedule) -> None:
    if isinstance(body, LOW_AT_FIRST):
        assert 0 < body(0.0) < 1
        highest = max(body(i / 1200) for i in range(1200))
        assert highest > 0.9 if body in SHRINKING else highest == 1.0
    else:
        assert body(0.0) == 1.0


@every_schedule
@pytest.mark.parametrize("steps", [1, 2, 17, 1000])
def test_the_table_holds_one_positive_float64_factor_per_step(schedule: Schedule, steps: int) -> None:
    factors = table(schedule, steps)
    assert factors.shape == (steps,)
    assert factors.dtype == torch.float64
    assert (factors > 0).all(), "a step with rate 0 is a step not taken"


@every_schedule
def test_step_t_of_the_table_stands_at_t_over_T(schedule: Schedule) -> None:  # noqa: N802 - T steps
    assert table(schedule, 40).tolist() == [schedule(t / 40) for t in range(40)]


@pytest.mark.parametrize("steps", [0, -3, 2.5, float("nan")])
def test_a_table_of_no_steps_is_refused(steps: int) -> None:
    with pytest.raises(SettingError, match=f"{steps} steps"):
        table(BODIES[0], steps)


@every_schedule
def test_a_schedule_asked_beyond_its_ends_is_refused(schedule: Schedule) -> None:
    asks = [schedule, lambda at: factor_at(schedule, at)]
    for ask, progress in itertools.product(asks, (-0.01, 1.01, 400, math.nan, math.inf)):
        with pytest.raises(SettingError, match=r"it must lie in \[0, 1\].*write step / steps"):
            ask(progress)


@every_body
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_warmup_climbs_without_a_jump_and_then_runs_all_of_the_body(body: Schedule, share: float) -> None:
    warm, low = Warmup(body, share=share, start=0.01), body(0.0)
    assert warm(0.0) == 0.01 * low
    assert warm(share / 2) == pytest.approx(0.505 * low)
    assert warm(share * (1 - 1e-9)) == pytest.approx(low, abs=1e-8)
    assert warm(share) == low
    assert warm(1.0) == pytest.approx(body(1.0), abs=1e-12)
    for own in (0.31, 0.6, 0.97):
        assert warm(share + own * (1 - share)) == pytest.approx(body(own), abs=1e-12)


@every_body
def test_warmup_of_no_length_is_the_body(body: Schedule) -> None:
    assert [Warmup(body, share=0.0)(progress) for progress in GRID] == [body(progress) for progress in GRID]


@pytest.mark.parametrize("bad", [1.0, 100, -0.1, float("nan"), "0.05", None], ids=str)
def test_a_share_or_a_floor_outside_0_to_1_is_refused(bad: object) -> None:
    shares = [lambda: Warmup(BODIES[0], share=bad)]
    floors = [lambda: Warmup(BODIES[0], start=bad), lambda: Cosine(floor=bad), lambda: Linear(floor=bad)]
    floors += [lambda: Polynomial(floor=bad), lambda: WarmRestarts(floor=bad), lambda: OneCycle(end=bad)]
    floors += [lambda: Plateau(floor=bad)]
    for makers, unit in ((shares, "not a number of steps"), (floors, "not a rate")):
        for make in makers:
            with pytest.raises(SettingError, match=rf"it must lie in \[0, 1\).*{unit}"):
                make()


def numeric_fields() -> list[tuple[Schedule, str]]:
    """Every setting of every body and of the compositions that is a number."""
    makers = [*(make() for make in SCHEDULES.values()), Warmup(Cosine()), BatchGrowth(Step())]
    found = [(schedule, field.name) for schedule in makers for field in dataclasses.fields(schedule)]
    return [(s, name) for s, name in found if type(getattr(s, name)) in (int, float)]


@pytest.mark.parametrize(("schedule", "name"), numeric_fields(), ids=lambda value: str(value).partition("(")[0])
def test_a_number_that_cannot_be_used_is_refused_in_one_line(schedule: Schedule, name: str) -> None:
    for bad in (math.nan, -0.5, -1, math.inf, "0.5", None):
        with pytest.raises(SettingError) as caught:
            dataclasses.replace(schedule, **{name: bad})
        message = str(caught.value)
        assert message.startswith(f"{type(schedule).__name__}.{name} is {bad!r}; it must ")
        assert "\n" not in message


@every_schedule
def test_a_schedule_is_frozen_and_equal_ones_hash_alike(schedule: Schedule) -> None:
    twin = dataclasses.replace(schedule)
    assert twin == schedule
    assert hash(twin) == hash(schedule)
    for field in dataclasses.fields(schedule):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(schedule, field.name, 0.5)


@every_schedule
def test_a_printed_schedule_is_the_code_that_makes_it(schedule: Schedule) -> None:
    assert eval(repr(schedule), vars(schedules)) == schedule  # noqa: S307 - our own repr


@every_schedule
def test_a_schedule_gives_the_same_factor_each_time(schedule: Schedule) -> None:
    seen = [(0.1, 1.0), (0.4, 1.0), (0.5, 1.0), (0.8, 0.5)]
    first = [(schedule(progress), factor_at(schedule, progress, seen)) for progress in GRID]
    assert [(schedule(progress), factor_at(schedule, progress, seen)) for progress in GRID] == first


@every_schedule
def test_a_schedule_looks_at_metrics_only_if_it_says_so(schedule: Schedule) -> None:
    flat = [(t / 60, 1.0) for t in range(60)]
    with_metrics = [factor_at(schedule, progress, flat) for progress in GRID]
    without = [factor_at(schedule, progress) for progress in GRID]
    assert without == [schedule(progress) for progress in GRID]
    assert (with_metrics != without) == needs_metrics(schedule)


@every_schedule
def test_a_later_evaluation_does_not_change_an_earlier_factor(schedule: Schedule) -> None:
    seen = [(t / 60, 1.0) for t in range(61)]
    for t in range(0, 60, 7):
        assert factor_at(schedule, t / 60, seen) == factor_at(schedule, t / 60, seen[: t + 1])


@every_schedule
def test_a_schedule_meets_the_protocol(schedule: Schedule) -> None:
    assert isinstance(schedule, Schedule)


def adam(lr: float = 0.1) -> Optimizer:
    """Two groups of one parameter each, whose peak rates differ."""
    groups = [
        {"params": [torch.nn.Parameter(torch.ones(2))]},
        {"params": [torch.nn.Parameter(torch.ones(2))], "lr": 3e-3},
    ]
    return torch.optim.Adam(groups, lr=lr)


def metrics_of(schedule: Schedule) -> list[float | None]:
    """What an evaluation finds after each step: now and then one, and one that is no number."""
    draw = random.Random(7)  # noqa: S311 - no secret
    found = [draw.choice([1.0, 0.5, math.nan, None]) for _ in range(T)]
    return found if needs_metrics(schedule) else [None] * T


def told(optimizer: Optimizer) -> list[tuple[float, tuple[float, float]]]:
    """What the groups have been told: each one's rate and betas."""
    return [(group["lr"], group["betas"]) for group in optimizer.param_groups]


def go_on(scheduler: BoundSchedule, optimizer: Optimizer, metrics: list[float | None]) -> list[object]:
    """What each step was taken with, from this one to the last."""
    seen = []
    for metric in metrics:
        seen.append(told(optimizer))
        optimizer.step()
        scheduler.step(metric)
    return seen


@every_schedule
def test_a_bound_schedule_gives_the_table_to_every_group(schedule: Schedule) -> None:
    optimizer = adam()
    scheduler = bind(schedule, optimizer, steps=T)
    rates = []
    for _ in range(T):
        assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        rates.append(scheduler.get_last_lr())
        optimizer.step()
        scheduler.step()
    assert rates == [[0.1 * factor, 3e-3 * factor] for factor in table(schedule, T).tolist()]


@every_schedule
def test_a_bound_schedule_resumed_at_any_step_goes_on_with_the_same_values(schedule: Schedule) -> None:
    metrics = metrics_of(schedule)
    optimizer = adam()
    scheduler = bind(schedule, optimizer, steps=T)
    uninterrupted = go_on(bind(schedule, twin := adam(), steps=T), twin, metrics)
    for t in range(T):
        state = json.loads(json.dumps(scheduler.state_dict()))
        saved = copy.deepcopy(optimizer.state_dict())
        for load in ("none", "before binding", "before", "after"):
            fresh = adam(lr=0.7 if load == "after" else 0.1)
            if load == "before binding":
                fresh.load_state_dict(saved)
            resumed = bind(schedule, fresh, steps=T)
            if load == "before":
                fresh.load_state_dict(saved)
            resumed.load_state_dict(state)
            if load == "after":
                fresh.load_state_dict(saved)
            assert resumed.get_last_lr() == [group["lr"] for group in fresh.param_groups]
            assert go_on(resumed, fresh, metrics[t:]) == uninterrupted[t:], load
        go_on(scheduler, optimizer, metrics[t : t + 1])


def test_constant_is_the_only_body_that_a_bound_schedule_leaves_still() -> None:
    """Else the law above would compare constants."""
    still = [name for name, make in SCHEDULES.items() if len(set(table(make(), T).tolist())) == 1]
    assert still == ["constant", "plateau"]
    optimizer = adam()
    rates = go_on(bind(Plateau(patience=0), optimizer, steps=T), optimizer, metrics_of(Plateau()))
    assert len({lr for ((lr, _), _) in rates}) > 3
    assert table(Constant(), T).tolist() == [1.0] * T
