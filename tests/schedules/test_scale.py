"""scale_for_batch: the two rules, and what they refuse."""

import math

import pytest

from ravine.errors import SettingError
from ravine.schedules import scale_for_batch


def test_linear_is_proportional_to_the_batch() -> None:
    assert scale_for_batch(0.1, old=256, new=8192) == pytest.approx(3.2)
    assert scale_for_batch(0.1, old=256, new=64) == pytest.approx(0.025)


def test_sqrt_is_proportional_to_its_root() -> None:
    assert scale_for_batch(1e-3, old=100, new=200, rule="sqrt") == pytest.approx(1e-3 * math.sqrt(2))


@pytest.mark.parametrize("rule", ["linear", "sqrt"])
def test_there_and_back_again_is_the_same_rate(rule: str) -> None:
    there = scale_for_batch(0.3, old=32, new=1000, rule=rule)
    assert scale_for_batch(there, old=1000, new=32, rule=rule) == pytest.approx(0.3)


@pytest.mark.parametrize("lr", [0.0, -0.1, math.nan, math.inf, "0.1"], ids=str)
def test_a_rate_that_is_not_positive_is_refused(lr: object) -> None:
    with pytest.raises(SettingError, match=r"^lr is .*; it must be a positive number"):
        scale_for_batch(lr, old=1, new=2)


@pytest.mark.parametrize("size", [0, -4, 2.5, math.nan, "64", None, True], ids=str)
def test_a_batch_size_that_is_no_count_is_refused(size: object) -> None:
    with pytest.raises(SettingError, match=r"^old is .*whole number, 1 or more"):
        scale_for_batch(0.1, old=size, new=2)
    with pytest.raises(SettingError, match=r"^new is .*whole number, 1 or more"):
        scale_for_batch(0.1, old=2, new=size)


def test_an_unknown_rule_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingError, match=r"rule is 'squrt', which is not known; did you mean sqrt\?"):
        scale_for_batch(0.1, old=1, new=2, rule="squrt")
