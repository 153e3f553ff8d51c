"""Step: where it falls, and what it refuses."""

import pytest

from ravine.errors import SettingError
from ravine.schedules import Step, table


def test_drops_cut_the_run_into_equal_parts() -> None:
    assert table(Step(factor=0.5, drops=3), 8).tolist() == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


# In floats 15 / 22 * 22 is a hair below 15: that drop would come one step late.
@pytest.mark.parametrize(("drops", "steps"), [(2, 3), (2, 300), (21, 22), (21, 132)])
def test_each_drop_falls_on_its_step_where_progress_is_rounded(drops: int, steps: int) -> None:
    factors = table(Step(factor=0.5, drops=drops), steps).tolist()
    each = steps // (drops + 1)
    assert factors == [0.5 ** (step // each) for step in range(steps)]


def test_it_does_not_fall_again_at_the_very_end() -> None:
    assert Step(factor=0.5, drops=2)(1.0) == 0.25


@pytest.mark.parametrize("factor", [0.0, -0.5, 1.5, float("nan"), "0.1"], ids=str)
def test_a_factor_outside_0_to_1_is_refused(factor: object) -> None:
    with pytest.raises(SettingError, match=r"Step\.factor is .*\(0, 1\]"):
        Step(factor=factor)


@pytest.mark.parametrize("drops", [-1, 2.5, "2", None], ids=str)
def test_drops_that_are_no_count_are_refused(drops: object) -> None:
    with pytest.raises(SettingError, match=r"Step\.drops is .*whole number"):
        Step(drops=drops)
