"""Sequence: where one part gives way to the next, and what it refuses."""

import re

import pytest

from ravine.errors import SettingError
from ravine.schedules import Constant, Linear, Sequence, Step, table


def test_each_part_runs_all_of_its_shape_over_its_own_stretch() -> None:
    schedule = Sequence((Linear(floor=0.5), Constant(), Linear()), milestones=(0.4, 0.6))
    factors = table(schedule, 10).tolist()
    assert factors == pytest.approx([1, 0.875, 0.75, 0.625, 1, 1, 1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize("steps", [7, 22, 49, 103])
def test_a_part_begins_on_its_step_even_within_another_sequence(steps: int) -> None:
    inner = Sequence((Constant(), Step(factor=0.5, drops=0), Linear()), milestones=(1 / 3, 2 / 3))
    schedule = Sequence((Constant(), inner), milestones=(steps / (4 * steps),))
    # The inner parts begin at 1/4 + 3/4 * (1/3, 2/3) = 1/2 and 3/4.
    factors = table(schedule, 4 * steps).tolist()
    assert factors[: 3 * steps + 1] == [1.0] * (3 * steps + 1)
    assert factors[3 * steps + 1] == pytest.approx(1 - 1 / steps)


def test_one_part_needs_no_milestone() -> None:
    assert table(Sequence((Linear(),), ()), 9).tolist() == table(Linear(), 9).tolist()


@pytest.mark.parametrize(
    ("parts", "milestones", "message"),
    [
        ((), (), "Sequence.parts is (); it must be a tuple of schedules"),
        ([Linear()], (), "Sequence.parts is [Linear(floor=0.0)]; it must be a tuple of schedules"),
        ((Linear, Linear()), (0.5,), "Sequence.parts[0] is <class"),
        ((Linear(), "cosine"), (0.5,), "Sequence.parts[1] is 'cosine'; it must be a schedule"),
        ((Linear(), Linear()), (), "Sequence.milestones has 0 entries for 2 parts; it needs 1"),
        ((Linear(), Linear()), (500,), "Sequence.milestones[0] is 500; it must lie in (0, 1)"),
    ],
)
def test_parts_and_milestones_that_do_not_fit_are_refused(parts: object, milestones: object, message: str) -> None:
    with pytest.raises(SettingError, match=re.escape(message)):
        Sequence(parts, milestones)
