"""BatchGrowth: the decay of the rate, dealt out between rate and batch."""

import pytest

from ravine.errors import SettingError
from ravine.schedules import (
    BatchGrowth,
    Constant,
    Cosine,
    Linear,
    Plateau,
    Step,
    Warmup,
    batch_sizes,
    factor_at,
    point_at,
    table,
)


def test_rate_over_batch_falls_as_the_body_does() -> None:
    body = Cosine(floor=0.01)
    schedule = BatchGrowth(body, most=8.0)
    for t in range(101):
        point = point_at(schedule, t / 100)
        assert point.factor / point.batch == pytest.approx(body(t / 100))
        assert 1 <= point.batch <= 8


def test_the_rate_stands_still_until_the_batch_is_as_large_as_it_may_be() -> None:
    schedule = BatchGrowth(Step(factor=0.1, drops=3), most=20.0)
    assert table(schedule, 4).tolist() == pytest.approx([1, 1, 0.2, 0.02])
    assert batch_sizes(schedule, base=10, steps=4) == [10, 100, 200, 200]


def test_a_body_that_reaches_0_grows_no_further_than_most() -> None:
    schedule = BatchGrowth(Linear(), most=4.0)
    assert point_at(schedule, 1.0).batch == 4.0
    assert schedule(1.0) == 0.0


def test_batch_sizes_are_whole_and_the_nearest() -> None:
    sizes = batch_sizes(BatchGrowth(Linear(), most=16.0), base=10, steps=7)
    assert sizes == [10, 12, 14, 18, 23, 35, 70]
    assert all(type(size) is int for size in sizes)


def test_without_growth_every_batch_is_the_first() -> None:
    assert batch_sizes(Warmup(Cosine()), base=48, steps=3) == [48, 48, 48]


def test_a_warm_up_in_front_does_not_grow_the_batch() -> None:
    schedule = Warmup(BatchGrowth(Step(factor=0.5, drops=1)), share=0.5)
    assert batch_sizes(schedule, base=8, steps=8) == [8, 8, 8, 8, 8, 8, 16, 16]
    assert table(schedule, 8).tolist()[4:] == [1.0] * 4


def test_it_grows_on_a_plateau() -> None:
    schedule = BatchGrowth(Plateau(factor=0.5, patience=0))
    flat = [(0.1, 1.0), (0.2, 1.0), (0.3, 1.0)]
    assert point_at(schedule, 0.3, flat).batch == 4.0
    assert factor_at(schedule, 0.3, flat) == 1.0


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(SettingError, match=r"BatchGrowth\.most is 0\.5; .*1 or more"):
        BatchGrowth(Step(), most=0.5)
    with pytest.raises(SettingError, match=r"BatchGrowth\.body is 'step'; it must be a schedule"):
        BatchGrowth("step")
    with pytest.raises(SettingError, match=r"base is 0; it must be a whole number, 1 or more"):
        batch_sizes(Constant(), base=0, steps=3)
    with pytest.raises(SettingError, match=r"steps is 2\.5; it must be a whole number"):
        batch_sizes(Constant(), base=8, steps=2.5)
