"""Distributions: what is no range is refused, regions hold what they were drawn around, ends are recognized."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine.errors import SettingError
from ravine.search import Choice, Distribution, Int, Log, Uniform, around, edge_of, share_of

RATES = st.floats(1e-8, 1e3)


@pytest.mark.parametrize("ends", [(0, 1), (-1, 1), (1, 1), (2, 1), (1, math.inf), (math.nan, 1), (1, math.nan)])
def test_a_log_range_needs_two_rising_positive_finite_ends(ends: tuple[float, float]) -> None:
    with pytest.raises(SettingError, match=r"needs 0 < low < high: write Log\("):
        Log(*ends)


@pytest.mark.parametrize("ends", [(1, 1), (1, 0), (-math.inf, 0), (0, math.inf), (math.nan, 1)])
def test_a_uniform_range_needs_two_rising_finite_ends(ends: tuple[float, float]) -> None:
    with pytest.raises(SettingError, match=r"needs low < high: write Uniform\("):
        Uniform(*ends)


def test_a_uniform_range_may_reach_below_zero() -> None:
    assert Uniform(-1, 0) == Uniform(-1.0, 0.0)


@pytest.mark.parametrize("ends", [(1, 1), (2, 1), (1.0, 4), (1, 2.5), (0, 4, True), (True, 4), (math.nan, 4)])
def test_a_range_of_whole_numbers_needs_two_rising_ones_and_on_a_log_scale_positive_ones(ends: tuple[Any, ...]) -> None:
    with pytest.raises(SettingError, match=r"needs two whole numbers, (1 <= )?low < high: write Int\("):
        Int(*ends)


def test_an_empty_choice_is_refused() -> None:
    with pytest.raises(SettingError, match="name at least one option"):
        Choice([])


def test_a_choice_from_a_list_equals_one_from_a_tuple() -> None:
    assert Choice(["a", "b"]) == Choice(("a", "b"))
    assert hash(Choice(["a"])) == hash(Choice(("a",)))


@given(values=st.lists(RATES, min_size=1, max_size=5), margin=st.floats(1.1, 10))
def test_a_log_region_holds_its_values_with_the_margin_on_both_sides(values: list[float], margin: float) -> None:
    region = around(Log(1e-9, 1e4), values, margin)
    assert isinstance(region, Log)
    assert region.low == min(values) / margin
    assert region.high == max(values) * margin


def test_a_log_region_may_extend_beyond_the_old_range() -> None:
    assert around(Log(1e-4, 1e-2), [1e-2], 2.0) == Log(5e-3, 2e-2)


@given(values=st.lists(st.floats(0, 0.5), min_size=1, max_size=5), margin=st.floats(0.1, 10))
def test_a_uniform_region_holds_its_values_and_stays_inside_the_old_range(values: list[float], margin: float) -> None:
    region = around(Uniform(0, 0.5), values, margin)
    assert isinstance(region, Uniform)
    assert 0 <= region.low <= min(values)
    assert max(values) <= region.high <= 0.5


def test_a_uniform_region_is_widened_by_a_tenth_of_the_width_times_the_margin() -> None:
    region = around(Uniform(0, 10), [4, 5], 2.0)
    assert isinstance(region, Uniform)
    assert (region.low, region.high) == (2.0, 7.0)


@given(values=st.lists(st.integers(8, 512), min_size=1, max_size=5), margin=st.floats(1.1, 10), log=st.booleans())
def test_a_region_of_whole_numbers_holds_its_values_and_stays_inside_the_old_range(
    values: list[int], margin: float, log: bool
) -> None:
    region = around(Int(8, 512, log), values, margin)
    assert isinstance(region, Int)
    assert region.log == log
    assert 8 <= region.low <= min(values)
    assert max(values) <= region.high <= 512


def test_a_region_of_whole_numbers_is_widened_on_its_own_scale() -> None:
    assert around(Int(0, 20), [10], 2.0) == Int(6, 14)
    assert around(Int(1, 512, log=True), [32, 64], 2.0) == Int(16, 128, log=True)


def test_a_choice_region_is_the_options_that_were_seen_in_their_old_order() -> None:
    assert around(Choice(["a", "b", "c"]), ["c", "a", "c"], 2.0) == Choice(["a", "c"])


@pytest.mark.parametrize(
    ("value", "edge"),
    [(1e-4, "lower"), (1.4e-4, "lower"), (1e-3, None), (0.5e-2, None), (0.9e-2, "upper"), (1, "upper")],
)
def test_an_end_of_a_log_range_is_measured_in_decades(value: float, edge: str | None) -> None:
    assert edge_of(Log(1e-4, 1e-2), value) == edge


@pytest.mark.parametrize(
    ("value", "edge"), [(1.0, "lower"), (1.07, "lower"), (1.09, None), (1.91, None), (1.93, "upper")]
)
def test_an_end_of_a_uniform_range_is_measured_in_its_width(value: float, edge: str | None) -> None:
    assert edge_of(Uniform(1, 2), value) == edge


@pytest.mark.parametrize(
    ("d", "value", "edge"),
    [(Int(1, 9), 1, "lower"), (Int(1, 9), 2, None), (Int(1, 100, log=True), 80, "upper"), (Int(0, 9), 9, "upper")],
)
def test_an_end_of_a_range_of_whole_numbers_is_measured_on_its_own_scale(d: Int, value: int, edge: str | None) -> None:
    assert edge_of(d, value) == edge


def test_none_at_all_is_no_edge_for_nothing_lies_below() -> None:
    assert edge_of(Uniform(0.0, 0.5), 0.0) is None
    assert edge_of(Int(0, 9), 0) is None


def test_a_choice_has_no_ends() -> None:
    assert edge_of(Choice([0.0, 0.9]), 0.9) is None


@pytest.mark.parametrize("d", [Log(1e-3, 10), Uniform(-1, 3), Int(2, 32, log=True), Int(-4, 4)])
def test_shares_run_from_nothing_to_one(d: Distribution) -> None:
    assert not isinstance(d, Choice)
    assert share_of(d, d.low) == 0
    assert share_of(d, d.high) == pytest.approx(1)
