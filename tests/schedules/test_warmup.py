"""Warmup: its climb, step by step, and what it refuses to stand in front of."""

import itertools

import pytest

from ravine.errors import SettingError
from ravine.schedules import Constant, Linear, Warmup, table


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
