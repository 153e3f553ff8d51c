"""Plans: whatever the time, the pace and the size of the data, what is planned fits, and something is planned."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine.search import Plan, coarse_plan, fit_trials, refine_plan, waves

SECONDS = st.floats(0.01, 1e5)
PACES = st.floats(1e-6, 1.0)
EPOCHS = st.integers(1, 5_000)
MOST = st.integers(1, 500)
PLANS = pytest.mark.parametrize("make", [coarse_plan, refine_plan])


def cost(plan: Plan, least: int) -> int:
    """Trial-steps of a climb that keeps the better half, at least `least`."""
    total, before, alive = 0, 0, plan.trials
    for rung in plan.rungs:
        total += alive * (rung - before)
        alive, before = min(alive, max(least, math.ceil(alive / 2))), rung
    return total


@PLANS
@given(seconds=SECONDS, pace=PACES, epoch=EPOCHS, most=MOST)
def test_rungs_never_fall_and_there_is_at_least_one_trial_that_fits(
    make: Callable[..., Plan], seconds: float, pace: float, epoch: int, most: int
) -> None:
    plan = make(seconds, pace, epoch, most)
    assert 1 <= plan.trials <= most
    assert 1 <= plan.rungs[0] <= plan.rungs[1] <= plan.rungs[2]


@given(seconds=SECONDS, pace=PACES, epoch=EPOCHS, most=MOST)
def test_a_coarse_plan_costs_no_more_than_the_time_unless_it_is_the_smallest(
    seconds: float, pace: float, epoch: int, most: int
) -> None:
    plan = coarse_plan(seconds, pace, epoch, most)
    assert plan.rungs[0] == 10 or cost(plan, 1) * pace <= seconds * (1 + 1e-9)


@given(seconds=SECONDS, pace=PACES, epoch=EPOCHS, most=MOST)
def test_a_refinement_costs_no_more_than_the_time_unless_it_is_one_epoch(
    seconds: float, pace: float, epoch: int, most: int
) -> None:
    plan = refine_plan(seconds, pace, epoch, most)
    rounded = plan.trials * pace  # a rung is a whole step
    assert plan.rungs[-1] == epoch or cost(plan, 5) * pace <= seconds + rounded


@given(seconds=SECONDS, pace=PACES, epoch=EPOCHS, most=MOST)
def test_a_coarse_trial_lasts_at_most_five_epochs_or_two_hundred_steps(
    seconds: float, pace: float, epoch: int, most: int
) -> None:
    plan = coarse_plan(seconds, pace, epoch, most)
    assert plan.trials <= 64
    assert plan.rungs[-1] <= max(200, 4 * math.ceil(1.25 * epoch))
    assert plan.rungs == (plan.rungs[0], 2 * plan.rungs[0], 4 * plan.rungs[0])


@given(seconds=SECONDS, pace=PACES, epoch=EPOCHS, most=MOST)
def test_a_refinement_is_whole_epochs_and_no_longer_than_twenty_or_four_thousand_steps(
    seconds: float, pace: float, epoch: int, most: int
) -> None:
    plan = refine_plan(seconds, pace, epoch, most)
    assert plan.trials <= 16
    assert plan.rungs[-1] % epoch == 0
    assert plan.rungs[-1] <= max(20 * epoch, 4000)


@PLANS
def test_more_time_never_plans_less_training(make: Callable[..., Plan]) -> None:
    plans = [make(seconds, 1e-3, 100, 64) for seconds in (1, 3, 10, 30, 100, 300, 1000)]
    work = [plan.trials * plan.rungs[-1] for plan in plans]
    assert work == sorted(work)
    assert work[0] < work[-1]


@PLANS
def test_without_a_limit_of_time_the_plan_is_the_largest(make: Callable[..., Plan]) -> None:
    assert make(1e9, 1e-4, 100, 1000) == make(1e12, 1e-4, 100, 1000)


def test_memory_bounds_the_trials() -> None:
    assert fit_trials(100, memory=1000) == 10
    assert fit_trials(1000, memory=1999) == 1


def test_a_model_larger_than_memory_still_gets_one_trial() -> None:
    assert fit_trials(10**9, memory=1) == 1
    assert fit_trials(0, memory=0) == 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), st.integers(1, 400))
def test_waves_take_every_trial_once_fit_into_memory_and_are_even(sizes: list[int], memory: int) -> None:
    found = waves(sizes, memory)
    assert [i for wave in found for i in wave] == list(range(len(sizes)))
    assert all(len(wave) == 1 or sum(sizes[i] for i in wave) <= memory for wave in found)
    lengths = [len(wave) for wave in found]
    assert max(lengths) - min(lengths) <= 1


def test_no_more_waves_than_are_needed() -> None:
    assert waves([10] * 6, memory=60) == [range(6)]
    assert waves([10] * 6, memory=59) == [range(3), range(3, 6)]
    assert waves([], memory=1) == []
