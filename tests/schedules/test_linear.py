"""Linear: a straight line from 1 to its floor."""

import itertools

import pytest

from ravine.schedules import Linear, table


@pytest.mark.parametrize("floor", [0.0, 0.25])
def test_every_step_falls_by_the_same_amount_to_the_floor(floor: float) -> None:
    factors = table(Linear(floor), 8).tolist()
    falls = [a - b for a, b in itertools.pairwise(factors)]
    assert falls == pytest.approx([(1 - floor) / 8] * 7)
    assert Linear(floor)(1.0) == floor
