"""Warmup: its climb, step by step, and what it refuses to stand in front of."""

import itertools

import pytest

from ravine.errors import SettingError
from ravine.schedules import Constant, Cyclical, Linear, Warmup, table


def test_the_climb_is_a_straight_line_from_start_to_the_peak() -> None:
    factors = table(Warmup(Constant(), share=0.5, start=0.2), 8).tolist()
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1])


def test_the_body_is_squeezed_into_the_rest_of_the_run() -> None:
    factors = table(Warmup(Linear(), share=0.5, start=0.0), 8).tolist()
    assert factors[4:] == pytest.approx([1, 0.75, 0.5, 0.25])


def test_it_never_falls_while_it_climbs() -> None:
    factors = table(Warmup(Linear(), share=0.3), 100).tolist()[:31]
    assert all(later > earlier for earlier, later in itertools.pairwise(factors))


@pytest.mark.parametrize("body", ["cosine", 0.05, None, Linear], ids=str)
def test_a_body_that_is_no_schedule_is_refused(body: object) -> None:
    with pytest.raises(SettingError, match=r"Warmup\.body is .*write body=Cosine\(\)"):
        Warmup(body)


def test_it_leads_to_where_its_body_begins() -> None:
    schedule = Warmup(Cyclical(cycles=1, floor=0.4), share=0.5, start=0.5)
    assert table(schedule, 8).tolist() == pytest.approx([0.2, 0.25, 0.3, 0.35, 0.4, 0.7, 1.0, 0.7])


def test_of_steps_climbs_for_so_many_steps() -> None:
    factors = table(Warmup.of_steps(Constant(), warmup=30, steps=70, start=0.1), 70).tolist()
    assert [factor < 1 for factor in factors] == [True] * 30 + [False] * 40
    assert factors[0] == 0.1
    assert Warmup.of_steps(Linear(), warmup=0, steps=10) == Warmup(Linear(), share=0.0)


@pytest.mark.parametrize("warmup", [400, 500])
def test_a_warm_up_longer_than_the_run_is_refused(warmup: int) -> None:
    with pytest.raises(
        SettingError, match=rf"^a warm-up of {warmup} steps does not fit into a run of 400; .*write warmup=20"
    ):
        Warmup.of_steps(Linear(), warmup=warmup, steps=400)


@pytest.mark.parametrize(("warmup", "steps"), [(-1, 10), (2.5, 10), (1, 0), (1, "10"), (float("nan"), 10)])
def test_steps_that_are_no_count_are_refused(warmup: object, steps: object) -> None:
    with pytest.raises(SettingError, match=r"must be a whole number"):
        Warmup.of_steps(Linear(), warmup=warmup, steps=steps)
