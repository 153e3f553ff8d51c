"""Constant changes nothing."""

from ravine.schedules import Constant, table


def test_every_step_has_the_peak_rate() -> None:
    assert table(Constant(), 5).tolist() == [1.0] * 5
