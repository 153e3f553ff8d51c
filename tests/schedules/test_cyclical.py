"""Cyclical: its triangles, and what becomes of their height."""

import pytest

from ravine.errors import SettingError
from ravine.schedules import Cyclical, table


def test_a_cycle_climbs_and_falls_in_straight_lines() -> None:
    factors = table(Cyclical(cycles=2, floor=0.2), 16).tolist()
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4] * 2)


def test_a_short_rise_falls_for_longer() -> None:
    factors = table(Cyclical(cycles=1, floor=0.2, rise=0.2), 10).tolist()
    assert factors == pytest.approx([0.2, 0.6, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])


@pytest.mark.parametrize(
    ("mode", "heights"),
    [
        ("triangular", [1, 1, 1, 1]),
        ("triangular2", [1, 0.5, 0.25, 0.125]),
        ("exp_range", [0.0625**p for p in (0.125, 0.375, 0.625, 0.875)]),
    ],
)
def test_the_height_of_each_cycle_is_what_its_mode_makes_of_it(mode: str, heights: list[float]) -> None:
    schedule = Cyclical(cycles=4, mode=mode, floor=0.1, decay=0.0625)
    tops = [(schedule((2 * i + 1) / 8) - 0.1) / 0.9 for i in range(4)]
    assert tops == pytest.approx(heights)


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_every_cycle_begins_and_ends_at_the_floor(mode: str) -> None:
    schedule = Cyclical(cycles=7, mode=mode, floor=0.3)
    assert [schedule(i / 7) for i in range(8)] == pytest.approx([0.3] * 8)


def test_a_mistyped_mode_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingError, match=r"Cyclical\.mode is 'triangle2', .*did you mean triangular2"):
        Cyclical(mode="triangle2")
