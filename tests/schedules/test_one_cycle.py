"""OneCycle: its phases, its momentum, and what it refuses."""

import pytest

from ravine.errors import SettingError
from ravine.schedules import OneCycle, Sequence, Step, Warmup, point_at, table


def test_it_climbs_from_start_to_the_peak_and_falls_to_its_end() -> None:
    schedule = OneCycle(rise=0.25, start=0.2, end=0.1, anneal="linear")
    assert table(schedule, 8).tolist() == pytest.approx([0.2, 0.6, 1.0, 0.85, 0.7, 0.55, 0.4, 0.25])
    assert schedule(1.0) == 0.1


def test_three_phases_come_down_as_they_climbed_and_then_fall_further() -> None:
    schedule = OneCycle(rise=0.25, start=0.2, end=0.0, anneal="linear", three_phase=True)
    assert table(schedule, 8).tolist() == pytest.approx([0.2, 0.6, 1.0, 0.6, 0.2, 0.15, 0.1, 0.05])
    assert [schedule.momentum(p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == pytest.approx([0.95, 0.85, 0.95, 0.95, 0.95])


def test_cosine_phases_are_slow_at_their_ends() -> None:
    schedule = OneCycle(rise=0.4, start=0.1, end=0.0)
    assert schedule(0.2) == pytest.approx(0.55)
    assert schedule(0.02) - schedule(0.0) < (schedule(0.21) - schedule(0.19)) / 5


def test_momentum_is_low_where_the_rate_is_high() -> None:
    schedule = OneCycle(rise=0.3, start=0.1, end=0.1, base_momentum=0.5, max_momentum=0.9)
    for progress in (0.0, 0.1, 0.3, 0.45, 0.9, 1.0):
        height = (schedule(progress) - 0.1) / 0.9
        assert schedule.momentum(progress) == pytest.approx(0.9 - 0.4 * height)


def test_without_cycle_momentum_it_leaves_the_momentum() -> None:
    assert OneCycle(cycle_momentum=False).momentum(0.3) is None


def test_momentum_is_found_behind_a_warm_up_and_stands_still_in_it() -> None:
    one_cycle = OneCycle(rise=0.5)
    schedule = Warmup(one_cycle, share=0.2)
    momenta = [point_at(schedule, progress).momentum for progress in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert momenta == pytest.approx([0.95, 0.95, 0.95, 0.85, 0.95])


def test_momentum_stays_where_a_part_of_a_sequence_left_it() -> None:
    parts = (Step(), OneCycle(max_momentum=0.9), OneCycle(max_momentum=0.88), Step())
    schedule = Sequence(parts, milestones=(0.25, 0.5, 0.75))
    momenta = [point_at(schedule, progress).momentum for progress in (0.0, 0.25, 0.5, 0.9)]
    assert momenta == [None, 0.9, 0.88, 0.88]


@pytest.mark.parametrize("rise", [0.0, 0.5, 0.6])
def test_three_phases_need_a_rise_below_one_half(rise: float) -> None:
    with pytest.raises(SettingError, match=r"OneCycle\.rise is .*\(0, 0\.5\).*not a number of steps"):
        OneCycle(rise=rise, three_phase=True)


def test_a_mistyped_anneal_and_momenta_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(SettingError, match=r"OneCycle\.anneal is 'cosine', .*known: cos, linear|did you mean cos"):
        OneCycle(anneal="cosine")
    with pytest.raises(SettingError, match=r"base_momentum is 0\.95, above max_momentum 0\.85"):
        OneCycle(base_momentum=0.95, max_momentum=0.85)
