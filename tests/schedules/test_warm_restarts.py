"""WarmRestarts: where the periods begin and how each one runs."""

import pytest

from ravine.errors import SettingError
from ravine.schedules import Cosine, WarmRestarts, table


def test_periods_grow_by_the_multiplier_and_fill_training() -> None:
    assert WarmRestarts(periods=3, multiplier=2.0).restarts == pytest.approx((1 / 7, 3 / 7))
    assert WarmRestarts(periods=4, multiplier=1.0).restarts == pytest.approx((0.25, 0.5, 0.75))
    assert WarmRestarts(periods=1).restarts == ()


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_each_period_is_a_whole_cosine(floor: float) -> None:
    factors = table(WarmRestarts(periods=3, multiplier=2.0, floor=floor), 70).tolist()
    cosines = [table(Cosine(floor), steps).tolist() for steps in (10, 20, 40)]
    assert factors == pytest.approx([factor for cosine in cosines for factor in cosine], abs=1e-12)


# In floats the ends of periods are rounded: a restart would come one step late.
@pytest.mark.parametrize(("periods", "multiplier"), [(3, 1), (7, 1), (5, 2), (3, 3), (6, 3)])
def test_each_restart_falls_on_its_step(periods: int, multiplier: int) -> None:
    lengths = [multiplier**i * 2 for i in range(periods)]
    factors = table(WarmRestarts(periods, multiplier), sum(lengths)).tolist()
    assert [t for t, factor in enumerate(factors) if factor == 1.0] == [sum(lengths[:i]) for i in range(periods)]


def test_a_great_many_growing_periods_do_not_overflow() -> None:
    assert WarmRestarts(periods=3000, multiplier=10.0)(1.0) == 0.0


def test_periods_that_shrink_are_refused() -> None:
    with pytest.raises(SettingError, match=r"WarmRestarts\.multiplier is 0\.5; .*1 or more"):
        WarmRestarts(multiplier=0.5)
