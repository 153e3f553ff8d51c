"""Exponential: the same share at every step, down to its floor."""

import itertools

import pytest

from ravine.errors import SettingError
from ravine.schedules import Exponential, table


def test_every_step_keeps_the_same_share_down_to_the_floor() -> None:
    factors = table(Exponential(floor=0.1), 50).tolist()
    assert [b / a for a, b in itertools.pairwise(factors)] == pytest.approx([0.1 ** (1 / 50)] * 49)
    assert Exponential(floor=0.1)(1.0) == 0.1


@pytest.mark.parametrize("floor", [0, 0.0, 1.5], ids=str)
def test_a_floor_that_no_share_leads_to_is_refused(floor: float) -> None:
    with pytest.raises(SettingError, match=r"Exponential\.floor is .*\(0, 1\]"):
        Exponential(floor=floor)
