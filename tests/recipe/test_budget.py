"""The budget: durations as people write them, and shares that never reach beyond the whole."""

from __future__ import annotations

import math
import time

import pytest

from ravine.errors import SettingError
from ravine.recipe import budget as module
from ravine.recipe.budget import SHARES, Budget, parse_duration

STEPS = ("initial-loss", "overfit", "lr-range", "coarse", "refine", "curves", "hand-back")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("60s", 60),
        ("5m", 300),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1d", 86400),
        ("2m 30s", 150),
        ("1", 1),
        ("7.5", 7.5),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "60 minutes", "-5s", "5x", "s", "1h-5m", "1e3", "nan", "inf", "5m!"])
def test_a_duration_that_cannot_be_read_is_refused_with_examples(text: str) -> None:
    with pytest.raises(SettingError, match="write"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0", "0s", "0.5s", "99999d"])
def test_a_duration_that_is_too_short_or_endless_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="at least 1 s"):
        parse_duration(text)


def test_the_steps_of_the_recipe_share_the_whole() -> None:
    assert sum(SHARES[step] for step in STEPS) == 100


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_walk_that_uses_every_share_to_its_end_ends_with_the_budget(clock: Clock) -> None:
    budget = Budget(60, steps=STEPS)
    for step in STEPS:
        assert clock.now < budget.deadline(step) <= 1060 + 1e-9
        clock.now = budget.deadline(step)
    assert clock.now == pytest.approx(1060)


def test_what_a_step_leaves_the_later_ones_have(clock: Clock) -> None:
    budget = Budget(60, steps=STEPS)
    planned = 60 * SHARES["coarse"] / 100
    assert budget.deadline("coarse") - clock.now > planned  # the earlier steps took no time


def test_a_step_that_takes_too_long_does_not_move_the_end(clock: Clock) -> None:
    budget = Budget(60, steps=STEPS)
    clock.now += 50
    assert all(clock.now <= budget.deadline(step) <= 1060 for step in STEPS)
    clock.now += 50
    assert all(budget.deadline(step) == clock.now for step in STEPS)


def test_steps_that_are_not_walked_get_no_share(clock: Clock) -> None:
    assert Budget(60, steps=("lr-range",)).deadline("lr-range") == clock.now + 60


def test_the_budget_counts_from_when_the_program_was_started(clock: Clock) -> None:
    budget = Budget(60, started=clock.now - 20, steps=("overfit",))
    assert budget.spent == 20
    assert budget.deadline("overfit") == clock.now + 40


def test_without_a_budget_there_is_no_deadline() -> None:
    assert Budget().deadline("overfit") == math.inf
    assert Budget().spent < 1 + time.monotonic()
