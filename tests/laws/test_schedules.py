"""What must hold of every schedule: a shape over progress, written as factors of the peak rate."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from ravine import schedules
from ravine.errors import SettingError
from ravine.schedules import SCHEDULES, Schedule, Warmup, table

# Every body as it comes, and those that have settings with others than their defaults.
BODIES = [make() for make in SCHEDULES.values()]
BODIES += [schedules.Cosine(floor=0.1), schedules.Linear(floor=0.25), schedules.Step(factor=0.5, drops=3)]
WARMED = [Warmup(body, share=share) for body in BODIES for share in (0.0, 0.05, 0.3)]
GRID = [i / 997 for i in range(998)]

every_body = pytest.mark.parametrize("body", BODIES, ids=repr)
every_schedule = pytest.mark.parametrize("schedule", [*BODIES, *WARMED], ids=repr)


@every_schedule
def test_factors_lie_between_0_and_1(schedule: Schedule) -> None:
    assert all(0.0 <= schedule(progress) <= 1.0 for progress in GRID)


@every_body
def test_a_body_begins_at_the_peak_rate_and_never_climbs(body: Schedule) -> None:
    assert body(0.0) == 1.0
    assert all(later <= earlier for earlier, later in itertools.pairwise(body(progress) for progress in GRID))


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


@pytest.mark.parametrize("steps", [0, -3])
def test_a_table_of_no_steps_is_refused(steps: int) -> None:
    with pytest.raises(SettingError, match=f"{steps} steps"):
        table(BODIES[0], steps)


@every_body
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_warmup_climbs_without_a_jump_and_then_runs_all_of_the_body(body: Schedule, share: float) -> None:
    warm = Warmup(body, share=share, start=0.01)
    assert warm(0.0) == 0.01
    assert warm(share / 2) == pytest.approx(0.505)
    assert warm(share * (1 - 1e-9)) == pytest.approx(1.0, abs=1e-8)
    assert warm(share) == 1.0
    assert warm(1.0) == pytest.approx(body(1.0), abs=1e-12)
    assert warm(share + 0.6 * (1 - share)) == pytest.approx(body(0.6), abs=1e-12)


@every_body
def test_warmup_of_no_length_is_the_body(body: Schedule) -> None:
    assert [Warmup(body, share=0.0)(progress) for progress in GRID] == [body(progress) for progress in GRID]


@pytest.mark.parametrize("bad", [1.0, 100, -0.1, float("nan"), "0.05", None], ids=str)
def test_a_share_or_a_floor_outside_0_to_1_is_refused_as_a_number_of_steps(bad: object) -> None:
    makers = [lambda: Warmup(BODIES[0], share=bad), lambda: Warmup(BODIES[0], start=bad)]
    makers += [lambda: schedules.Cosine(floor=bad), lambda: schedules.Linear(floor=bad)]
    for make in makers:
        with pytest.raises(SettingError, match=r"it must lie in \[0, 1\).*not a number of steps"):
            make()


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
    assert [schedule(progress) for progress in GRID] == [schedule(progress) for progress in GRID]


@every_schedule
def test_a_schedule_meets_the_protocol(schedule: Schedule) -> None:
    assert isinstance(schedule, Schedule)
