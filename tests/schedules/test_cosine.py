"""Cosine: its ends, its middle, its symmetry."""

import pytest

from ravine.schedules import Cosine


@pytest.mark.parametrize("floor", [0.0, 0.1, 0.9])
def test_it_ends_on_its_floor_exactly(floor: float) -> None:
    assert Cosine(floor)(1.0) == floor


def test_it_is_slow_at_both_ends_and_steepest_in_the_middle() -> None:
    curve = Cosine()
    drops = [curve(start) - curve(start + 0.1) for start in (0.0, 0.45, 0.9)]
    assert drops[0] == pytest.approx(drops[2])
    assert drops[1] > 3 * drops[0]


def test_it_is_symmetric_about_its_middle() -> None:
    curve = Cosine(floor=0.2)
    assert curve(0.5) == 0.6
    assert curve(0.3) + curve(0.7) == pytest.approx(1.2)
