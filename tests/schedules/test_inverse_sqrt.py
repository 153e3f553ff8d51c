"""InverseSqrt: the lecture's curve without its stray 1/2."""

import math

import pytest

from ravine.schedules import InverseSqrt, table


def test_with_one_step_as_its_time_scale_it_is_one_over_the_root_of_t_from_the_peak() -> None:
    assert table(InverseSqrt(timescale=1 / 9), 9).tolist() == pytest.approx([1 / math.sqrt(t) for t in range(1, 10)])


def test_it_has_fallen_by_the_root_of_2_after_its_time_scale_and_by_2_after_three() -> None:
    schedule = InverseSqrt(timescale=0.2)
    assert schedule(0.2) == pytest.approx(1 / math.sqrt(2))
    assert schedule(0.6) == pytest.approx(1 / 2)
