"""MultiStep: where it falls, and what it refuses."""

import re

import pytest

from ravine.errors import SettingError
from ravine.schedules import MultiStep, Warmup, table


def test_it_falls_on_each_milestone() -> None:
    assert table(MultiStep(factor=0.5, milestones=(0.25, 0.75)), 8).tolist() == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]


# Behind a warm-up (t / T - share) / (1 - share) is rounded: some drops would come one step late.
@pytest.mark.parametrize("climb", [1, 7, 10, 25])
def test_each_drop_falls_on_its_step_behind_a_warm_up(climb: int) -> None:
    steps, rest = 100, 100 - climb
    for drop in range(1, rest):
        schedule = Warmup(MultiStep(factor=0.5, milestones=(drop / rest,)), share=climb / steps)
        assert table(schedule, steps).tolist()[climb:] == [1.0] * drop + [0.5] * (rest - drop)


@pytest.mark.parametrize(
    ("milestones", "message"),
    [
        ([0.5], "milestones is [0.5]; it must be a tuple"),
        (0.5, "milestones is 0.5; it must be a tuple"),
        ((30, 60), "milestones[0] is 30; it must lie in (0, 1). It is a fraction of training, not a number of steps"),
        ((0.5, float("nan")), "milestones[1] is nan; it must lie in (0, 1)"),
        ((0.5, 0.5), "milestones is (0.5, 0.5); each must be later than the one before"),
        ((0.7, 0.2), "milestones is (0.7, 0.2); each must be later than the one before"),
    ],
)
def test_milestones_that_are_no_rising_shares_are_refused(milestones: object, message: str) -> None:
    with pytest.raises(SettingError, match=re.escape(f"MultiStep.{message}")):
        MultiStep(milestones=milestones)
